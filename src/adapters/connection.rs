//! What the clients of Kubernetes and of the forge have in common: one TLS provider, and words for a connection that failed.

use std::error::Error;
use std::io;

/// Makes ring the provider of cryptography for all TLS connections of the process. Needed once, before the first connection; harmless after.
pub fn install_tls_provider() {
    // The only error is that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Why a connection failed, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The certificate of the server does not verify.
    Untrusted(String),
    /// The server does not take the client's certificate.
    ClientRefused(String),
    /// The server does not speak TLS, or not one that is understood.
    NotTls(String),
    /// Anything else: refused, cut, no such host. It may pass.
    Broken(String),
}

/// Finds the cause at the bottom of an error of an HTTP client, whose own text says no more than "error sending request".
pub(crate) fn diagnose(error: &(dyn Error + 'static)) -> Fault {
    let chain: Vec<_> = causes(error).collect();
    for cause in &chain {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return diagnose_tls(tls);
        }
    }
    for cause in &chain {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            let words = match io.kind() {
                io::ErrorKind::ConnectionRefused => "the connection was refused",
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => "the connection was cut",
                io::ErrorKind::UnexpectedEof => "the connection ended in the middle of an answer",
                io::ErrorKind::TimedOut => "the connection timed out",
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "there is no route to it",
                _ => continue,
            };
            return Fault::Broken(words.to_owned());
        }
    }
    Fault::Broken(chain.last().map(ToString::to_string).unwrap_or_default())
}

fn diagnose_tls(error: &rustls::Error) -> Fault {
    use rustls::{AlertDescription, CertificateError};
    match error {
        rustls::Error::InvalidCertificate(certificate) => {
            let clock = matches!(
                certificate,
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            );
            let hint = if clock { "; check the clock of this machine too" } else { "" };
            Fault::Untrusted(format!("its certificate does not verify: {certificate}{hint}"))
        }
        rustls::Error::NoCertificatesPresented | rustls::Error::UnsupportedNameType => {
            Fault::Untrusted(format!("its certificate does not verify: {error}"))
        }
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::AccessDenied,
        ) => Fault::ClientRefused(format!("it does not take the client certificate: {error}")),
        rustls::Error::InvalidMessage(_) | rustls::Error::PeerIncompatible(_) => Fault::NotTls(format!("it does not speak TLS: {error}")),
        other => Fault::Broken(format!("TLS: {other}")),
    }
}

/// The error and all that lies below it. [`io::Error`] hides what it wraps from [`Error::source`], so it is opened here.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    /// An error whose `source` goes in a circle must not stop the run.
    const DEEPEST: usize = 32;
    let below = |error: &&'a (dyn Error + 'static)| -> Option<&'a (dyn Error + 'static)> {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    };
    std::iter::successors(Some(error), below).take(DEEPEST)
}

/// How far a clock that says `now` is ahead of the one that says `date`, in the form of HTTP (RFC 9110, 5.6.7); none if that is no date.
pub(crate) fn ahead_of(date: &str, now: jiff::Timestamp) -> Option<jiff::SignedDuration> {
    jiff::fmt::rfc2822::parse(date).ok().map(|date| now.duration_since(date.timestamp()))
}

/// Whether `host` is this machine, by address or by name; such a connection needs no TLS and no proxy.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_error_is_found_below_errors_that_hide_it() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let hidden = io::Error::other(io::Error::other(tls));
        assert!(matches!(diagnose(&hidden), Fault::Untrusted(_)), "{:?}", diagnose(&hidden));
    }

    #[test]
    fn an_expired_certificate_makes_one_think_of_the_clock() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        let Fault::Untrusted(words) = diagnose(&io::Error::other(tls)) else { panic!("not about trust") };
        assert!(words.contains("clock"), "{words}");
    }

    #[test]
    fn a_refused_connection_is_said_in_words() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(diagnose(&io::Error::other(refused)), Fault::Broken("the connection was refused".to_owned()));
    }

    #[test]
    fn a_clock_is_ahead_of_a_date_or_behind_it() {
        let ahead = |date: &str| ahead_of(date, "2026-11-21T11:00:30Z".parse().unwrap()).map(|ahead| ahead.as_secs());
        assert_eq!(ahead("Sat, 21 Nov 2026 11:00:00 GMT"), Some(30));
        assert_eq!(ahead("Sat, 21 Nov 2026 12:00:00 GMT"), Some(-3570));
        assert_eq!(ahead("yesterday"), None);
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for here in ["127.0.0.1", "127.9.9.9", "localhost", "[::1]", "::1"] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in ["10.0.0.1", "localhost.example.com", "127.0.0.1.example.com", ""] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}

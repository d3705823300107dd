//! Reads kubeconfig files and pins one of their contexts.
//!
//! Nothing here prints an error of the `kube` crate: those quote the lines around a fault, and with them tokens.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{AuthInfo, Cluster, ExecAuthCluster, ExecConfig, Kubeconfig, KubeconfigError};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

use super::ConnectOptions;
use crate::adapters::connection::is_loopback;
use crate::domain::suggestion;
use crate::ports::cluster::ClusterError;

/// How long an API server may say nothing on a connection: a little longer than a watch is kept open without news.
const READ_LIMIT: Duration = Duration::from_secs(295);

/// A context of a kubeconfig, to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextChoice {
    /// Its name.
    pub name: String,
    /// The address of its API server, as written; empty if the context names a cluster that is not there.
    pub server: String,
    /// Whether it is the `current-context`.
    pub current: bool,
}

/// One context, pinned: everything that is needed to open a connection, and to open it again when credentials ran out.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) context: String,
    /// The address of the API server, without credentials.
    pub(super) server: String,
    pub(super) ca_sha256: Option<String>,
    /// All but the credentials of a plugin.
    pub(super) config: kube::Config,
    /// The plugin that gives the credentials, if there is one.
    pub(super) plugin: Option<ExecConfig>,
    /// Whether credentials can be had anew: they come from a plugin or from files.
    pub(super) renewable: bool,
}

/// The kubeconfig files in the order in which they are merged: those of `value`, a list as `KUBECONFIG` holds it, else `~/.kube/config`.
pub fn kubeconfig_files(value: Option<&OsStr>, home: Option<&Path>) -> Vec<PathBuf> {
    let files: Vec<_> = value.into_iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty()).collect();
    if files.is_empty() { home.map(|home| home.join(".kube/config")).into_iter().collect() } else { files }
}

/// The contexts of these kubeconfig files, in their order.
pub fn contexts(files: &[PathBuf]) -> Result<Vec<ContextChoice>, ClusterError> {
    let kubeconfig = read(files)?;
    let server_of = |cluster: &str| {
        let named = kubeconfig.clusters.iter().find(|named| named.name == cluster)?;
        named.cluster.as_ref()?.server.clone()
    };
    let choice = |named: &kube::config::NamedContext| ContextChoice {
        name: named.name.clone(),
        server: named.context.as_ref().and_then(|context| server_of(&context.cluster)).map(|server| shown(&server)).unwrap_or_default(),
        current: kubeconfig.current_context.as_deref() == Some(named.name.as_str()),
    };
    Ok(kubeconfig.contexts.iter().map(choice).collect())
}

/// Pins the context that is meant, and refuses what cannot be trusted. Reads no more than files.
pub(super) fn pin(options: &ConnectOptions) -> Result<Access, ClusterError> {
    let kubeconfig = read(&options.kubeconfig)?;
    let context_name = choose_context(&kubeconfig, options.context.as_deref())?;
    let context = kubeconfig.contexts.iter().find(|named| named.name == context_name).and_then(|named| named.context.clone());
    let context = context.ok_or_else(|| fault(format!("the context `{context_name}` of the kubeconfig is empty")))?;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster).and_then(|named| named.cluster.clone());
    let cluster = cluster.ok_or_else(|| {
        fault(format!("the context `{context_name}` names the cluster `{}`, which the kubeconfig has not", context.cluster))
    })?;
    let user = match &context.user {
        Some(name) if !name.is_empty() => kubeconfig.auth_infos.iter().find(|named| &named.name == name),
        _ => None,
    };
    let mut user = user.and_then(|named| named.auth_info.clone()).unwrap_or_default();
    if user.auth_provider.as_ref().is_some_and(|provider| provider.name != "oidc") {
        return Err(fault(format!(
            "the context `{context_name}` uses an auth-provider that Kubernetes has dropped; let it use an exec plugin, as `kubectl` needs too"
        )));
    }

    let written = cluster.server.clone().filter(|server| !server.is_empty());
    let written = written.ok_or_else(|| fault(format!("the cluster of the context `{context_name}` has no server")))?;
    let server = shown(&written);
    let address: http::Uri =
        written.parse().map_err(|_| fault(format!("the server of the context `{context_name}` is not an address: {server}")))?;
    refuse_untrusted(&server, &address, &cluster, options.allow_insecure_tls)?;

    let authority = ExecAuthCluster::try_from(&cluster)
        .map_err(|_| fault(format!("the certificate authority of the context `{context_name}` cannot be read")))?;
    let roots =
        match &authority.certificate_authority_data {
            Some(pem) => Some(certificates(pem).ok_or_else(|| {
                fault(format!("the certificate authority of the context `{context_name}` holds no certificate in PEM form"))
            })?),
            None => None,
        };
    let plugin = user.exec.take().map(|mut plugin| {
        plugin.cluster = plugin.provide_cluster_info.then_some(authority);
        plugin
    });

    let mut config = kube::Config::new(address.clone());
    config.default_namespace = context.namespace.unwrap_or_else(|| "default".to_owned());
    config.read_timeout = Some(READ_LIMIT);
    config.reset_reader_on_write = true;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name.clone();
    config.proxy_url = proxy(&address, &cluster, &options.environment)?;
    // Retries are ours: they obey `Retry-After`, end in time, and are told to the person.
    config.default_retry = false;
    config.headers =
        vec![(http::header::USER_AGENT, http::HeaderValue::from_static(concat!("gitops-bootstrap/", env!("CARGO_PKG_VERSION"))))];
    let ca_sha256 = roots.as_ref().and_then(|roots| roots.first()).map(|der| format!("{:x}", Sha256::digest(der)));
    config.root_cert = roots;
    let renewable = plugin.is_some() || reads_files(&user);
    config.auth_info = user;
    Ok(Access { context: context_name, server, ca_sha256, config, plugin, renewable })
}

fn reads_files(user: &AuthInfo) -> bool {
    user.token_file.is_some() || user.client_certificate.is_some()
}

fn fault(message: String) -> ClusterError {
    ClusterError::Kubeconfig(message)
}

/// Reads and merges the files; those that are not there are left out, as `kubectl` does.
fn read(files: &[PathBuf]) -> Result<Kubeconfig, ClusterError> {
    let mut merged: Option<Kubeconfig> = None;
    for file in files.iter().filter(|file| file.exists()) {
        let next = Kubeconfig::read_from(file).map_err(|error| fault(format!("{}: {}", file.display(), words(&error))))?;
        merged = Some(match merged {
            Some(before) => before.merge(next).map_err(|error| fault(format!("{}: {}", file.display(), words(&error))))?,
            None => next,
        });
    }
    merged.ok_or_else(|| {
        let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        fault(if names.is_empty() {
            "there is no kubeconfig".to_owned()
        } else {
            format!("there is no kubeconfig at {}", names.join(", "))
        })
    })
}

/// What is wrong with a kubeconfig, without a word of its content.
fn words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(cause, _) => format!("cannot be read: {cause}"),
        KubeconfigError::Parse(cause) => match cause.location() {
            Some(location) => format!("is not a kubeconfig: line {}, column {}", location.line(), location.column()),
            None => "is not a kubeconfig".to_owned(),
        },
        KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => {
            "is of another kind or version than the file before".to_owned()
        }
        _ => "cannot be used".to_owned(),
    }
}

/// The named context, or the only one. With several and none named there is no default: the wrong cluster would be changed.
fn choose_context(kubeconfig: &Kubeconfig, wanted: Option<&str>) -> Result<String, ClusterError> {
    let names: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    match (wanted, names.as_slice()) {
        (_, []) => Err(fault("the kubeconfig has no context".to_owned())),
        (Some(wanted), names) if names.contains(&wanted) => Ok(wanted.to_owned()),
        (Some(wanted), names) => {
            let meant = suggestion(wanted, names);
            let it_has = if meant.is_empty() { "; it has" } else { " It has" };
            Err(fault(format!("the kubeconfig has no context `{wanted}`{meant}{it_has} {}", names.join(", "))))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, names) => Err(fault(format!("the kubeconfig has several contexts, and none is named: {}", names.join(", ")))),
    }
}

fn refuse_untrusted(server: &str, address: &http::Uri, cluster: &Cluster, allowed: bool) -> Result<(), ClusterError> {
    let untrusted = |message: &str| Err(ClusterError::Untrusted { server: server.to_owned(), message: message.to_owned() });
    match address.scheme_str() {
        Some("https") => {}
        Some("http") if is_loopback(address.host().unwrap_or_default()) => {}
        Some("http") => return untrusted("its address is plain HTTP, and it is not on this machine"),
        _ => return Err(fault(format!("the server of the kubeconfig is neither https nor http: {server}"))),
    }
    if cluster.insecure_skip_tls_verify.unwrap_or(false) && !allowed {
        return untrusted("the kubeconfig turns the check of its certificate off (insecure-skip-tls-verify)");
    }
    Ok(())
}

/// The certificates of a PEM file in DER form; none if there is none, or a broken one.
fn certificates(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.ok().filter(|found| !found.is_empty()).map(|found| found.iter().map(|der| der.to_vec()).collect())
}

/// The proxy for `address`: the cluster's own, else that of the environment, unless `NO_PROXY` has the API server's host.
/// The `kube` crate matches `NO_PROXY` against the host of the proxy instead, hence this.
fn proxy(address: &http::Uri, cluster: &Cluster, environment: &BTreeMap<String, String>) -> Result<Option<http::Uri>, ClusterError> {
    let variable = |name: &str| {
        let value = environment.get(name).or_else(|| environment.get(&name.to_lowercase()));
        value.map(|value| value.trim()).filter(|value| !value.is_empty())
    };
    let unusable = |proxy: &str| fault(format!("the proxy {} is not one that is understood: write it as http://HOST:PORT", shown(proxy)));
    if let Some(proxy) = cluster.proxy_url.as_deref().filter(|proxy| !proxy.is_empty()) {
        return proxy.parse().map(Some).map_err(|_| unusable(proxy));
    }
    if is_loopback(address.host().unwrap_or_default()) {
        return Ok(None);
    }
    let scheme = if address.scheme_str() == Some("http") { "HTTP_PROXY" } else { "HTTPS_PROXY" };
    let Some(proxy) = variable(scheme).or_else(|| variable("ALL_PROXY")) else { return Ok(None) };
    let matcher = Matcher::builder().all(proxy).no(variable("NO_PROXY").unwrap_or_default()).build();
    if matcher.intercept(address).is_none() {
        return Ok(None);
    }
    let with_scheme = if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") };
    // `socks5h` differs from `socks5` in who resolves the name; the client knows the latter.
    with_scheme.replacen("socks5h://", "socks5://", 1).parse().map(Some).map_err(|_| unusable(proxy))
}

/// An address without the user and password that it may hold.
pub(super) fn shown(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(mut url) => {
            // Both fail only on addresses that cannot hold them.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.as_str().trim_end_matches('/').to_owned()
        }
        Err(_) => address.rsplit('@').next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(proxy: Option<&str>) -> Cluster {
        Cluster { proxy_url: proxy.map(str::to_owned), ..Cluster::default() }
    }

    fn proxy_for(address: &str, own: Option<&str>, environment: &[(&str, &str)]) -> Option<String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        proxy(&address.parse().unwrap(), &cluster(own), &environment).unwrap().map(|uri| uri.to_string())
    }

    #[test]
    fn no_proxy_is_matched_against_the_api_server_and_not_the_proxy() {
        let environment = [("HTTPS_PROXY", "http://proxy.example:3128"), ("NO_PROXY", "localhost, .cluster.example,10.0.0.0/8")];
        assert_eq!(proxy_for("https://api.cluster.example:6443", None, &environment), None);
        assert_eq!(proxy_for("https://10.1.2.3", None, &environment), None);
        assert_eq!(proxy_for("https://api.elsewhere.example", None, &environment).as_deref(), Some("http://proxy.example:3128/"));
    }

    #[test]
    fn a_no_proxy_of_blanks_and_commas_does_no_harm() {
        for no_proxy in [" ", "localhost,", ",,"] {
            let environment = [("https_proxy", "proxy.example:3128"), ("no_proxy", no_proxy)];
            assert_eq!(proxy_for("https://api.example", None, &environment).as_deref(), Some("http://proxy.example:3128/"), "{no_proxy:?}");
        }
    }

    #[test]
    fn this_machine_is_reached_without_a_proxy_unless_the_cluster_has_its_own() {
        let environment = [("HTTPS_PROXY", "http://proxy.example:3128")];
        assert_eq!(proxy_for("https://127.0.0.1:6443", None, &environment), None);
        assert_eq!(
            proxy_for("https://127.0.0.1:6443", Some("socks5://127.0.0.1:1080"), &environment).as_deref(),
            Some("socks5://127.0.0.1:1080/")
        );
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(shown("https://user:hunter2@host:6443/"), "https://host:6443");
        assert!(!shown("not an address user:hunter2@host").contains("hunter2"));
    }

    #[test]
    fn kubeconfig_is_a_list_and_has_a_default() {
        let list = std::env::join_paths(["/a", "", "/b"]).unwrap();
        assert_eq!(kubeconfig_files(Some(&list), None), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(kubeconfig_files(Some(OsStr::new("")), Some(Path::new("/home/me"))), [PathBuf::from("/home/me/.kube/config")]);
    }
}

//! What `doctor` makes of what it was told: values in, a [`Check`] out. The times come in as values.

use jiff::{SignedDuration, Timestamp};

use super::packing::Drift;
use crate::domain::{Check, CheckId, HostKey, PublicKey, RequestLimit};

/// A clock that is off by more is worth a warning: tokens and certificates are good for a time.
const NOTED_SKEW: SignedDuration = SignedDuration::from_secs(30);

/// A clock that is off by more makes requests fail: clouds refuse signatures that are older, and a fresh certificate is not valid yet.
const WRONG_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A token that ends sooner is worth a warning.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A run asks the forge no more often than this; with fewer requests left it would be stopped in the middle.
const REQUESTS_OF_A_RUN: u64 = 20;

/// A key that is older is worth a rotation.
const OLD_KEY: SignedDuration = SignedDuration::from_hours(365 * 24);

/// A program on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// It is there, and says this of its version.
    Says(String),
    /// It is not on the PATH.
    Missing,
    /// It is there and does not run; why.
    Broken(String),
}

/// What a program is needed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Every run needs it.
    Always,
    /// This needs it, and something stands in for it if it is missing: `the sandbox's engine`.
    StoodInFor {
        /// What needs it.
        by: &'static str,
        /// What does its work otherwise.
        by_what: &'static str,
    },
    /// This needs it, and nothing stands in for it.
    For(&'static str),
    /// Nothing here needs it now.
    Nothing,
}

/// Judges a program by its version. `oldest` is the first version that does, as numbers.
pub fn program(check: CheckId, found: &Program, oldest: Option<&[u32]>, need: &Need, install: &str) -> Check {
    let written = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    let fault = match found {
        Program::Says(text) => match (version(text), oldest) {
            (Some(found), Some(oldest)) if found.as_slice() < oldest => {
                format!("version {} is too old: {} is the oldest that does", written(&found), written(oldest))
            }
            (Some(found), _) => return Check::well(check, format!("version {}", written(&found))),
            (None, Some(_)) => format!("it does not tell its version: `{}`", text.lines().next().unwrap_or_default()),
            (None, None) => return Check::well(check, "of an unknown version"),
        },
        Program::Missing => "it is not on the PATH".to_owned(),
        Program::Broken(why) => why.clone(),
    };
    match need {
        Need::Always => Check::wrong(check, fault).hint(install),
        Need::For(what) => Check::warning(check, format!("{fault}, and {what} needs it")).hint(install),
        Need::StoodInFor { by, by_what } => Check::warning(check, format!("{fault}: for {by} {by_what} stands in")).hint(install),
        Need::Nothing => Check::well(check, format!("{fault}, and nothing here needs it")),
    }
}

/// The first numbers with dots between them in what a program says of itself: `go1.26.8`, `OpenSSH_9.2p1`, `git version 2.39.5 (Apple Git-154)`.
fn version(text: &str) -> Option<Vec<u32>> {
    let is_part = |character: char| character.is_ascii_digit() || character == '.';
    let found = text.split(|character| !is_part(character)).find(|part| {
        let mut numbers = part.split('.');
        part.contains('.') && numbers.clone().count() > 1 && numbers.next().is_some_and(|first| !first.is_empty())
    })?;
    found.split('.').filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
}

/// Judges this machine's clock by how far it is ahead of others: each with its name.
pub fn clock(ahead: &[(String, SignedDuration)]) -> Check {
    let Some((other, most)) = ahead.iter().max_by_key(|(_, ahead)| ahead.abs()) else {
        return Check::not_checked(CheckId::Clock, "neither the forge nor an API server has told the time");
    };
    if most.abs() <= NOTED_SKEW {
        let names: Vec<&str> = ahead.iter().map(|(name, _)| name.as_str()).collect();
        return Check::well(CheckId::Clock, format!("as that of {}, within {} s", names.join(" and "), NOTED_SKEW.as_secs()));
    }
    let seconds = most.as_secs().abs();
    let far = if seconds >= 600 { format!("{} minutes", seconds / 60) } else { format!("{seconds} s") };
    let evidence = format!("{far} {} that of {other}", if most.is_positive() { "ahead of" } else { "behind" });
    let hint = "set it by a time server, as in `timedatectl set-ntp true`";
    let check = if most.abs() > WRONG_SKEW { Check::wrong(CheckId::Clock, evidence) } else { Check::warning(CheckId::Clock, evidence) };
    check.hint(hint)
}

/// Judges the proxies of the environment: the variables that are set, each without a password, and by which proxy each server is reached.
pub fn proxy(variables: &[(String, String)], routes: &[(String, Option<String>)]) -> Check {
    let mut evidence: Vec<String> = Vec::new();
    if variables.is_empty() {
        evidence.push("no variable names one".to_owned());
    } else {
        evidence.push(variables.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", "));
    }
    evidence.extend(routes.iter().map(|(server, proxy)| match proxy {
        Some(proxy) => format!("{server} by {proxy}"),
        None => format!("{server} directly"),
    }));
    if !variables.is_empty() {
        evidence.push("Git over SSH directly".to_owned());
    }
    let evidence = evidence.join("; ");
    let named = |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let twice = variables.iter().find(|(name, value)| {
        let upper = name.to_ascii_uppercase();
        upper != *name && named(&upper).is_some_and(|other| other != value)
    });
    match twice {
        Some((name, _)) => Check::warning(CheckId::Proxy, evidence).hint(format!(
            "{name} and {} differ: which one counts depends on the program; set both to the same",
            name.to_ascii_uppercase()
        )),
        None => Check::well(CheckId::Proxy, evidence),
    }
}

/// Judges the pinned host keys of a host: there must be some, and the forge should say the same. `served` is what it says of itself, if it was asked.
pub fn host_keys(host: &str, pinned: &[&HostKey], served: Option<&[PublicKey]>, scan: &str) -> Check {
    let id = CheckId::HostKeys;
    let pin = "add the lines whose fingerprints the operator publishes to `repository.knownHosts` in gitops.yaml, render, commit and push";
    if pinned.is_empty() {
        return Check::wrong(id, format!("no host key is pinned for {host}, and none is trusted on first use"))
            .hint(format!("{scan} | tee /dev/stderr | ssh-keygen -lf -"))
            .hint(pin);
    }
    let number = format!("{} pinned for {host}", pinned.len());
    let Some(served) = served.filter(|served| !served.is_empty()) else {
        return Check::well(id, format!("{number}; the forge's API does not tell its own"));
    };
    let missing: Vec<String> =
        served.iter().filter(|key| pinned.iter().all(|pinned| pinned.key != **key)).map(|key| key.fingerprint().to_string()).collect();
    let stale: Vec<String> =
        pinned.iter().filter(|pinned| !served.contains(&pinned.key)).map(|pinned| pinned.key.fingerprint().to_string()).collect();
    if missing.len() == served.len() {
        return Check::wrong(id, format!("{number}, and the forge's API tells none of them: {}", missing.join(", ")))
            .hint("find out from the operator whether the host keys were changed; until then trust none of them")
            .hint(pin);
    }
    let mut differences = Vec::new();
    if !missing.is_empty() {
        differences.push(format!("not pinned is {}", missing.join(", ")));
    }
    if !stale.is_empty() {
        differences.push(format!("not the forge's any more is {}", stale.join(", ")));
    }
    if differences.is_empty() {
        return Check::well(id, format!("{number}, the ones that the forge's API tells"));
    }
    Check::warning(id, format!("{number}; {}", differences.join("; "))).hint(pin)
}

/// Judges when a token ends, if the forge says so.
pub fn token_expiry(end: Option<Timestamp>, now: Timestamp) -> Check {
    let id = CheckId::TokenExpiry;
    let Some(end) = end else { return Check::well(id, "the forge names no end of it") };
    let left = end.duration_since(now);
    if left.is_negative() {
        return Check::wrong(id, format!("it ended at {end}")).hint("make a new token");
    }
    if left < SOON {
        return Check::warning(id, format!("it ends at {end}"))
            .hint("make one that lives longer: GitHub removes deploy keys together with the token that made them");
    }
    Check::well(id, format!("it ends at {end}"))
}

/// Judges how many requests are left, if the forge counts them.
pub fn rate_limit(requests: Option<RequestLimit>) -> Check {
    let id = CheckId::RateLimit;
    let Some(RequestLimit { limit, left, reset }) = requests else { return Check::well(id, "the forge counts no requests") };
    let until = reset.map(|reset| format!(" until {reset}")).unwrap_or_default();
    if left < REQUESTS_OF_A_RUN {
        return Check::wrong(id, format!("{left} of {limit} requests are left{until}; a run may need {REQUESTS_OF_A_RUN}"))
            .hint("wait until then, or use another account's token");
    }
    if left < limit / 10 {
        return Check::warning(id, format!("{left} of {limit} requests are left{until}"))
            .hint("something else uses the same account: give this tool a token of its own");
    }
    Check::well(id, format!("enough of the {limit} requests in an hour are left"))
}

/// Judges the age of a deploy key that is registered, and good but for that. `described` says what is known of it.
pub fn deploy_key_age(described: &str, created: Option<Timestamp>, now: Timestamp, rotate: &str) -> Check {
    match created.map(|created| now.duration_since(created)) {
        Some(age) if age > OLD_KEY => Check::warning(CheckId::DeployKey, format!("{described}; it is {} days old", age.as_hours() / 24))
            .hint(format!("another one: {rotate}")),
        _ => Check::well(CheckId::DeployKey, described),
    }
}

/// How the bundle is, as far as that was looked at without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFacts {
    /// When it was made.
    pub made: Timestamp,
    /// How many Secrets are in it.
    pub secrets: usize,
    /// How many keys open it.
    pub recipients: usize,
    /// How it differs from what would be packed now; why that is not known, if it is not.
    pub drift: Result<Drift, String>,
}

/// Judges a bundle.
pub fn bundle(facts: &BundleFacts, pack: &str) -> Check {
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let of_day = facts.made.strftime("%Y-%m-%d");
    let described = format!("{} for {}, made {of_day}", count(facts.secrets, "Secret"), count(facts.recipients, "recipient"));
    match &facts.drift {
        Ok(drift) if drift.is_none() => Check::well(CheckId::Bundle, format!("{described}, as the cluster has them")),
        Ok(drift) => {
            let mut lines = drift.lines();
            let more = lines.len().saturating_sub(MOST_NAMED);
            lines.truncate(MOST_NAMED);
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            Check::warning(CheckId::Bundle, format!("{described}; {}", lines.join("; ")))
                .hint(format!("write it anew and commit it: {pack}"))
        }
        Err(why) => Check::not_checked(CheckId::Bundle, format!("{why}; there are {described}")),
    }
}

/// How many differences are named.
const MOST_NAMED: usize = 5;

#[cfg(test)]
mod tests;

//! The judgements as tables.

use super::*;
use crate::domain::CheckResult::{NotChecked, Warning, Well, Wrong};
use crate::domain::{HostKeys, secret::SecretName};

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

#[test]
fn a_program_is_judged_by_its_version_and_by_what_needs_it() {
    let judged = |text: &str, need: &Need| {
        let check = program(CheckId::Git, &Program::Says(text.to_owned()), Some(&[2, 32]), need, "install it");
        (check.result, check.evidence)
    };
    assert_eq!(judged("git version 2.39.5 (Apple Git-154)", &Need::Always), (Well, "version 2.39.5".to_owned()));
    assert_eq!(judged("git version 2.32.0", &Need::Always).0, Well);
    assert_eq!(judged("git version 2.9.1", &Need::Always).0, Wrong);
    assert_eq!(judged("git version 2.9.1", &Need::Nothing).0, Well);
    assert_eq!(judged("hello", &Need::Always).0, Wrong);
    let missing = |need: &Need| program(CheckId::Helm, &Program::Missing, None, need, "install it");
    assert_eq!(missing(&Need::Always).result, Wrong);
    assert_eq!(missing(&Need::For("the sandbox")).result, Warning);
    let stood_in = missing(&Need::StoodInFor { by: "the charts", by_what: "the sandbox's engine" });
    assert_eq!((stood_in.result, stood_in.hints.len()), (Warning, 1));
    assert_eq!((missing(&Need::Nothing).result, missing(&Need::Nothing).hints.len()), (Well, 0));
    assert_eq!(program(CheckId::Helm, &Program::Says("odd".to_owned()), None, &Need::Always, "").result, Well);
}

#[test]
fn versions_are_found_in_what_programs_say() {
    for (text, numbers) in [
        ("go version go1.26.8 linux/amd64", vec![1, 26, 8]),
        ("go version go1.27rc1 linux/amd64", vec![1, 27]),
        ("OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15 3 Sep 2024", vec![9, 2]),
        ("v3.16.1+g5a5449d", vec![3, 16, 1]),
        ("v5.4.2\n", vec![5, 4, 2]),
        ("git version 2.47.1.windows.1", vec![2, 47, 1]),
    ] {
        assert_eq!(version(text), Some(numbers), "{text}");
    }
    for text in ["", "v3", "devel", "....", ".5"] {
        assert_eq!(version(text), None, "{text}");
    }
}

#[test]
fn a_clock_is_judged_by_the_server_that_it_is_farthest_from() {
    let ahead = |seconds: &[i64]| {
        let servers = seconds.iter().map(|seconds| ("a server".to_owned(), SignedDuration::from_secs(*seconds))).collect::<Vec<_>>();
        clock(&servers)
    };
    assert_eq!(ahead(&[]).result, NotChecked);
    assert_eq!(ahead(&[1, -29]).result, Well);
    assert_eq!(ahead(&[0, -31]).result, Warning);
    assert_eq!(ahead(&[301]).result, Wrong);
    assert_eq!(ahead(&[-7200]).evidence, "120 minutes behind that of a server");
    assert!(ahead(&[40]).evidence.starts_with("40 s ahead of"));
}

#[test]
fn proxies_that_contradict_each_other_are_a_warning() {
    let set =
        |variables: &[(&str, &str)]| variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
    let routes = [("github.com".to_owned(), Some("http://p:1".to_owned())), ("https://api".to_owned(), None)];
    let none = proxy(&[], &routes[1..]);
    assert_eq!((none.result, none.evidence.as_str()), (Well, "no variable names one; https://api directly"));
    let one = proxy(&set(&[("HTTPS_PROXY", "http://p:1")]), &routes);
    assert_eq!(one.evidence, "HTTPS_PROXY=http://p:1; github.com by http://p:1; https://api directly; Git over SSH directly");
    assert_eq!(one.result, Well);
    assert_eq!(proxy(&set(&[("HTTPS_PROXY", "a"), ("https_proxy", "a")]), &[]).result, Well);
    assert_eq!(proxy(&set(&[("HTTPS_PROXY", "a"), ("https_proxy", "b")]), &[]).result, Warning);
}

#[test]
fn pinned_host_keys_are_compared_with_those_that_the_forge_tells() {
    let hosts = HostKeys::pinned([]).unwrap();
    let pinned = hosts.of(&"git@github.com:a/b.git".parse().unwrap());
    let keys: Vec<PublicKey> = pinned.iter().map(|pin| pin.key.clone()).collect();
    let new = PublicKey::from_openssh(&ssh_key::PublicKey::from(ssh_key::public::Ed25519PublicKey([7; 32])).to_openssh().unwrap()).unwrap();
    let judged = |pinned: &[&HostKey], served: Option<&[PublicKey]>| host_keys("github.com", pinned, served, "ssh-keyscan github.com");
    assert_eq!(judged(&pinned, Some(&keys)).result, Well);
    assert_eq!(judged(&pinned, None).result, Well);
    assert_eq!(judged(&pinned, Some(&[])).result, Well);
    assert_eq!(judged(&[], Some(&keys)).result, Wrong);
    assert_eq!(judged(&pinned, Some(&keys[..1])).result, Warning);
    let announced = judged(&pinned, Some(&[keys.as_slice(), std::slice::from_ref(&new)].concat()));
    assert!(announced.result == Warning && announced.evidence.contains(&new.fingerprint().to_string()), "{announced:?}");
    assert_eq!(judged(&pinned, Some(&[new])).result, Wrong);
}

#[test]
fn the_end_of_a_token_is_seen_a_week_before() {
    let now = at("2026-11-21T12:00:00Z");
    let judged = |end: &str| token_expiry(Some(at(end)), now).result;
    assert_eq!(token_expiry(None, now).result, Well);
    assert_eq!(judged("2026-11-29T12:00:00Z"), Well);
    assert_eq!(judged("2026-11-27T12:00:00Z"), Warning);
    assert_eq!(judged("2026-11-21T11:59:59Z"), Wrong);
}

#[test]
fn few_requests_are_a_warning_and_too_few_are_wrong() {
    let judged = |left: u64| rate_limit(Some(RequestLimit { limit: 5000, left, reset: None })).result;
    assert_eq!(rate_limit(None).result, Well);
    assert_eq!([judged(5000), judged(499), judged(20), judged(19), judged(0)], [Well, Warning, Warning, Wrong, Wrong]);
}

#[test]
fn a_key_of_more_than_a_year_is_to_be_rotated() {
    let now = at("2026-11-21T12:00:00Z");
    let judged = |created: Option<&str>| deploy_key_age("a key", created.map(at), now, "rotate");
    assert_eq!(judged(None).result, Well);
    assert_eq!(judged(Some("2026-01-01T00:00:00Z")).result, Well);
    let old = judged(Some("2025-11-20T00:00:00Z"));
    assert_eq!((old.result, old.evidence.as_str()), (Warning, "a key; it is 366 days old"));
}

#[test]
fn a_bundle_that_the_cluster_has_outgrown_is_a_warning_with_what_is_missing() {
    let judged = |drift| {
        let made = at("2026-11-21T12:00:00Z");
        bundle(&BundleFacts { made, secrets: 2, recipients: 1, drift }, "pack")
    };
    let well = judged(Ok(Drift::default()));
    assert_eq!((well.result, well.evidence.as_str()), (Well, "2 Secrets for 1 recipient, made 2026-11-21, as the cluster has them"));
    let missing = (0..7).map(|number| SecretName::new("argocd", &format!("s{number}"))).collect();
    let stale = judged(Ok(Drift { missing, ..Drift::default() }));
    assert!(stale.result == Warning && stale.evidence.ends_with("and 2 more") && stale.hints[0].ends_with("pack"), "{stale:?}");
    assert_eq!(judged(Err("the cluster was not asked".to_owned())).result, NotChecked);
}

//! What Argo CD and the API server say, in plain words: known faults as a sentence that names the object, everything else without the noise.

use crate::domain::application::{Condition, ObjectResult, Operation};

/// An error of an Application in a sentence.
pub fn condition(condition: &Condition) -> String {
    explain(&condition.message)
}

/// What a running sync is doing, in a sentence.
pub fn running_sync(operation: &Operation) -> String {
    if waits_to_retry(operation) {
        return format!("sync attempt {} failed and will be repeated: {}", operation.retry_count.max(1), failed_sync(operation));
    }
    let message = operation.message.trim();
    if let Some(what) = message.strip_prefix("waiting for ") {
        return format!("the sync waits for {}", tidy(what).split(' ').map(without_group).collect::<Vec<_>>().join(" "));
    }
    match tidy(message) {
        empty if empty.is_empty() => "a sync is running".to_owned(),
        text => format!("a sync is running: {text}"),
    }
}

/// Why a sync failed, in a sentence: the first object that could not be applied, else what Argo CD says.
pub fn failed_sync(operation: &Operation) -> String {
    failed_objects(operation).unwrap_or_else(|| {
        let message = operation.message.split("Retrying attempt").next().unwrap_or_default();
        match explain(message.trim().trim_end_matches(['.', ','])) {
            empty if empty.is_empty() => "the sync failed, and Argo CD does not say why".to_owned(),
            text => text,
        }
    })
}

/// The kind and the name in `group/Kind/name`, as Argo CD calls what it waits for; any other word as it is. The core group has no name.
fn without_group(word: &str) -> String {
    match word.split('/').collect::<Vec<_>>().as_slice() {
        [_, kind, name] => format!("{kind} {name}"),
        _ => word.to_owned(),
    }
}

/// Whether a running sync has failed and waits to be tried again.
pub fn waits_to_retry(operation: &Operation) -> bool {
    operation.message.contains("Retrying attempt") || (operation.retry_count > 0 && has_failed(operation))
}

fn has_failed(operation: &Operation) -> bool {
    operation.sync_result.iter().flat_map(|result| &result.resources).any(ObjectResult::is_failed)
}

fn failed_objects(operation: &Operation) -> Option<String> {
    let failed = || operation.sync_result.iter().flat_map(|result| &result.resources).filter(|result| result.is_failed());
    let first = failed().next()?;
    let name = if first.namespace.is_empty() { first.name.clone() } else { format!("{}/{}", first.namespace, first.name) };
    let what = if first.hook_phase.is_some() && first.status.is_empty() { "hook " } else { "" };
    let others = match failed().count() - 1 {
        0 => String::new(),
        1 => " (and 1 more object)".to_owned(),
        number => format!(" (and {number} more objects)"),
    };
    Some(format!("{what}{} {name}: {}{others}", first.kind, explain(&first.message)))
}

/// A message in plain words if the fault is a known one, else without its noise.
pub fn explain(message: &str) -> String {
    known(message).unwrap_or_else(|| tidy(message))
}

/// The message without what says nothing: gRPC's prefixes, Argo CD's own, and line breaks.
pub fn tidy(message: &str) -> String {
    let mut rest = message.split_whitespace().collect::<Vec<_>>().join(" ");
    while let Some(start) = rest.find("rpc error: code = ") {
        let Some(end) = rest[start..].find("desc = ") else { break };
        rest.replace_range(start..start + end + "desc = ".len(), "");
    }
    let mut text = rest.as_str();
    while let Some(shorter) = NOISE.iter().find_map(|noise| text.strip_prefix(noise)) {
        text = shorter.trim_start_matches("1 of 1: ");
    }
    if let Some((before, _)) = text.rsplit_once(" (retried ") {
        text = before;
    }
    text.trim_end_matches('.').to_owned()
}

/// What Argo CD puts before the message that matters.
const NOISE: [&str; 9] = [
    "ComparisonError: ",
    "Failed to load target state: ",
    "failed to generate manifest for source ",
    "Failed to generate manifest: ",
    "Manifest generation error (cached): ",
    "failed to initialize repository resources: ",
    "Unable to generate manifests in : ",
    "one or more objects failed to apply, reason: ",
    "error resolving repo revision: ",
];

fn known(message: &str) -> Option<String> {
    let lower = message.to_lowercase();
    let has = |part: &str| lower.contains(part);
    repository(message, &has).or_else(|| project(message, &has)).or_else(|| api_server(message, &has))
}

/// Faults between Argo CD and a repository.
fn repository(message: &str, has: &impl Fn(&str) -> bool) -> Option<String> {
    if has("knownhosts: key is unknown") || has("no ed25519 host key is known") || has("host key verification failed") {
        return Some(
            "Argo CD does not know the host key of the repository's server (ConfigMap `argocd-ssh-known-hosts-cm` in its namespace has the known ones)"
                .to_owned(),
        );
    }
    if has("knownhosts: key mismatch") || has("remote host identification has changed") {
        return Some(
            "the repository's server shows another host key than the one Argo CD knows: somebody may be listening, or the server got a new key"
                .to_owned(),
        );
    }
    if has("unable to authenticate") || has("permission denied (publickey") {
        return Some("the repository's server does not accept Argo CD's deploy key".to_owned());
    }
    if has("ssh agent requested") {
        return Some("Argo CD has no deploy key for the repository: no repository Secret has its address".to_owned());
    }
    if has("authentication required") || has("invalid credentials") || has("could not read username") {
        return Some("the repository asks for credentials that Argo CD does not have".to_owned());
    }
    if has("repository not found") {
        return Some("the repository is not there, or Argo CD's credentials do not open it".to_owned());
    }
    if let Some(revision) = between(message, "unable to resolve '", "'") {
        return Some(format!("the repository has no branch, tag or commit `{revision}`"));
    }
    if let Some((path, _)) = message.split_once(": app path does not exist") {
        return Some(format!("the repository has no folder `{}` at this commit", path.rsplit(' ').next().unwrap_or(path)));
    }
    if has("connection refused") && has(":8081") {
        return Some("Argo CD's repo-server does not answer; it may be starting".to_owned());
    }
    if let Some(address) = between(message, "dial tcp ", ": connect: connection refused") {
        return Some(format!("nothing answers at {address}"));
    }
    if let Some(host) = between(message, "lookup ", " ").filter(|_| has("no such host")) {
        return Some(format!("the name `{}` cannot be resolved in the cluster", host.trim_end_matches(':')));
    }
    None
}

/// Faults in what an AppProject allows.
fn project(message: &str, has: &impl Fn(&str) -> bool) -> Option<String> {
    if has("project") && has("which does not exist") {
        let project = between(message, "project ", " which")?;
        return Some(format!("its project `{}` is not there", project.trim_matches(['\'', '"'])));
    }
    if has("do not match any of the allowed destinations in project") {
        let project = message.rsplit('\'').nth(1)?;
        return Some(format!("its project `{project}` does not allow its destination"));
    }
    if let Some(repository) = between(message, "application repo ", " is not permitted in project") {
        return Some(format!("its project does not allow the repository {repository}"));
    }
    if let Some(resource) = between(message, "resource ", " is not permitted in project") {
        let kind = resource.rsplit(':').next().unwrap_or(resource);
        let project = message.rsplit("in project ").next().and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
        return Some(format!("its project `{}` does not allow objects of kind {kind}", project.trim_end_matches(['.', ','])));
    }
    None
}

/// Faults that the API server found in an object.
fn api_server(message: &str, has: &impl Fn(&str) -> bool) -> Option<String> {
    if let Some(namespace) = between(message, "namespaces \"", "\" not found") {
        return Some(format!("the namespace `{namespace}` is not there"));
    }
    if let Some(account) = between(message, "serviceaccount \"", "\" not found") {
        return Some(format!("the ServiceAccount `{account}` is not there"));
    }
    if let Some(kind) = between(message, "no matches for kind \"", "\"") {
        return Some(format!("the cluster does not know the kind {kind}: its resource definition (CRD) is not installed"));
    }
    if let Some(kind) = between(message, "The Kubernetes API could not find ", " for requested resource") {
        return Some(format!(
            "the cluster does not know the kind {}: its resource definition (CRD) is not installed",
            kind.rsplit('/').next().unwrap_or(kind)
        ));
    }
    if has("resource mapping not found") || has("could not find the requested resource") {
        return Some("the cluster does not know its kind: the resource definition (CRD) is not installed".to_owned());
    }
    if let Some(quota) = between(message, "exceeded quota: ", ",") {
        let rest = tidy(message.split_once("exceeded quota: ").map_or("", |(_, rest)| rest));
        let numbers = rest.split_once(", ").map_or("", |(_, numbers)| numbers);
        return Some(format!("the quota `{quota}` of its namespace is used up ({numbers})"));
    }
    if let Some(webhook) = between(message, "admission webhook \"", "\" denied the request") {
        let reason = message.split_once("denied the request: ").map_or_else(String::new, |(_, reason)| format!(": {}", tidy(reason)));
        return Some(format!("the admission webhook `{webhook}` denied it{reason}"));
    }
    if let Some(policy) = between(message, "ValidatingAdmissionPolicy '", "'") {
        let reason = message.split_once("denied request: ").map_or_else(String::new, |(_, reason)| format!(": {}", tidy(reason)));
        return Some(format!("the admission policy `{policy}` denied it{reason}"));
    }
    if let Some(webhook) = between(message, "failed calling webhook \"", "\"") {
        return Some(format!("the admission webhook `{webhook}` does not answer"));
    }
    if has("violates podsecurity") {
        return Some(format!("the namespace's Pod Security level denies it: {}", tidy(message.rsplit("violates PodSecurity ").next()?)));
    }
    if has("too long: must have at most 262144 bytes") || has("too long: may not be more than 262144 bytes") {
        return Some("it is too large for a client-side apply: its Application needs the sync option `ServerSideApply=true`".to_owned());
    }
    None
}

/// What stands in `text` after the first `start` and before the next `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_faults_are_told_in_plain_words() {
        for (message, said) in [
            (
                "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = failed to list refs: ssh: handshake failed: knownhosts: key is unknown",
                "Argo CD does not know the host key of the repository's server (ConfigMap `argocd-ssh-known-hosts-cm` in its namespace has the known ones)",
            ),
            (
                "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = failed to list refs: ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain",
                "the repository's server does not accept Argo CD's deploy key",
            ),
            (
                "rpc error: code = Unknown desc = failed to initialize repository resources: rpc error: code = Internal desc = Failed to fetch default: `git fetch origin --tags --force --prune` failed exit status 128: git@github.com: Permission denied (publickey). fatal: Could not read from remote repository.",
                "the repository's server does not accept Argo CD's deploy key",
            ),
            (
                "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = unable to resolve 'release' to a commit SHA",
                "the repository has no branch, tag or commit `release`",
            ),
            (
                "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = rendered/staging/web: app path does not exist",
                "the repository has no folder `rendered/staging/web` at this commit",
            ),
            (
                "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 10.96.3.7:8081: connect: connection refused\"",
                "Argo CD's repo-server does not answer; it may be starting",
            ),
            (
                "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown desc = failed to list refs: error creating SSH agent: \"SSH agent requested but SSH_AUTH_SOCK not-specified\"",
                "Argo CD has no deploy key for the repository: no repository Secret has its address",
            ),
            ("failed to list refs: dial tcp 10.0.0.7:22: connect: connection refused", "nothing answers at 10.0.0.7:22"),
            ("Application referencing project services which does not exist", "its project `services` is not there"),
            (
                "application destination server 'https://kubernetes.default.svc' and namespace 'kube-system' do not match any of the allowed destinations in project 'services'",
                "its project `services` does not allow its destination",
            ),
            ("resource :Namespace is not permitted in project services", "its project `services` does not allow objects of kind Namespace"),
            ("namespaces \"web\" not found", "the namespace `web` is not there"),
            (
                "The Kubernetes API could not find cert-manager.io/Certificate for requested resource web/tls. Make sure the \"Certificate\" CRD is installed on the destination cluster.",
                "the cluster does not know the kind Certificate: its resource definition (CRD) is not installed",
            ),
            (
                "pods \"web-1\" is forbidden: exceeded quota: compute, requested: cpu=2, used: cpu=3, limited: cpu=4",
                "the quota `compute` of its namespace is used up (requested: cpu=2, used: cpu=3, limited: cpu=4)",
            ),
            (
                "admission webhook \"validate.kyverno.svc-fail\" denied the request: resource Deployment/web/web was blocked: no latest tag.",
                "the admission webhook `validate.kyverno.svc-fail` denied it: resource Deployment/web/web was blocked: no latest tag",
            ),
            (
                "Internal error occurred: failed calling webhook \"webhook.cert-manager.io\": failed to call webhook: Post \"https://cert-manager-webhook\": no endpoints available",
                "the admission webhook `webhook.cert-manager.io` does not answer",
            ),
        ] {
            assert_eq!(explain(message), said, "{message}");
        }
    }

    #[test]
    fn an_unknown_fault_loses_only_its_noise() {
        assert_eq!(
            explain("rpc error: code = Unknown desc = rpc error: code = Internal desc = the moon\n is full (retried 5 times)."),
            "the moon is full"
        );
        assert_eq!(tidy("rpc error: code = "), "rpc error: code =");
    }
}

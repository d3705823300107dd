//! What `new` asks the person at the terminal.

use std::collections::BTreeSet;

use super::{CLUSTERS, parse_clusters};
use crate::commands::Context;
use crate::commands::ask::ask;
use crate::domain::declaration::{Flavour, branch_fault, default_branch};
use crate::domain::{ClusterName, HostKey, RepositoryPath, RepositoryUrl};
use crate::error::{Failure, Result};

/// Asks of each file whether it may be overwritten, and returns those that may not.
pub(super) async fn overwriting(different: &[&RepositoryPath], context: &Context) -> Result<Vec<RepositoryPath>> {
    let mut kept = Vec::new();
    for path in different {
        let path = (*path).clone();
        let question = format!("{path} is there with other content. Overwrite it?");
        if !ask(context, move || dialoguer::Confirm::new().with_prompt(question).default(false).interact()).await? {
            kept.push(path);
        }
    }
    Ok(kept)
}

/// The address of the repository.
pub(super) async fn url(context: &Context) -> Result<RepositoryUrl> {
    let prompt = "Address of the repository (git@github.com:OWNER/NAME.git)";
    // Short enough for narrow terminals: a complaint that wraps is not cleared after the next answer.
    let valid = |text: &String| text.parse::<RepositoryUrl>().map(drop).map_err(|_| "write it as git@HOST:OWNER/NAME.git");
    let text = ask(context, move || dialoguer::Input::<String>::new().with_prompt(prompt).validate_with(valid).interact_text()).await?;
    text.parse().map_err(|error| Failure::usage(format!("{error}")))
}

/// The branch that the clusters follow.
pub(super) async fn branch(context: &Context) -> Result<String> {
    let valid = |text: &String| branch_fault(text).map_or(Ok(()), Err);
    let prompt = "Branch that the clusters follow";
    ask(context, move || {
        dialoguer::Input::<String>::new().with_prompt(prompt).default(default_branch()).validate_with(valid).interact_text()
    })
    .await
}

/// The names of the clusters.
pub(super) async fn clusters(context: &Context) -> Result<BTreeSet<ClusterName>> {
    let valid = |text: &String| parse_clusters(text).map(drop);
    let prompt = "Names of the clusters";
    let text = ask(context, move || {
        dialoguer::Input::<String>::new().with_prompt(prompt).default(CLUSTERS.join(" ")).validate_with(valid).interact_text()
    })
    .await?;
    parse_clusters(&text).map_err(Failure::usage)
}

/// Which of Argo CD's manifests.
pub(super) async fn flavour(context: &Context) -> Result<Flavour> {
    let items = ["standard: one replica of each part", "high-availability: several replicas, on three nodes or more"];
    let choice = ask(context, move || dialoguer::Select::new().with_prompt("Argo CD").items(items).default(0).interact()).await?;
    Ok(Flavour::ALL.get(choice).copied().unwrap_or_default())
}

/// The host keys of the server of `url`, as lines of a known-hosts file; none if the person would rather pin them later.
pub(super) async fn host_keys(url: &RepositoryUrl, context: &Context) -> Result<Vec<String>> {
    let host = url.known_host();
    let mut lines = Vec::new();
    loop {
        let valid = {
            let host = host.clone();
            move |line: &String| host_key_fault(line, &host).map_or(Ok(()), Err)
        };
        let prompt = if lines.is_empty() { "A line of it (empty: later)" } else { "Another line of it (empty: that is all)" };
        let line: String =
            ask(context, move || dialoguer::Input::new().with_prompt(prompt).allow_empty(true).validate_with(valid).interact_text())
                .await?;
        match line.trim() {
            "" => return Ok(lines),
            comment if comment.starts_with('#') => {}
            line => lines.push(line.to_owned()),
        }
    }
}

/// Why a line is not taken for a host key of `host`. Comments are passed over: `ssh-keyscan` prints them between the keys.
fn host_key_fault(line: &str, host: &str) -> Option<&'static str> {
    if line.trim().is_empty() || line.starts_with('#') {
        return None;
    }
    match HostKey::parse_line(line) {
        Ok(keys) if keys.iter().any(|key| key.host == host) => None,
        Ok(_) => Some("that is a key of another host, or of another port"),
        Err(_) => Some("write HOST TYPE BASE64, as ssh-keyscan prints it"),
    }
}

/// Whether Argo CD's manifest is to come from the sandbox's engine, since its release cannot be reached.
pub(super) async fn from_engine(context: &Context) -> Result<bool> {
    let prompt = "Take the same file from the sandbox's engine?";
    ask(context, move || dialoguer::Confirm::new().with_prompt(prompt).default(true).interact()).await
}

#[cfg(test)]
mod tests {
    use super::host_key_fault;

    #[test]
    fn a_host_key_is_taken_for_the_host_that_it_is_of() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDfmGaUCjvqY6lW9i2AuBxbk0OY6nmWhztwCcKuEoJEG";
        let host = "[git.acme.com]:2222";
        for taken in
            [format!("{host} {key}"), format!("git.acme.com,{host} {key} a comment"), "# git.acme.com:2222 SSH-2.0".into(), String::new()]
        {
            assert_eq!(host_key_fault(&taken, host), None, "{taken}");
        }
        for refused in [format!("git.acme.com {key}"), key.to_owned(), "yes".to_owned()] {
            assert!(host_key_fault(&refused, host).is_some(), "{refused}");
        }
    }
}

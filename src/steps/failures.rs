//! The errors of the ports as failures: which class, and what to do.

use crate::error::{Failure, Kind};
use crate::ports::cluster::ClusterError;
use crate::ports::forge::ForgeError;
use crate::ports::git::GitError;

const AGAIN: &str = "run the same command again: what is done is found done";

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let message = error.to_string();
        match error {
            ClusterError::AlreadyExists(_) | ClusterError::Stale(_) => {
                Self::new(Kind::Conflict, message).because("somebody else works on the same object").hint(AGAIN)
            }
            ClusterError::FieldConflict { fields, .. } => fields
                .iter()
                .fold(Self::new(Kind::Conflict, message), |failure, field| {
                    failure.because(format!("{} belongs to `{}`", field.field, field.manager))
                })
                .hint("find out who manages the object; `--take-ownership` takes these fields over"),
            ClusterError::NotFound(_) | ClusterError::NotServed(_) => Self::new(Kind::Transient, message).hint(AGAIN),
            ClusterError::Unauthorized(_) => Self::new(Kind::Denied, message)
                .hint("log in to the cluster again, then try `kubectl auth whoami` with the same kubeconfig and context"),
            ClusterError::Forbidden(_) => {
                Self::new(Kind::Denied, message).hint("ask for the right, or use an account that is an administrator of the cluster")
            }
            ClusterError::Terminating(_) => {
                Self::new(Kind::Deadline, message).hint("wait until it is gone, then run the same command again")
            }
            ClusterError::Invalid { .. } => {
                Self::repository(message).hint("correct the object in the fleet repository, render, commit and push")
            }
            ClusterError::Untrusted { .. } => Self::new(Kind::Unverified, message)
                .hint("check the address and `certificate-authority-data` in the kubeconfig, and this machine's clock; nothing was sent"),
            ClusterError::Kubeconfig(_) => Self::usage(message)
                .hint("say which is meant: `--kubeconfig FILE` or KUBECONFIG, `--context NAME` or GITOPS_BOOTSTRAP_CONTEXT"),
            ClusterError::Transient { retry_after, .. } => {
                let failure = Self::new(Kind::Transient, message);
                match retry_after {
                    Some(pause) => failure.hint(format!("run the same command again in {} seconds", pause.as_secs().max(1))),
                    None => failure
                        .hint("see whether the server answers: `kubectl cluster-info` with the same kubeconfig and context")
                        .hint(AGAIN),
                }
            }
            ClusterError::Unintelligible { .. } => Self::new(Kind::Transient, message)
                .hint("check that the address is that of an API server and that no proxy answers in its place"),
        }
    }
}

impl From<ForgeError> for Failure {
    fn from(error: ForgeError) -> Self {
        let message = error.to_string();
        match error {
            ForgeError::Unauthorized { .. } => {
                Self::new(Kind::Denied, message).hint("make a new token, and give it as this one was given; it was tried once")
            }
            ForgeError::Forbidden { needed, .. } => {
                let failure = Self::new(Kind::Denied, message);
                let failure = match needed {
                    Some(needed) => failure.because(format!("the request needs {needed}")),
                    None => failure,
                };
                failure.hint(
                    "the token needs the repository permission `Administration: write` (classic: `repo`), and its owner must be an administrator of the repository",
                )
            }
            ForgeError::SingleSignOn { url, .. } => Self::new(Kind::Denied, message).hint(match url {
                Some(url) => format!("authorise it at {url}"),
                None => "authorise it for the organisation in the settings of your account".to_owned(),
            }),
            ForgeError::NotFound(_) => {
                Self::new(Kind::Denied, message).hint("check the address in gitops.yaml, and that the token may see the repository")
            }
            ForgeError::Renamed { to, .. } => Self::refused(message)
                .hint(format!("write {to} into gitops.yaml, render and push; or go on with `--accept-rename`"))
                .hint("check first that it is still your repository: a freed name can be taken by anyone"),
            ForgeError::KeyInUse => Self::new(Kind::Conflict, message)
                .because("the forge lets a key open one repository only, and does not say where it is registered")
                .hint("delete the repository Secret in the namespace argocd and run the same command again: it makes a new key"),
            ForgeError::DeployKeysDisabled(_) => Self::new(Kind::Denied, message)
                .because("the organisation or enterprise forbids them; new organisations do by default")
                .hint("an owner allows them under Settings, Member privileges, Deploy keys; the same key is used then")
                .hint("or let Argo CD in by a GitHub App: `repository.githubApp` in gitops.yaml, docs/github-app.md"),
            ForgeError::AppRefused { .. } => Self::new(Kind::Denied, message)
                .hint(
                    "look at the App in the settings of its owner: its number, its private keys, and on which repositories it is installed",
                )
                .hint("it needs the repository permission `Contents: read`, and the repository among those that it is installed on"),
            ForgeError::NoOwner { .. } => Self::new(Kind::Denied, message)
                .hint("the address names the owner: your own login, or an organisation that you are a member of")
                .hint("a fine-grained token is for one owner only: make it for that organisation"),
            ForgeError::RepositoryExists(_) => Self::new(Kind::Conflict, message),
            ForgeError::Invalid { .. } => Self::bug(message),
            ForgeError::RateLimited { until, .. } => {
                Self::new(Kind::Transient, message).hint(format!("run the same command again after {until}"))
            }
            ForgeError::Untrusted { .. } => Self::new(Kind::Unverified, message)
                .hint("check the address of the API and the machine's trust store; the token was not sent"),
            ForgeError::Transient { .. } => Self::new(Kind::Transient, message).hint(AGAIN),
        }
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        let message = error.to_string();
        match error {
            GitError::Program(_) => Self::usage(message),
            GitError::NotARepository(_) => Self::usage(message)
                .hint("go to the clone of the fleet repository, or name it with `--fleet`; `gitops-bootstrap new` writes a new one"),
            GitError::HostKey { host, shown } => {
                let failure = Self::new(Kind::Unverified, message);
                let failure = match shown {
                    Some(shown) => failure.because(format!("the server showed {shown}")),
                    None => failure,
                };
                failure.hint(format!(
                    "compare the fingerprint with the one that the operator of {host} publishes; if it is right, add the line of `ssh-keyscan` to `repository.knownHosts` in gitops.yaml"
                ))
            }
            GitError::Denied(_) => {
                Self::new(Kind::Denied, message).hint("check that the deploy key is registered for this repository and not disabled")
            }
            GitError::NotFound(_) => Self::new(Kind::Denied, message).hint("check the address in gitops.yaml"),
            GitError::Unreachable { host, .. } => {
                let failure = Self::new(Kind::Transient, message).hint(AGAIN);
                if host != "github.com" {
                    return failure;
                }
                failure.hint(
                    "if port 22 is closed here: write `url: ssh://git@ssh.github.com:443/OWNER/NAME.git` into gitops.yaml, and the same into `sourceRepos` in src/argocd/projects; render, commit and push",
                )
            }
            GitError::File { .. } => Self::repository(message),
            GitError::Other(_) => Self::new(Kind::Transient, message).hint(AGAIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_port_22_of_github_is_closed_the_other_one_is_named() {
        let failure = |host: &str| Failure::from(GitError::Unreachable { host: host.to_owned(), message: "timed out".to_owned() });
        let names = |failure: &Failure| failure.hints.iter().any(|hint| hint.contains("ssh://git@ssh.github.com:443/"));
        assert!(names(&failure("github.com")));
        assert!(!names(&failure("[ssh.github.com]:443")) && !names(&failure("git.acme.test")));
    }
}

//! The forge: its host keys, its SSH server, and the token.

use std::sync::Arc;

use tokio::time::Instant;

use super::Context;
use super::board::{Board, failed};
use super::machine::Heard;
use crate::adapters::github::GitHub;
use crate::adapters::proxy;
use crate::adapters::ssh_key::SshKeyMaker;
use crate::cli::forge::Login;
use crate::commands::asked::Asked;
use crate::commands::bootstrap;
use crate::commands::forge::Rights;
use crate::domain::repository_url::Transport;
use crate::domain::{Check, CheckId, Declaration, HostKeys, RepositoryUrl};
use crate::error::{Failure, Result};
use crate::plan::checkup;
use crate::ports::forge::{DeployKey, ForgeError};
use crate::ports::{Forge, Remote};
use crate::preflight;
use crate::sandbox::State;

/// Everything about the token.
const OF_TOKEN: [CheckId; 5] = [CheckId::Token, CheckId::TokenRights, CheckId::TokenExpiry, CheckId::DeployKeysAllowed, CheckId::RateLimit];

/// The fleet repository as the forge knows it, and the ways to it.
pub(super) struct Subject {
    /// Its address.
    pub(super) repository: RepositoryUrl,
    /// The branch that the clusters follow.
    pub(super) branch: String,
    /// The Git servers.
    pub(super) remote: Arc<dyn Remote>,
    /// The pinned host keys; why they cannot be used, if they cannot.
    pub(super) hosts: Result<HostKeys>,
    /// The sandbox whose forge it is, or stands in for it.
    pub(super) sandbox: Option<State>,
}

/// What the forge has told.
#[derive(Default)]
pub(super) struct Told {
    /// Its API with a token that it takes.
    pub(super) github: Option<Arc<GitHub>>,
    /// The deploy keys of the repository; why they are not known, if they are not.
    pub(super) keys: Option<Result<Vec<DeployKey>, String>>,
    /// Why the SSH server is not to be asked, if it is not.
    pub(super) silent: Option<&'static str>,
    /// What was heard beside that.
    pub(super) heard: Heard,
}

impl Subject {
    /// The repository of a declaration or of a tree.
    pub(super) fn new(
        repository: &RepositoryUrl,
        branch: &str,
        declaration: Option<&Declaration>,
        sandbox: Option<&State>,
        context: &Context,
    ) -> Result<Self> {
        Ok(Self {
            repository: repository.clone(),
            branch: branch.to_owned(),
            remote: bootstrap::remote(context, repository, sandbox)?,
            hosts: bootstrap::pinned_hosts(declaration),
            sandbox: sandbox.cloned(),
        })
    }

    /// Whether the sandbox's forge stands in for another one.
    fn is_stood_in_for(&self) -> bool {
        self.sandbox.as_ref().is_some_and(|state| state.forge.stand_in(&self.repository).is_some())
    }
}

/// The SSH server for people: `github.com`, or `git.acme.com:2222`.
fn host(repository: &RepositoryUrl) -> String {
    match repository.port() {
        Some(port) => format!("{}:{port}", repository.host()),
        None => repository.host().to_owned(),
    }
}

/// Leaves all checks of the forge out.
pub(super) fn leave_out(board: &Board, because: &str) {
    board.leave_out(&[CheckId::HostKeys, CheckId::SshServer], None, because);
    board.leave_out(&OF_TOKEN, None, because);
}

/// Asks the forge by its API and by SSH.
pub(super) async fn look(
    board: &Board,
    subject: &Subject,
    declaration: Option<&Declaration>,
    flags: &Login,
    deadline: Instant,
    context: &Context,
) -> Told {
    let (mut told, silent) = tokio::join!(
        async {
            let told = token(board, subject, declaration, flags, deadline, context).await;
            host_keys(board, subject, told.github.as_deref()).await;
            told
        },
        ssh_server(board, subject),
    );
    told.silent = silent;
    told
}

async fn token(
    board: &Board,
    subject: &Subject,
    declaration: Option<&Declaration>,
    flags: &Login,
    deadline: Instant,
    context: &Context,
) -> Told {
    let mut told = Told::default();
    let repository = &subject.repository;
    let asked = Asked {
        flags,
        declared: declaration.map(|declaration| &declaration.repository),
        repository,
        sandbox: subject.sandbox.as_ref(),
        deadline,
    };
    let found = match asked.find(Rights::Administration, context).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            let failure = asked.without_token_for_key();
            let warning = Check::warning(CheckId::Token, failure.message.as_ref());
            board.note(failure.hints.iter().fold(warning, |check, hint| check.hint(hint.clone())));
            board.leave_out(&OF_TOKEN, None, "there is no token");
            told.keys = Some(Err("there is no token to ask the forge with".to_owned()));
            return told;
        }
        Err(failure) => {
            board.note(failed(CheckId::Token, &failure));
            board.leave_out(&OF_TOKEN, None, "there is no token that can be used");
            return told;
        }
    };
    let github = Arc::new(found.github);
    let origin = found.origin.unwrap_or_else(|| "that of the sandbox".to_owned());
    let address = github.api().to_owned();
    told.heard
        .routes
        .push((github.name(), proxy::towards(&address, &context.environment.variables).filter(|_| address.starts_with("https"))));
    let access = match github.access().await {
        Ok(access) => access,
        Err(error) => {
            let failure = Failure::from(error);
            let mut check = failed(CheckId::Token, &failure);
            check.evidence = format!("{origin}; {}", check.evidence);
            board.note(check);
            board.leave_out(&OF_TOKEN, None, "the forge did not answer to the token");
            told.keys = Some(Err("the forge did not answer to the token".to_owned()));
            return told;
        }
    };
    told.heard.clocks.extend(access.clock_ahead.map(|ahead| ("the forge".to_owned(), ahead)));
    board.note(match &access.breadth {
        Some(breadth) => Check::warning(CheckId::Token, format!("{origin}; {breadth}")),
        None => Check::well(CheckId::Token, format!("{origin}, and the forge takes it")),
    });
    board.note(checkup::token_expiry(access.ends, jiff::Timestamp::now()));
    board.note(checkup::rate_limit(access.requests));
    rights(board, &github, repository).await;
    told.keys = Some(github.deploy_keys().await.map_err(|error| error.to_string()));
    told.github = Some(github);
    told
}

/// What the token may do with the repository, and what its owner allows.
async fn rights(board: &Board, github: &GitHub, repository: &RepositoryUrl) {
    let (rights, allowed) = (CheckId::TokenRights, CheckId::DeployKeysAllowed);
    let facts = match github.repository().await {
        Ok(facts) => facts,
        Err(error) => {
            let because = match error {
                ForgeError::NotFound(_) => "the token cannot see the repository",
                _ => "the forge did not tell of the repository",
            };
            board.note(failed(rights, &error.into()));
            return board.leave_out(&[allowed], None, because);
        }
    };
    let may = preflight::check_name(&facts, repository).and_then(|()| preflight::check_administrator(github, &facts));
    board.note(match may {
        Ok(()) => Check::well(rights, format!("may manage the deploy keys of {}", facts.full_name)),
        Err(failure) => failed(rights, &failure),
    });
    board.note(match (preflight::check_deploy_keys_allowed(github, &facts), facts.deploy_keys_allowed) {
        (Err(failure), _) => failed(allowed, &failure),
        (Ok(()), Some(_)) => Check::well(allowed, "by the organisation"),
        (Ok(()), None) => Check::well(allowed, "as far as the forge tells the owner of this token"),
    });
}

async fn host_keys(board: &Board, subject: &Subject, github: Option<&GitHub>) {
    let id = CheckId::HostKeys;
    let repository = &subject.repository;
    let hosts = match &subject.hosts {
        _ if repository.transport() != Transport::Ssh => return board.leave_out(&[id], None, "the repository is not reached over SSH"),
        _ if subject.is_stood_in_for() => return board.leave_out(&[id], None, "the sandbox's forge stands in for the one that has them"),
        Ok(hosts) => hosts,
        Err(failure) => return board.note(failed(id, failure)),
    };
    let served = match github {
        Some(github) => github.host_keys().await.ok(),
        None => None,
    };
    let scan = format!("ssh-keyscan {}", preflight::scan_arguments(repository));
    board.note(checkup::host_keys(&host(repository), &hosts.of(repository), served.as_deref(), &scan));
}

/// Asks the SSH server with a key that it cannot know. Returns why nobody else need ask it, if so.
async fn ssh_server(board: &Board, subject: &Subject) -> Option<&'static str> {
    let id = CheckId::SshServer;
    let repository = &subject.repository;
    let hosts = match &subject.hosts {
        _ if repository.transport() != Transport::Ssh => {
            board.leave_out(&[id], None, "the repository is not reached over SSH");
            return Some("the repository is not reached over SSH");
        }
        Ok(hosts) if subject.is_stood_in_for() || !hosts.of(repository).is_empty() => hosts,
        _ => {
            board.leave_out(&[id], None, "no host key is pinned for it");
            return Some("no host key is pinned for the server");
        }
    };
    let asked = board.patiently(async || {
        // A stand-in shows other host keys than those that are pinned, and checks them itself.
        preflight::check_host_keys(subject.remote.as_ref(), &SshKeyMaker, repository, &subject.branch, hosts).await
    });
    match asked.await {
        Ok(()) => {
            board.note(Check::well(id, format!("{} answers, shows a pinned host key, and lets no stranger in", host(repository))));
            None
        }
        Err(failure) => {
            board.note(failed(id, &failure));
            Some("the SSH server did not answer as it should")
        }
    }
}

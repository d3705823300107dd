//! Where the fleet repository is and how it is got into: with the person's own access, or as the person of a sandbox; and its pull requests.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::time::Instant;

use crate::adapters::git::publish::{Access, Author, person};
use crate::cli::Target;
use crate::cli::promote::Arguments;
use crate::commands::asked::Asked;
use crate::commands::forge::Rights;
use crate::commands::{Context, connect};
use crate::domain::{Declaration, HostKeys, RepositoryUrl};
use crate::error::{Failure, Kind, Result};
use crate::ports::git::GitError;
use crate::ports::{Forge as _, PullRequests};
use crate::sandbox::State;

use super::UNCHANGED;

/// The repository, and the ways into it.
pub(super) struct Place {
    /// Where it is.
    pub(super) url: RepositoryUrl,
    /// The branch that the clusters follow.
    pub(super) base: String,
    /// The branches to which nothing is pushed past a review.
    pub(super) followed: Vec<String>,
    /// Its pull requests; none if none is to be opened.
    pub(super) pull_requests: Option<Arc<dyn PullRequests>>,
    /// The key and the host keys of the sandbox that it is in.
    sandbox: Option<(SecretString, HostKeys)>,
}

impl Place {
    /// Finds the repository and what may be done with it. Only reads.
    ///
    /// # Errors
    /// Refusals before anything is changed: no token, and a token that may not open pull requests.
    pub(super) async fn find(arguments: &Arguments, declaration: &Declaration, context: &Context, deadline: Instant) -> Result<Self> {
        let repository = &declaration.repository;
        let target = Target {
            kubeconfig: None,
            context: None,
            sandbox: arguments.sandbox,
            sandbox_name: arguments.sandbox_name.clone(),
            allow_insecure_tls: false,
            api_flaky: None,
        };
        let state = connect::sandbox_running(&target, context).await?;
        let stand_in = state.as_ref().and_then(|state| state.forge.stand_in(&repository.url));
        let mut place = Self {
            url: stand_in.unwrap_or_else(|| repository.url.clone()),
            base: repository.branch.clone(),
            followed: vec![repository.branch.clone()],
            pull_requests: None,
            sandbox: state.as_ref().map(access_of).transpose()?,
        };
        if !arguments.no_pull_request {
            let asked = Asked {
                flags: &arguments.login,
                declared: Some(repository),
                repository: &repository.url,
                sandbox: state.as_ref(),
                deadline,
            };
            let found = asked.find(Rights::Write, context).await?.ok_or_else(|| {
                asked
                    .without_token("the pull request is opened by its API")
                    .because(UNCHANGED)
                    .hint("or push the branch alone, and open the pull request by hand: `--no-pull-request`")
            })?;
            let forge = found.told(context);
            let facts = forge.repository().await.map_err(|error| Failure::from(error).because(UNCHANGED))?;
            for warning in facts.warnings {
                context.events.warn(warning, None);
            }
            if !forge.may_write().await.map_err(|error| Failure::from(error).because(UNCHANGED))? {
                return Err(Failure::new(Kind::Denied, format!("the token may not open pull requests on {}", forge.name()))
                    .because("it may only read the repository")
                    .because(UNCHANGED)
                    .hint("use one that may write to `Contents` and `Pull requests` of the repository")
                    .hint("or push the branch alone, and open the pull request by hand: `--no-pull-request`"));
            }
            place.followed.push(facts.default_branch);
            place.pull_requests = Some(Arc::new(forge));
        }
        Ok(place)
    }

    /// Whether it is on the forge of a sandbox.
    pub(super) const fn is_in_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }

    /// With what it is fetched from and pushed to.
    pub(super) fn access<'a>(&'a self, context: &'a Context) -> Access<'a> {
        match &self.sandbox {
            Some((key, hosts)) => Access::Key(key, hosts),
            None => Access::Person(&context.environment.variables),
        }
    }

    /// Who the commit is by.
    pub(super) async fn author(&self, context: &Context) -> Result<Author> {
        match person(&context.environment.variables).await? {
            Some(author) => Ok(author),
            None if self.is_in_sandbox() => {
                Ok(Author { name: "gitops-bootstrap".to_owned(), email: "gitops-bootstrap@localhost".to_owned() })
            }
            None => Err(Failure::usage("git does not know who commits")
                .because("`user.name` and `user.email` are not set")
                .because(UNCHANGED)
                .hint("git config --global user.name NAME && git config --global user.email ADDRESS")),
        }
    }

    /// The failure of the person's own access. What is said of deploy keys elsewhere does not hold here.
    pub(super) fn no_access(&self, error: GitError) -> Failure {
        match &error {
            GitError::Denied(_) | GitError::NotFound(_) => {
                let failure =
                    Failure::new(Kind::Denied, format!("git does not get into {} with your own access", self.url)).because(&error);
                let failure = failure.because(UNCHANGED).hint(format!("see what it says: git ls-remote {}", self.url));
                failure.hint("if it is on the forge of a sandbox on this machine: `--sandbox`")
            }
            _ => error.into(),
        }
    }
}

/// The key of the person who may push to every repository of a sandbox, and the host keys that its forge shows.
fn access_of(state: &State) -> Result<(SecretString, HostKeys)> {
    Ok((state.forge.user_key()?, state.forge.host_keys()?))
}

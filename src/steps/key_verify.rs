//! `key-verify`: the proof that the key opens the repository, by `git ls-remote` with this key and the pinned host keys alone.
//! That the forge took the key proves nothing: policies and caches sit in between. A GitHub App is proven by a token that it gets for itself.
//!
//! If nothing could tell before what the remote serves, the clone is compared with it here, as soon as the key opens the repository.

use std::time::Duration;

use secrecy::SecretString;

use super::credential::Credential;
use super::secret_create::SecretCreate;
use super::{Step, World};
use crate::domain::Commit;
use crate::error::{Failure, Kind, Result};
use crate::plan::{StepId, Verdict};
use crate::ports::git::GitError;

/// How long a forge may take until it lets a new key in.
const PATIENCE: Duration = Duration::from_secs(60);

/// Proves the key.
pub struct KeyVerify;

/// What the Git server says to the key, or to the GitHub App.
pub enum Seen {
    /// The key is not made yet.
    NoKey,
    /// Argo CD uses something that only Argo CD can prove.
    NotProvable(String),
    /// It does not let the key in.
    Denied,
    /// It does, and the branch is at this commit.
    Head(Option<Commit>),
}

/// What the Git server told to a key, with the pinned host keys alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The commit of the branch; none if the key does not open the repository, or if the branch is not there.
    pub head: Option<Commit>,
    /// Whether the server showed a host key that is pinned: it takes or refuses a key only after its own was accepted.
    pub host_is_proven: bool,
}

/// Asks the Git server with `key`. That it does not answer is told later, by whoever needs the answer.
pub async fn ask_with(world: &World, key: &SecretString) -> Told {
    let tree = &world.wanted.tree;
    match world.remote.branch_head(&tree.repository, &tree.revision, key, &world.wanted.hosts).await {
        Ok(head) => Told { head, host_is_proven: true },
        Err(GitError::Denied(_) | GitError::NotFound(_)) => Told { head: None, host_is_proven: true },
        Err(_) => Told::default(),
    }
}

/// Asks the Git server with the deploy key that the cluster has, if it has one, or as the GitHub App that it is to have. The next look at this step takes
/// the answer for its own.
pub async fn by_stored_key(world: &World) -> Result<Told> {
    let mut noted = world.head().await;
    SecretCreate.look(world).await?;
    let told = match world.credential() {
        Some(Credential::DeployKey { private, .. }) => ask_with(world, &private).await,
        // Over https the host is proven by its certificate, before anything is sent.
        Some(credential @ Credential::GitHubApp(_)) => match ask(world, &credential).await? {
            Seen::Head(head) => Told { head, host_is_proven: true },
            _ => Told::default(),
        },
        Some(Credential::Other(_)) | None => Told::default(),
    };
    noted.clone_from(&told.head);
    Ok(told)
}

/// Asks the Git server for the branch with a credential.
///
/// # Errors
/// Those of the server, and of the forge that gives out tokens; not that the server does not let the credential in.
pub(super) async fn ask(world: &World, credential: &Credential) -> Result<Seen> {
    let tree = &world.wanted.tree;
    let head = match (credential, &world.apps) {
        (Credential::DeployKey { private, .. }, _) => {
            world.remote.branch_head(&tree.repository, &tree.revision, private, &world.wanted.hosts).await
        }
        (Credential::GitHubApp(app), Some(apps)) => {
            let token = apps.token(app, &tree.repository).await?;
            world.remote.branch_head_by_token(&tree.repository, &tree.revision, &token).await
        }
        (Credential::GitHubApp(app), None) => return Ok(Seen::NotProvable(app.to_string())),
        (Credential::Other(what), _) => return Ok(Seen::NotProvable(what.clone())),
    };
    match head {
        Ok(head) => Ok(Seen::Head(head)),
        Err(GitError::Denied(_) | GitError::NotFound(_)) => Ok(Seen::Denied),
        Err(error) => Err(error.into()),
    }
}

/// What a refusal here leaves as it was.
fn untouched(world: &World) -> &'static str {
    if world.holds_lease() { "apart from the deploy key nothing was changed: Argo CD was not touched" } else { "nothing was changed" }
}

fn not_let_in(world: &World) -> Failure {
    let host = world.wanted.tree.repository.known_host();
    match world.credential() {
        Some(Credential::GitHubApp(app)) => Failure::new(Kind::Denied, format!("{host} does not let {app} in"))
            .because(format!("it has not for {} seconds, although it gives the App tokens", PATIENCE.as_secs()))
            .hint("the App needs the repository permission `Contents: read`; a permission that was added later has to be accepted where it is installed"),
        _ => Failure::new(Kind::Denied, format!("{host} does not let the deploy key in"))
            .because(format!("it was registered more than {} seconds ago", PATIENCE.as_secs()))
            .hint("look at the key in the settings of the repository: a policy may have disabled it"),
    }
}

impl Step for KeyVerify {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::KeyVerify
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let Some(credential) = world.credential() else { return Ok(Seen::NoKey) };
        let noted = world.head().await.take();
        let seen = match noted {
            Some(head) => Seen::Head(Some(head)),
            None => ask(world, &credential).await?,
        };
        if let Seen::Head(Some(head)) = &seen {
            world.compare_clone(head).await.map_err(|failure| failure.because(untouched(world)))?;
        }
        Ok(seen)
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        let revision = &world.wanted.tree.revision;
        match seen {
            Seen::NoKey => Ok(Verdict::needed("the key is not made yet")),
            Seen::NotProvable(what) => Ok(Verdict::satisfied(format!("Argo CD uses {what} and proves it itself"))),
            Seen::Denied => Ok(Verdict::needed("the repository does not open with it yet")),
            Seen::Head(Some(head)) => Ok(Verdict::satisfied(format!("{revision} is at {}", head.short()))),
            Seen::Head(None) => Err(Failure::repository(format!("{} has no branch `{revision}`", world.wanted.tree.repository))
                .hint(format!("push it: git push origin HEAD:{revision}"))),
        }
    }

    async fn apply(&self, world: &World, _seen: Seen) -> Result<()> {
        let begin = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(500);
        loop {
            if matches!(self.look(world).await?, Seen::Head(_)) {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                return Err(not_let_in(world));
            }
            let for_what = || format!("{} to let it in", world.wanted.tree.repository.host());
            world.waiting(StepId::KeyVerify, for_what());
            world.pause(pause, for_what).await?;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

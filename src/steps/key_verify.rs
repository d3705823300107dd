//! `key-verify`: the proof that the key opens the repository, by `git ls-remote` with this key and the pinned host keys alone.
//! That the forge took the key proves nothing: policies and caches sit in between.
//!
//! If nothing could tell before what the remote serves, the clone is compared with it here, as soon as the key opens the repository.

use std::time::Duration;

use secrecy::SecretString;

use super::secret_create::SecretCreate;
use super::world::Credential;
use super::{Step, World};
use crate::domain::Commit;
use crate::error::{Failure, Kind, Result};
use crate::plan::{StepId, Verdict};
use crate::ports::git::GitError;

/// How long a forge may take until it lets a new key in.
const PATIENCE: Duration = Duration::from_secs(60);

/// Proves the key.
pub struct KeyVerify;

/// What the Git server says to the key.
pub enum Seen {
    /// The key is not made yet.
    NoKey,
    /// Argo CD uses something else than a key, which only Argo CD can prove.
    NotAKey(String),
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

/// Asks the Git server with the deploy key that the cluster has, if it has one. The next look at this step takes the answer for its own.
pub async fn by_stored_key(world: &World) -> Result<Told> {
    SecretCreate.look(world).await?;
    let Some(Credential::DeployKey { private, .. }) = world.credential() else { return Ok(Told::default()) };
    let told = ask_with(world, &private).await;
    world.note_head(told.head.clone());
    Ok(told)
}

/// What a refusal here leaves as it was.
fn untouched(world: &World) -> &'static str {
    if world.holds_lease() { "apart from the deploy key nothing was changed: Argo CD was not touched" } else { "nothing was changed" }
}

impl Step for KeyVerify {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::KeyVerify
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let private = match world.credential() {
            None => return Ok(Seen::NoKey),
            Some(Credential::Other(what)) => return Ok(Seen::NotAKey(what)),
            Some(Credential::DeployKey { private, .. }) => private,
        };
        let tree = &world.wanted.tree;
        let head = match world.take_head() {
            Some(head) => Ok(Some(head)),
            None => world.remote.branch_head(&tree.repository, &tree.revision, &private, &world.wanted.hosts).await,
        };
        match head {
            Ok(Some(head)) => {
                world.compare_clone(&head).await.map_err(|failure| failure.because(untouched(world)))?;
                Ok(Seen::Head(Some(head)))
            }
            Ok(None) => Ok(Seen::Head(None)),
            Err(GitError::Denied(_) | GitError::NotFound(_)) => Ok(Seen::Denied),
            Err(error) => Err(error.into()),
        }
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        let revision = &world.wanted.tree.revision;
        match seen {
            Seen::NoKey => Ok(Verdict::needed("the key is not made yet")),
            Seen::NotAKey(what) => Ok(Verdict::satisfied(format!("Argo CD uses {what} and proves it itself"))),
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
                return Err(Failure::new(
                    Kind::Denied,
                    format!("{} does not let the deploy key in", world.wanted.tree.repository.known_host()),
                )
                .because(format!("it was registered more than {} seconds ago", PATIENCE.as_secs()))
                .hint("look at the key in the settings of the repository: a policy may have disabled it"));
            }
            let for_what = || format!("{} to let the new key in", world.wanted.tree.repository.host());
            world.waiting(StepId::KeyVerify, for_what());
            world.pause(pause, for_what).await?;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

//! `key-register`: the public half of the deploy key at the forge.

use std::time::Duration;

use super::credential::Credential;
use super::secret_create::key_title;
use super::world::Registered;
use super::{Step, World};
use crate::domain::PublicKey;
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::plan::preview::{KeyAction, Preview};
use crate::plan::{StepId, Verdict};
use crate::ports::forge::{DeployKey, ForgeError};
use crate::ports::git::GitError;

/// How often the Git server is asked whether somebody has registered the key by hand.
const ASKING: Duration = Duration::from_secs(3);

/// Registers the key, or waits until a person has.
pub struct KeyRegister;

/// What the forge says of the key.
pub enum Seen {
    /// The key is not made yet.
    NoKey,
    /// Argo CD uses something else than a key.
    NotAKey(String),
    /// The forge's keys.
    Keys {
        /// Our key.
        public: PublicKey,
        /// All of them.
        keys: Vec<DeployKey>,
    },
    /// There is no token: whether the key opens the repository.
    WithoutToken {
        /// Our key.
        public: PublicKey,
        /// Whether the Git server lets it in.
        accepted: bool,
    },
}

impl Step for KeyRegister {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::KeyRegister
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let (public, private) = match world.credential() {
            None => return Ok(Seen::NoKey),
            Some(Credential::GitHubApp(app)) => return Ok(Seen::NotAKey(app.to_string())),
            Some(Credential::Other(what)) => return Ok(Seen::NotAKey(what)),
            Some(Credential::DeployKey { public, private }) => (public, private),
        };
        if let Some(forge) = &world.forge {
            let keys = forge.deploy_keys().await?;
            if let Some(ours) = keys.iter().find(|key| key.key == public) {
                world.note_registered(Registered { forge: forge.name(), id: ours.id, title: ours.title.clone() });
            }
            return Ok(Seen::Keys { public, keys });
        }
        let tree = &world.wanted.tree;
        match world.remote.branch_head(&tree.repository, &tree.revision, &private, &world.wanted.hosts).await {
            Ok(_) => Ok(Seen::WithoutToken { public, accepted: true }),
            Err(GitError::Denied(_) | GitError::NotFound(_)) => Ok(Seen::WithoutToken { public, accepted: false }),
            Err(error) => Err(error.into()),
        }
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        let (public, keys) = match seen {
            Seen::NoKey => return Ok(Verdict::needed("the key is not made yet")),
            Seen::NotAKey(what) => return Ok(Verdict::satisfied(format!("no key is needed: Argo CD uses {what}"))),
            Seen::WithoutToken { accepted: true, .. } => return Ok(Verdict::satisfied("the repository opens with it")),
            Seen::WithoutToken { accepted: false, .. } => return Ok(Verdict::needed("somebody has to register it: there is no token")),
            Seen::Keys { public, keys } => (public, keys),
        };
        let Some(ours) = keys.iter().find(|key| key.key == *public) else {
            return Ok(Verdict::Needed {
                because: "the forge does not have it".to_owned(),
                changes: vec![format!("deploy key `{}`", title(world, public, keys))],
            });
        };
        if !ours.enabled {
            return Err(Failure::new(Kind::Denied, format!("the deploy key `{}` is disabled", ours.title))
                .because("a policy of the organisation or enterprise forbids deploy keys")
                .hint("an owner allows them under Settings, Member privileges, Deploy keys; then run the same command again"));
        }
        if !ours.read_only && !world.wanted.fix_key {
            return Err(Failure::new(Kind::Conflict, format!("the deploy key `{}` (id {}) may write", ours.title, ours.id))
                .because("whoever reads the Secret in the cluster could push to the fleet repository")
                .hint("`--fix-key` registers the same key again so that it may only read"));
        }
        if !ours.read_only {
            return Ok(Verdict::needed("it may write: registered again so that it may only read"));
        }
        Ok(Verdict::satisfied(format!("`{}` (id {})", ours.title, ours.id)))
    }

    async fn preview(&self, world: &World, seen: Seen) -> Result<Preview> {
        let register = if world.forge.is_some() { KeyAction::Register } else { KeyAction::RegisterByHand };
        Ok(match seen {
            Seen::NotAKey(_) => Preview::default(),
            Seen::NoKey => Preview::of_key(register, Some(key_title(world)), None, None),
            Seen::WithoutToken { public, accepted } => {
                let action = if accepted { KeyAction::Keep } else { register };
                Preview::of_key(action, None, None, Some(public.fingerprint()))
            }
            Seen::Keys { public, keys } => {
                let fingerprint = Some(public.fingerprint());
                let new = Preview::of_key(register, Some(title(world, &public, &keys)), None, fingerprint.clone());
                let there =
                    |ours: &DeployKey, action| Preview::of_key(action, Some(ours.title.clone()), Some(ours.id), fingerprint.clone());
                match keys.iter().find(|key| key.key == public) {
                    None => new,
                    Some(ours) if !ours.read_only && world.wanted.fix_key => Preview::all([there(ours, KeyAction::Remove), new]),
                    Some(ours) => there(ours, KeyAction::Keep),
                }
            }
        })
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        match seen {
            Seen::NoKey | Seen::NotAKey(_) => Err(Failure::bug("a key is to be registered that nobody made")),
            Seen::WithoutToken { public, .. } => until_pasted(world, &public).await,
            Seen::Keys { public, keys } => register(world, &public, &keys).await,
        }
    }
}

/// The title of the key: with a part of its fingerprint if another key has the plain title, or had it before this one.
fn title(world: &World, public: &PublicKey, keys: &[DeployKey]) -> String {
    let title = key_title(world);
    if world.rotation().retiring.is_empty() && keys.iter().all(|key| key.title != title || key.key == *public) {
        return title;
    }
    format!("{title} {}", public.fingerprint().as_str().chars().skip("SHA256:".len()).take(8).collect::<String>())
}

async fn register(world: &World, public: &PublicKey, keys: &[DeployKey]) -> Result<()> {
    let Some(forge) = &world.forge else { return Err(Failure::bug("there is no forge")) };
    if let Some(ours) = keys.iter().find(|key| key.key == *public && !key.read_only) {
        forge.delete_key(ours.id).await?;
        world.changed(StepId::KeyRegister, format!("deploy key `{}` (id {})", ours.title, ours.id), How::Deleted);
    }
    let title = title(world, public, keys);
    let retiring = world.rotation().retiring;
    let namesake = keys.iter().find(|key| key.title == key_title(world) && key.key != *public);
    if let Some(other) = namesake.filter(|other| !retiring.contains(&other.key)) {
        world.events.warn(
            format!("another deploy key (id {}) has the title `{}` already; ours is called `{title}`", other.id, other.title),
            Some("if it is a key of a cluster that is gone, remove it in the settings of the repository".to_owned()),
        );
    }
    world.go_on()?;
    match forge.register_key(&title, public).await {
        Ok(key) => {
            world.changed(StepId::KeyRegister, format!("deploy key `{}` (id {})", key.title, key.id), How::Created);
            world.note_registered(Registered { forge: forge.name(), id: key.id, title: key.title });
            Ok(())
        }
        Err(error @ ForgeError::DeployKeysDisabled(_)) => {
            Err(Failure::from(error).because("the key is kept in the cluster: the same one is registered once that is allowed"))
        }
        Err(error) => Err(error.into()),
    }
}

async fn until_pasted(world: &World, public: &PublicKey) -> Result<()> {
    let repository = &world.wanted.tree.repository;
    let title = title(world, public, &[]);
    world.events.warn(
        format!(
            "register this deploy key for {repository}, without write access, under the title `{title}`:\n\n{} {title}\n",
            public.to_openssh(),
        ),
        Some("on GitHub: Settings, Deploy keys, Add deploy key".to_owned()),
    );
    loop {
        let for_what = || format!("somebody to register the deploy key for {repository}");
        world.waiting(StepId::KeyRegister, for_what());
        world.pause(ASKING, for_what).await?;
        if matches!(KeyRegister.look(world).await?, Seen::WithoutToken { accepted: true, .. }) {
            return Ok(());
        }
    }
}

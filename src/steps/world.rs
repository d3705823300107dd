//! What the steps are given: the ports, what is wanted, and what earlier steps found.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::credential::{Access, Credential};
use super::faults::Faults;
use super::fleet_clone::FleetClone;
use crate::domain::tree::Tree;
use crate::domain::{Bundle, ClusterName, Commit, Gate, HostKeys, Object, ObjectRef, PublicKey, RepositoryUrl, WebhookUrl};
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, Events, How};
use crate::manifest::git_server;
use crate::plan::StepId;
use crate::plan::inventory::Inventory;
use crate::ports::cluster::ClusterFacts;
use crate::ports::forge::Webhook;
use crate::ports::{AppTokens, Cluster, Commands, Forge, KeyMaker, Remote};

/// What the run is for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The cluster's name.
    pub cluster: ClusterName,
    /// What the fleet repository declares for it.
    pub tree: Tree,
    /// The commit that the cluster must end up at.
    pub commit: Commit,
    /// The cluster as the preflight found it.
    pub facts: ClusterFacts,
    /// The pinned host keys.
    pub hosts: HostKeys,
    /// The root of trust to restore; none where there is no bundle.
    pub bundle: Option<Bundle>,
    /// Whether fields of other managers are taken over.
    pub take_ownership: bool,
    /// Whether our key is replaced where it may write.
    pub fix_key: bool,
    /// Whether to wait for a lock that another run holds.
    pub wait_for_lock: bool,
    /// What a recovery has beyond a bootstrap; none if this is none.
    pub recovery: Option<Recovering>,
    /// Who this run is, for the lock: unlike any other run.
    pub holder: String,
    /// When the run began.
    pub now: jiff::Timestamp,
}

/// The tree as a Git server in the cluster serves it from the clone, while the forge is down.
#[derive(Clone, Debug)]
pub struct Served {
    /// The tree, at the server's address and of the served commit.
    pub tree: Tree,
    /// The objects of the server.
    pub objects: Vec<Object>,
}

/// What a recovery has beyond a bootstrap.
#[derive(Clone, Debug, Default)]
pub struct Recovering {
    /// What holds the services back, beside the health of the infrastructure.
    pub gates: Vec<Gate>,
    /// Whether the services are released whatever the gates say.
    pub open_gates: bool,
    /// Whether Argo CD validates what it applies in the first sync of each Application, although the commit was validated before.
    pub validate: bool,
    /// The deploy keys of the cluster that is gone, by their numbers at the forge, which are removed once all is up.
    pub prune_keys: BTreeSet<u64>,
}

/// When an Application came up.
#[derive(Clone, Debug)]
pub struct CameUp {
    /// When it was first seen.
    pub seen: Instant,
    /// When it was first seen converged; none if it has not.
    pub converged: Option<Instant>,
    /// How many syncs had to be asked for.
    pub kicks: u32,
    /// Why its last sync that ended did not work.
    pub last_failure: Option<String>,
}

/// What earlier steps found.
#[derive(Default)]
struct Known {
    credential: Option<Credential>,
    registered: Option<Registered>,
    applications: BTreeMap<String, CameUp>,
    gates_open: bool,
    left_waiting: bool,
    pruned_keys: BTreeSet<u64>,
    lease_held: bool,
    skipped: Vec<String>,
    moved_to: Option<Commit>,
    uncompared: Option<FleetClone>,
    rotation: Rotation,
    detachment: Detachment,
}

/// What a rotation of the deploy key is to do, and what it has found and done.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// Whether the old key goes before there is a new one.
    pub revoke_first: bool,
    /// The keys that the repository Secret has had, and that are to go.
    pub retiring: Vec<PublicKey>,
    /// The private half of the one that it has now, as long as that is an old one.
    pub old: Option<SecretString>,
    /// Whether Argo CD was seen to open the repository with the new key.
    pub fetched: bool,
    /// Those that this run has removed from the forge.
    pub retired: Vec<Registered>,
    /// Those that a person has to remove.
    pub by_hand: Vec<PublicKey>,
    /// Those that a person was seen to have removed.
    pub removed_by_hand: Vec<PublicKey>,
    /// Whether Argo CD was asked to look at the repository.
    pub refreshed: bool,
    /// What the repository Secrets had that this run has removed.
    pub removed_secrets: Vec<RemovedSecret>,
}

/// A repository Secret that a run has removed.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovedSecret {
    /// Its name.
    pub name: String,
    /// The GitHub App whose credentials it had, if it had any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub github_app: Option<std::num::NonZeroU64>,
}

/// What a detachment is to do, and what it has found and done.
#[derive(Clone, Debug, Default)]
pub struct Detachment {
    /// Whether Argo CD's resource definitions stay.
    pub keep_definitions: bool,
    /// Whether the deploy key stays at the forge.
    pub keep_key: bool,
    /// What goes and what must stay, once that was looked up.
    pub inventory: Arc<Inventory>,
    /// Whether this run has written that down.
    pub recorded: bool,
    /// How many objects were seen to be as they were; none before the proof.
    pub proven: Option<usize>,
    /// The keys that this run has removed from the forge.
    pub removed_keys: Vec<Registered>,
    /// The webhooks that this run has removed from the forge.
    pub removed_webhooks: Vec<Webhook>,
    /// What keeps the namespace from going.
    pub others: Vec<ObjectRef>,
}

/// Where the deploy key is registered.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// Where: `github.com/acme/fleet`.
    pub forge: String,
    /// The key's number there.
    pub id: u64,
    /// The key's title there.
    pub title: String,
}

/// The ports, what is wanted, and what earlier steps found.
pub struct World {
    /// The cluster.
    pub cluster: Arc<dyn Cluster>,
    /// The forge's API; none without a token.
    pub forge: Option<Arc<dyn Forge>>,
    /// The Git server.
    pub remote: Arc<dyn Remote>,
    /// Makes keys.
    pub keys: Arc<dyn KeyMaker>,
    /// Where events go.
    pub events: Events,
    /// The programs on this machine that gates may name; none where no person has agreed to them.
    pub commands: Option<Arc<dyn Commands>>,
    /// Says when to stop.
    pub cancel: CancellationToken,
    /// When the run must be over.
    pub deadline: Instant,
    /// Where faults are injected.
    pub faults: Arc<Faults>,
    /// What the run is for.
    pub wanted: Wanted,
    /// The other address of the repository, by which Argo CD has got in so far, while a cluster moves from one credential to another.
    pub moved_from: Option<RepositoryUrl>,
    /// What is served from the clone; none where Argo CD goes to the forge.
    pub served: Option<Served>,
    /// How Argo CD is to get into the repository.
    pub access: Access,
    /// Gives out tokens of GitHub Apps; none where only Argo CD can use one.
    pub apps: Option<Arc<dyn AppTokens>>,
    /// Where the forge is to tell Argo CD of a push, if it is to.
    pub webhook: Option<WebhookUrl>,
    /// Whether each step says why it exists.
    pub explain: bool,
    known: Mutex<Known>,
    head: tokio::sync::Mutex<Option<Commit>>,
}

impl World {
    /// A world in which nothing was found yet.
    #[expect(clippy::too_many_arguments, reason = "the ports and the run's bounds, each once")]
    pub fn new(
        cluster: Arc<dyn Cluster>,
        forge: Option<Arc<dyn Forge>>,
        remote: Arc<dyn Remote>,
        keys: Arc<dyn KeyMaker>,
        events: Events,
        cancel: CancellationToken,
        deadline: Instant,
        faults: Arc<Faults>,
        wanted: Wanted,
    ) -> Self {
        let cluster = Arc::new(super::faults::Watched::new(cluster, faults.clone()));
        Self {
            cluster,
            forge: None,
            remote,
            keys,
            events,
            cancel,
            deadline,
            faults,
            wanted,
            commands: None,
            moved_from: None,
            served: None,
            access: Access::default(),
            apps: None,
            webhook: None,
            explain: false,
            known: Mutex::default(),
            head: tokio::sync::Mutex::default(),
        }
        .with_forge(forge)
    }

    /// The same world with this way to the forge's API, or without one.
    #[must_use]
    pub fn with_forge(mut self, forge: Option<Arc<dyn Forge>>) -> Self {
        self.forge = forge.map(|forge| Arc::new(super::faults::Watched::new(forge, self.faults.clone())) as Arc<dyn Forge>);
        self
    }

    /// The same world, in which Argo CD is to get into the repository by the address `to`, and by `from` no more.
    #[must_use]
    pub fn moving(mut self, from: RepositoryUrl, to: RepositoryUrl) -> Self {
        self.wanted.tree.repository = to;
        self.moved_from = Some(from);
        self
    }

    /// The same world, in which Argo CD is to get into the repository by `access`, and tokens of GitHub Apps come from `apps`.
    #[must_use]
    pub fn with_access(mut self, access: Access, apps: Arc<dyn AppTokens>) -> Self {
        self.access = access;
        self.apps = Some(apps);
        self
    }

    /// The same world, in which the forge is to tell Argo CD of pushes at `webhook`.
    #[must_use]
    pub fn with_webhook(mut self, webhook: Option<WebhookUrl>) -> Self {
        self.webhook = webhook;
        self
    }

    /// The same world, in which Argo CD takes the tree from the clone.
    #[must_use]
    pub fn serving(mut self, served: Option<Served>) -> Self {
        self.served = served;
        self
    }

    /// The same world, in which each step says why it exists, if `explain`.
    #[must_use]
    pub const fn explaining(mut self, explain: bool) -> Self {
        self.explain = explain;
        self
    }

    /// Why a step exists, if that was asked for.
    pub fn why(&self, step: StepId) -> Option<&'static str> {
        self.explain.then(|| step.why())
    }

    /// The tree at the place where Argo CD takes it from.
    pub fn followed(&self) -> &Tree {
        self.served.as_ref().map_or(&self.wanted.tree, |served| &served.tree)
    }

    /// The commit that Argo CD must end up at, at the place where it takes the tree from.
    pub fn followed_commit(&self) -> Commit {
        self.served.as_ref().map_or_else(|| self.commit(), |served| served.tree.commit.clone())
    }

    /// The other place, from which Argo CD may have taken the tree before.
    pub fn left(&self) -> RepositoryUrl {
        if self.served.is_some() { self.wanted.tree.repository.clone() } else { git_server::address() }
    }

    /// The credential, once the step `secret-create` has found or made it.
    pub fn credential(&self) -> Option<Credential> {
        self.with_known(|known| known.credential.clone())
    }

    /// Notes the credential.
    pub fn note_credential(&self, credential: Option<Credential>) {
        self.with_known(|known| known.credential = credential);
    }

    /// Where the deploy key is registered, once that is known.
    pub fn registered(&self) -> Option<Registered> {
        self.with_known(|known| known.registered.clone())
    }

    /// Notes where the deploy key is registered.
    pub fn note_registered(&self, registered: Registered) {
        self.with_known(|known| known.registered = Some(registered));
    }

    /// What a rotation is to do, and what it has found and done.
    pub fn rotation(&self) -> Rotation {
        self.with_known(|known| known.rotation.clone())
    }

    /// Notes something of the rotation.
    pub fn note_rotation(&self, note: impl FnOnce(&mut Rotation)) {
        self.with_known(|known| note(&mut known.rotation));
    }

    /// What a detachment is to do, and what it has found and done.
    pub fn detachment(&self) -> Detachment {
        self.with_known(|known| known.detachment.clone())
    }

    /// Notes something of the detachment.
    pub fn note_detachment(&self, note: impl FnOnce(&mut Detachment)) {
        self.with_known(|known| note(&mut known.detachment));
    }

    /// How many syncs had to be asked for.
    pub fn kicks(&self) -> usize {
        self.with_known(|known| known.applications.values().map(|application| application.kicks as usize).sum())
    }

    /// Counts a sync that had to be asked for.
    pub fn count_kick(&self, application: &str) {
        self.with_known(|known| {
            if let Some(application) = known.applications.get_mut(application) {
                application.kicks += 1;
            }
        });
    }

    /// Notes that an Application was seen, whether it had converged, and why its last sync did not work.
    pub fn note_application(&self, name: &str, converged: bool, last_failure: Option<String>) {
        let now = Instant::now();
        self.with_known(|known| {
            let fresh = CameUp { seen: now, converged: None, kicks: 0, last_failure: None };
            let application = known.applications.entry(name.to_owned()).or_insert(fresh);
            application.converged = application.converged.or_else(|| converged.then_some(now));
            application.last_failure = last_failure;
        });
    }

    /// When each Application came up, as far as this run has seen it.
    pub fn came_up(&self) -> BTreeMap<String, CameUp> {
        self.with_known(|known| known.applications.clone())
    }

    /// Whether the gates of the recovery were found open.
    pub fn gates_are_open(&self) -> bool {
        self.with_known(|known| known.gates_open)
    }

    /// Notes that the gates of the recovery are open.
    pub fn note_gates_open(&self) {
        self.with_known(|known| known.gates_open = true);
    }

    /// Whether what has not converged was left to the time or the person that it waits for.
    pub fn is_left_waiting(&self) -> bool {
        self.with_known(|known| known.left_waiting)
    }

    /// Notes that what has not converged is left to the time or the person that it waits for.
    pub fn note_left_waiting(&self) {
        self.with_known(|known| known.left_waiting = true);
    }

    /// The deploy keys that this run has removed, by their numbers at the forge.
    pub fn pruned_keys(&self) -> BTreeSet<u64> {
        self.with_known(|known| known.pruned_keys.clone())
    }

    /// Notes that a deploy key of the cluster that is gone was removed.
    pub fn note_pruned_key(&self, id: u64) {
        self.with_known(|known| known.pruned_keys.insert(id));
    }

    /// Whether this run holds the lock.
    pub fn holds_lease(&self) -> bool {
        self.with_known(|known| known.lease_held)
    }

    /// Notes whether this run holds the lock.
    pub fn note_lease(&self, held: bool) {
        self.with_known(|known| known.lease_held = held);
    }

    /// The objects of Argo CD's folder that are left to Argo CD, each with the reason.
    pub fn skipped(&self) -> Vec<String> {
        self.with_known(|known| known.skipped.clone())
    }

    /// Notes the objects that are left to Argo CD.
    pub fn note_skipped(&self, skipped: Vec<String>) {
        self.with_known(|known| known.skipped = skipped);
    }

    /// The commit that the cluster must end up at: the one that the run began with, or the one that the branch has moved to.
    pub fn commit(&self) -> Commit {
        self.with_known(|known| known.moved_to.clone()).unwrap_or_else(|| self.wanted.commit.clone())
    }

    /// Notes that the branch has moved.
    pub fn note_commit(&self, commit: Commit) {
        self.with_known(|known| known.moved_to = Some(commit));
    }

    /// The commit that the remote was just found to serve to the deploy key, to be taken once: a later look asks again. Held while the remote is asked, so
    /// that whoever needs the answer at the same time waits for it.
    pub async fn head(&self) -> tokio::sync::MutexGuard<'_, Option<Commit>> {
        self.head.lock().await
    }

    /// Notes that nothing could tell yet what the remote serves: the clone is compared with it once the deploy key works.
    pub fn note_uncompared(&self, clone: FleetClone) {
        self.with_known(|known| known.uncompared = Some(clone));
    }

    /// Whether the clone was compared with what the remote serves.
    pub fn is_compared(&self) -> bool {
        self.with_known(|known| known.uncompared.is_none())
    }

    /// Compares the clone with `head`, the commit that the remote serves, unless that was done before.
    pub async fn compare_clone(&self, head: &Commit) -> Result<()> {
        let Some(clone) = self.with_known(|known| known.uncompared.clone()) else { return Ok(()) };
        clone.compare(&self.wanted.tree, head).await?;
        self.with_known(|known| known.uncompared = None);
        self.note_commit(head.clone());
        Ok(())
    }

    fn with_known<T>(&self, action: impl FnOnce(&mut Known) -> T) -> T {
        action(&mut self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Says that an object was changed.
    pub fn changed(&self, step: StepId, object: impl ToString, how: How) {
        self.events.send(Event::Changed { step, object: object.to_string(), how });
    }

    /// Says what is waited for.
    pub fn waiting(&self, step: StepId, on: impl Into<String>) {
        self.events.send(Event::Waiting { step, on: on.into() });
    }

    /// Fails if the run was told to stop. Called before each request that changes anything.
    pub fn go_on(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(interrupted()) } else { Ok(()) }
    }

    /// Waits for `future`, but no longer than the run may last, and not once it was told to stop.
    /// `for_what` says what was waited for, if the time runs out.
    pub async fn wait<T>(&self, future: impl Future<Output = T>, for_what: impl Fn() -> String) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(interrupted()),
            result = tokio::time::timeout_at(self.deadline, future) => result.map_err(|_| {
                Failure::new(Kind::Deadline, format!("the time for the run is over while waiting for {}", for_what()))
                    .hint("run the same command again: it goes on from here; give it more time with `--timeout`")
            }),
        }
    }

    /// Lets `pause` pass before something is asked again. For servers that offer nothing to watch.
    pub async fn pause(&self, pause: Duration, for_what: impl Fn() -> String) -> Result<()> {
        self.wait(tokio::time::sleep(pause), for_what).await
    }
}

/// The failure of a run that was told to stop.
pub fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "by Ctrl-C or a signal")
}

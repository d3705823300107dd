//! The ports in memory: an API server with the controllers that matter, a forge, its Git server, and keys that are the same in every run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use gitops_bootstrap::domain::tree::Tree;
use gitops_bootstrap::domain::{Commit, Object, ObjectRef, PublicKey, RepositoryUrl};
use gitops_bootstrap::event::{Event, Reporter};
use gitops_bootstrap::ports::cluster::Change;
use gitops_bootstrap::ports::forge::{DeployKey, Webhook};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use self::keys::{pair, public_half};
use super::fleet;

mod cluster;
mod controllers;
mod forge;
mod git;
mod keys;

pub(crate) use self::cluster::{MemoryCluster, facts};
pub(crate) use self::forge::{MemoryApps, MemoryForge};
pub(crate) use self::git::{MemoryClone, MemoryRemote};
pub(crate) use self::keys::{CountedKeys, private_key};

/// Everything outside of the tool: what a killed run leaves behind for the next one.
pub(crate) struct Outside {
    state: Mutex<State>,
    changes: broadcast::Sender<Change>,
}

struct State {
    objects: BTreeMap<ObjectRef, Object>,
    version: u64,
    writes: Vec<String>,
    keys: Vec<DeployKey>,
    forge_writes: usize,
    next_key: u8,
    head: Commit,
    tree: Tree,
    deploy_keys_disabled: bool,
    webhooks: Vec<(Webhook, String)>,
    /// The private keys of the GitHub App that is installed on the repository.
    app_keys: Vec<String>,
    git_is_down: bool,
    served: Option<Tree>,
    /// What Argo CD says of Applications that do not come up.
    statuses: BTreeMap<String, Value>,
    /// How often the key in the repository Secret stopped to open the repository.
    access_losses: usize,
    had_access: bool,
    /// Whether the root brings the projects too, which else come from the run alone.
    brings_projects: bool,
    /// Whether Argo CD cannot fetch although the key is good.
    fetches_break: bool,
}

impl State {
    /// Whether Argo CD gets into the repository, by every address that an Application names; while there is none, by any.
    fn has_access(&self) -> bool {
        let mut applications = self.objects.values().filter(|object| object.kind() == "Application").peekable();
        match applications.peek() {
            Some(_) => applications.all(|application| self.opens(application)),
            None => self.secrets().any(|secret| self.is_let_in(secret)),
        }
    }

    /// Whether Argo CD gets an Application: its project permits the address, and there is a Secret for it that opens.
    fn opens(&self, application: &Object) -> bool {
        let Some(address) = application.text("/spec/source/repoURL").and_then(|url| url.parse::<RepositoryUrl>().ok()) else {
            return false;
        };
        let project =
            self.objects.values().find(|object| object.kind() == "AppProject" && Some(object.name()) == application.text("/spec/project"));
        let sources = project.and_then(|project| project.at("/spec/sourceRepos")).and_then(Value::as_array);
        let permits = sources.is_none_or(|sources| sources.iter().filter_map(Value::as_str).any(|source| address.is_covered_by(source)));
        let mut secrets = self.secrets().filter(|secret| value(secret, "url").is_some_and(|url| address.is_written(&url)));
        permits && secrets.any(|secret| self.is_let_in(secret))
    }

    fn secrets(&self) -> impl Iterator<Item = &Object> {
        self.objects.values().filter(|object| object.label("argocd.argoproj.io/secret-type") == Some("repository"))
    }

    /// Whether the forge lets in what a repository Secret holds.
    fn is_let_in(&self, secret: &Object) -> bool {
        if let Some(key) = value(secret, "githubAppPrivateKey") {
            return self.app_keys.contains(&key);
        }
        let key = secret.text("/stringData/sshPrivateKey").and_then(public_half);
        key.is_some_and(|key| self.keys.iter().any(|registered| registered.key == key))
    }

    fn note_access(&mut self) {
        let has_access = self.has_access();
        self.access_losses += usize::from(self.had_access && !has_access);
        self.had_access = has_access;
    }
}

/// A value of a Secret, as it was written or as it was sent.
fn value(secret: &Object, name: &str) -> Option<String> {
    if let Some(text) = secret.text(&format!("/stringData/{name}")) {
        return Some(text.to_owned());
    }
    let encoded = secret.text(&format!("/data/{name}"))?;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).ok()?).ok()
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                if value.is_null() {
                    into.remove(name);
                } else {
                    merge(into.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

impl Outside {
    pub(crate) fn new() -> Arc<Self> {
        let head = fleet::commit('a');
        let state = State {
            objects: BTreeMap::new(),
            version: 0,
            writes: Vec::new(),
            keys: Vec::new(),
            forge_writes: 0,
            next_key: 0,
            tree: fleet::tree(&head),
            head,
            deploy_keys_disabled: false,
            webhooks: Vec::new(),
            app_keys: Vec::new(),
            git_is_down: false,
            served: None,
            access_losses: 0,
            had_access: false,
            brings_projects: false,
            fetches_break: false,
            statuses: BTreeMap::new(),
        };
        Arc::new(Self { state: Mutex::new(state), changes: broadcast::channel(10_000).0 })
    }

    fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.state.lock().unwrap())
    }

    pub(crate) fn writes(&self) -> Vec<String> {
        self.with(|state| state.writes.clone())
    }

    pub(crate) fn forge_writes(&self) -> usize {
        self.with(|state| state.forge_writes)
    }

    pub(crate) fn keys(&self) -> Vec<DeployKey> {
        self.with(|state| state.keys.clone())
    }

    pub(crate) fn access_losses(&self) -> usize {
        self.with(|state| state.access_losses)
    }

    pub(crate) fn has_access(&self) -> bool {
        self.with(|state| state.has_access())
    }

    /// Registers a key as a person does, who is given its public half.
    pub(crate) fn register_by_hand(&self, id: u64, key: PublicKey) {
        let title = "by hand".to_owned();
        self.with(|state| state.keys.push(DeployKey { id, title, key, read_only: true, enabled: true, created: None, last_used: None }));
    }

    pub(crate) fn break_fetches(&self, broken: bool) {
        self.with(|state| state.fetches_break = broken);
    }

    pub(crate) fn rename_keys(&self, title: &str) {
        self.with(|state| state.keys.iter_mut().for_each(|key| key.title = title.to_owned()));
    }

    pub(crate) fn forbid_deploy_keys(&self, forbidden: bool) {
        self.with(|state| state.deploy_keys_disabled = forbidden);
    }

    /// The webhooks of the repository, each with its secret.
    pub(crate) fn webhooks(&self) -> Vec<(Webhook, String)> {
        self.with(|state| state.webhooks.clone())
    }

    pub(crate) fn remove_webhooks(&self) {
        self.with(|state| state.webhooks.clear());
    }

    /// Lets these private keys of the GitHub App in, and no others.
    pub(crate) fn let_app_in(&self, keys: &[&str]) {
        self.with(|state| state.app_keys = keys.iter().map(|key| (*key).to_owned()).collect());
    }

    pub(crate) fn take_git_down(&self, down: bool) {
        self.with(|state| state.git_is_down = down);
    }

    /// Says what Argo CD finds at the server in the cluster, as soon as that runs.
    pub(crate) fn serve(&self, tree: &Tree) {
        self.with(|state| state.served = Some(tree.clone()));
    }

    /// Has Argo CD say `status` of an Application instead of bringing it up; null brings it up.
    pub(crate) fn set_status(&self, application: &str, status: Value) {
        self.with(|state| match status {
            Value::Null => state.statuses.remove(application),
            status => state.statuses.insert(application.to_owned(), status),
        });
        if let Some(application) = self.of_kind("Application").iter().find(|object| object.name() == application) {
            self.sync(application);
        }
    }

    /// Brings up an Application of which Argo CD says something else, without Argo CD's noticing before it next looks.
    pub(crate) fn comes_right_unseen(&self, application: &str) {
        self.with(|state| state.statuses.remove(application));
    }

    pub(crate) fn add_key(&self, id: u64, title: &str, seed: u8, last_used: Option<&str>) {
        let key = pair(seed).public;
        self.with(|state| {
            let last_used = last_used.map(str::to_owned);
            state.keys.push(DeployKey { id, title: title.to_owned(), key, read_only: true, enabled: true, created: None, last_used });
        });
    }

    /// All objects without what differs from run to run: versions, UIDs, times and who holds the lock.
    pub(crate) fn end_state(&self) -> BTreeMap<ObjectRef, Value> {
        let objects = self.with(|state| state.objects.clone());
        objects
            .into_iter()
            .filter(|(reference, _)| reference.resource.kind != "Lease")
            .map(|(reference, object)| {
                let mut value = object.into_value();
                value["metadata"]["resourceVersion"] = Value::Null;
                value["metadata"]["uid"] = Value::Null;
                (reference, value)
            })
            .collect()
    }

    pub(crate) fn remove_keys(&self) {
        self.with(|state| state.keys.clear());
    }

    pub(crate) fn let_keys_write(&self) {
        self.with(|state| state.keys.iter_mut().for_each(|key| key.read_only = false));
    }

    pub(crate) fn add_foreign_key(&self, title: &str) {
        let key = pair(200).public;
        self.with(|state| {
            state.keys.push(DeployKey {
                id: 7,
                title: title.to_owned(),
                key,
                read_only: true,
                enabled: true,
                created: None,
                last_used: None,
            })
        });
    }

    pub(crate) fn push(&self, head: Commit) {
        self.with(|state| state.head = head);
    }

    /// Pushes a commit with another tree, whose projects Argo CD brings too.
    pub(crate) fn push_tree(&self, tree: &Tree) {
        self.with(|state| {
            state.head = tree.commit.clone();
            state.tree = tree.clone();
            state.brings_projects = true;
        });
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Object> {
        self.with(|state| state.objects.values().filter(|object| object.kind() == kind).cloned().collect())
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        let gone = self.with(|state| {
            let reference = state.objects.keys().find(|reference| reference.resource.kind == kind && reference.name == name).cloned();
            reference.filter(|reference| state.objects.remove(reference).is_some())
        });
        let _ = self.changes.send(Change::Deleted(gone.expect("the object is there")));
    }

    pub(crate) fn change(&self, kind: &str, name: &str, patch: Value) {
        let reference = self
            .with(|state| state.objects.keys().find(|reference| reference.resource.kind == kind && reference.name == name).cloned())
            .unwrap();
        self.store(&reference, |object| merge(object, &patch));
    }

    pub(crate) fn put(&self, value: Value) {
        let object = Object::new(value).unwrap();
        self.store(&object.reference(), |stored| *stored = object.clone().into_value());
    }

    /// Changes an object as the API server does: a new version only if it differs; then lets the controllers act.
    fn store(&self, reference: &ObjectRef, change: impl FnOnce(&mut Value)) -> Object {
        let (object, changed) = self.with(|state| {
            let before = state.objects.get(reference).cloned().map(Object::into_value);
            let mut value = before
                .clone()
                .unwrap_or_else(|| json!({"metadata": {"uid": format!("{}-{}", reference.name, state.version), "generation": 1}}));
            change(&mut value);
            value["metadata"]["resourceVersion"] =
                before.as_ref().map_or(Value::Null, |before| before["metadata"]["resourceVersion"].clone());
            if before.as_ref() != Some(&value) {
                state.version += 1;
                value["metadata"]["resourceVersion"] = state.version.to_string().into();
            }
            let object = Object::new(value).unwrap();
            let changed = state.objects.insert(reference.clone(), object.clone()) != Some(object.clone());
            state.note_access();
            (object, changed)
        });
        if changed {
            let _ = self.changes.send(Change::Applied(Arc::new(object.clone())));
            self.control(&object);
        }
        object
    }

    fn write(&self, verb: &str, object: &ObjectRef) {
        self.with(|state| state.writes.push(format!("{verb} {object}")));
    }
}

/// Keeps all events.
#[derive(Clone, Default)]
pub(crate) struct Recorded(pub(crate) Arc<Mutex<Vec<Event>>>);

impl Reporter for Recorded {
    fn on(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

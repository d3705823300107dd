//! The ports in memory: an API server with the controllers that matter, a forge, its Git server, and keys that are the same in every run.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use gitops_bootstrap::domain::tree::Tree;
use gitops_bootstrap::domain::{
    Commit, GitHubApp, HostKeys, Identity, Object, ObjectRef, PublicKey, RepositoryPath, RepositoryUrl, Resource, WebhookUrl,
};
use gitops_bootstrap::error::{Failure, Result as Outcome};
use gitops_bootstrap::event::{Event, Reporter};
use gitops_bootstrap::plan::compare::OWN_MANAGER;
use gitops_bootstrap::ports::cluster::{ApplyOptions, Change, ClusterError, ClusterFacts, DeleteOptions, Right, Scope};
use gitops_bootstrap::ports::forge::{DeployKey, ForgeError, RepositoryFacts, Webhook};
use gitops_bootstrap::ports::git::{File, GitError, WorktreeFacts};
use gitops_bootstrap::ports::key_maker::KeyPair;
use gitops_bootstrap::ports::{AppTokens, Cluster, Forge, KeyMaker, Remote, Worktree};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::fleet;

mod controllers;

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

fn is_served(state: &State, resource: &Resource) -> Option<Scope> {
    match (resource.group(), resource.kind.as_str()) {
        ("argoproj.io", kind) => {
            let defined = state
                .objects
                .values()
                .any(|object| object.kind() == "CustomResourceDefinition" && object.text("/spec/names/kind") == Some(kind));
            defined.then_some(Scope::Namespaced)
        }
        ("cert-manager.io", _) => None,
        (_, "Namespace" | "CustomResourceDefinition") => Some(Scope::Cluster),
        _ => Some(Scope::Namespaced),
    }
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

/// The API server.
pub(crate) struct MemoryCluster(pub(crate) Arc<Outside>);

#[async_trait]
impl Cluster for MemoryCluster {
    async fn facts(&self) -> Result<ClusterFacts, ClusterError> {
        Ok(facts())
    }

    async fn served(&self, resource: &Resource) -> Result<Option<Scope>, ClusterError> {
        Ok(self.0.with(|state| is_served(state, resource)))
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<Object>, ClusterError> {
        Ok(self.0.with(|state| state.objects.get(object).cloned()))
    }

    async fn list(&self, resource: &Resource, namespace: Option<&str>, labels: Option<&str>) -> Result<Vec<Object>, ClusterError> {
        let labels: Vec<(&str, Option<&str>)> = labels
            .into_iter()
            .flat_map(|labels| labels.split(','))
            .map(|label| label.split_once('=').map_or((label, None), |(label, value)| (label, Some(value))))
            .collect();
        let has = |object: &Object, (label, value): (&str, Option<&str>)| {
            object.label(label).is_some_and(|there| value.is_none_or(|value| value == there))
        };
        let objects = self.0.of_kind(&resource.kind).into_iter();
        Ok(objects
            .filter(|object| namespace.is_none() || object.namespace() == namespace)
            .filter(|object| labels.iter().all(|label| has(object, *label)))
            .collect())
    }

    async fn create(&self, object: &Object) -> Result<Object, ClusterError> {
        let reference = object.reference();
        if self.0.with(|state| state.objects.contains_key(&reference)) {
            return Err(ClusterError::AlreadyExists(reference));
        }
        self.0.write("create", &reference);
        Ok(self.0.store(&reference, |value| merge(value, object.value())))
    }

    async fn apply(&self, object: &Object, options: ApplyOptions<'_>) -> Result<Object, ClusterError> {
        let reference = object.reference();
        if self.0.with(|state| is_served(state, &reference.resource)).is_none() {
            return Err(ClusterError::NotServed(reference.resource));
        }
        if options.dry_run {
            let mut value = self.0.with(|state| state.objects.get(&reference).cloned()).map_or(json!({}), Object::into_value);
            merge(&mut value, object.value());
            return Ok(Object::new(value).unwrap());
        }
        self.0.write("apply", &reference);
        let managers = json!([{"manager": options.manager, "operation": "Apply", "fieldsV1": {}}]);
        Ok(self.0.store(&reference, |value| {
            // What its manager no longer applies is gone.
            if let Some(fields) = value.as_object_mut().filter(|_| options.manager == OWN_MANAGER) {
                fields.remove("data");
            }
            merge(value, object.value());
            value["metadata"]["managedFields"] = managers;
        }))
    }

    async fn replace(&self, object: &Object) -> Result<Object, ClusterError> {
        let reference = object.reference();
        let there = self.0.with(|state| state.objects.get(&reference).cloned()).ok_or_else(|| ClusterError::NotFound(reference.clone()))?;
        if there.resource_version() != object.resource_version() {
            return Err(ClusterError::Stale(reference));
        }
        self.0.write("replace", &reference);
        Ok(self.0.store(&reference, |value| *value = object.clone().into_value()))
    }

    async fn merge_patch(&self, object: &ObjectRef, patch: &Value) -> Result<Object, ClusterError> {
        if self.0.with(|state| !state.objects.contains_key(object)) {
            return Err(ClusterError::NotFound(object.clone()));
        }
        let version = patch.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let current = self.0.with(|state| state.objects.get(object).and_then(Object::resource_version).map(str::to_owned));
        if version.is_some_and(|version| current.as_deref() != Some(version)) {
            return Err(ClusterError::Stale(object.clone()));
        }
        self.0.write("patch", object);
        Ok(self.0.store(object, |value| merge(value, patch)))
    }

    async fn delete(&self, object: &ObjectRef, options: DeleteOptions<'_>) -> Result<(), ClusterError> {
        let there = self.0.with(|state| state.objects.get(object).cloned());
        let Some(there) = there else { return Ok(()) };
        if options.uid.is_some_and(|uid| there.uid() != Some(uid)) {
            return Err(ClusterError::Stale(object.clone()));
        }
        self.0.write("delete", object);
        if there.at("/metadata/finalizers").and_then(Value::as_array).is_some_and(|finalizers| !finalizers.is_empty()) {
            self.0.store(object, |value| value["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into());
        } else {
            self.0.remove(object);
        }
        Ok(())
    }

    async fn namespaced_kinds(&self) -> Result<Vec<Resource>, ClusterError> {
        let mut kinds: Vec<Resource> = self.0.with(|state| {
            let namespaced = state.objects.keys().filter(|object| object.namespace.is_some());
            namespaced.map(|object| object.resource.clone()).collect()
        });
        kinds.dedup();
        Ok(kinds)
    }

    async fn missing_rights(&self, _rights: &[Right]) -> Result<Vec<Right>, ClusterError> {
        Ok(Vec::new())
    }

    fn watch(&self, resource: &Resource, _namespace: Option<&str>) -> BoxStream<'static, Result<Change, ClusterError>> {
        let kind = resource.kind.clone();
        let receiver = self.0.changes.subscribe();
        let first = Change::Restarted(self.0.of_kind(&kind).into_iter().map(Arc::new).collect());
        let changes =
            futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.ok().map(|change| (change, receiver)) });
        let changes = changes.filter(move |change| {
            let about = match change {
                Change::Applied(object) => object.kind() == kind,
                Change::Deleted(reference) => reference.resource.kind == kind,
                Change::Restarted(_) => true,
            };
            futures::future::ready(about)
        });
        futures::stream::once(async { first }).chain(changes).map(Ok).boxed()
    }
}

pub(crate) fn facts() -> ClusterFacts {
    ClusterFacts {
        context: "memory".to_owned(),
        server: "https://memory.invalid".to_owned(),
        identity: Identity { kube_system_uid: "0c0ffee0-0000-4000-8000-000000000000".to_owned(), ca_sha256: None },
        version: (1, 36),
        git_version: "v1.36.1".to_owned(),
    }
}

/// The forge.
pub(crate) struct MemoryForge(pub(crate) Arc<Outside>);

#[async_trait]
impl Forge for MemoryForge {
    fn name(&self) -> String {
        "github.com/acme/fleet".to_owned()
    }

    async fn repository(&self) -> Result<RepositoryFacts, ForgeError> {
        Ok(RepositoryFacts {
            full_name: "acme/fleet".to_owned(),
            default_branch: "main".to_owned(),
            may_administer: true,
            deploy_keys_allowed: None,
            ssh_url: fleet::REPOSITORY.to_owned(),
            web_url: "https://github.com/acme/fleet".to_owned(),
            warnings: Vec::new(),
        })
    }

    async fn branch_head(&self, _branch: &str) -> Result<Option<Commit>, ForgeError> {
        Ok(Some(self.0.with(|state| state.head.clone())))
    }

    async fn deploy_keys(&self) -> Result<Vec<DeployKey>, ForgeError> {
        Ok(self.0.keys())
    }

    async fn register_key(&self, title: &str, key: &PublicKey) -> Result<DeployKey, ForgeError> {
        self.0.with(|state| {
            state.forge_writes += 1;
            if state.deploy_keys_disabled {
                return Err(ForgeError::DeployKeysDisabled("github.com/acme/fleet".to_owned()));
            }
            if state.keys.iter().any(|registered| registered.key == *key) {
                return Err(ForgeError::KeyInUse);
            }
            let id = 100 + state.forge_writes as u64;
            let key =
                DeployKey { id, title: title.to_owned(), key: key.clone(), read_only: true, enabled: true, created: None, last_used: None };
            state.keys.push(key.clone());
            state.note_access();
            Ok(key)
        })
    }

    async fn delete_key(&self, id: u64) -> Result<(), ForgeError> {
        self.0.with(|state| {
            state.forge_writes += 1;
            state.keys.retain(|key| key.id != id);
            state.note_access();
        });
        Ok(())
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, ForgeError> {
        Ok(self.0.webhooks().into_iter().map(|(webhook, _)| webhook).collect())
    }

    async fn register_webhook(&self, url: &WebhookUrl, secret: &SecretString) -> Result<Webhook, ForgeError> {
        self.0.with(|state| {
            state.forge_writes += 1;
            let there = state.webhooks.iter().position(|(webhook, _)| webhook.url == url.as_str());
            let id = there.map_or(700 + state.forge_writes as u64, |at| state.webhooks[at].0.id);
            let webhook = Webhook { id, url: url.to_string(), is_as_wanted: true };
            state.webhooks.retain(|(webhook, _)| webhook.id != id);
            state.webhooks.push((webhook.clone(), secret.expose_secret().to_owned()));
            Ok(webhook)
        })
    }

    async fn delete_webhook(&self, id: u64) -> Result<(), ForgeError> {
        self.0.with(|state| {
            state.forge_writes += 1;
            state.webhooks.retain(|(webhook, _)| webhook.id != id);
        });
        Ok(())
    }

    async fn create_repository(&self) -> Result<RepositoryFacts, ForgeError> {
        Err(ForgeError::RepositoryExists(self.name()))
    }
}

/// The forge's Git server.
pub(crate) struct MemoryRemote(pub(crate) Arc<Outside>);

#[async_trait]
impl Remote for MemoryRemote {
    async fn branch_head(
        &self,
        _url: &RepositoryUrl,
        _branch: &str,
        key: &SecretString,
        _hosts: &HostKeys,
    ) -> Result<Option<Commit>, GitError> {
        if self.0.with(|state| state.git_is_down) {
            return Err(GitError::Unreachable { host: "github.com".to_owned(), message: "connection refused".to_owned() });
        }
        let key = public_half(key.expose_secret()).ok_or_else(|| GitError::Denied("github.com".to_owned()))?;
        self.0.with(|state| match state.keys.iter().any(|registered| registered.key == key) {
            true => Ok(Some(state.head.clone())),
            false => Err(GitError::Denied("github.com".to_owned())),
        })
    }

    async fn branch_head_by_token(&self, _url: &RepositoryUrl, _branch: &str, token: &SecretString) -> Result<Option<Commit>, GitError> {
        assert_eq!(token.expose_secret(), APP_TOKEN);
        Ok(Some(self.0.with(|state| state.head.clone())))
    }

    async fn branch_head_as_person(&self, _url: &RepositoryUrl, _branch: &str) -> Result<Option<Commit>, GitError> {
        Ok(Some(self.0.with(|state| state.head.clone())))
    }
}

/// The token that the GitHub App gets.
const APP_TOKEN: &str = "ghs_memory";

/// The GitHub App.
pub(crate) struct MemoryApps(pub(crate) Arc<Outside>);

#[async_trait]
impl AppTokens for MemoryApps {
    async fn token(&self, app: &GitHubApp, _repository: &RepositoryUrl) -> Result<SecretString, ForgeError> {
        match self.0.with(|state| state.app_keys.iter().any(|key| key == app.private_key.expose_secret())) {
            true => Ok(APP_TOKEN.into()),
            false => Err(ForgeError::AppRefused { forge: "github.com".to_owned(), app: app.id, message: "another key".to_owned() }),
        }
    }

    async fn installation(&self, _id: NonZeroU64, _key: &SecretString, _repository: &RepositoryUrl) -> Result<NonZeroU64, ForgeError> {
        Ok(NonZeroU64::new(34).unwrap())
    }
}

/// A clone that is only asked what differs from another commit.
pub(crate) struct MemoryClone {
    pub(crate) differing: &'static [&'static str],
}

#[async_trait]
impl Worktree for MemoryClone {
    fn folder(&self) -> PathBuf {
        PathBuf::from("fleet")
    }

    async fn facts(&self) -> Result<WorktreeFacts, GitError> {
        Ok(WorktreeFacts { head: fleet::commit('a'), branch: None, dirty: Vec::new(), origin: None })
    }

    async fn files(&self, _commit: &Commit, _folders: &[RepositoryPath]) -> Result<Vec<File>, GitError> {
        Ok(Vec::new())
    }

    async fn changed(&self, _from: &Commit, _to: &Commit, _folders: &[RepositoryPath]) -> Result<Vec<RepositoryPath>, GitError> {
        Ok(self.differing.iter().map(|path| path.parse().unwrap()).collect())
    }
}

/// Keys from a counter: each run of a test makes the same ones.
pub(crate) struct CountedKeys(pub(crate) Arc<Outside>);

impl KeyMaker for CountedKeys {
    fn generate(&self, _comment: &str) -> Outcome<KeyPair> {
        let seed = self.0.with(|state| {
            state.next_key += 1;
            state.next_key
        });
        Ok(pair(seed))
    }

    fn passphrase(&self) -> Outcome<SecretString> {
        let number = self.0.with(|state| {
            state.next_key += 1;
            state.next_key
        });
        Ok(format!("secret {number}").into())
    }

    fn public_half(&self, private: &SecretString) -> Option<PublicKey> {
        public_half(private.expose_secret())
    }
}

fn pair(seed: u8) -> KeyPair {
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
    let key = ssh_key::PrivateKey::from(pair);
    let private = key.to_openssh(ssh_key::LineEnding::LF).map_err(|error| Failure::bug(error.to_string())).unwrap();
    KeyPair {
        public: PublicKey::from_openssh(&key.public_key().to_openssh().unwrap()).unwrap(),
        private: SecretString::from(private.to_string()),
    }
}

/// A private key that is the same in every run.
pub(crate) fn private_key(seed: u8) -> String {
    pair(seed).private.expose_secret().to_owned()
}

fn public_half(private: &str) -> Option<PublicKey> {
    let key = ssh_key::PrivateKey::from_openssh(private).ok()?;
    PublicKey::from_openssh(&key.public_key().to_openssh().ok()?).ok()
}

/// Keeps all events.
#[derive(Clone, Default)]
pub(crate) struct Recorded(pub(crate) Arc<Mutex<Vec<Event>>>);

impl Reporter for Recorded {
    fn on(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

//! `serve-clone` and `serve-end`: a Git server in the cluster that serves the clone, for as long as the forge is down.

use futures::future::try_join_all;

use super::preview::dry_run;
use super::{Step, World, marker, rollout};
use crate::domain::application::Application;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef};
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::manifest::git_server;
use crate::plan::compare::{Comparison, OWN_MANAGER, compare, is_same_state};
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::{StepId, Verdict};
use crate::ports::Cluster;
use crate::ports::cluster::{ApplyOptions, ClusterError, DeleteOptions, Dependents};

/// Brings the server up, with the clone's commit, and waits until it runs. What served an older commit goes once nobody reads it any more.
pub struct ServeClone;

/// Removes the server once no Application takes anything from it.
pub struct ServeEnd;

/// How the server in the cluster stands to the one that is wanted.
pub struct Seen {
    /// What is to be applied, and whether it is there already.
    changes: Vec<(Object, bool)>,
    /// What served another commit.
    old: Vec<Object>,
    /// The Deployment, and why it does not run.
    running: rollout::Seen,
}

/// The steps of a run of `recipe` in this world: without those that ask the forge where the tree comes from the clone, and with the way back where it did so
/// before.
///
/// # Errors
/// Those of the cluster.
pub async fn recipe(recipe: &[StepId], world: &World) -> Result<Vec<StepId>> {
    let moves = root(world).await?.is_some_and(|root| root.sources().any(|source| world.left().is_named_by(&source.repository)));
    if world.served.is_some() {
        return Ok(StepId::without_forge(recipe, moves));
    }
    let recipe = if world.webhook.is_some() { StepId::with_webhook(recipe) } else { recipe.to_vec() };
    let server = world.cluster.get(&git_server::deployment()).await?;
    let record = world.cluster.get(&marker::reference()).await?;
    let is_recorded = record.is_some_and(|record| record.text(&format!("/data/{}", marker::SERVED_COMMIT)).is_some());
    Ok(if moves || is_recorded || server.is_some_and(|server| is_ours(&server)) { StepId::back_to_forge(&recipe, moves) } else { recipe })
}

/// The root Application as it is in the cluster.
async fn root(world: &World) -> Result<Option<Application>> {
    let root = world.wanted.tree.root.object.clone();
    let root = if root.namespace().is_none() { root.in_namespace(ARGOCD_NAMESPACE) } else { root };
    Ok(world.cluster.get(&root.reference()).await?.and_then(|root| Application::read(&root).ok()))
}

fn is_ours(object: &Object) -> bool {
    object.label("app.kubernetes.io/managed-by") == Some("gitops-bootstrap")
}

/// The objects of a server that are in the cluster, in the order in which they are removed. Only what carries this tool's label counts.
///
/// # Errors
/// Those of the cluster.
pub async fn objects(cluster: &dyn Cluster) -> Result<Vec<Object>, ClusterError> {
    let kinds = git_server::kinds();
    let lists = try_join_all(kinds.iter().map(|kind| cluster.list(kind, Some(ARGOCD_NAMESPACE), Some(git_server::LABELS)))).await?;
    Ok(lists.into_iter().flatten().collect())
}

/// The Applications that take anything from the server.
///
/// # Errors
/// Those of the cluster.
pub async fn readers(cluster: &dyn Cluster) -> Result<Vec<String>, ClusterError> {
    if cluster.served(&Application::resource()).await?.is_none() {
        return Ok(Vec::new());
    }
    let server = git_server::address();
    let objects = cluster.list(&Application::resource(), None, None).await?;
    let reads = |object: &&Object| {
        Application::read(object).is_ok_and(|application| application.sources().any(|source| server.is_named_by(&source.repository)))
    };
    Ok(objects.iter().filter(reads).map(|object| object.name().to_owned()).collect())
}

impl Step for ServeClone {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::ServeClone
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let wanted = world.served.as_ref().map(|served| served.objects.as_slice()).unwrap_or_default();
        let there = objects(world.cluster.as_ref()).await?;
        let mut changes = Vec::new();
        for object in wanted {
            let live = match there.iter().find(|live| live.reference() == object.reference()) {
                Some(live) => Some(live.clone()),
                // Somebody else's object of the same name has another label.
                None => world.cluster.get(&object.reference()).await?,
            };
            if !is_as_wanted(world, object, live.as_ref()).await? {
                changes.push((object.clone(), live.is_some()));
            }
        }
        let references: Vec<ObjectRef> = wanted.iter().map(Object::reference).collect();
        let old = there.iter().filter(|object| !references.contains(&object.reference())).cloned().collect();
        let mut running = rollout::Seen::from([(git_server::deployment(), Some("is not there".to_owned()))]);
        there.iter().for_each(|object| rollout::note(&mut running, object));
        Ok(Seen { changes, old, running })
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        let commit = world.followed_commit();
        let changes: Vec<String> = seen.changes.iter().map(|(object, _)| object.reference().to_string()).collect();
        if !changes.is_empty() {
            let because = format!("{} to make, for commit {}", super::apply::count(changes.len(), "object"), commit.short());
            return Ok(Verdict::Needed { because, changes });
        }
        if let Some(why) = seen.running.values().flatten().next() {
            return Ok(Verdict::needed(format!("the server does not run yet: it {why}")));
        }
        if !seen.old.is_empty() {
            let changes = seen.old.iter().map(|object| object.reference().to_string()).collect();
            return Ok(Verdict::Needed { because: "what served an older commit is still there".to_owned(), changes });
        }
        Ok(Verdict::satisfied(format!("{} at {}", git_server::address(), commit.short())))
    }

    async fn preview(&self, world: &World, seen: Seen) -> Result<Preview> {
        let mut previews = Vec::new();
        for (object, is_there) in &seen.changes {
            let live = if *is_there { world.cluster.get(&object.reference()).await? } else { None };
            let action = if *is_there { Action::Change } else { Action::Create };
            let planned = PlannedObject::new(self.id(), object.reference(), action);
            previews.push(dry_run(world, planned, object, live.as_ref(), OPTIONS).await?);
        }
        previews.push(removed(self.id(), &seen.old));
        Ok(Preview::all(previews))
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        for (object, is_there) in &seen.changes {
            world.go_on()?;
            world.cluster.apply(object, OPTIONS).await?;
            world.changed(self.id(), object.reference(), if *is_there { How::Updated } else { How::Created });
        }
        let seen = self.look(world).await?;
        rollout::until_running(world, self.id(), seen.running).await?;
        remove(world, self.id(), &seen.old).await
    }
}

impl Step for ServeEnd {
    type Seen = Vec<Object>;

    fn id(&self) -> StepId {
        StepId::ServeEnd
    }

    async fn look(&self, world: &World) -> Result<Vec<Object>> {
        Ok(objects(world.cluster.as_ref()).await?)
    }

    fn decide(&self, _world: &World, seen: &Vec<Object>) -> Result<Verdict> {
        Ok(if seen.is_empty() {
            Verdict::satisfied("there is none")
        } else {
            Verdict::Needed {
                because: "the forge is back: it goes once no Application takes anything from it".to_owned(),
                changes: seen.iter().map(|object| object.reference().to_string()).collect(),
            }
        })
    }

    async fn preview(&self, _world: &World, seen: Vec<Object>) -> Result<Preview> {
        Ok(removed(self.id(), &seen))
    }

    async fn apply(&self, world: &World, seen: Vec<Object>) -> Result<()> {
        let readers = readers(world.cluster.as_ref()).await?;
        if !readers.is_empty() {
            return Err(Failure::new(
                Kind::Conflict,
                format!("{} still take their objects from {}", readers.join(", "), git_server::address()),
            )
            .because("the fleet repository does not declare them, so nothing leads them back to the forge")
            .hint(format!("put the fleet repository's address into them: kubectl -n {ARGOCD_NAMESPACE} edit application NAME"))
            .hint("then run the same command again: it removes the server"));
        }
        remove(world, self.id(), &seen).await
    }
}

/// How the server's objects are written.
const OPTIONS: ApplyOptions<'static> = ApplyOptions { manager: OWN_MANAGER, force: true };

fn removed(step: StepId, objects: &[Object]) -> Preview {
    let objects = objects.iter().map(|object| PlannedObject::new(step, object.reference(), Action::Remove)).collect();
    Preview { objects, ..Preview::default() }
}

/// Whether the object in the cluster is the wanted one. An error if it is somebody else's.
async fn is_as_wanted(world: &World, wanted: &Object, live: Option<&Object>) -> Result<bool> {
    let Some(there) = live else { return Ok(false) };
    if !is_ours(there) {
        return Err(Failure::new(Kind::Conflict, format!("{} is there and was not made by gitops-bootstrap", wanted.reference()))
            .because("the clone is served by an object of that name")
            .hint("find out whose it is and remove it, or rename it"));
    }
    match compare(wanted, live, OWN_MANAGER) {
        Comparison::Same => Ok(true),
        Comparison::Missing => Ok(false),
        // The server writes some values in its own way: only it can say whether the apply would change anything.
        Comparison::Different(_) => {
            let options = ApplyOptions { manager: OWN_MANAGER, force: true };
            Ok(world.cluster.dry_run(wanted, options).await.is_ok_and(|result| is_same_state(there, &result)))
        }
    }
}

/// Removes objects of ours, each only if it is still the one that was seen.
async fn remove(world: &World, step: StepId, objects: &[Object]) -> Result<()> {
    for object in objects {
        world.go_on()?;
        let options = DeleteOptions { uid: object.uid(), dependents: Dependents::Deleted };
        world.cluster.delete(&object.reference(), options).await?;
        world.changed(step, object.reference(), How::Deleted);
    }
    Ok(())
}

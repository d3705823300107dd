//! Bringing a set of objects to what was declared: read and compare, then send only what differs.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::World;
use super::preview::dry_run;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{FieldConflict, Object, ObjectRef, Resource};
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, How};
use crate::plan::compare::{
    ARGOCD_MANAGER, Comparison, Difference, TRACKING_ANNOTATION, compare, is_same_state, keeping_tracking, without_foreign_fields,
};
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::tracking::Tracking;
use crate::plan::{StepId, Verdict};
use crate::ports::cluster::{ApplyOptions, ClusterError, Scope};

/// How many requests are under way at once: an API server on two cores is saturated by eight, and more gain nothing.
pub const CONCURRENCY: usize = 8;

/// How many objects are read at once: that costs an API server little, and one that is far away answers all of them in two or three turns.
const READS: usize = 32;

/// An object that is not as it was declared.
#[derive(Clone, Debug)]
pub struct Change {
    /// What to apply; the fields of other managers are not in it.
    object: Object,
    /// How the cluster has it; none if it is not there.
    difference: Option<Difference>,
    /// What the cluster has.
    live: Option<Object>,
}

/// What comparing a set of objects showed.
#[derive(Clone, Debug, Default)]
pub struct Comparisons {
    /// Those that are not as declared.
    pub changes: Vec<Change>,
    /// Those that are, each with the fields that are left to other managers.
    pub same: Vec<(ObjectRef, Vec<FieldConflict>)>,
    /// Those whose kind the server does not serve.
    pub not_served: Vec<ObjectRef>,
}

impl Change {
    /// Which object.
    pub fn reference(&self) -> ObjectRef {
        self.object.reference()
    }

    fn how(&self) -> How {
        match &self.difference {
            None => How::Created,
            Some(difference) if !difference.by_hand.is_empty() => How::Restored,
            Some(_) => How::Updated,
        }
    }
}

impl Comparisons {
    /// Those that are not there yet.
    pub fn missing(&self) -> impl Iterator<Item = &Object> {
        self.changes.iter().filter(|change| change.difference.is_none()).map(|change| &change.object)
    }

    /// Has what is sent anyway sent with Argo CD's mark.
    pub fn mark(&mut self, tracking: &Tracking) {
        for change in self.changes.iter_mut().filter(|change| change.object.annotation(TRACKING_ANNOTATION).is_none()) {
            change.object = tracking.mark(change.object.clone());
        }
    }

    /// Nothing to do if all are as declared; an error if an object is somebody else's.
    pub fn verdict(&self, world: &World, what: &str) -> Result<Verdict> {
        let owned: Vec<&Change> = self.changes.iter().filter(|change| is_somebody_elses(change)).collect();
        if !owned.is_empty() && !world.wanted.take_ownership {
            return Err(somebody_elses(&owned, what));
        }
        if self.changes.is_empty() {
            return Ok(Verdict::satisfied(format!("{} as declared", count(self.same.len(), "object"))));
        }
        let missing = self.missing().count();
        let different = self.changes.len() - missing;
        let because = match (missing, different) {
            (missing, 0) => format!("{missing} to create"),
            (0, different) => format!("{different} to change"),
            (missing, different) => format!("{missing} to create, {different} to change"),
        };
        Ok(Verdict::Needed { because, changes: self.changes.iter().map(|change| change.reference().to_string()).collect() })
    }
}

/// `1 object`, `2 objects`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn somebody_elses(owned: &[&Change], what: &str) -> Failure {
    let failure = Failure::new(Kind::Conflict, format!("{} of {what} belong to somebody else", count(owned.len(), "object")));
    let fields = owned.iter().flat_map(|change| {
        let fields = change.difference.iter().flat_map(|difference| &difference.foreign);
        fields.map(|field| format!("{}: {} belongs to `{}`", change.reference(), field.field, field.manager))
    });
    let failure = fields.take(20).fold(failure, Failure::because);
    failure.hint("find out who installed it and remove that first; `--take-ownership` takes these fields over")
}

fn is_somebody_elses(change: &Change) -> bool {
    change.difference.as_ref().is_some_and(|difference| !difference.managed && !difference.foreign.is_empty())
}

/// Reads all `objects` and compares them. Objects without a namespace are put into Argo CD's if their kind lives in namespaces.
pub async fn look(world: &World, objects: Vec<&Object>) -> Result<Comparisons> {
    // The groups are asked for at the same time, rather than each when the turn of its first object comes.
    let groups: BTreeMap<String, Resource> = objects.iter().map(|object| (object.api_version().to_owned(), object.resource())).collect();
    try_join_all(groups.values().map(|resource| world.cluster.served(resource))).await?;
    let looks: Vec<_> = objects.into_iter().map(|object| look_at(world, object.clone())).collect();
    let mut results = stream::iter(looks).buffered(READS);
    let mut comparisons = Comparisons::default();
    while let Some(result) = results.try_next().await? {
        match result {
            Looked::Same(object, left) => comparisons.same.push((object, left)),
            Looked::Changed(change) => comparisons.changes.push(*change),
            Looked::NotServed(reference) => comparisons.not_served.push(reference),
        }
    }
    Ok(comparisons)
}

enum Looked {
    Same(ObjectRef, Vec<FieldConflict>),
    Changed(Box<Change>),
    NotServed(ObjectRef),
}

async fn look_at(world: &World, object: Object) -> Result<Looked> {
    let object = match world.cluster.served(&object.resource()).await? {
        None => return Ok(Looked::NotServed(object.reference())),
        Some(Scope::Namespaced) if object.namespace().is_none() => object.in_namespace(ARGOCD_NAMESPACE),
        Some(_) => object,
    };
    let live = world.cluster.get(&object.reference()).await?;
    let declared = keeping_tracking(&object, live.as_ref());
    let difference = match compare(&declared, live.as_ref(), ARGOCD_MANAGER) {
        Comparison::Same => return Ok(Looked::Same(declared.reference(), Vec::new())),
        Comparison::Missing => return Ok(Looked::Changed(Box::new(Change { object: declared, difference: None, live: None }))),
        Comparison::Different(difference) => difference,
    };
    if difference.managed && !difference.foreign.is_empty() && !world.wanted.take_ownership {
        world.events.send(Event::LeftAlone { object: declared.reference().to_string(), fields: difference.foreign.clone() });
        if difference.is_only_foreign() {
            return Ok(Looked::Same(declared.reference(), difference.foreign));
        }
    }
    let object = if world.wanted.take_ownership || !difference.managed { declared } else { without_foreign_fields(&declared, &difference) };
    // The server writes some values in its own way (`1000m` as `1`): only it can say whether the apply would change anything.
    let options = ApplyOptions { manager: ARGOCD_MANAGER, force: true };
    if let (Some(live), Ok(result)) = (&live, world.cluster.dry_run(&object, options).await)
        && is_same_state(live, &result)
    {
        return Ok(Looked::Same(object.reference(), Vec::new()));
    }
    Ok(Looked::Changed(Box::new(Change { object, difference: Some(difference), live })))
}

/// Applies the changes, [`CONCURRENCY`] at a time in their order.
pub async fn apply(world: &World, step: StepId, changes: Vec<Change>) -> Result<()> {
    let total = changes.len();
    let done = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    world.events.send(Event::Progress { step, done: 0, total, what: "objects" });
    let sends = changes.into_iter().map(|change| {
        let done = done.clone();
        async move {
            world.go_on()?;
            apply_one(world, &change).await?;
            world.changed(step, change.reference(), change.how());
            let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            world.events.send(Event::Progress { step, done, total, what: "objects" });
            Ok::<(), Failure>(())
        }
    });
    stream::iter(sends).buffer_unordered(CONCURRENCY).try_collect().await
}

async fn apply_one(world: &World, change: &Change) -> Result<()> {
    match send(world, change).await {
        // Since the look somebody else has made or changed the object, as argocd-server makes the project `default` when it first runs.
        Err(ClusterError::FieldConflict { .. }) => match look_at(world, change.object.clone()).await? {
            Looked::Changed(again) if !is_somebody_elses(&again) => Ok(send(world, &again).await?),
            Looked::Changed(again) => Err(somebody_elses(&[&again], &again.reference().to_string())),
            Looked::Same(..) | Looked::NotServed(_) => Ok(()),
        },
        // A new kind is served a moment after its definition is Established.
        Err(ClusterError::NotServed(resource)) => {
            Err(Failure::new(Kind::Transient, format!("the server does not serve {} yet", resource.kind))
                .hint("run the same command again: it goes on from here"))
        }
        sent => Ok(sent?),
    }
}

async fn send(world: &World, change: &Change) -> std::result::Result<(), ClusterError> {
    world.cluster.apply(&change.object, options(world, change)).await
}

fn options(world: &World, change: &Change) -> ApplyOptions<'static> {
    // What is managed here, or was changed by hand, may be taken back; what somebody else owns only on request.
    let force = world.wanted.take_ownership
        || change.difference.as_ref().is_some_and(|difference| difference.managed || difference.foreign.is_empty());
    ApplyOptions { manager: ARGOCD_MANAGER, force }
}

/// Says what [`apply`] would do, by a dry run of each request that it would send, and what the look has found as it should be.
pub async fn preview(world: &World, step: StepId, comparisons: Comparisons) -> Result<Preview> {
    let Comparisons { changes, same, not_served } = comparisons;
    let tries: Vec<_> = changes.into_iter().map(|change| preview_one(world, step, change)).collect();
    let tried: Vec<Preview> = stream::iter(tries).buffered(CONCURRENCY).try_collect().await?;
    let not_served = not_served.into_iter().map(|object| {
        let because = format!("{} is not served yet", object.resource.kind);
        Preview::of(PlannedObject::new(step, object, Action::Create).known_after_apply(because))
    });
    let same = same.into_iter().map(|(object, left)| {
        let action = if left.is_empty() { Action::InPlace } else { Action::LeftAlone };
        Preview::of(PlannedObject { left, ..PlannedObject::new(step, object, action) })
    });
    Ok(Preview::all(tried.into_iter().chain(not_served).chain(same)))
}

async fn preview_one(world: &World, step: StepId, change: Change) -> Result<Preview> {
    let somebody_elses = is_somebody_elses(&change) && !world.wanted.take_ownership;
    let action = match &change.difference {
        None => Action::Create,
        Some(_) if somebody_elses => Action::Conflict,
        Some(difference) if !difference.managed => Action::Adopt,
        Some(_) => Action::Change,
    };
    let mut planned = PlannedObject::new(step, change.reference(), action);
    if let Some(Difference { by_hand, foreign, .. }) = &change.difference {
        planned.taken.clone_from(by_hand);
        let of_others = if world.wanted.take_ownership { &mut planned.taken } else { &mut planned.left };
        of_others.extend(foreign.iter().cloned());
    }
    // The run stops before it sends such an object.
    if somebody_elses {
        return Ok(Preview::of(planned));
    }
    dry_run(world, planned, &change.object, change.live.as_ref(), options(world, &change)).await
}

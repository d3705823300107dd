//! Dry runs: what the API server would make of what a step is going to send.

use super::World;
use crate::domain::Object;
use crate::error::{Failure, Result};
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::unified_diff::unified_diff;
use crate::ports::cluster::{ApplyOptions, ClusterError};

/// Said of Secrets that the run makes: a dry run would send their values to a server that need not be the right one.
pub(super) const NOT_TRIED: &str = "a plan sends no secret";

/// Applies `object` under `options` by a dry run, and says what would become of it. `live` is what the cluster has.
///
/// What cannot be answered yet, since an earlier step makes the namespace or the kind, is known after apply, and no error.
///
/// # Errors
/// Those of the cluster that say nothing of the object. What says something of it is in the preview.
pub(super) async fn dry_run(
    world: &World,
    planned: PlannedObject,
    object: &Object,
    live: Option<&Object>,
    options: ApplyOptions<'_>,
) -> Result<Preview> {
    let refused = |error: ClusterError| {
        let planned = PlannedObject { action: Action::Refused, refusal: Some(error.to_string()), ..planned.clone() };
        Preview::stopped_by(planned, Failure::from(error))
    };
    match world.cluster.dry_run(object, options).await {
        Ok(after) => Ok(Preview::of(PlannedObject { diff: live.and_then(|live| unified_diff(live, &after)), ..planned })),
        Err(ClusterError::NotServed(kind)) => Ok(Preview::of(planned.known_after_apply(format!("{} is not served yet", kind.kind)))),
        Err(ClusterError::NotFound(gone)) if gone.resource.kind == "Namespace" => {
            Ok(Preview::of(planned.known_after_apply(format!("namespace {} is not there yet", gone.name))))
        }
        Err(ClusterError::Terminating(namespace)) => {
            Ok(Preview::of(planned.known_after_apply(format!("namespace {namespace} is being deleted"))))
        }
        Err(ClusterError::FieldConflict { object, fields }) => {
            let planned = PlannedObject { action: Action::Conflict, left: fields.clone(), ..planned };
            Ok(Preview::stopped_by(planned, Failure::from(ClusterError::FieldConflict { object, fields })))
        }
        Err(error @ (ClusterError::Invalid { .. } | ClusterError::Forbidden(_))) => Ok(refused(error)),
        Err(error) => Err(error.into()),
    }
}

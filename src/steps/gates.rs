//! `gates`: the services wait until the infrastructure is healthy and the gates of gitops.yaml hold.

use std::time::Duration;

use serde_json::Value;

use super::converge::{Scope, until_settled};
use super::{Step, World, infrastructure};
use crate::domain::{Gate, Object, Resource};
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::plan::tiers::Tiers;
use crate::plan::{StepId, Verdict};
use crate::ports::commands::Ran;

/// How often the gates are looked at: a command has nothing to watch, and the others are looked at along with it.
const LOOKING: Duration = Duration::from_secs(3);

/// Holds the services back.
pub struct Gates;

/// Whether the services still wait.
pub enum Seen {
    /// They do not, and why.
    Open(&'static str),
    /// They do.
    Held,
}

impl Step for Gates {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::Gates
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        Ok(if Tiers::of(&world.wanted.tree).held.is_empty() {
            Seen::Open("the tree has no services to hold back")
        } else if world.gates_are_open() {
            Seen::Open("they hold")
        } else if infrastructure::is_released(world).await? {
            Seen::Open("the services were released before")
        } else if world.wanted.recovery.as_ref().is_none_or(|recovery| recovery.open_gates) {
            Seen::Open("opened by `--open-gates`")
        } else {
            Seen::Held
        })
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        Ok(match seen {
            Seen::Open(because) => Verdict::satisfied(*because),
            Seen::Held => Verdict::Needed {
                because: "the services wait until the infrastructure is healthy".to_owned(),
                changes: gates(world).iter().map(|gate| format!("and until {gate}")).collect(),
            },
        })
    }

    async fn apply(&self, world: &World, _seen: Seen) -> Result<()> {
        let settled = until_settled(world, self.id(), Scope::Foundation).await?;
        let open = settled.open();
        let gates = gates(world);
        if !open.is_empty() && !gates.is_empty() {
            let failure = Failure::new(Kind::Deadline, "the services are held back: the infrastructure is not healthy");
            return Err(open
                .into_iter()
                .fold(failure, Failure::because)
                .hint("correct the cause and run the same command again; `--open-gates` releases the services as it is"));
        }
        if !open.is_empty() {
            open.iter().for_each(|open| world.events.warn(format!("not up: {open}"), None));
            world.events.warn(
                "the services are released although not all of the infrastructure is healthy: it will not be by itself",
                Some("to hold them back in such a case, name `recovery.gates` in gitops.yaml".to_owned()),
            );
        }
        until_all_hold(world, gates).await?;
        world.note_gates_open();
        Ok(())
    }
}

fn gates(world: &World) -> &[Gate] {
    world.wanted.recovery.as_ref().map(|recovery| recovery.gates.as_slice()).unwrap_or_default()
}

/// Looks at the gates one after the other until each has held once.
async fn until_all_hold(world: &World, gates: &[Gate]) -> Result<()> {
    for (done, gate) in gates.iter().enumerate() {
        world.events.send(Event::Progress { step: StepId::Gates, done, total: gates.len(), what: "gates" });
        while let Some(why) = world.wait(why_closed(world, gate), || gate.to_string()).await?? {
            let for_what = || format!("{gate}: {why}");
            world.waiting(StepId::Gates, for_what());
            world.pause(LOOKING, for_what).await.map_err(|failure| match failure.kind {
                Kind::Deadline => failure.hint("`--open-gates` releases the services as it is"),
                _ => failure,
            })?;
        }
    }
    Ok(())
}

/// Why a gate does not hold; none if it does.
async fn why_closed(world: &World, gate: &Gate) -> Result<Option<String>> {
    match gate {
        Gate::Claims { namespace } => {
            let claims = world.cluster.list(&Resource::new("v1", "PersistentVolumeClaim"), Some(namespace), None).await?;
            Ok(unbound(&claims))
        }
        Gate::Condition { object, condition } => match world.cluster.get(object).await? {
            Some(object) => Ok(why_not(&object, condition)),
            None => Ok(Some("it is not there".to_owned())),
        },
        Gate::Command { arguments, limit } => match &world.commands {
            Some(commands) => Ok(match commands.run(arguments, *limit).await {
                Ran::Succeeded => None,
                Ran::Failed(why) => Some(why),
            }),
            None => Err(Failure::usage(format!("gitops.yaml has `{gate}` as a gate, and nobody has agreed to run it"))
                .hint("`--run-commands` agrees; `--open-gates` releases the services without")),
        },
    }
}

/// What keeps claims from being bound; none if all are.
fn unbound(claims: &[Object]) -> Option<String> {
    let open: Vec<&str> = claims.iter().filter(|claim| claim.text("/status/phase") != Some("Bound")).map(Object::name).collect();
    match (claims.is_empty(), open.is_empty()) {
        (true, _) => Some("there is none yet".to_owned()),
        (false, true) => None,
        (false, false) => Some(format!("{} not bound", open.join(", "))),
    }
}

/// Why a condition of an object is not true; none if it is.
fn why_not(object: &Object, condition: &str) -> Option<String> {
    let conditions = object.at("/status/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |found: &Value, field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(found) = conditions.iter().find(|found| text(found, "type") == condition) else {
        return Some(format!("it has no condition {condition} yet"));
    };
    match text(found, "status").as_str() {
        "True" => None,
        status => Some(format!("{condition} is {status} {}", text(found, "message")).trim_end().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(status: Value) -> Object {
        Object::new(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "status": status})).unwrap()
    }

    #[test]
    fn claims_are_bound_if_there_are_some_and_all_are() {
        assert_eq!(unbound(&[object(json!({"phase": "Bound"}))]), None);
        assert_eq!(unbound(&[object(json!({"phase": "Bound"})), object(json!({"phase": "Pending"}))]).unwrap(), "data not bound");
        assert!(unbound(&[]).is_some());
    }

    #[test]
    fn a_condition_holds_only_if_it_is_true() {
        let with = |status: &str| object(json!({"conditions": [{"type": "Ready", "status": status, "message": "restoring"}]}));
        assert_eq!(why_not(&with("True"), "Ready"), None);
        assert_eq!(why_not(&with("False"), "Ready").unwrap(), "Ready is False restoring");
        assert!(why_not(&with("True"), "Restored").is_some());
    }
}

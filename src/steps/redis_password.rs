//! The password of Argo CD's Redis, made before the pods that read it.
//!
//! Argo CD's manifest has an init container of Redis make it, and its chart a hook (`argocd admin redis-initial-password`). Until then none of Argo CD's
//! pods can start, and a kubelet lets ten seconds and more pass before it tries again (`backOffPeriod` in pkg/kubelet/kubelet.go of Kubernetes). Both
//! keep a password that is there.

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::World;
use super::preview::NOT_TRIED;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef};
use crate::error::{Failure, Result};
use crate::event::How;
use crate::plan::StepId;
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::ports::cluster::ClusterError;

/// The Secret and its only field (`RedisInitialCredentials` and `RedisInitialCredentialsKey` in common/common.go of Argo CD).
const NAME: &str = "argocd-redis";
const FIELD: &str = "auth";

/// The Secret.
pub(super) fn reference() -> ObjectRef {
    ObjectRef::namespaced("v1", "Secret", ARGOCD_NAMESPACE, NAME)
}

/// Whether one of the objects that are about to be made, `coming`, cannot work without the password, and nobody has made it or is about to. Where all are there
/// it is left as it is: a Redis that runs has a password already.
pub(super) async fn is_missing(world: &World, coming: impl Iterator<Item = &Object>) -> Result<bool> {
    let coming: Vec<&Object> = coming.collect();
    let is_declared = coming.iter().any(|object| object.kind() == "Secret" && object.name() == NAME);
    Ok(!is_declared && coming.iter().any(|object| reads_it(object)) && world.cluster.get(&reference()).await?.is_none())
}

/// Whether the pods of a workload do not start without it. The chart has the password of a Redis elsewhere in another field.
fn reads_it(workload: &Object) -> bool {
    let containers = ["/spec/template/spec/initContainers", "/spec/template/spec/containers"];
    let containers = containers.into_iter().filter_map(|pointer| workload.at(pointer)?.as_array()).flatten();
    let variables = containers.filter_map(|container| container.get("env")?.as_array()).flatten();
    let mut references = variables.filter_map(|variable| variable.pointer("/valueFrom/secretKeyRef"));
    references.any(|reference| {
        let is = |field: &str, text: &str| reference.get(field).and_then(Value::as_str) == Some(text);
        is("name", NAME) && is("key", FIELD) && reference.get("optional") != Some(&Value::Bool(true))
    })
}

/// What a plan says of it.
pub(super) fn preview(step: StepId) -> Preview {
    Preview::of(PlannedObject::new(step, reference(), Action::Create).known_after_apply(NOT_TRIED))
}

/// Makes it, unless somebody was faster.
pub(super) async fn make(world: &World, step: StepId) -> Result<()> {
    let password = world.keys.passphrase()?;
    let secret = Object::new(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "namespace": ARGOCD_NAMESPACE}, "type": "Opaque",
        "stringData": {FIELD: password.expose_secret()},
    }))
    .map_err(|error| Failure::bug(error.to_string()))?;
    world.go_on()?;
    match world.cluster.create(&secret).await {
        Ok(_) => world.changed(step, reference(), How::Created),
        Err(ClusterError::AlreadyExists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_of_argo_cds_own_redis_is_waited_for() {
        let reads = |reference: Value| {
            let variable = json!({"name": "REDIS_PASSWORD", "valueFrom": {"secretKeyRef": reference}});
            let pod = json!({"containers": [{"name": "argocd", "env": [{"name": "PLAIN", "value": "x"}, variable]}]});
            let workload =
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec": pod}}});
            reads_it(&Object::new(workload).unwrap())
        };
        assert!(reads(json!({"name": "argocd-redis", "key": "auth"})));
        assert!(reads(json!({"name": "argocd-redis", "key": "auth", "optional": false})));
        for other in [
            json!({"name": "argocd-redis", "key": "auth", "optional": true}),
            json!({"name": "argocd-redis", "key": "redis-password"}),
            json!({"name": "redis", "key": "auth"}),
        ] {
            assert!(!reads(other.clone()), "{other}");
        }
    }
}

//! Reads what tells why Applications are not well. The judgement is in [`crate::plan::cause`].

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use crate::domain::{Application, ApplicationRef, Object};
use crate::plan::cause::{self, Evidence, Question};
use crate::plan::diagnosis::State;
use crate::ports::Cluster;
use crate::ports::cluster::ClusterError;

/// How many questions are asked at once.
const AT_ONCE: usize = 8;

/// The most Applications that are looked into; those beyond keep what Argo CD says of them.
const MOST_APPLICATIONS: usize = 50;

/// The most times that answers lead to further questions: a workload, its Pods, a Secret, who makes it, its store, the store's credential, and
/// who makes that.
const ROUNDS: usize = 8;

/// The deepest cause of each of `applications` for which the cluster shows one that Argo CD does not name. Reads what [`evidence`] says.
pub async fn causes(cluster: &dyn Cluster, applications: &[(Application, State)]) -> BTreeMap<ApplicationRef, String> {
    let evidence = evidence(cluster, applications).await;
    applications
        .iter()
        .filter_map(|(application, state)| Some((application.reference.clone(), cause::deepest(application, state, &evidence)?)))
        .collect()
}

/// What the cluster shows of the objects of `applications` that are not well.
///
/// Looks into at most [`cause::MOST_KINDS`] kinds of objects of one Application, asks once for what several have in common, and follows the
/// answers to their root. What cannot be read, for want of a right or because the server does not answer, stays unknown: this never fails. Nothing is
/// asked for Applications that are well.
pub async fn evidence(cluster: &dyn Cluster, applications: &[(Application, State)]) -> Evidence {
    let mut evidence = Evidence::default();
    let asks = |(application, state): &&(Application, State)| !cause::questions(application, state, &Evidence::default()).is_empty();
    let unwell: Vec<_> = applications.iter().filter(asks).take(MOST_APPLICATIONS).collect();
    for _ in 0..ROUNDS {
        let open: BTreeSet<Question> =
            unwell.iter().flat_map(|(application, state)| cause::questions(application, state, &evidence)).collect();
        if open.is_empty() {
            break;
        }
        let asked = futures::stream::iter(open).map(|question| async move {
            let answer = ask(cluster, &question).await;
            (question, answer)
        });
        let mut answers = asked.buffer_unordered(AT_ONCE);
        while let Some((question, answer)) = answers.next().await {
            evidence.add(question, answer);
        }
    }
    evidence
}

async fn ask(cluster: &dyn Cluster, question: &Question) -> Option<Vec<Object>> {
    match question {
        Question::List(resource, namespace) => match cluster.list(resource, namespace.as_deref(), None).await {
            // There are no objects of a kind that is not served.
            Err(ClusterError::NotServed(_)) => Some(Vec::new()),
            answer => answer.ok(),
        },
        Question::Object(reference) => {
            let found = cluster.get(reference).await.ok()?;
            Some(
                found
                    .and_then(|object| if object.kind() == "Secret" { without_values(object) } else { Some(object) })
                    .into_iter()
                    .collect(),
            )
        }
    }
}

/// A Secret with its keys alone: nobody has to know what is in it.
fn without_values(secret: Object) -> Option<Object> {
    let mut value = secret.into_value();
    for field in ["data", "stringData"] {
        let values = value.get_mut(field).and_then(serde_json::Value::as_object_mut);
        values.into_iter().flat_map(|values| values.values_mut()).for_each(|value| *value = serde_json::Value::Null);
    }
    Object::new(value).ok()
}

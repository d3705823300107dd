//! Why a Pod is not ready, by its status and its events (Kubernetes API reference, `PodStatus`; the reasons are the kubelet's).

use serde_json::Value;

use crate::domain::Object;

use super::plain_words::tidy;

/// What keeps a Pod from being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Why, in a sentence.
    pub cause: String,
    /// How telling it is among the Pods of one workload: a Pod that crashes says more than one that only starts.
    pub weight: u8,
    /// Whether a volume claim that is not bound keeps it from being scheduled.
    pub waits_for_a_claim: bool,
    /// The name of a Secret that it refers to and that is not there.
    pub missing_secret: Option<String>,
}

impl Judgement {
    const fn of(cause: String, weight: u8) -> Self {
        Self { cause, weight, waits_for_a_claim: false, missing_secret: None }
    }

    /// The same, where what the kubelet says may name a Secret that is not there.
    fn told(self, message: &str) -> Self {
        Self { missing_secret: missing(message, "secret").map(str::to_owned), ..self }
    }
}

/// Why `pod` is not ready; none if it is, or has ended well. `events` are those of its namespace.
pub fn judge(pod: &Object, events: &[Object]) -> Option<Judgement> {
    let judgement = |cause: String, weight| Some(Judgement::of(cause, weight));
    match pod.text("/status/phase") {
        Some("Succeeded") => return None,
        Some("Failed") if pod.text("/status/reason").is_some() => {
            let (reason, message) = (pod.text("/status/reason").unwrap_or_default(), pod.text("/status/message").unwrap_or_default());
            return judgement(format!("it failed ({reason}): {}", tidy(message)), 3);
        }
        _ => {}
    }
    if pod.is_being_deleted() {
        return judgement("it is still being removed".to_owned(), 0);
    }
    if let Some(message) = unschedulable(pod) {
        let waits_for_a_claim = message.contains("PersistentVolumeClaim");
        return Some(Judgement { waits_for_a_claim, ..Judgement::of(format!("no node can take it: {}", nodes(message)), 3) });
    }
    let containers = [("init container", "/status/initContainerStatuses"), ("container", "/status/containerStatuses")]
        .into_iter()
        .filter_map(|(noun, pointer)| Some((noun, pod.at(pointer)?.as_array()?)))
        .flat_map(|(noun, statuses)| statuses.iter().map(move |status| (noun, status)))
        .filter_map(|(noun, status)| container(noun, status, pod, events));
    if let Some(worst) = containers.max_by_key(|judgement| judgement.weight) {
        return Some(worst);
    }
    if is_ready(pod) {
        return None;
    }
    match last_event(events, pod, &["FailedScheduling", "FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume"]) {
        Some(message) => Some(Judgement::of(mount(message), 2).told(message)),
        None => judgement("it is starting".to_owned(), 0),
    }
}

/// The message of the newest event about `object` with one of `reasons`.
pub fn last_event<'a>(events: &'a [Object], object: &Object, reasons: &[&str]) -> Option<&'a str> {
    last_event_that(events, object, reasons, |_| true)
}

/// The message of the newest event about `object` with one of `reasons` that `says` so.
fn last_event_that<'a>(events: &'a [Object], object: &Object, reasons: &[&str], says: impl Fn(&str) -> bool) -> Option<&'a str> {
    events
        .iter()
        .filter(|event| event.text("/involvedObject/uid").is_some() && event.text("/involvedObject/uid") == object.uid())
        .filter(|event| event.text("/reason").is_some_and(|reason| reasons.contains(&reason)))
        .filter(|event| event.text("/message").is_some_and(&says))
        .max_by_key(|event| event.text("/lastTimestamp").or_else(|| event.text("/eventTime")).unwrap_or_default())
        .and_then(|event| event.text("/message"))
}

fn conditions(pod: &Object) -> impl Iterator<Item = &Value> {
    pod.at("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

fn is_ready(pod: &Object) -> bool {
    conditions(pod).any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn unschedulable(pod: &Object) -> Option<&str> {
    conditions(pod)
        .find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False")
        .map(|condition| condition["message"].as_str().unwrap_or("the scheduler does not say why"))
}

/// What the scheduler says, without what it says of preemption: of how many nodes, which have what against them.
fn nodes(message: &str) -> String {
    let message = message.split(" preemption:").next().unwrap_or(message);
    let reasons = || {
        let (head, reasons) = message.split_once(" nodes are available: ")?;
        let (_, all) = head.split_once('/')?;
        let reasons: Vec<String> = tidy(reasons).split(", ").map(|reason| nodes_with(reason, all)).collect();
        Some(reasons.join(", "))
    };
    reasons().unwrap_or_else(|| tidy(message))
}

/// One reason of the scheduler, `2 Insufficient cpu`, in plain words (the plugins' messages, `pkg/scheduler/framework/plugins`).
fn nodes_with(reason: &str, all: &str) -> String {
    let counted = reason.split_once(' ').filter(|(number, _)| number.chars().all(|character| character.is_ascii_digit()));
    let Some((number, reason)) = counted else { return reason.to_owned() };
    let (has, lacks) = if number == "1" { ("has", "lacks") } else { ("have", "lack") };
    let plain = if let Some(resource) = reason.strip_prefix("Insufficient ") {
        format!("{has} too little {resource}")
    } else if reason.contains("node affinity/selector") {
        format!("{lacks} the labels that it selects")
    } else if let Some((_, taint)) = reason.split_once("untolerated taint ") {
        format!("{has} the taint {taint}, which it does not tolerate")
    } else if reason == "Too many pods" {
        format!("{has} no room for another Pod")
    } else {
        reason.to_owned()
    };
    format!("{number} of {all} {plain}")
}

/// What is wrong with one container, and how telling that is.
fn container(noun: &str, status: &Value, pod: &Object, events: &[Object]) -> Option<Judgement> {
    let name = status["name"].as_str().unwrap_or_default();
    let judgement = |cause: String, weight| Some(Judgement::of(cause, weight));
    let crashes = |how: &Value, weight| judgement(format!("{noun} `{name}` {}", crash(how, status["restartCount"].as_u64())), weight);
    let waiting = &status["state"]["waiting"];
    let message = waiting["message"].as_str().unwrap_or_default();
    if let Some(reason) = waiting["reason"].as_str() {
        return match reason {
            "ImagePullBackOff"
            | "ErrImagePull"
            | "ErrImageNeverPull"
            | "InvalidImageName"
            | "ImageInspectError"
            | "RegistryUnavailable" => {
                let said = last_event_that(events, pod, &["Failed"], |said| said.contains("pull image")).unwrap_or(message);
                let image = status["image"].as_str().unwrap_or_default();
                judgement(format!("the image `{image}` cannot be pulled: {}", image_fault(said)), 5)
            }
            "CrashLoopBackOff" => crashes(&status["lastState"]["terminated"], 5),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                Some(Judgement::of(format!("{noun} `{name}` cannot be made: {}", reference(message)), 4).told(message))
            }
            "ContainerCreating" | "PodInitializing" => {
                let said = last_event(events, pod, &["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"]);
                let said = said.or_else(|| Some(message).filter(|message| !message.is_empty()))?;
                Some(Judgement::of(mount(said), 4).told(said))
            }
            other => judgement(format!("{noun} `{name}` waits ({other}){}", after_colon(message)), 1),
        };
    }
    let terminated = &status["state"]["terminated"];
    if terminated.is_object() {
        return if terminated["exitCode"].as_i64() == Some(0) { None } else { crashes(terminated, 4) };
    }
    let is_running = status["state"]["running"].is_object();
    if is_running && status["started"] == false {
        let probe = last_event(events, pod, &["Unhealthy"]).map(tidy);
        return judgement(format!("{noun} `{name}` is starting{}", after_colon(&probe.unwrap_or_default())), 2);
    }
    if is_running && status["ready"] == false {
        let probe = last_event(events, pod, &["Unhealthy"]).map(tidy).filter(|said| said.contains("probe"));
        return match probe {
            Some(said) => judgement(format!("{noun} `{name}` runs and is not ready: {said}"), 3),
            None => judgement(format!("{noun} `{name}` runs and is not ready yet"), 1),
        };
    }
    None
}

fn after_colon(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {}", tidy(message)) }
}

/// How a container ends, how often it was restarted, and the last line of what it left as its message.
fn crash(terminated: &Value, restarts: Option<u64>) -> String {
    let times = match restarts.unwrap_or_default() {
        0 => String::new(),
        1 => " (restarted once)".to_owned(),
        number => format!(" (restarted {number} times)"),
    };
    if terminated["reason"] == "OOMKilled" {
        return format!("was killed because it needs more memory than its limit{times}");
    }
    let said = terminated["message"].as_str().unwrap_or_default().trim_end();
    let ended = match (terminated["exitCode"].as_i64(), terminated["signal"].as_i64()) {
        (_, Some(signal)) if signal != 0 => format!("is ended by signal {signal}"),
        (Some(code), _) => format!("ends with exit code {code}"),
        (None, _) => "ends again and again".to_owned(),
    };
    format!("{ended}{times}{}", after_colon(said.lines().last().unwrap_or_default()))
}

/// What the container runtime says of an image, in plain words.
fn image_fault(message: &str) -> String {
    let lower = message.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    if has(&["not found", "manifest unknown", "does not exist"]) {
        "the registry has no such image".to_owned()
    } else if has(&["unauthorized", "denied", "forbidden", "authentication required", "403"]) {
        "the registry wants credentials that the Pod does not have".to_owned()
    } else if has(&["no such host", "i/o timeout", "connection refused", "network is unreachable"]) {
        "the registry cannot be reached".to_owned()
    } else if has(&["too many requests", "toomanyrequests", "429"]) {
        "the registry's rate limit is used up".to_owned()
    } else if has(&["invalid", "couldn't parse image"]) {
        "it is not the name of an image".to_owned()
    } else {
        tidy(message)
    }
}

/// What the kubelet says of a Secret or a ConfigMap that a container refers to.
fn reference(message: &str) -> String {
    for (noun, kind) in [("secret", "Secret"), ("configmap", "ConfigMap")] {
        if let Some(name) = missing(message, noun) {
            return format!("the {kind} `{name}` is not there");
        }
    }
    if let Some((key, place)) = message.strip_prefix("couldn't find key ").and_then(|rest| rest.split_once(" in ")) {
        return format!("{place} has no key `{key}`");
    }
    tidy(message)
}

/// The name of what is not found, as in `secret "db" not found`.
fn missing<'a>(message: &'a str, noun: &str) -> Option<&'a str> {
    let (name, _) = message.split_once(&format!("{noun} \""))?.1.split_once("\" not found")?;
    Some(name)
}

/// What the kubelet says of a volume or of the Pod's network.
fn mount(message: &str) -> String {
    if message.contains("network") && message.contains("sandbox") {
        return format!("its network could not be set up: {}", tidy(message));
    }
    let volume = message.split_once("volume \"").and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| name);
    match (volume, reference(message)) {
        (Some(volume), why) if why.ends_with("is not there") => format!("its volume `{volume}` cannot be mounted: {why}"),
        _ => tidy(message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cause(pod: &Object, events: &[Object]) -> Option<String> {
        judge(pod, events).map(|judgement| judgement.cause)
    }

    fn pod(status: &Value) -> Object {
        Object::new(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "web", "uid": "p-1"}, "status": status}),
        )
        .unwrap()
    }

    fn event(reason: &str, time: &str, message: &str) -> Object {
        Object::new(json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "web"},
            "involvedObject": {"kind": "Pod", "uid": "p-1"}, "reason": reason, "lastTimestamp": time, "message": message,
        }))
        .unwrap()
    }

    fn one_container(status: Value) -> Object {
        let mut container = json!({"name": "app", "image": "acme/web:2", "ready": false, "restartCount": 0});
        container.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        pod(&json!({"phase": "Pending", "containerStatuses": [container]}))
    }

    fn waiting(reason: &str, message: &str) -> Object {
        one_container(json!({"state": {"waiting": {"reason": reason, "message": message}}}))
    }

    #[test]
    fn a_pod_that_is_ready_or_has_ended_well_has_no_cause() {
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "app", "ready": true, "started": true, "state": {"running": {}}}]});
        assert_eq!(cause(&pod(&ready), &[]), None);
        assert_eq!(cause(&pod(&json!({"phase": "Succeeded"})), &[]), None);
    }

    #[test]
    fn the_registrys_answer_is_told_in_plain_words() {
        for (message, said) in [
            (
                "rpc error: code = NotFound desc = failed to pull and unpack image: docker.io/acme/web:2: not found",
                "the registry has no such image",
            ),
            (
                "failed to authorize: failed to fetch anonymous token: 403 Forbidden",
                "the registry wants credentials that the Pod does not have",
            ),
            ("dial tcp: lookup registry.local: no such host", "the registry cannot be reached"),
            ("toomanyrequests: You have reached your pull rate limit", "the registry's rate limit is used up"),
            ("disk is full", "disk is full"),
        ] {
            assert_eq!(cause(&waiting("ErrImagePull", message), &[]).unwrap(), format!("the image `acme/web:2` cannot be pulled: {said}"));
        }
    }

    #[test]
    fn the_event_says_more_than_a_back_off() {
        let events = [
            event("Failed", "2026-11-21T10:00:00Z", "Failed to pull image \"acme/web:2\": unauthorized"),
            event("Failed", "2026-11-21T10:00:30Z", "Error: ImagePullBackOff"),
        ];
        let said = cause(&waiting("ImagePullBackOff", "Back-off pulling image \"acme/web:2\""), &events).unwrap();
        assert!(said.ends_with("the registry wants credentials that the Pod does not have"), "{said}");
    }

    #[test]
    fn a_crash_tells_its_exit_code_and_how_often() {
        let crashed = |terminated: Value, restarts: u64| {
            one_container(
                json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": terminated}, "restartCount": restarts}),
            )
        };
        for (pod, said) in [
            (crashed(json!({"exitCode": 1, "reason": "Error"}), 5), "container `app` ends with exit code 1 (restarted 5 times)"),
            (
                crashed(json!({"exitCode": 2, "message": "a\nDB_URL is not set\n"}), 1),
                "container `app` ends with exit code 2 (restarted once): DB_URL is not set",
            ),
            (
                crashed(json!({"exitCode": 137, "reason": "OOMKilled"}), 3),
                "container `app` was killed because it needs more memory than its limit (restarted 3 times)",
            ),
        ] {
            assert_eq!(cause(&pod, &[]).unwrap(), said);
        }
    }

    #[test]
    fn what_a_container_refers_to_and_is_not_there_is_named() {
        for (message, said) in [
            ("secret \"db\" not found", "the Secret `db` is not there"),
            ("configmap \"app\" not found", "the ConfigMap `app` is not there"),
            ("couldn't find key url in Secret web/db", "Secret web/db has no key `url`"),
        ] {
            let found = cause(&waiting("CreateContainerConfigError", message), &[]).unwrap();
            assert_eq!(found, format!("container `app` cannot be made: {said}"));
        }
    }

    #[test]
    fn a_volume_of_a_missing_secret_is_named() {
        let events =
            [event("FailedMount", "2026-11-21T10:00:00Z", "MountVolume.SetUp failed for volume \"tls\" : secret \"web-tls\" not found")];
        let said = cause(&waiting("ContainerCreating", ""), &events).unwrap();
        assert_eq!(said, "its volume `tls` cannot be mounted: the Secret `web-tls` is not there");
    }

    #[test]
    fn a_pod_without_a_node_says_what_the_scheduler_says() {
        let message = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found.";
        let pending = pod(
            &json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}),
        );
        assert_eq!(cause(&pending, &[]).unwrap(), "no node can take it: 3 of 3 have too little cpu");
        let several =
            "0/4 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint {gpu: true}, 1 node(s) were unschedulable";
        assert_eq!(
            nodes(several),
            "1 of 4 has too little memory, 2 of 4 have the taint {gpu: true}, which it does not tolerate, 1 of 4 node(s) were unschedulable"
        );
        assert_eq!(nodes("no nodes available to schedule pods"), "no nodes available to schedule pods");
    }

    #[test]
    fn a_failing_probe_is_told_by_its_newest_event() {
        let events = [
            event("Unhealthy", "2026-11-21T10:00:09Z", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
            event("Unhealthy", "2026-11-21T10:00:01Z", "Readiness probe failed: connection refused"),
        ];
        let running = one_container(json!({"state": {"running": {}}, "started": true}));
        assert_eq!(
            cause(&running, &events).unwrap(),
            "container `app` runs and is not ready: Readiness probe failed: HTTP probe failed with statuscode: 503"
        );
    }

    #[test]
    fn events_of_other_pods_do_not_count() {
        let mut other = event("Unhealthy", "2026-11-21T10:00:09Z", "Readiness probe failed: no").into_value();
        other["involvedObject"]["uid"] = json!("p-2");
        let running = one_container(json!({"state": {"running": {}}, "started": true}));
        assert_eq!(cause(&running, &[Object::new(other).unwrap()]).unwrap(), "container `app` runs and is not ready yet");
    }
}

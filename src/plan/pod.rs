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
}

/// Why `pod` is not ready, in a sentence; none if it is, or has ended well.
pub fn cause(pod: &Object, events: &[Object]) -> Option<String> {
    judge(pod, events).map(|judgement| judgement.cause)
}

/// Why `pod` is not ready; none if it is, or has ended well. `events` are those of its namespace.
pub fn judge(pod: &Object, events: &[Object]) -> Option<Judgement> {
    let judgement = |cause: String, weight| Some(Judgement { cause, weight, waits_for_a_claim: false });
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
        return Some(Judgement { cause: format!("no node can take it: {}", nodes(message)), weight: 3, waits_for_a_claim });
    }
    let containers = ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .filter_map(|pointer| pod.at(pointer)?.as_array())
        .flatten()
        .filter_map(|status| container(status, pod, events));
    if let Some((cause, weight)) = containers.max_by_key(|(_, weight)| *weight) {
        return judgement(cause, weight);
    }
    if is_ready(pod) {
        return None;
    }
    match last_event(events, pod, &["FailedScheduling", "FailedCreatePodSandBox", "FailedMount", "FailedAttachVolume"]) {
        Some(message) => judgement(mount(message), 2),
        None => judgement("it is starting".to_owned(), 0),
    }
}

/// The message of the newest event about `object` with one of `reasons`.
pub fn last_event<'a>(events: &'a [Object], object: &Object, reasons: &[&str]) -> Option<&'a str> {
    events
        .iter()
        .filter(|event| event.text("/involvedObject/uid").is_some() && event.text("/involvedObject/uid") == object.uid())
        .filter(|event| event.text("/reason").is_some_and(|reason| reasons.contains(&reason)))
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

/// The scheduler's message without what it says of preemption.
fn nodes(message: &str) -> String {
    tidy(message.split(" preemption:").next().unwrap_or(message))
}

/// What is wrong with one container, and how telling that is.
fn container(status: &Value, pod: &Object, events: &[Object]) -> Option<(String, u8)> {
    let name = status["name"].as_str().unwrap_or_default();
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
                let said = last_event(events, pod, &["Failed"]).filter(|said| said.contains("pull image")).unwrap_or(message);
                let image = status["image"].as_str().unwrap_or_default();
                Some((format!("the image `{image}` cannot be pulled: {}", image_fault(said)), 5))
            }
            "CrashLoopBackOff" => Some((crash(name, &status["lastState"]["terminated"], status["restartCount"].as_u64()), 5)),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                Some((format!("container `{name}` cannot be made: {}", reference(message)), 4))
            }
            "ContainerCreating" | "PodInitializing" => {
                let said = last_event(events, pod, &["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"])?;
                Some((mount(said), 4))
            }
            other => Some((format!("container `{name}` waits ({other}){}", after_colon(message)), 1)),
        };
    }
    let terminated = &status["state"]["terminated"];
    if terminated.is_object() {
        let failed = terminated["exitCode"].as_i64() != Some(0);
        return failed.then(|| (crash(name, terminated, status["restartCount"].as_u64()), 4));
    }
    let is_running = status["state"]["running"].is_object() && status["started"] != false;
    if is_running && status["ready"] == false {
        let probe = last_event(events, pod, &["Unhealthy"]).map(tidy).filter(|said| said.contains("probe"));
        return Some(match probe {
            Some(said) => (format!("container `{name}` runs and is not ready: {said}"), 3),
            None => (format!("container `{name}` runs and is not ready yet"), 1),
        });
    }
    if status["state"]["running"].is_object() && status["started"] == false {
        let probe = last_event(events, pod, &["Unhealthy"]).map(tidy);
        return Some((format!("container `{name}` is starting{}", after_colon(&probe.unwrap_or_default())), 2));
    }
    None
}

fn after_colon(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {}", tidy(message)) }
}

fn crash(name: &str, terminated: &Value, restarts: Option<u64>) -> String {
    let times = match restarts.unwrap_or_default() {
        0 => String::new(),
        1 => " (restarted once)".to_owned(),
        number => format!(" (restarted {number} times)"),
    };
    if terminated["reason"] == "OOMKilled" {
        return format!("container `{name}` was killed because it needs more memory than its limit{times}");
    }
    let said = terminated["message"].as_str().unwrap_or_default();
    let ended = match (terminated["exitCode"].as_i64(), terminated["signal"].as_i64()) {
        (_, Some(signal)) if signal != 0 => format!("is ended by signal {signal}"),
        (Some(code), _) => format!("ends with exit code {code}"),
        (None, _) => "ends again and again".to_owned(),
    };
    format!("container `{name}` {ended}{times}{}", after_colon(said.lines().last().unwrap_or_default()))
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
    for (start, kind) in [("secret \"", "Secret"), ("configmap \"", "ConfigMap")] {
        if let Some(name) = message.split_once(start).and_then(|(_, rest)| rest.split_once("\" not found")).map(|(name, _)| name) {
            return format!("the {kind} `{name}` is not there");
        }
    }
    if let Some((key, place)) = message.strip_prefix("couldn't find key ").and_then(|rest| rest.split_once(" in ")) {
        return format!("{place} has no key `{key}`");
    }
    tidy(message)
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

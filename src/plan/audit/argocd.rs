//! Argo CD's own side: Applications and projects that Git has not or has otherwise, and settings that self-heal leaves alone.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::origin::Origin;
use super::{Concern, Evidence, Finding, Harm, SETTINGS};
use crate::domain::{Application, Object};

/// The project that Argo CD makes at its first start.
const DEFAULT_PROJECT: &str = "default";

/// The annotation by which Argo CD is told to leave an Application alone.
const SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";

/// The ConfigMap to which this tool and Git both add host keys.
const KNOWN_HOSTS: &str = "argocd-ssh-known-hosts-cm";

/// What of Argo CD's side would not come back.
pub(super) fn lost(evidence: &Evidence<'_>, origin: &Origin<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for live in evidence.applications.iter().filter(|live| !live.is_being_deleted()) {
        let declared = origin.declaration_of(live);
        match declared {
            Some(declared) => found.extend(overridden(live, declared)),
            None if origin.brings_back_application(live) || is_default_project(live) => {}
            None => found.push(by_hand(live)),
        }
        found.extend(tokens(live, declared));
    }
    for live in evidence.settings.iter().filter(|live| SETTINGS.contains(&live.name())) {
        found.extend(settings(live, evidence, origin));
    }
    found
}

fn is_default_project(object: &Object) -> bool {
    object.kind() == "AppProject" && object.name() == DEFAULT_PROJECT
}

fn by_hand(live: &Object) -> Finding {
    let managed = || Application::read(live).map_or(0, |live| live.objects().iter().filter(|managed| !managed.requires_pruning).count());
    let (harm, and) = match live.kind() {
        "AppProject" => (Harm::LostSetting, String::new()),
        _ => match managed() {
            0 => (Harm::LostWorkload, String::new()),
            1 => (Harm::LostWorkload, ", and with it the object that it manages".to_owned()),
            number => (Harm::LostWorkload, format!(", and with it the {number} objects that it manages")),
        },
    };
    Finding::about(
        harm,
        Concern::ApplicationByHand,
        live,
        format!("was made by hand and is not in Git{and}"),
        "put it into the fleet repository",
    )
}

/// How a live object differs from the one in Git that self-heal keeps: what was added to it beside what Git says stays for ever.
fn overridden(live: &Object, declared: &Object) -> Option<Finding> {
    let mut paths = Vec::new();
    let spec = |object: &Object| object.at("/spec").map(without_tokens);
    differing(spec(declared).as_ref(), spec(live).as_ref(), ".spec", &mut paths);
    if live.annotation(SKIP_RECONCILE) != declared.annotation(SKIP_RECONCILE) {
        paths.push(format!("the annotation {SKIP_RECONCILE}"));
    }
    let fields = paths.join(", ");
    let hint = "write it into the fleet repository, or take it out of the cluster";
    (!paths.is_empty()).then(|| Finding::about(Harm::LostSetting, Concern::Override, live, format!("is not as Git has it: {fields}"), hint))
}

/// The specification of a project without its tokens, which are told of on their own.
fn without_tokens(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for role in spec.get_mut("roles").and_then(Value::as_array_mut).into_iter().flatten() {
        role.as_object_mut().map(|role| role.remove("jwtTokens"));
    }
    spec
}

/// The API tokens of the roles of a project (docs/user-guide/projects.md of Argo CD), where Git does not name them.
fn tokens(live: &Object, declared: Option<&Object>) -> Option<Finding> {
    let count = |object: &Object| {
        let roles = object.at("/spec/roles").and_then(Value::as_array).into_iter().flatten();
        roles.filter_map(|role| role.get("jwtTokens")?.as_array()).map(Vec::len).sum::<usize>()
    };
    let number = count(live).saturating_sub(declared.map_or(0, count));
    let tokens = if number == 1 { "1 API token".to_owned() } else { format!("{number} API tokens") };
    let hint = "be ready to make new ones where they are used: argocd proj role create-token";
    let why = format!("{tokens} of its roles will not be taken any more");
    (number > 0 && live.kind() == "AppProject").then(|| Finding::about(Harm::LostAccess, Concern::ApiToken, live, why, hint))
}

/// The settings in a ConfigMap that Git has not, or has otherwise. Values are not repeated: some are secret.
fn settings(live: &Object, evidence: &Evidence<'_>, origin: &Origin<'_>) -> Vec<Finding> {
    let none = Map::new();
    let data = |data: Option<&Value>| data.and_then(Value::as_object).cloned().unwrap_or_default();
    let declared = origin.declared_data("ConfigMap", live.name()).and_then(Value::as_object).unwrap_or(&none);
    let mut found = Vec::new();
    for (key, value) in data(live.at("/data")) {
        let is_as_declared = match declared.get(&key) {
            _ if is_empty(&value) => true,
            Some(declared) if declared == &value => true,
            Some(Value::String(declared)) if live.name() == KNOWN_HOSTS => {
                !has_more_hosts(value.as_str().unwrap_or_default(), declared, &evidence.tree.repository.known_host())
            }
            _ => false,
        };
        if is_as_declared {
            continue;
        }
        let how = if declared.contains_key(&key) { "is not as Git has it" } else { "is not in Git" };
        let hint = format!("write it into the fleet repository, where Argo CD's `{}` is", live.name());
        found.push(match key.strip_prefix("accounts.") {
            Some(account) if !account.is_empty() => {
                let why = format!("the local account or its setting `{account}` {how}");
                Finding::about(Harm::LostAccess, Concern::LocalAccount, live, why, hint)
            }
            _ => Finding::about(Harm::LostSetting, Concern::ArgoCdSetting, live, format!("`{key}` {how}, and self-heal leaves it"), hint),
        });
    }
    found
}

/// Whether a list of host keys has more than Git's, apart from those of the forge, which this tool adds.
fn has_more_hosts(live: &str, declared: &str, forge: &str) -> bool {
    let known: BTreeSet<&str> = declared.lines().map(str::trim).collect();
    live.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with(forge) && !known.contains(line))
}

/// The paths at which two documents differ, as deep as mappings go. What is empty is as good as absent: Argo CD drops it.
fn differing(declared: Option<&Value>, live: Option<&Value>, at: &str, into: &mut Vec<String>) {
    let (declared, live) = (declared.filter(|value| !is_empty(value)), live.filter(|value| !is_empty(value)));
    match (declared, live) {
        (declared, live) if declared == live => {}
        (Some(Value::Object(declared)), Some(Value::Object(live))) => {
            let names: BTreeSet<&String> = declared.keys().chain(live.keys()).collect();
            for name in names {
                differing(declared.get(name), live.get(name), &format!("{at}.{name}"), into);
            }
        }
        _ => into.push(at.to_owned()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(declared: &Value, live: &Value) -> Vec<String> {
        let mut paths = Vec::new();
        differing(Some(declared), Some(live), ".spec", &mut paths);
        paths
    }

    #[test]
    fn what_was_added_beside_gits_fields_is_found_and_what_is_empty_is_nothing() {
        let declared =
            json!({"source": {"targetRevision": "main", "path": "a"}, "syncPolicy": {"automated": {"prune": true, "selfHeal": false}}});
        let live = json!({
            "source": {"targetRevision": "v2", "path": "a", "helm": {"parameters": [{"name": "image.tag", "value": "secret"}]}},
            "syncPolicy": {"automated": {"prune": true}, "syncOptions": []}, "info": null,
        });
        assert_eq!(paths(&declared, &live), [".spec.source.helm", ".spec.source.targetRevision"]);
        assert!(paths(&declared, &declared).is_empty());
    }

    #[test]
    fn a_field_that_was_taken_out_of_the_live_object_is_found() {
        let declared = json!({"project": "a", "syncPolicy": {"automated": {"prune": true}}});
        assert_eq!(paths(&declared, &json!({"project": "a", "syncPolicy": {}})), [".spec.syncPolicy"]);
    }

    #[test]
    fn tokens_of_a_projects_roles_are_counted_and_are_no_override() {
        let project = |roles: Value| {
            Object::new(
                json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "p"}, "spec": {"roles": roles}}),
            )
            .unwrap()
        };
        let declared = project(json!([{"name": "ci"}]));
        let live = project(json!([{"name": "ci", "jwtTokens": [{"iat": 1}, {"iat": 2}]}]));
        assert_eq!(overridden(&live, &declared), None);
        let found = tokens(&live, Some(&declared)).unwrap();
        assert_eq!((found.harm, found.concern), (Harm::LostAccess, Concern::ApiToken));
        assert!(found.why.starts_with("2 API tokens"), "{}", found.why);
        assert_eq!(tokens(&declared, Some(&declared)), None);
    }

    #[test]
    fn a_host_key_of_the_forge_is_ours_and_another_hosts_is_not() {
        let declared = "# hosts\ngithub.com ssh-ed25519 A\n";
        assert!(!has_more_hosts("github.com ssh-ed25519 A\n[127.0.0.1]:22 ssh-ed25519 B", declared, "[127.0.0.1]:22"));
        assert!(has_more_hosts("github.com ssh-ed25519 A\ngit.acme.com ssh-ed25519 B", declared, "github.com"));
    }
}

//! `status` on a tree in which everything that can go wrong does, and `status --watch` while it does.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};

use crate::support::process::{interrupt, kill};
use crate::support::{Fleet, Home, Ran, Running, TestSandbox, assert_words, eventually};

/// How long Argo CD and Kubernetes may take to come to all faults on busy cores.
const LIMIT: Duration = Duration::from_secs(300);

/// External Secrets as it is when a store has no credential.
const STAGES: &str = r#"
stages:
- apiVersion: external-secrets.io/*
  kind: ExternalSecret
  status: |
    conditions: [{type: Ready, status: "False", reason: SecretSyncedError, message: could not get secret data from provider}]
- apiVersion: external-secrets.io/*
  kind: ClusterSecretStore
  status: |
    conditions: [{type: Ready, status: "False", reason: InvalidProviderConfig, message: unable to create client}]
"#;

/// What is in the cluster before the faults come: External Secrets' kinds, a store, and a policy.
const BEFORE: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: externalsecrets.external-secrets.io}
spec:
  group: external-secrets.io
  scope: Namespaced
  names: {kind: ExternalSecret, plural: externalsecrets}
  versions: [{name: v1, served: true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: clustersecretstores.external-secrets.io}
spec:
  group: external-secrets.io
  scope: Cluster
  names: {kind: ClusterSecretStore, plural: clustersecretstores}
  versions: [{name: v1, served: true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: images-are-pinned}
spec:
  failurePolicy: Fail
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]}
  validations: [{expression: "object.spec.template.spec.containers.all(c, !c.image.endsWith(':latest'))", message: "an image must not be `latest`"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: images-are-pinned}
spec: {policyName: images-are-pinned, validationActions: [Deny]}
"#;

const STORE: &str = r#"
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: aws}
spec: {provider: {aws: {service: SecretsManager, auth: {secretRef: {
  accessKeyIDSecretRef: {namespace: external-secrets, name: aws-credentials, key: id},
  secretAccessKeySecretRef: {namespace: external-secrets, name: aws-credentials, key: key}}}}}}
"#;

/// A Deployment or StatefulSet with what its specification has beside the usual.
fn workload(kind: &str, name: &str, pods: &str, more: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n{more}  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec: {pods}\n"
    )
}

fn stateful_set(name: &str, pods: &str) -> String {
    workload("StatefulSet", name, pods, &format!("  serviceName: {name}\n"))
}

/// A container that a real process stands behind, so that it waits, fails and crashes as on a node: the engine runs `git daemon`s.
fn daemon(more: &str) -> String {
    format!("{{containers: [{{name: app, image: 'example.org/app:1.0.0', {more}}}]}}")
}

const PLAIN: &str = "{containers: [{name: app, image: 'example.org/app:1.0.0'}]}";

/// Each fault: the Application, its objects, and its cause.
fn faults() -> Vec<(&'static str, String, &'static str)> {
    let homeless = "{nodeSelector: {nobody-has: this}, containers: [{name: app, image: 'example.org/app:1.0.0'}]}";
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {storageClassName: fast, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\n";
    let mounted =
        "{volumes: [{name: data, persistentVolumeClaim: {claimName: data}}], containers: [{name: app, image: 'example.org/app:1.0.0'}]}";
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: {pods: '0'}}\n---\n";
    let external = "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: orders}\nspec: {secretStoreRef: {kind: ClusterSecretStore, name: aws}, target: {name: orders-database}}\n---\n";
    let hook = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {argocd.argoproj.io/hook: PreSync}}\nspec: {activeDeadlineSeconds: 2, backoffLimit: 0, template: {spec: {restartPolicy: Never, nodeSelector: {nobody-has: this}, containers: [{name: migrate, image: 'example.org/migrate:1.0.0'}]}}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: after}\n";
    vec![
        (
            "image",
            stateful_set("image", PLAIN),
            "Pod image/image-0: the image `example.org/app:1.0.0` cannot be pulled: the registry has no such image",
        ),
        ("node", stateful_set("node", homeless), "Pod node/node-0: no node can take it: 3 of 3 lack the labels that it selects"),
        (
            "crash",
            stateful_set("crash", &daemon("command: [git, daemon, --no-such-option]")),
            "Pod crash/crash-0: container `app` ends with exit code 129 (restarted)",
        ),
        (
            "probe",
            stateful_set(
                "probe",
                &daemon("command: [git, daemon], ports: [{containerPort: 9418}], readinessProbe: {httpGet: {path: /, port: 9418}}"),
            ),
            "Pod probe/probe-0: container `app` runs and is not ready: Readiness probe failed: HTTP probe failed with statuscode: 503",
        ),
        (
            "secret",
            stateful_set("secret", &daemon("command: [git, daemon], envFrom: [{secretRef: {name: password}}]")),
            "Pod secret/secret-0 waits for Secret secret/password, which is not there and which no ExternalSecret, SealedSecret or Certificate makes",
        ),
        (
            "orders",
            format!(
                "{external}{}",
                stateful_set("orders", &daemon("command: [git, daemon], envFrom: [{secretRef: {name: orders-database}}]"))
            ),
            "Pod orders/orders-0 waits for Secret orders/orders-database: ExternalSecret orders/orders cannot read its values, since ClusterSecretStore aws is not valid: Secret external-secrets/aws-credentials is not there",
        ),
        (
            "claim",
            format!("{claim}{}", stateful_set("claim", mounted)),
            "PersistentVolumeClaim claim/data: the claim is not bound: the StorageClass `fast` is not there",
        ),
        (
            "quota",
            format!("{quota}{}", workload("Deployment", "quota", PLAIN, "")),
            "Deployment quota/quota: its Pods cannot be made: the quota `none` of its namespace is used up (requested: pods=1, used: pods=0, limited: pods=0)",
        ),
        (
            "policy",
            workload("Deployment", "policy", "{containers: [{name: app, image: 'example.org/app:latest'}]}", ""),
            "Deployment policy/policy: the admission policy `images-are-pinned` denied it: an image must not be `latest`",
        ),
        (
            "kind",
            "apiVersion: example.net/v1\nkind: Widget\nmetadata: {name: one}\n".to_owned(),
            "Widget kind/one: the cluster does not know the kind Widget: its resource definition (CRD) is not installed",
        ),
        ("hook", hook.to_owned(), "Job hook/migrate: Job was active longer than specified deadline"),
        (
            "path",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: lost}\n".to_owned(),
            "the repository has no folder `rendered/staging/services/nowhere` at this commit",
        ),
    ]
}

/// Those of which a sync fails; they are not tried for ever, so that they come to rest.
const SPENT: [&str; 3] = ["policy", "kind", "hook"];

#[test]
fn each_cause_of_a_tree_with_twelve_faults_is_named_and_seen_as_it_happens() {
    let home = Home::new();
    fs::create_dir(home.path().join("stages")).unwrap();
    fs::write(home.path().join("stages/external-secrets.yaml"), STAGES).unwrap();
    let sandbox = TestSandbox::start_with(home, &["--stand-ins", "stages"]);
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    let fleet = Fleet::of(&sandbox);

    let mut watch = sandbox.cli(&["status", "staging", "--sandbox", "--watch"]).start();
    let well = watch.until("the first look", LIMIT, |event| event["event"] == "status");
    assert_eq!(well["status"]["converged"], true, "{well:#}");

    bring_faults(&sandbox, &fleet);
    let crash = |event: &Value| event["application"]["application"]["name"] == "crash" && event["application"]["deepestCause"].is_string();
    let crash = watch.until("the crash", LIMIT, |event| event["event"] == "application" && crash(event));
    assert!(crash["application"]["deepestCause"].as_str().unwrap().starts_with("Pod crash/crash-0"), "{crash:#}");
    make_pods_fail(&sandbox);

    let start = Instant::now();
    let found = eventually("a status", LIMIT * 2, || {
        let found = standing(&sandbox.cli(&["status", "staging", "--sandbox", "--output", "json"]).run().exits(11));
        (expected().iter().all(|(name, stands)| found.get(name) == Some(stands)) || start.elapsed() > LIMIT).then_some(found)
    });
    for (name, stands) in expected() {
        assert_eq!(found.get(&name), Some(&stands), "{name}");
    }

    // A container that crashes runs for a moment now and then.
    let ran = eventually("the text with each cause", LIMIT, || {
        let ran = without_changing(sandbox.cli(&["status", "staging", "--sandbox"]).run().exits(11), &fleet.head());
        let said = words(&ran.stdout);
        faults().iter().all(|(_, _, cause)| said.contains(cause)).then_some(ran)
    });
    assert_words("status_of_a_tree_with_twelve_faults", &ran);
    a_connection_that_is_lost_is_said_and_made_again(&sandbox, &mut watch);
}

/// How each Application stands once everything has come to rest: its state, and the cause.
fn expected() -> BTreeMap<String, (String, String)> {
    let below = "`claim`, `crash`, `hook` and 9 more below it are not well";
    let parents =
        [("services-app-of-apps", "failed", below), ("argocd-app-of-apps", "failed", "`services-app-of-apps` below it is not well")];
    let state = |name: &str| match name {
        "orders" | "path" => "failed",
        spent if SPENT.contains(&spent) => "stalled",
        _ => "progressing",
    };
    let faults = faults();
    let all = faults.iter().map(|(name, _, cause)| (*name, state(name), *cause)).chain(parents);
    all.map(|(name, state, cause)| (name.to_owned(), (state.to_owned(), cause.to_owned()))).collect()
}

/// Pushes the faults, and has Argo CD look.
fn bring_faults(sandbox: &TestSandbox, fleet: &Fleet) {
    for objects in [BEFORE, STORE] {
        let file = sandbox.home().path().join("before.yaml");
        fs::write(&file, objects).unwrap();
        // A kind is served a moment after its definition is there.
        let apply = ["sandbox", "kubectl", "--", "apply", "--server-side", "--filename", file.to_str().unwrap()];
        eventually("the objects before the faults", LIMIT, || (sandbox.cli(&apply).run().status == Some(0)).then_some(()));
    }
    let denied = ["sandbox", "kubectl", "--", "create", "deployment", "denied", "--image", "a:latest", "--dry-run=server"];
    eventually("the policy", LIMIT, || (sandbox.cli(&denied).run().status != Some(0)).then_some(()));

    for (name, manifest, _) in faults() {
        fleet.write(&format!("src/services/{name}/manifest.yaml"), &manifest);
        fleet.replace("src/argocd/services/values.yaml", "applications:\n", &format!("applications:\n  {name}: {{enabled: true}}\n"));
    }
    sandbox.cli(&["render"]).in_folder(fleet.folder()).run().exits(0);
    let application = |name: &str| format!("rendered/staging/argocd/services/Application.{name}.yaml");
    SPENT.iter().for_each(|name| fleet.replace(&application(name), "limit: -1", "limit: 1"));
    fleet.replace(&application("path"), "services/path", "services/nowhere");
    fleet.commit("faults");
    fleet.push();
    sandbox.refresh("--all");
}

/// Does to two pods what a kubelet does: the nodes here are simulated.
fn make_pods_fail(sandbox: &TestSandbox) {
    let pod = |name: &str| {
        eventually(&format!("the pod of {name}"), LIMIT, || {
            let pods = sandbox.list(&["pods", "--namespace", name]);
            pods.into_iter().find(|pod| pod["status"]["phase"] == "Running")
        })
    };
    let mut image = pod("image");
    let status = &mut image["status"];
    for condition in status["conditions"].as_array_mut().unwrap() {
        if condition["type"] == "Ready" || condition["type"] == "ContainersReady" {
            condition["status"] = json!("False");
        }
    }
    let message = "Back-off pulling image \"example.org/app:1.0.0\": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image: example.org/app:1.0.0: not found";
    let container = &mut status["containerStatuses"][0];
    container["ready"] = json!(false);
    container["started"] = json!(false);
    container["state"] = json!({"waiting": {"reason": "ImagePullBackOff", "message": message}});
    let patch = json!({"status": {"conditions": status["conditions"], "containerStatuses": status["containerStatuses"]}}).to_string();
    sandbox.kubectl(&["patch", "pod", "image-0", "--namespace", "image", "--subresource", "status", "--type", "merge", "--patch", &patch]);

    let probed = pod("probe");
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "probe-0.1", "namespace": "probe"}, "type": "Warning", "reason": "Unhealthy",
        "involvedObject": {"kind": "Pod", "namespace": "probe", "name": "probe-0", "uid": probed["metadata"]["uid"]},
        "message": "Readiness probe failed: HTTP probe failed with statuscode: 503", "lastTimestamp": "2026-11-21T10:00:00Z", "count": 3,
    });
    let file = sandbox.home().path().join("event.yaml");
    fs::write(&file, event.to_string()).unwrap();
    sandbox.kubectl(&["create", "--filename", file.to_str().unwrap()]);
}

/// How each Application that is not well stands, by the JSON: its state, and the cause.
fn standing(ran: &Ran) -> BTreeMap<String, (String, String)> {
    let events = ran.events();
    let result = events.iter().find(|event| event["event"] == "finished").unwrap_or_else(|| panic!("no result\n{ran}"));
    let applications = result["result"]["applications"].as_array().unwrap().iter();
    let known = applications.filter_map(|application| {
        let cause = ["deepestCause", "cause", "why"].into_iter().find_map(|field| application[field].as_str())?;
        let state = application["state"].as_str()?.to_owned();
        Some((application["application"]["name"].as_str()?.to_owned(), (state, without_restarts(cause))))
    });
    known.collect()
}

/// A text as one line.
fn words(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

fn without_restarts(text: &str) -> String {
    Regex::new(r"\(restarted [^)]*\)").unwrap().replace_all(text, "(restarted)").into_owned()
}

/// What was said, without how long ago anything was, and with words for the commit and the authority of the cluster.
fn without_changing(ran: Ran, commit: &str) -> Ran {
    let ages = Regex::new(r" *\b(\d+ m \d\d s|\d+(\.\d)? s)\b").unwrap();
    let authority = Regex::new(r"sha256:[0-9a-f]{16}").unwrap();
    let text = without_restarts(&ran.stdout).replace(&commit[..10], "THE-COMMIT");
    let text = ages.replace_all(&text, " AGE").into_owned();
    Ran { stdout: authority.replace_all(&text, "AUTHORITY").into_owned(), ..ran }
}

fn a_connection_that_is_lost_is_said_and_made_again(sandbox: &TestSandbox, watch: &mut Running) {
    let server = sandbox.state.components.iter().find(|component| component.name == "kube-apiserver").unwrap();
    kill(server.pid);
    let connected = |connected: bool| move |event: &Value| event["event"] == "connection" && event["connected"] == connected;
    watch.until("the loss of the connection", LIMIT, connected(false));
    watch.until("the connection", LIMIT, connected(true));
    interrupt(watch.pid());
    let ran = watch.end().exits(11);
    let events = ran.events();
    let [.., result, failed] = events.as_slice() else { panic!("{ran}") };
    assert_eq!((&result["event"], &failed["status"]), (&json!("finished"), &json!(11)), "{ran}");
    assert_eq!(result["result"]["converged"], false);
}

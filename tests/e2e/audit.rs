//! `audit`: what a live cluster has that neither Git nor the bundle would bring back, made by hand in a real one.

use serde_json::{Value, json};

use crate::support::cluster::SYNC;
use crate::support::{Cli, Fleet, Ran, TestSandbox, Traces, assert_words, eventually};

/// What nobody may ever read in the output.
const SECRETS: [&str; 3] = ["hunter2-of-the-shop", "hunter2-of-the-webhook", "hunter2-of-the-charts"];

#[test]
fn what_was_made_by_hand_is_named_by_its_harm_and_nothing_else_is() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);

    a_cluster_that_is_all_in_git_has_nothing_to_lose(&sandbox, &fleet);
    do_harm(&sandbox);
    exactly_the_harm_is_named(&sandbox, &fleet);
    a_score_is_a_gate(&sandbox, &fleet);
    what_may_not_be_looked_at_is_named(&sandbox, &fleet);
    what_is_packed_and_committed_is_no_loss(&sandbox, &fleet);
}

fn audit(sandbox: &TestSandbox, fleet: &Fleet, more: &[&str]) -> Cli {
    sandbox.cli(&[&["audit", "staging", "--sandbox"], more].concat()).in_folder(fleet.folder())
}

/// What was said, without how far it was, which depends on how fast it went.
fn words(ran: Ran) -> Ran {
    let stderr = ran.stderr.lines().filter(|line| !line.starts_with("looking at ")).map(|line| format!("{line}\n")).collect();
    Ran { stderr, ..ran }
}

fn a_cluster_that_is_all_in_git_has_nothing_to_lose(sandbox: &TestSandbox, fleet: &Fleet) {
    let result = audit(sandbox, fleet, &["--output", "json"]).run().exits(0).result();
    assert_eq!((&result["findings"], &result["score"]), (&json!([]), &json!(100)), "{result:#}");
    assert_words("audit_nothing", &words(audit(sandbox, fleet, &[]).run().exits(0)));
}

/// Makes and changes objects as people do.
fn do_harm(sandbox: &TestSandbox) {
    let argocd = |kind: &str, name: &str| json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "argocd"}});
    let mut shadow = argocd("Application", "shadow");
    shadow["spec"] = json!({"project": "default", "destination": {"server": "https://kubernetes.default.svc", "namespace": "shadow"},
        "source": {"repoURL": "https://charts.invalid/", "path": "shadow", "targetRevision": "main"}});
    let object = |kind: &str, namespace: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}});
    let mut data = object("PersistentVolumeClaim", "shop", "data");
    data["spec"] = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": ""});
    let mut cache = data.clone();
    cache["metadata"] = json!({"name": "cache", "namespace": "shop", "annotations": {"gitops-bootstrap.io/expendable": "it fills itself"}});
    let mut password = object("Secret", "shop", "database");
    password["stringData"] = json!({"password": SECRETS[0]});
    let mut charts = object("Secret", "argocd", "charts");
    charts["metadata"]["labels"] = json!({"argocd.argoproj.io/secret-type": "repository"});
    charts["stringData"] = json!({"type": "helm", "url": "https://charts.invalid/", "password": SECRETS[2]});
    let shop = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        shop, shadow, data, cache, password, charts, object("ConfigMap", "shop", "prices"), object("ConfigMap", "website", "banner"),
    ]});
    let file = sandbox.home().path().join("harm.json");
    std::fs::write(&file, list.to_string()).unwrap();
    sandbox.kubectl(&["apply", "--filename", file.to_str().unwrap()]);
    let patch = |kind: &str, name: &str, patch: &Value| {
        sandbox.kubectl(&["patch", kind, name, "--namespace", "argocd", "--type", "merge", "--patch", &patch.to_string()]);
    };
    patch("application", "whoami", &json!({"spec": {"revisionHistoryLimit": 3}}));
    patch("configmap", "argocd-cm", &json!({"data": {"accounts.ci": "apiKey", "ui.bannercontent": "closed today"}}));
    let tokens = json!([{"id": "one", "iat": 1}, {"id": "two", "iat": 2}]).to_string();
    patch("secret", "argocd-secret", &json!({"stringData": {"webhook.github.secret": SECRETS[1], "accounts.ci.tokens": tokens}}));
}

/// The findings of a run: harm, kind and object.
fn findings(ran: &Ran) -> Vec<(String, String, String)> {
    let result = ran.result();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = result["findings"].as_array().unwrap().iter();
    findings.map(|finding| (text(&finding["harm"]), text(&finding["concern"]), text(&finding["object"]))).collect()
}

fn exactly_the_harm_is_named(sandbox: &TestSandbox, fleet: &Fleet) {
    let ran = audit(sandbox, fleet, &["--output", "json"]).run();
    let found = findings_of_failed(&ran);
    let expected = [
        ("lost-data", "volume-without-backup", "PersistentVolumeClaim shop/data"),
        ("lost-access", "not-in-bundle", "Secret argocd/charts"),
        ("lost-access", "secret-nobody-makes", "Secret shop/database"),
        ("lost-access", "local-account", "ConfigMap argocd/argocd-cm"),
        ("lost-access", "api-token", "Secret argocd/argocd-secret"),
        ("lost-workload", "application-by-hand", "Application argocd/shadow"),
        ("lost-workload", "namespace-by-hand", "Namespace shop"),
        ("lost-setting", "webhook", "Secret argocd/argocd-secret"),
        ("lost-setting", "override", "Application argocd/whoami"),
        ("lost-setting", "argo-cd-setting", "ConfigMap argocd/argocd-cm"),
        ("lost-setting", "object-by-hand", "ConfigMap website/banner"),
    ];
    let expected: Vec<(String, String, String)> =
        expected.map(|(harm, concern, object)| (harm.to_owned(), concern.to_owned(), object.to_owned())).into();
    assert_eq!(found, expected, "{ran}");
    let text = audit(sandbox, fleet, &[]).run().exits(11);
    let traces = Traces::of(&SECRETS.map(str::as_bytes));
    traces.are_not_in("the output", format!("{ran}{text}"));
    assert_words("audit_harm", &words(text));
}

/// The findings of a run that found something: the result comes before the failure.
fn findings_of_failed(ran: &Ran) -> Vec<(String, String, String)> {
    assert_eq!(ran.status, Some(11), "{ran}");
    let events = ran.events();
    let lines: Vec<String> = events.iter().filter(|event| event["event"] == "finished").map(Value::to_string).collect();
    findings(&Ran { status: Some(11), stdout: lines.join("\n"), stderr: String::new() })
}

fn a_score_is_a_gate(sandbox: &TestSandbox, fleet: &Fleet) {
    let ran = audit(sandbox, fleet, &["--min-score", "0", "--output", "json"]).run().exits(0);
    let score = ran.result()["score"].as_u64().unwrap();
    assert!(score > 0 && score < 100, "{ran}");
    audit(sandbox, fleet, &["--min-score", &score.to_string()]).run().exits(0);
    let refused = audit(sandbox, fleet, &["--min-score", &(score + 1).to_string()]).run().exits(11);
    assert!(refused.stderr.contains(&format!("scores {score} of 100")), "{refused}");
}

/// With an account that has the rights of docs/audit.md, and with one that may list little.
fn what_may_not_be_looked_at_is_named(sandbox: &TestSandbox, fleet: &Fleet) {
    let documented = include_str!("../../docs/audit.md").split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = sandbox.home().path().join("role.yaml");
    std::fs::write(&file, documented).unwrap();
    sandbox.kubectl(&["create", "--filename", file.to_str().unwrap()]);
    sandbox.kubectl(&["create", "clusterrole", "system:little", "--verb=get,list", "--resource=configmaps,namespaces,services,pods"]);
    for (account, role) in [("auditor", "gitops-bootstrap-audit"), ("little", "system:little")] {
        let name = format!("kube-system:{account}");
        sandbox.kubectl(&["create", "serviceaccount", account, "--namespace", "kube-system"]);
        let binding = format!("system:{account}");
        sandbox.kubectl(&["create", "clusterrolebinding", &binding, "--clusterrole", role, "--serviceaccount", &name]);
    }
    let all = findings_of_failed(&audit(sandbox, fleet, &["--output", "json"]).run());
    let as_account = |account| {
        let ran = audit_as(sandbox, fleet, account);
        (ran.status == Some(11)).then(|| findings_of_failed(&ran))
    };
    // A right that was given a moment ago is not known to the API server yet.
    eventually("the rights of docs/audit.md suffice", SYNC, || as_account("auditor").filter(|found| *found == all));
    let not_looked_at = [
        ("lost-data", "every PersistentVolumeClaim"),
        ("lost-access", "every Secret"),
        ("lost-workload", "every Application (argoproj.io)"),
        ("lost-setting", "every RoleBinding (rbac.authorization.k8s.io)"),
    ]
    .map(|(harm, object)| (harm.to_owned(), "not-looked-at".to_owned(), object.to_owned()));
    eventually("what may not be looked at is named", SYNC, || {
        as_account("little").filter(|found| not_looked_at.iter().all(|finding| found.contains(finding)))
    });
}

/// An audit with the token of a ServiceAccount in `kube-system`.
fn audit_as(sandbox: &TestSandbox, fleet: &Fleet, account: &str) -> Ran {
    let token = sandbox.kubectl(&["create", "token", account, "--namespace", "kube-system"]);
    let mut kubeconfig: Value = serde_json::from_str(&sandbox.kubectl(&["config", "view", "--raw", "--output", "json"])).unwrap();
    for user in kubeconfig["users"].as_array_mut().unwrap() {
        user["user"] = json!({"token": token.trim()});
    }
    let context = kubeconfig["contexts"][0]["name"].as_str().unwrap().to_owned();
    let file = sandbox.home().path().join("account.json");
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let arguments = ["audit", "staging", "--kubeconfig", file.to_str().unwrap(), "--context", &context, "--output", "json"];
    sandbox.cli(&arguments).in_folder(fleet.folder()).run()
}

fn what_is_packed_and_committed_is_no_loss(sandbox: &TestSandbox, fleet: &Fleet) {
    let recipient = age::x25519::Identity::generate().to_public();
    let more = format!("{}\nrecipients:\n  - {recipient}\nrootOfTrust:\n  secrets: [shop/database]\n", fleet.read("gitops.yaml"));
    fleet.write("gitops.yaml", &more);
    sandbox.cli(&["pack", "staging", "--sandbox"]).in_folder(fleet.folder()).run().exits(0);
    let before = findings_of_failed(&audit(sandbox, fleet, &["--output", "json"]).run());
    assert!(before.iter().any(|(_, concern, _)| concern == "not-in-bundle"), "what is not committed does not count: {before:?}");
    fleet.commit("Pack staging");
    let after = findings_of_failed(&audit(sandbox, fleet, &["--output", "json"]).run());
    let gone = ["not-in-bundle", "secret-nobody-makes", "api-token", "webhook"];
    assert!(!after.iter().any(|(_, concern, _)| gone.contains(&concern.as_str())), "{after:?}");
    assert_eq!(after.len(), 8, "seven, and the role of the auditor: {after:?}");
}

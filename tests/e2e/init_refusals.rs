//! What `init` refuses before it has changed anything.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::forge::switch;
use crate::support::logs::Mark;
use crate::support::{Cli, Fleet, TestSandbox, assert_refuses, eventually};

#[test]
fn what_cannot_go_well_is_refused_before_anything_is_changed() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    changes_that_are_not_committed(&sandbox, &fleet);
    commits_that_are_not_pushed(&sandbox, &fleet);
    commits_that_somebody_else_has_pushed(&sandbox, &fleet);
    a_host_whose_key_is_not_pinned(&sandbox, &fleet);
    another_cluster_than_the_pinned_one(&sandbox, &fleet);
    a_token_that_may_not_manage_keys(&sandbox);
    a_token_that_has_expired(&sandbox);
    deploy_keys_that_are_disabled(&sandbox);
    several_contexts_and_none_named(&sandbox, &fleet);
    an_account_that_lacks_a_right(&sandbox, &fleet);
    a_cluster_that_is_another_one_by_its_record(&sandbox);
    applications_that_are_half_deleted(&sandbox, &fleet);
    a_remote_that_only_the_api_can_tell_of(&sandbox, &fleet);
    a_remote_that_only_the_new_key_can_tell_of(&sandbox, &fleet);

    // None of it stands in the way of a good run.
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    sandbox.assert_converged();
}

fn init(sandbox: &TestSandbox, more: &[&str]) -> Cli {
    sandbox.cli(&[&["init", "staging", "--sandbox"], more].concat())
}

/// A file that Argo CD takes.
const RENDERED: &str = "rendered/staging/services/whoami/Deployment.whoami.yaml";

fn changes_that_are_not_committed(sandbox: &TestSandbox, fleet: &Fleet) {
    fleet.write(RENDERED, &format!("{}# changed\n", fleet.read(RENDERED)));
    assert_refuses(sandbox, init(sandbox, &[]), 3, &["not committed", RENDERED, "git stash"]);
    fleet.git(&["checkout", "--quiet", "--", "."]);
}

fn commits_that_are_not_pushed(sandbox: &TestSandbox, fleet: &Fleet) {
    let pushed = fleet.head();
    fleet.write(RENDERED, &format!("{}# changed\n", fleet.read(RENDERED)));
    fleet.commit("Change a service");
    assert_refuses(sandbox, init(sandbox, &[]), 3, &[RENDERED, &pushed[..7], "git push origin HEAD:main"]);
    fleet.git(&["reset", "--quiet", "--hard", &pushed]);
}

fn commits_that_somebody_else_has_pushed(sandbox: &TestSandbox, fleet: &Fleet) {
    let ours = fleet.head();
    let theirs = fleet.copy("theirs");
    // The same change within the same second would be a commit that the clone has.
    theirs.write(RENDERED, &format!("{}# changed by somebody else\n", theirs.read(RENDERED)));
    theirs.commit("Change a service");
    theirs.push();
    assert_refuses(sandbox, init(sandbox, &[]), 3, &[&theirs.head()[..7], "somebody has pushed", "git pull --rebase"]);
    fleet.go_back_to(&ours);
}

fn a_host_whose_key_is_not_pinned(sandbox: &TestSandbox, fleet: &Fleet) {
    let before = fleet.head();
    let declaration = fleet.read("gitops.yaml");
    let kept: Vec<&str> =
        declaration.lines().filter(|line| !line.contains("knownHosts:") && !line.trim_start().starts_with("- ")).collect();
    fleet.write("gitops.yaml", &(kept.join("\n") + "\n"));
    fleet.commit("Pin no host key");
    fleet.push();
    let words = ["no host key is pinned for [127.0.0.1]:", "never trusted on first use", "repository.knownHosts", "nothing was changed"];
    let (_, requests) = assert_refuses(sandbox, init(sandbox, &["-C", "fleet"]), 8, &words);
    assert!(requests.iter().all(|request| request.kind != "git-ssh"), "nobody is asked whose key is not known: {requests:?}");
    fleet.go_back_to(&before);
}

fn another_cluster_than_the_pinned_one(sandbox: &TestSandbox, fleet: &Fleet) {
    let before = fleet.head();
    let pinned = "00000000-0000-4000-8000-000000000000";
    fleet.replace("gitops.yaml", "\"staging\": {}", &format!("\"staging\": {{identity: {{kubeSystemUid: {pinned}}}}}"));
    fleet.commit("Pin another cluster");
    fleet.push();
    let found = sandbox.get(&["namespace", "kube-system"])["metadata"]["uid"].as_str().unwrap().to_owned();
    assert_refuses(sandbox, init(sandbox, &["-C", "fleet"]), 3, &["is not the cluster `staging`", pinned, &found, "--context"]);
    fleet.go_back_to(&before);
}

fn a_token_that_may_not_manage_keys(sandbox: &TestSandbox) {
    let token = sandbox.state.forge.tokens["write"].to_str().unwrap();
    assert_refuses(sandbox, init(sandbox, &["--token-file", token]), 4, &["administrator", "Administration", "nothing was changed"]);
}

fn a_token_that_has_expired(sandbox: &TestSandbox) {
    let token = sandbox.state.forge.tokens["expired"].to_str().unwrap();
    let (_, requests) =
        assert_refuses(sandbox, init(sandbox, &["-C", "fleet", "--token-file", token]), 4, &["token", "nothing was changed"]);
    let rest: Vec<_> = requests.iter().filter(|request| request.is_rest()).collect();
    assert_eq!(rest.len(), 1, "GitHub locks out who tries again: {rest:?}");
}

fn deploy_keys_that_are_disabled(sandbox: &TestSandbox) {
    switch(&sandbox.state, &json!({"deploy_keys_disabled": true}));
    assert_refuses(sandbox, init(sandbox, &["-C", "fleet"]), 4, &["deploy keys", "nothing was changed"]);
    switch(&sandbox.state, &json!({"deploy_keys_disabled": false}));
}

/// The sandbox's kubeconfig, changed.
fn kubeconfig(sandbox: &TestSandbox, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut config = serde_json::from_str(&sandbox.kubectl(&["config", "view", "--raw", "--output", "json"])).unwrap();
    change(&mut config);
    let path = sandbox.home().path().join(name);
    // YAML has JSON in it.
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// A run on a cluster that is a sandbox's only by chance.
fn init_by(sandbox: &TestSandbox, fleet: &Fleet, kubeconfig: &std::path::Path) -> Cli {
    let token = sandbox.state.forge.tokens["admin"].to_str().unwrap();
    let run = sandbox.cli(&["init", "staging", "--token-file", token, "--kubeconfig", kubeconfig.to_str().unwrap()]);
    run.in_folder(fleet.folder())
}

fn several_contexts_and_none_named(sandbox: &TestSandbox, fleet: &Fleet) {
    let several = kubeconfig(sandbox, "several", |config| {
        let mut other = config["contexts"][0].clone();
        other["name"] = "production-eu".into();
        config["contexts"].as_array_mut().unwrap().push(other);
    });
    let (_, requests) =
        assert_refuses(sandbox, init_by(sandbox, fleet, &several), 2, &[&sandbox.state.context, "production-eu", "--context"]);
    assert_eq!(requests, []);
}

fn an_account_that_lacks_a_right(sandbox: &TestSandbox, fleet: &Fleet) {
    // All that is needed, but for one verb on one kind.
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "limited"},
        "rules": [
            rule(&["*"], &["*"], &["get", "list", "create", "patch", "update", "escalate", "bind"]),
            rule(&["apps", "argoproj.io", "apiextensions.k8s.io"], &["*"], &["watch"]),
        ],
    });
    let path = sandbox.home().path().join("role.json");
    std::fs::write(&path, role.to_string()).unwrap();
    sandbox.kubectl(&["apply", "--filename", path.to_str().unwrap()]);
    sandbox.kubectl(&["create", "serviceaccount", "limited", "--namespace", "default"]);
    sandbox.kubectl(&["create", "clusterrolebinding", "limited", "--clusterrole", "limited", "--serviceaccount", "default:limited"]);
    let token = sandbox.kubectl(&["create", "token", "limited", "--namespace", "default"]);
    let limited = kubeconfig(sandbox, "limited", |config| config["users"][0]["user"] = json!({"token": token.trim()}));
    assert_refuses(
        sandbox,
        init_by(sandbox, fleet, &limited),
        4,
        &["lacks 1 right", "watch pods in namespace argocd", "nothing was changed"],
    );
    sandbox.kubectl(&["delete", "clusterrolebinding,clusterrole", "limited"]);
}

fn a_cluster_that_is_another_one_by_its_record(sandbox: &TestSandbox) {
    sandbox.kubectl(&["create", "namespace", "argocd"]);
    sandbox.kubectl(&["create", "configmap", "gitops-bootstrap", "--namespace", "argocd", "--from-literal", "cluster=production"]);
    assert_refuses(sandbox, init(sandbox, &[]), 3, &["the cluster `production`, not to `staging`", "nothing was changed", "--context"]);
    sandbox.kubectl(&["delete", "configmap", "gitops-bootstrap", "--namespace", "argocd"]);
}

fn applications_that_are_half_deleted(sandbox: &TestSandbox, fleet: &Fleet) {
    let definition = fleet.folder().join("rendered/staging/infrastructure/argocd/CustomResourceDefinition.applications.argoproj.io.yaml");
    // As `init` would have applied it.
    let arguments = ["apply", "--server-side", "--field-manager", "argocd-controller", "--filename"];
    sandbox.kubectl(&[&arguments[..], &[definition.to_str().unwrap()]].concat());
    // `kubectl wait` fails at once on a definition without any condition yet.
    let established = ["sandbox", "kubectl", "--", "wait", "--for", "condition=Established", "crd/applications.argoproj.io"];
    eventually("the definition", Duration::from_secs(60), || (sandbox.cli(&established).run().status == Some(0)).then_some(()));
    let application = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "billing", "namespace": "argocd", "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {"project": "default", "destination": {"server": "https://kubernetes.default.svc"}, "source": {"repoURL": "https://elsewhere.example/a/b"}},
    });
    let path = sandbox.home().path().join("application.json");
    std::fs::write(&path, application.to_string()).unwrap();
    sandbox.kubectl(&["create", "--filename", path.to_str().unwrap()]);
    sandbox.kubectl(&["delete", "application", "billing", "--namespace", "argocd", "--wait=false"]);
    assert_refuses(sandbox, init(sandbox, &[]), 3, &["half deleted: billing", "take the finalizers off", "nothing was changed"]);
    let kept = sandbox.get(&["application", "billing", "--namespace", "argocd"]);
    assert_eq!(kept["metadata"]["finalizers"], json!(["resources-finalizer.argocd.argoproj.io"]));
    let patch = r#"{"metadata": {"finalizers": null}}"#;
    sandbox.kubectl(&["patch", "application", "billing", "--namespace", "argocd", "--type", "merge", "--patch", patch]);
}

/// Pushes a change that the clone then lacks.
fn push_what_the_clone_lacks(fleet: &Fleet) -> (String, String) {
    let before = fleet.head();
    fleet.write(RENDERED, &format!("{}# changed\n", fleet.read(RENDERED)));
    fleet.commit("Change a service");
    fleet.push();
    let pushed = fleet.head();
    fleet.git(&["reset", "--quiet", "--hard", &before]);
    (before, pushed)
}

/// The person's own access is not the sandbox's: it opens nothing there.
fn init_without_own_access(sandbox: &TestSandbox, fleet: &Fleet) -> Cli {
    init_by(sandbox, fleet, &sandbox.state.kubeconfig).env("GIT_SSH_COMMAND", "false")
}

fn a_remote_that_only_the_api_can_tell_of(sandbox: &TestSandbox, fleet: &Fleet) {
    let (before, pushed) = push_what_the_clone_lacks(fleet);
    let words = [RENDERED, &before[..10], &pushed[..10], "git pull --rebase", "nothing was changed"];
    let (_, requests) = assert_refuses(sandbox, init_without_own_access(sandbox, fleet), 3, &words);
    assert!(requests.iter().any(|request| request.is_rest() && request.path.ends_with("/branches/main")), "{requests:?}");
    fleet.go_back_to(&before);
}

fn a_remote_that_only_the_new_key_can_tell_of(sandbox: &TestSandbox, fleet: &Fleet) {
    let (before, pushed) = push_what_the_clone_lacks(fleet);
    let forbidden = json!({"n": 1, "path": "/branches/", "status": 403, "message": "Resource not accessible by personal access token"});
    switch(&sandbox.state, &json!({"fail_next": forbidden}));
    let mark = Mark::now(&sandbox.state);
    let ran = init_without_own_access(sandbox, fleet).run().exits(3);
    let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in [RENDERED, &before[..10], &pushed[..10], "checked once the deploy key works", "Argo CD was not touched"] {
        assert!(said.contains(word), "`{word}` is not said\n{ran}");
    }
    let changed: BTreeSet<String> = mark.mutations(&sandbox.state).into_iter().map(|mutation| mutation.object).collect();
    // Locks are not in the log.
    assert_eq!(changed, ["argocd/secrets/repo-demo-fleet".to_owned()].into(), "the key, and nothing of Argo CD's");
    fleet.go_back_to(&before);
}

//! `docs/rbac/bootstrap.yaml`: the rights that `init` needs, no fewer and no more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gitops_bootstrap::adapters::git::GitWorktree;
use gitops_bootstrap::adapters::kubernetes::{ConnectOptions, KubernetesCluster};
use gitops_bootstrap::domain::tree::Tree;
use gitops_bootstrap::ports::Cluster as _;
use gitops_bootstrap::ports::cluster::Right;
use gitops_bootstrap::preflight;
use serde_json::{Value, json};

use crate::support::logs::Mark;
use crate::support::{Cli, Fleet, TestSandbox, eventually};

/// A right as the file gives it, or as the preflight asks for it: verb, group, resource, namespace and name.
type Atom = (String, String, String, Option<String>, Option<String>);

#[test]
fn the_rights_in_the_file_are_all_that_init_needs_and_each_that_is_taken_away_is_named() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tree = runtime.block_on(tree(&fleet));
    let needed = preflight::needed_rights(&tree, true);
    let roles = roles();
    assert_eq!(given(&roles), needed.iter().map(atom).collect::<BTreeSet<_>>(), "the file and the preflight agree");

    sandbox.kubectl(&["apply", "--filename", file().to_str().unwrap()]);
    let kubeconfig = kubeconfig(&sandbox);
    let cluster = runtime.block_on(connect(&kubeconfig));
    let missing = || runtime.block_on(cluster.missing_rights(&needed)).unwrap().iter().map(atom).collect::<BTreeSet<_>>();
    eventually("the rights of the file", RBAC, || missing().is_empty().then_some(()));

    for role in &roles {
        let rules = role["rules"].as_array().unwrap();
        for (place, rule) in rules.iter().enumerate() {
            let without = without_rule(role, place);
            let taken: BTreeSet<Atom> =
                given(std::slice::from_ref(role)).difference(&given(std::slice::from_ref(&without))).cloned().collect();
            assert!(!taken.is_empty(), "{rule} gives nothing of its own");
            apply(&sandbox, &without);
            eventually(&format!("{taken:?} to be missing"), RBAC, || (missing() == taken).then_some(()));
        }
        apply(&sandbox, role);
    }
    eventually("the rights of the file", RBAC, || missing().is_empty().then_some(()));

    a_missing_right_is_named_before_anything_is_changed(&sandbox, &fleet, &kubeconfig, &roles[1]);
    eventually("the rights of the file", RBAC, || missing().is_empty().then_some(()));
    run(&sandbox, &fleet, "init", &kubeconfig).run().exits(0);
    sandbox.assert_converged();
}

/// How long the API server may take to learn of another role.
const RBAC: Duration = Duration::from_secs(60);

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rbac/bootstrap.yaml")
}

/// The ClusterRole and the Role of the file.
fn roles() -> Vec<Value> {
    let text = std::fs::read_to_string(file()).unwrap();
    let documents = text.split("\n---\n").filter(|document| document.contains("kind:"));
    let roles = documents.map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    let roles: Vec<Value> = roles.filter(|object| object["kind"] == "ClusterRole" || object["kind"] == "Role").collect();
    assert_eq!(roles.len(), 2);
    roles
}

fn given(roles: &[Value]) -> BTreeSet<Atom> {
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut atoms = BTreeSet::new();
    for role in roles {
        let namespace = role["metadata"]["namespace"].as_str().map(str::to_owned);
        for rule in role["rules"].as_array().unwrap() {
            let names: Vec<Option<String>> = match texts(rule, "resourceNames") {
                names if names.is_empty() => vec![None],
                names => names.into_iter().map(Some).collect(),
            };
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    for verb in texts(rule, "verbs") {
                        let atom = |name: &Option<String>| (verb.clone(), group.clone(), resource.clone(), namespace.clone(), name.clone());
                        atoms.extend(names.iter().map(atom));
                    }
                }
            }
        }
    }
    atoms
}

fn atom(right: &Right) -> Atom {
    (right.verb.to_owned(), right.group.clone(), right.resource.clone(), right.namespace.clone(), right.name.clone())
}

fn without_rule(role: &Value, place: usize) -> Value {
    let mut role = role.clone();
    role["rules"].as_array_mut().unwrap().remove(place);
    role
}

fn apply(sandbox: &TestSandbox, object: &Value) {
    let path = sandbox.home().path().join("role.json");
    std::fs::write(&path, object.to_string()).unwrap();
    sandbox.kubectl(&["apply", "--filename", path.to_str().unwrap()]);
}

async fn tree(fleet: &Fleet) -> Tree {
    preflight::load(&GitWorktree::new(fleet.folder()), &"staging".parse().unwrap(), None).await.unwrap().reading.tree
}

/// A kubeconfig with a token of the file's account.
fn kubeconfig(sandbox: &TestSandbox) -> PathBuf {
    let token = sandbox.kubectl(&["create", "token", "gitops-bootstrap", "--namespace", "gitops-bootstrap"]);
    let mut config: Value = serde_json::from_str(&sandbox.kubectl(&["config", "view", "--raw", "--output", "json"])).unwrap();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let path = sandbox.home().path().join("limited");
    // YAML has JSON in it.
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

async fn connect(kubeconfig: &Path) -> KubernetesCluster {
    KubernetesCluster::connect(ConnectOptions { kubeconfig: vec![kubeconfig.to_owned()], ..ConnectOptions::default() }).await.unwrap()
}

/// A run on a cluster that is a sandbox's only by chance.
fn run(sandbox: &TestSandbox, fleet: &Fleet, verb: &str, kubeconfig: &Path) -> Cli {
    let token = sandbox.state.forge.tokens["admin"].to_str().unwrap();
    let arguments = [verb, "staging", "--token-file", token, "--kubeconfig", kubeconfig.to_str().unwrap()];
    sandbox.cli(&arguments).in_folder(fleet.folder())
}

fn a_missing_right_is_named_before_anything_is_changed(sandbox: &TestSandbox, fleet: &Fleet, kubeconfig: &Path, role: &Value) {
    let watches_pods = |rule: &Value| rule["resources"] == json!(["pods"]);
    let place = role["rules"].as_array().unwrap().iter().position(watches_pods).unwrap();
    apply(sandbox, &without_rule(role, place));
    let names = |text: &str| ["list pods in namespace argocd", "watch pods in namespace argocd"].iter().all(|right| text.contains(right));
    let checked = eventually("doctor to name the missing rights", RBAC, || {
        let ran = run(sandbox, fleet, "doctor", kubeconfig).args(["--output", "json"]).run();
        let rights =
            ran.events().into_iter().find(|event| event["check"] == "rights").unwrap_or_else(|| panic!("no check of rights\n{ran}"));
        (rights["result"] == "wrong").then_some(rights)
    });
    assert!(names(checked["evidence"].as_str().unwrap()), "{checked}");
    let mark = Mark::now(&sandbox.state);
    let ran = run(sandbox, fleet, "init", kubeconfig).run().exits(4);
    let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("lacks 2 rights") && names(&said) && said.contains("nothing was changed"), "{ran}");
    mark.assert_unchanged(&sandbox.state);
    apply(sandbox, role);
}

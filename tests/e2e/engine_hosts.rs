//! Hosts in whose place the sandbox's forge answers, as the real Argo CD sees it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::forge::token;
use crate::support::{Home, TestSandbox, engine, eventually};

/// How long Argo CD may take to start, and to fetch.
const SOON: Duration = Duration::from_secs(150);

/// Addresses of the same repository, none of which is the forge's own: a user of a company's, a group within a group, another port.
const ADDRESSES: [(&str, &str); 4] = [
    ("public", "https://git.example.org/acme/fleet.git"),
    ("private", "https://git.example.org/acme/fleet"),
    ("groups", "https://gitlab.example.org/ac/me/fleet.git"),
    ("ssh", "ssh://org-42@git.example.org:2222/acme/fleet.git"),
];

/// What a program prints for `arguments`.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
fn run(home: &Home, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("HOME", home.path()).env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(home.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn file(home: &Home, name: &str, content: &str) -> String {
    let path = home.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn application(name: &str, address: &str) -> Value {
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"namespace": "argocd", "name": name}, "spec": {
        "project": "default", "source": {"repoURL": address, "targetRevision": "main", "path": "app", "directory": {"recurse": true}},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": format!("app-{name}")},
        "syncPolicy": {"automated": {}, "syncOptions": ["CreateNamespace=true"]}}})
}

fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "stringData": data, "metadata": {
        "namespace": "argocd", "name": name, "labels": {"argocd.argoproj.io/secret-type": "repository"}}})
}

/// Makes the repository `fleet` of each owner at the forge, with the same content; one is public and one private.
fn publish(sandbox: &TestSandbox, owners: [(&str, bool); 2]) {
    gitops_bootstrap::adapters::install_tls_provider();
    let (state, token) = (&sandbox.state, token(&sandbox.state, "admin"));
    let post = |path: &str, body: &Value| {
        let request = reqwest::Client::new().post(format!("{}{path}", state.forge.api)).bearer_auth(&token);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(request.header("user-agent", "test").json(body).send()).unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    };
    let repository = sandbox.home().path().join("repository");
    fs::create_dir_all(repository.join("app")).unwrap();
    fs::write(repository.join("app/here.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: here}\ndata: {a: b}\n").unwrap();
    let git = |arguments: &[&str]| {
        let identity = ["-C", "repository", "-c", "user.name=a", "-c", "user.email=a@example.org"];
        run(sandbox.home(), "git", &[&identity[..], arguments].concat())
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message=app"]);
    for (owner, private) in owners {
        post("/admin/organizations", &json!({"login": owner, "admin": "sandbox"}));
        post(&format!("/orgs/{owner}/repos"), &json!({"name": "fleet", "private": private}));
        let address = state.forge.http.replace("://", &format!("://x:{token}@"));
        git(&["push", "--quiet", &format!("{address}/{owner}/fleet.git"), "main"]);
    }
}

#[test]
fn argo_cd_fetches_from_the_forge_by_the_addresses_of_other_hosts() {
    let sandbox = TestSandbox::start_with(Home::new(), &["--serve-host", "git.example.org", "--serve-host", "gitlab.example.org"]);
    let (home, forge) = (sandbox.home(), &sandbox.state.forge);
    publish(&sandbox, [("acme", false), ("ac-me", true)]);

    sandbox.kubectl(&["create", "namespace", "argocd"]);
    let manifest = run(home, engine().to_str().unwrap(), &["manifest", "argocd"]);
    sandbox.kubectl(&["apply", "--server-side", "--namespace", "argocd", "--filename", &file(home, "argocd.yaml", &manifest)]);
    // The served host is known with some key, at a port of its own; the other one is not known over SSH at all.
    let host_key = fs::read_to_string(&forge.known_hosts).unwrap();
    let host_key = host_key.lines().next().unwrap().split_once(' ').unwrap().1;
    let known = json!({"data": {"ssh_known_hosts": format!("[git.example.org]:2222 {host_key}\n")}}).to_string();
    sandbox.kubectl(&["patch", "configmap", "argocd-ssh-known-hosts-cm", "--namespace", "argocd", "--patch", &known]);

    let password = |address: &str| json!({"type": "git", "url": address, "username": "x", "password": "of the real host"});
    let key = fs::read_to_string(&forge.user_key).unwrap();
    let mut objects = vec![
        secret("private", &password(ADDRESSES[1].1)),
        secret("groups", &password(ADDRESSES[2].1)),
        secret("ssh", &json!({"type": "git", "url": ADDRESSES[3].1, "sshPrivateKey": key})),
    ];
    objects.extend(ADDRESSES.iter().map(|(name, address)| application(name, address)));
    let objects: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    sandbox.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]);
    // Argo CD looks at an Application that came before its project again only after minutes.
    let workloads = ["statefulset/argocd-application-controller", "deployment/argocd-server", "deployment/argocd-repo-server"];
    for workload in workloads {
        sandbox.kubectl(&["rollout", "status", workload, "--namespace", "argocd", "--timeout", "150s"]);
    }
    eventually("the project default", SOON, || sandbox.has(&["appproject", "default", "--namespace", "argocd"]).then_some(()));
    sandbox.kubectl(&["apply", "--filename", &file(home, "objects.yaml", &objects)]);
    for (name, address) in ADDRESSES {
        eventually(&format!("{address} Synced"), SOON, || {
            let found = sandbox.get(&["application", name, "--namespace", "argocd"]);
            (found["status"]["sync"]["status"] == "Synced").then_some(())
        });
        assert!(sandbox.has(&["configmap", "here", "--namespace", &format!("app-{name}")]), "{address}");
    }
}

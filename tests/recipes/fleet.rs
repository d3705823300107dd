//! A small fleet: Argo CD in a few objects, three projects, a root with two tiers, and an Application in each.

use gitops_bootstrap::domain::tree::{Rendered, Tree};
use gitops_bootstrap::domain::{Commit, HostKeys, Object};
use serde_json::{Value, json};

pub(crate) const REPOSITORY: &str = "git@github.com:acme/fleet.git";

pub(crate) fn commit(digit: char) -> Commit {
    digit.to_string().repeat(40).parse().unwrap()
}

pub(crate) fn hosts() -> HostKeys {
    HostKeys::pinned([]).unwrap()
}

fn rendered(path: &str, value: Value) -> Rendered {
    Rendered { path: path.parse().unwrap(), object: Object::new(value).unwrap() }
}

fn definition(plural: &str, kind: &str) -> Rendered {
    rendered(
        &format!("rendered/staging/infrastructure/argocd/CustomResourceDefinition.{plural}.yaml"),
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.argoproj.io")},
            "spec": {"group": "argoproj.io", "scope": "Namespaced", "names": {"kind": kind, "plural": plural}, "versions": [{"name": "v1alpha1", "served": true}]},
        }),
    )
}

fn application(address: &str, name: &str, folder: &str, path: &str) -> Rendered {
    rendered(
        &format!("{folder}/Application.{name}.yaml"),
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": "argocd"},
            "spec": {
                "project": "argocd", "destination": {"server": "https://kubernetes.default.svc"},
                "source": {"repoURL": address, "path": path, "targetRevision": "main"},
                "syncPolicy": {"automated": {"prune": true, "selfHeal": true}, "syncOptions": ["ServerSideApply=true"]},
            },
        }),
    )
}

pub(crate) fn tree(at: &Commit) -> Tree {
    tree_at(at, REPOSITORY, &[REPOSITORY])
}

/// The same where the repository has another address, and the projects permit `permitted`.
pub(crate) fn tree_at(at: &Commit, address: &str, permitted: &[&str]) -> Tree {
    let application = |name: &str, folder: &str, path: &str| application(address, name, folder, path);
    let top = "rendered/staging/argocd/argocd";
    let root = application("argocd-app-of-apps", top, top);
    let project = |name: &str| {
        rendered(
            &format!("{top}/AppProject.{name}.yaml"),
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": name, "namespace": "argocd"}, "spec": {
                "sourceRepos": permitted, "destinations": [{"server": "*", "namespace": "*"}],
            }}),
        )
    };
    let mut web = application("web", "rendered/staging/argocd/services", "rendered/staging/services/web").object.into_value();
    web["spec"]["destination"]["namespace"] = "web".into();
    web["spec"]["syncPolicy"]["syncOptions"] = json!(["CreateNamespace=true", "ServerSideApply=true"]);
    let own = "rendered/staging/infrastructure/argocd";
    Tree {
        cluster: "staging".parse().unwrap(),
        commit: at.clone(),
        repository: address.parse().unwrap(),
        revision: "main".to_owned(),
        projects: ["argocd", "infrastructure", "services"].map(project).to_vec(),
        applications: vec![
            root.clone(),
            application("infrastructure-app-of-apps", top, "rendered/staging/argocd/infrastructure"),
            application("services-app-of-apps", top, "rendered/staging/argocd/services"),
            application("argocd", "rendered/staging/argocd/infrastructure", own),
            rendered("rendered/staging/argocd/services/Application.web.yaml", web),
        ],
        root,
        argocd: vec![
            definition("applications", "Application"),
            definition("appprojects", "AppProject"),
            rendered(
                &format!("{own}/ConfigMap.argocd-ssh-known-hosts-cm.yaml"),
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-ssh-known-hosts-cm"}, "data": {"ssh_known_hosts": hosts().iter().map(|key| key.to_line() + "\n").collect::<String>()}}),
            ),
            rendered(
                &format!("{own}/Deployment.argocd-repo-server.yaml"),
                json!({
                    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "argocd-repo-server"},
                    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "argocd", "image": "quay.io/argoproj/argocd:v3.5.7"}]}}},
                }),
            ),
            rendered(
                &format!("{own}/StatefulSet.argocd-application-controller.yaml"),
                json!({
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "argocd-application-controller"},
                    "spec": {
                        "replicas": 1, "selector": {"matchLabels": {"app.kubernetes.io/name": "argocd-application-controller"}},
                        "template": {"spec": {"containers": [{"name": "argocd", "image": "quay.io/argoproj/argocd:v3.5.7"}]}},
                    },
                }),
            ),
            rendered(
                &format!("{own}/Certificate.argocd.yaml"),
                json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "argocd"}, "spec": {}}),
            ),
        ],
        paths: vec!["rendered/staging".parse().unwrap()],
    }
}

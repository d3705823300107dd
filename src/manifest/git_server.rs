//! A Git server in the cluster, for the time without a forge: `git daemon` of Argo CD's own image on a bare repository that ConfigMaps hold.
//!
//! Nothing has to be pulled that Argo CD does not need anyway, nothing is stored outside of the cluster's own database, and no program writes the
//! repository: one projected volume lays the ConfigMaps' keys out as its files. That has two consequences. Top-level entries of such a volume are
//! symbolic links, and Git takes no link for a `HEAD`, so the repository is a folder in it. And the files belong to root, so Git is told that their
//! owner does not matter.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::domain::tree::{ARGOCD_NAMESPACE, Tree};
use crate::domain::{Object, ObjectRef, RepositoryUrl, Resource};
use crate::error::{Failure, Result};
use crate::ports::git::PackedCommit;

/// The name of the server's objects.
pub const NAME: &str = "gitops-bootstrap-git";

/// The labels of all its objects, by which they are found and removed.
pub const LABELS: &str = "app.kubernetes.io/name=gitops-bootstrap-git,app.kubernetes.io/managed-by=gitops-bootstrap";

/// Git's own port (git-daemon(1)).
const PORT: u16 = 9418;

/// Where the volume is mounted.
const MOUNT: &str = "/srv";

/// The folder of the repository in the volume.
const REPOSITORY: &str = "fleet.git";

/// The most that one pack and its index may have, in bytes. A ConfigMap holds 1 MiB at most (kubernetes.io, "ConfigMaps"); the rest is for its names.
pub const LARGEST_PACK: usize = 960 << 10;

/// The most packs: what a node's memory and the cluster's database take without being noticed.
pub const MOST_PACKS: usize = 64;

/// The programs of Argo CD that read Git, by the label `app.kubernetes.io/name` of their pods.
const READERS: [&str; 4] = ["argocd-repo-server", "argocd-application-controller", "argocd-applicationset-controller", "argocd-server"];

/// The address of the repository, for Argo CD.
pub fn address() -> RepositoryUrl {
    RepositoryUrl::of_git_daemon(&format!("{NAME}.{ARGOCD_NAMESPACE}.svc"), PORT, REPOSITORY)
}

/// The kinds of the server's objects, in the order in which they are removed: the Deployment last, by which a run that was cut short is known.
pub fn kinds() -> [Resource; 4] {
    [
        Resource::new("v1", "Service"),
        Resource::new("v1", "ConfigMap"),
        Resource::new("networking.k8s.io/v1", "NetworkPolicy"),
        Resource::new("apps/v1", "Deployment"),
    ]
}

/// The server's Deployment.
pub fn deployment() -> ObjectRef {
    ObjectRef::namespaced("apps/v1", "Deployment", ARGOCD_NAMESPACE, NAME)
}

/// The objects that serve `packed` as the branch that `tree` follows, in the order in which they are applied: the Deployment last.
///
/// # Errors
/// A tree in which no workload runs Argo CD's repo-server, whose image has the `git` that serves.
pub fn objects(packed: &PackedCommit, tree: &Tree) -> Result<Vec<Object>> {
    let branch = branch(tree);
    let mut sources = Vec::new();
    let mut objects = Vec::new();
    for pack in &packed.packs {
        // A name that says what is in it: the object never changes, and a new commit has others.
        let name = format!("{NAME}-{}", pack.name.get(..16).unwrap_or(&pack.name));
        let path = |ending: &str| format!("{REPOSITORY}/objects/pack/pack-{}.{ending}", pack.name);
        sources.push(json!({"configMap": {"name": name, "items": [
            {"key": "pack", "path": path("pack")},
            {"key": "index", "path": path("idx")},
        ]}}));
        let encode = |content: &[u8]| base64::engine::general_purpose::STANDARD.encode(content);
        let mut object = config_map(&name);
        object["binaryData"] = json!({"pack": encode(&pack.content), "index": encode(&pack.index)});
        objects.push(object);
    }
    let references = format!("{NAME}-{}", packed.commit.short());
    sources.push(json!({"configMap": {"name": references, "items": [
        {"key": "HEAD", "path": format!("{REPOSITORY}/HEAD")},
        {"key": "config", "path": format!("{REPOSITORY}/config")},
        {"key": "branch", "path": format!("{REPOSITORY}/refs/heads/{branch}")},
    ]}}));
    let mut object = config_map(&references);
    object["data"] = json!({
        "HEAD": format!("ref: refs/heads/{branch}\n"),
        "config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
        "branch": format!("{}\n", packed.commit),
    });
    objects.push(object);
    objects.push(service());
    objects.push(network_policy());
    objects.push(server(tree, packed, &sources)?);
    objects.into_iter().map(|object| Object::new(object).map_err(|error| Failure::bug(error.to_string()))).collect()
}

/// The branch that is served. An Application that follows `HEAD` follows the one that is served alone.
pub fn branch(tree: &Tree) -> &str {
    if tree.revision == "HEAD" { "main" } else { &tree.revision }
}

fn metadata(name: &str) -> Value {
    let labels: serde_json::Map<String, Value> =
        LABELS.split(',').filter_map(|label| label.split_once('=')).map(|(name, text)| (name.to_owned(), text.into())).collect();
    json!({"name": name, "namespace": ARGOCD_NAMESPACE, "labels": labels})
}

fn selector() -> Value {
    json!({"app.kubernetes.io/name": NAME})
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "immutable": true})
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(NAME),
        "spec": {"selector": selector(), "ports": [{"name": "git", "port": PORT, "targetPort": "git", "protocol": "TCP"}]},
    })
}

/// Only Argo CD may ask, and the server asks nobody.
fn network_policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata(NAME),
        "spec": {
            "podSelector": {"matchLabels": selector()},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{
                "from": [{"podSelector": {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "In", "values": READERS}]}}],
                "ports": [{"port": PORT, "protocol": "TCP"}],
            }],
        },
    })
}

fn server(tree: &Tree, packed: &PackedCommit, sources: &[Value]) -> Result<Value> {
    let (pod, image) = repo_server(tree).ok_or_else(|| {
        Failure::repository("no workload of Argo CD in the tree runs its repo-server")
            .because("the Git server in the cluster is run from the same image, which has `git`")
    })?;
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "git",
            "image": image,
            "command": ["git", "daemon"],
            "args": [
                "--export-all", "--strict-paths", "--informative-errors", "--reuseaddr", "--init-timeout=10", "--timeout=60",
                "--max-connections=64", format!("--port={PORT}"), format!("--base-path={MOUNT}"), format!("{MOUNT}/{REPOSITORY}"),
            ],
            // Settings from the environment count as those of the account: Git takes `safe.directory` from nowhere else (git-config(1)).
            "env": [
                {"name": "GIT_CONFIG_COUNT", "value": "1"},
                {"name": "GIT_CONFIG_KEY_0", "value": "safe.directory"},
                {"name": "GIT_CONFIG_VALUE_0", "value": "*"},
            ],
            "ports": [{"name": "git", "containerPort": PORT, "protocol": "TCP"}],
            "readinessProbe": {"tcpSocket": {"port": "git"}, "periodSeconds": 5},
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "repository", "mountPath": MOUNT, "readOnly": true}],
        }],
        "volumes": [{"name": "repository", "projected": {"defaultMode": 0o444, "sources": sources}}],
    });
    // It has to be able to run where Argo CD runs, and to get the image as Argo CD gets it.
    for field in ["imagePullSecrets", "nodeSelector", "tolerations"] {
        if let Some(value) = pod.get(field) {
            spec[field] = value.clone();
        }
    }
    Ok(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(NAME),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": selector()},
            "template": {
                "metadata": {"labels": selector(), "annotations": {"gitops-bootstrap/commit": packed.commit.as_str()}},
                "spec": spec,
            },
        },
    }))
}

/// The pod of Argo CD's repo-server, and its image.
fn repo_server(tree: &Tree) -> Option<(&Value, &str)> {
    let pods = || tree.argocd.iter().filter_map(|rendered| Some((rendered.object.name(), rendered.object.at("/spec/template/spec")?)));
    let runs_it = |container: &&Value| {
        let words = ["command", "args"].into_iter().filter_map(|field| container.get(field)?.as_array()).flatten();
        words.filter_map(Value::as_str).any(|word| word.rsplit('/').next() == Some("argocd-repo-server"))
    };
    let by_command = pods().find_map(|(_, pod)| Some((pod, pod.get("containers")?.as_array()?.iter().find(runs_it)?)));
    // An image may start it by itself.
    let by_name = || pods().find_map(|(name, pod)| name.ends_with("repo-server").then(|| Some((pod, pod.pointer("/containers/0")?)))?);
    let (pod, container) = by_command.or_else(by_name)?;
    Some((pod, container.get("image")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RepositoryPath;
    use crate::domain::tree::Rendered;
    use crate::ports::git::Pack;

    fn tree(revision: &str) -> Tree {
        let path: RepositoryPath = "r/a.yaml".parse().unwrap();
        let rendered = |value: Value| Rendered { path: path.clone(), object: Object::new(value).unwrap() };
        let repo_server = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any"}, "spec": {"template": {"spec": {
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "s", "image": "example.org/argocd:v3.5.1", "args": ["/usr/local/bin/argocd-repo-server", "--port=1"]}],
        }}}});
        Tree {
            cluster: "staging".parse().unwrap(),
            commit: "1".repeat(40).parse().unwrap(),
            repository: "git@github.com:acme/fleet.git".parse().unwrap(),
            revision: revision.to_owned(),
            root: rendered(json!({"apiVersion": "v1", "kind": "Any", "metadata": {"name": "root"}})),
            projects: Vec::new(),
            applications: Vec::new(),
            argocd: vec![rendered(repo_server)],
            paths: Vec::new(),
        }
    }

    fn packed() -> PackedCommit {
        let pack = |name: &str| Pack { name: name.repeat(40), content: vec![1, 2], index: vec![3] };
        PackedCommit { commit: "c".repeat(40).parse().unwrap(), packs: vec![pack("a"), pack("b")] }
    }

    #[test]
    fn the_repository_is_a_folder_of_the_volume_and_every_file_of_it_comes_from_a_config_map() {
        let objects = objects(&packed(), &tree("release/1")).unwrap();
        let deployment = objects.last().unwrap();
        assert_eq!(deployment.reference(), super::deployment());
        let sources = deployment.at("/spec/template/spec/volumes/0/projected/sources").unwrap().as_array().unwrap();
        let mut paths = Vec::new();
        for source in sources {
            let name = source.pointer("/configMap/name").unwrap().as_str().unwrap();
            let object = objects.iter().find(|object| object.kind() == "ConfigMap" && object.name() == name).unwrap();
            for item in source.pointer("/configMap/items").unwrap().as_array().unwrap() {
                let key = item["key"].as_str().unwrap();
                assert!(["/data", "/binaryData"].iter().any(|data| object.at(&format!("{data}/{key}")).is_some()), "{name} {key}");
                paths.push(item["path"].as_str().unwrap().to_owned());
            }
        }
        let pack = |name: &str, ending| format!("fleet.git/objects/pack/pack-{}.{ending}", name.repeat(40));
        let expected = [pack("a", "pack"), pack("a", "idx"), pack("b", "pack"), pack("b", "idx")];
        let expected = expected.into_iter().chain(["HEAD", "config", "refs/heads/release/1"].map(|file| format!("fleet.git/{file}")));
        assert_eq!(paths, expected.collect::<Vec<_>>());
    }

    #[test]
    fn the_server_runs_from_argo_cds_own_image_without_any_right() {
        let objects = objects(&packed(), &tree("main")).unwrap();
        let pod = objects.last().unwrap().at("/spec/template/spec").unwrap().clone();
        assert_eq!(pod["containers"][0]["image"], "example.org/argocd:v3.5.1");
        assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert!(objects.iter().all(|object| object.label("app.kubernetes.io/managed-by") == Some("gitops-bootstrap")));
        assert_eq!(address().as_str(), "git://gitops-bootstrap-git.argocd.svc:9418/fleet.git");
    }

    #[test]
    fn applications_that_follow_head_get_a_branch_all_the_same() {
        assert_eq!((branch(&tree("HEAD")), branch(&tree("main"))), ("main", "main"));
        let mut without = tree("main");
        without.argocd.clear();
        assert!(objects(&packed(), &without).unwrap_err().to_string().contains("repo-server"));
    }
}

//! What cannot come back from Git, read from the tree and the bundle.

mod references;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::application::Application;
use crate::domain::bundle::{Bundle, Why};
use crate::domain::tree::{ARGOCD_NAMESPACE, Rendered, Tree};
use crate::domain::{Object, RepositoryPath, RepositoryUrl};
use crate::manifest::decryptable::Undecryptable;

use super::recovery::{Loss, LossKind};
pub(super) use references::makes;

/// The API groups of operators that run databases and brokers, and what each runs.
const DATABASES: [(&str, &str); 10] = [
    ("acid.zalan.do", "PostgreSQL"),
    ("postgres-operator.crunchydata.com", "PostgreSQL"),
    ("mysql.oracle.com", "MySQL"),
    ("k8s.mariadb.com", "MariaDB"),
    ("mongodbcommunity.mongodb.com", "MongoDB"),
    ("psmdb.percona.com", "MongoDB"),
    ("pxc.percona.com", "MySQL"),
    ("rabbitmq.com", "RabbitMQ"),
    ("kafka.strimzi.io", "Kafka"),
    ("clickhouse.altinity.com", "ClickHouse"),
];

/// The objects of a tree, each with the namespace that it ends up in.
pub(super) struct Placed<'a> {
    rendered: &'a Rendered,
    namespace: String,
}

impl Placed<'_> {
    pub(super) fn object(&self) -> &Object {
        &self.rendered.object
    }

    /// The namespace; for kinds that live in none, that of what is beside it.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// As people name it: `Cluster shop/main`.
    fn name(&self) -> String {
        format!("{} {}/{}", self.object().kind(), self.namespace, self.object().name())
    }

    fn file(&self) -> String {
        self.rendered.path.to_string()
    }
}

/// Lists what cannot come back from Git. `objects` are all objects of the tree, `undecryptable` is what no key at hand decrypts.
pub fn losses(tree: &Tree, objects: &[Rendered], bundle: Option<&Bundle>, undecryptable: &[Undecryptable]) -> Vec<Loss> {
    let placed = placed(tree, objects);
    let mut losses: Vec<Loss> = undecryptable.iter().map(undecrypted).collect();
    losses.extend(references::missing(&placed, bundle));
    losses.extend(repositories(tree, bundle));
    losses.extend(placed.iter().flat_map(volume));
    losses.extend(placed.iter().filter_map(database));
    losses.extend(certificates(&placed, bundle));
    losses.extend(placed.iter().filter_map(address));
    losses.extend(argocd(bundle));
    losses.sort();
    losses
}

/// The objects of a tree, each in its place.
pub(super) fn placed<'a>(tree: &Tree, objects: &'a [Rendered]) -> Vec<Placed<'a>> {
    let destinations = destinations(tree);
    objects.iter().map(|rendered| place(rendered, &destinations)).collect()
}

/// The folders that Applications take, each with the namespace for objects that name none.
fn destinations(tree: &Tree) -> BTreeMap<RepositoryPath, String> {
    let mut destinations = BTreeMap::new();
    for rendered in &tree.applications {
        let Ok(application) = Application::read(&rendered.object) else { continue };
        let folders = application.sources().filter_map(|source| source.path.as_ref()?.parse::<RepositoryPath>().ok());
        for folder in folders {
            destinations.entry(folder).or_insert_with(|| application.spec.destination.namespace.clone());
        }
    }
    destinations
}

fn place<'a>(rendered: &'a Rendered, destinations: &BTreeMap<RepositoryPath, String>) -> Placed<'a> {
    // The nearest folder above it that an Application takes.
    let destination = || {
        let folders = std::iter::successors(Some(rendered.path.clone()), RepositoryPath::parent);
        folders.into_iter().find_map(|folder| destinations.get(&folder)).map(String::as_str)
    };
    let namespace = rendered.object.namespace().or_else(destination).filter(|namespace| !namespace.is_empty()).unwrap_or("default");
    Placed { rendered, namespace: namespace.to_owned() }
}

fn loss(kind: LossKind, what: impl Into<String>, meaning: impl Into<String>, files: Vec<String>) -> Loss {
    Loss { kind, what: what.into(), meaning: meaning.into(), files }
}

fn undecrypted(found: &Undecryptable) -> Loss {
    let meaning = if found.proven { found.needs.clone() } else { format!("not checked from here: {}", found.needs) };
    loss(LossKind::Undecryptable, &found.what, meaning, vec![format!("{}:{}", found.file, found.line)])
}

/// The content of volumes: of claims, and of those that workloads make from templates.
fn volume(placed: &Placed<'_>) -> Vec<Loss> {
    const MEANING: &str = "comes back empty: restore its content from a backup";
    let object = placed.object();
    if object.kind() == "PersistentVolumeClaim" {
        return vec![loss(LossKind::Volume, placed.name(), MEANING, vec![placed.file()])];
    }
    let templates = object.at("/spec/volumeClaimTemplates").and_then(Value::as_array).into_iter().flatten();
    let replicas = object.at("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    templates
        .map(|template| {
            let name = template.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("a volume");
            loss(LossKind::Volume, format!("{name} of {} ({replicas} times)", placed.name()), MEANING, vec![placed.file()])
        })
        .collect()
}

/// The content of databases whose operators make them anew.
fn database(placed: &Placed<'_>) -> Option<Loss> {
    let object = placed.object();
    let group = object.resource().group().to_owned();
    let of = |meaning: String| Some(loss(LossKind::Database, placed.name(), meaning, vec![placed.file()]));
    if group == "postgresql.cnpg.io" && object.kind() == "Cluster" {
        if object.at("/spec/bootstrap/recovery").is_some() {
            return None;
        }
        let archives = object.at("/spec/backup/barmanObjectStore").is_some() || object.at("/spec/plugins").is_some();
        return of(if archives {
            "comes back empty, and its archive holds that of the old one: it says \"Expected empty archive\" and makes no backups until `bootstrap.recovery` takes the old one's".to_owned()
        } else {
            "comes back empty: restore it from a backup, or declare `bootstrap.recovery`".to_owned()
        });
    }
    let (_, runs) = DATABASES.iter().find(|(operator, _)| *operator == group)?;
    object.at("/spec")?;
    of(format!("{runs} comes back empty unless it is told to restore a backup"))
}

/// Certificates, which an issuer has to issue again. Those whose Secrets the bundle has are none of them.
fn certificates(placed: &[Placed<'_>], bundle: Option<&Bundle>) -> Vec<Loss> {
    let kept = |namespace: &str, name: &str| {
        bundle.is_some_and(|bundle| bundle.entries.iter().any(|entry| entry.object.namespace == namespace && entry.object.name == name))
    };
    let acme: BTreeSet<&str> = placed
        .iter()
        .filter(|placed| matches!(placed.object().kind(), "Issuer" | "ClusterIssuer") && placed.object().at("/spec/acme").is_some())
        .map(|placed| placed.object().name())
        .collect();
    let mut issuers: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
    for placed in placed {
        let object = placed.object();
        let group = object.resource().group().to_owned();
        let secrets: Vec<(String, String)> = if group == "cert-manager.io" && object.kind() == "Certificate" {
            let issuer = object.text("/spec/issuerRef/name").unwrap_or("an issuer").to_owned();
            object.text("/spec/secretName").map(|secret| (issuer, secret.to_owned())).into_iter().collect()
        } else if let Some(issuer) = issuer_of(object) {
            let tls = object.at("/spec/tls").and_then(Value::as_array).into_iter().flatten();
            tls.filter_map(|tls| Some((issuer.to_owned(), tls.get("secretName")?.as_str()?.to_owned()))).collect()
        } else {
            Vec::new()
        };
        for (issuer, _) in secrets.into_iter().filter(|(_, secret)| !kept(&placed.namespace, secret)) {
            let (count, files) = issuers.entry(issuer).or_default();
            *count += 1;
            files.insert(placed.file());
        }
    }
    let one = |(issuer, (count, files)): (String, (usize, BTreeSet<String>))| {
        let what = if count == 1 { format!("1 certificate of {issuer}") } else { format!("{count} certificates of {issuer}") };
        let meaning = if acme.contains(issuer.as_str()) {
            "are issued again, by a new account; Let's Encrypt issues the same certificate 5 times a week at most, and 50 a week for a domain (letsencrypt.org/docs/rate-limits)"
        } else {
            "are issued again; who pins them, or an authority that is made anew with the cluster, no longer trusts them"
        };
        loss(LossKind::Certificate, what, meaning, files.into_iter().collect())
    };
    issuers.into_iter().map(one).collect()
}

/// The issuer that an Ingress asks for by annotation.
fn issuer_of(object: &Object) -> Option<&str> {
    let is_ingress = object.kind() == "Ingress" && object.resource().group() == "networking.k8s.io";
    let annotation = || object.annotation("cert-manager.io/cluster-issuer").or_else(|| object.annotation("cert-manager.io/issuer"));
    if is_ingress { annotation() } else { None }
}

/// Addresses that a cloud gives, and records in the DNS that belong to a cluster.
fn address(placed: &Placed<'_>) -> Option<Loss> {
    let object = placed.object();
    if object.kind() == "Service" && object.text("/spec/type") == Some("LoadBalancer") && object.at("/spec/loadBalancerIP").is_none() {
        let meaning = "gets a new address: what points to the old one (DNS records by hand, firewalls, allow-lists) has to follow";
        return Some(loss(LossKind::Address, placed.name(), meaning, vec![placed.file()]));
    }
    if object.kind() != "Deployment" {
        return None;
    }
    let containers = object.at("/spec/template/spec/containers")?.as_array()?;
    let container = containers.iter().find(|container| {
        container
            .get("image")
            .and_then(Value::as_str)
            .is_some_and(|image| image.contains("/external-dns/") || image.contains("/external-dns:"))
    })?;
    let arguments = container.get("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let owner = arguments.into_iter().find_map(|argument| argument.strip_prefix("--txt-owner-id=")).unwrap_or("default").to_owned();
    let meaning = format!(
        "takes over the records that the old cluster wrote as owner `{owner}`, and removes those that the new one has not: the old cluster must be gone; records of any other owner stay as they are"
    );
    Some(loss(LossKind::Address, format!("{} (external-dns)", placed.name()), meaning, vec![placed.file()]))
}

/// Argo CD's own Secret.
fn argocd(bundle: Option<&Bundle>) -> Option<Loss> {
    if bundle.is_some_and(|bundle| bundle.of(Why::ArgoCd).next().is_some()) {
        return None;
    }
    let meaning = "is made anew: everybody is logged out, API tokens of accounts and projects are void, the administrator has a new password, and webhooks and single sign-on need their secrets again";
    Some(loss(LossKind::ArgoCd, format!("Secret {ARGOCD_NAMESPACE}/argocd-secret"), meaning, Vec::new()))
}

/// Repositories that need credentials which neither Git nor the bundle has: those of other addresses by SSH.
fn repositories(tree: &Tree, bundle: Option<&Bundle>) -> Vec<Loss> {
    let known = |address: &str| {
        let entries = bundle.into_iter().flat_map(|bundle| &bundle.entries);
        let mut urls = entries.filter(|entry| matches!(entry.why, Why::Repository | Why::RepositoryCredentials));
        urls.any(|entry| entry.object.text("url").is_some_and(|url| address.starts_with(url.trim_end_matches(".git"))))
    };
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rendered in &tree.applications {
        let Ok(application) = Application::read(&rendered.object) else { continue };
        for source in application.sources() {
            let Ok(url) = source.repository.parse::<RepositoryUrl>() else { continue };
            let is_ssh = url.transport() == crate::domain::repository_url::Transport::Ssh;
            if is_ssh && source.chart.is_none() && !url.is_same_repository(&tree.repository) && !known(&source.repository) {
                found.entry(url.to_string()).or_default().insert(rendered.path.to_string());
            }
        }
    }
    let meaning = "is reached by SSH, and its credentials are neither in Git nor in the bundle";
    found
        .into_iter()
        .map(|(url, files)| loss(LossKind::MissingSecret, format!("repository {url}"), meaning, files.into_iter().collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(objects: &[Value]) -> Vec<Loss> {
        let root = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "shop"}, "spec": {"source": {"path": "r/shop"}, "destination": {"namespace": "shop"}}});
        let application = Rendered { path: "r/argocd/shop.yaml".parse().unwrap(), object: Object::new(root).unwrap() };
        let tree = Tree {
            cluster: "staging".parse().unwrap(),
            commit: "0".repeat(40).parse().unwrap(),
            repository: "git@github.com:acme/fleet.git".parse().unwrap(),
            revision: "main".to_owned(),
            root: application.clone(),
            applications: vec![application],
            projects: Vec::new(),
            argocd: Vec::new(),
            paths: Vec::new(),
        };
        let rendered = |value: &Value| Rendered { path: "r/shop/a.yaml".parse().unwrap(), object: Object::new(value.clone()).unwrap() };
        losses(&tree, &objects.iter().map(rendered).collect::<Vec<_>>(), None, &[])
    }

    fn names(objects: &[Value]) -> Vec<String> {
        found(objects).into_iter().filter(|loss| loss.kind != LossKind::ArgoCd).map(|loss| loss.what).collect()
    }

    #[test]
    fn volumes_and_databases_come_back_empty() {
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}});
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "db"},
            "spec": {"replicas": 3, "volumeClaimTemplates": [{"metadata": {"name": "disk"}}]}});
        let cluster = |bootstrap: Value| json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "main"}, "spec": {"bootstrap": bootstrap}});
        assert_eq!(names(&[claim, set]), ["PersistentVolumeClaim shop/data", "disk of StatefulSet db/db (3 times)"]);
        assert_eq!(names(&[cluster(json!({"initdb": {}}))]), ["Cluster shop/main"]);
        assert!(names(&[cluster(json!({"recovery": {"source": "old"}}))]).is_empty());
    }

    #[test]
    fn certificates_are_counted_for_each_issuer() {
        let certificate = |name: &str| json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": name}, "spec": {"secretName": name, "issuerRef": {"name": "letsencrypt"}}});
        let issuer =
            json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "letsencrypt"}, "spec": {"acme": {}}});
        let losses = found(&[certificate("a"), certificate("b"), issuer]);
        let certificates = losses.iter().find(|loss| loss.kind == LossKind::Certificate).unwrap();
        assert_eq!(certificates.what, "2 certificates of letsencrypt");
        assert!(certificates.meaning.contains("5 times a week"));
    }

    #[test]
    fn without_a_bundle_argo_cd_starts_with_new_secrets() {
        assert_eq!(found(&[]).iter().map(|loss| loss.kind).collect::<Vec<_>>(), [LossKind::ArgoCd]);
    }

    #[test]
    fn addresses_change_and_records_have_an_owner() {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ingress"}, "spec": {"type": "LoadBalancer"}});
        let dns = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "dns"}, "spec": {"template": {"spec": {"containers": [
            {"name": "dns", "image": "registry.k8s.io/external-dns/external-dns:v0.19.0", "args": ["--txt-owner-id=staging"]},
        ]}}}});
        let losses = found(&[service, dns]);
        assert!(losses.iter().any(|loss| loss.what == "Service shop/ingress"));
        assert!(losses.iter().any(|loss| loss.meaning.contains("owner `staging`")));
    }
}

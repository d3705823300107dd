//! From the values files to AppProjects' Applications: one for each enabled entry, and the app-of-apps above them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fields::Field;
use super::yaml::{self, Located, Node};
use crate::domain::application::{CREATE_NAMESPACE, SERVER_SIDE_APPLY, THIS_CLUSTER, is_same_option};
use crate::domain::declaration::Repository;
use crate::domain::tree::{ARGOCD_API_VERSION, ARGOCD_NAMESPACE};
use crate::domain::{ClusterName, Object, RepositoryPath};
use crate::error::{Failure, Result};

/// The wave of the app-of-apps of the infrastructure within the root; services and the root itself come after it. The last wave of a sync is
/// not waited for (gitops-engine, `sync_context.go`): were the root in an earlier one, a broken service could block every other change.
const INFRASTRUCTURE_WAVE: i64 = 0;
const LAST_WAVE: i64 = 1;

/// The longest name of an app: the limit of a Helm release.
const LONGEST_NAME: usize = 53;

/// A group of apps with one AppProject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// What other things need: it comes first, and may have cluster-scoped objects.
    Infrastructure,
    /// What the cluster is there for.
    Services,
}

/// What the values files say of one app on one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name of the app, of its folder and of its Application.
    pub name: String,
    /// Whether it has an Application.
    pub enabled: bool,
    /// The sync wave within its tier; lower ones come first, and are waited for.
    pub wave: i64,
    /// The namespace that it goes to.
    pub namespace: String,
    /// Whether its Application is never pruned and, when it is deleted, leaves everything running.
    pub protect: bool,
    /// Sync options of Argo CD beyond those that every Application has.
    pub sync_options: Vec<String>,
}

/// A values file.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// How messages call it.
    pub file: &'a str,
    /// Its text.
    pub text: &'a str,
}

impl Tier {
    /// Both, in the order in which they are synced.
    pub const ALL: [Self; 2] = [Self::Infrastructure, Self::Services];

    /// The name of the tier, of its folders and of its AppProject.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Infrastructure => "infrastructure",
            Self::Services => "services",
        }
    }
}

/// Reads the apps of a tier: the entries of `values.yaml`, with what `values.<cluster>.yaml` says instead, key by key.
pub fn entries(tier: Tier, common: Values<'_>, of_cluster: Option<Values<'_>>) -> Result<Vec<Entry>> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for values in [Some(common), of_cluster].into_iter().flatten() {
        let Some(document) = yaml::parse_located(values.text, values.file)? else { continue };
        overlay(tier, values.file, &document, &mut entries)?;
    }
    Ok(entries.into_values().collect())
}

fn overlay(tier: Tier, file: &str, document: &Located<Node>, entries: &mut BTreeMap<String, Entry>) -> Result<()> {
    let Some(applications) = Field::top(file, document).fields(&["applications"])?.optional("applications") else { return Ok(()) };
    for (key, field) in applications.entries()? {
        if key.value.parse::<ClusterName>().is_err() || key.value.len() > LONGEST_NAME {
            return Err(field.fault_at(
                &key,
                format_args!(
                    "`{}` is not the name of an app: use 1 to {LONGEST_NAME} lower-case letters, digits and `-`, with a letter or digit at both ends",
                    key.value.escape_debug()
                ),
            ));
        }
        let entry = entries.entry(key.value.to_owned()).or_insert_with(|| Entry {
            name: key.value.to_owned(),
            enabled: false,
            wave: 0,
            namespace: key.value.to_owned(),
            protect: false,
            sync_options: Vec::new(),
        });
        let fields = field.fields(&["enabled", "wave", "namespace", "protect", "syncOptions"])?;
        if let Some(enabled) = fields.optional("enabled") {
            entry.enabled = enabled.boolean()?;
        }
        if let Some(wave) = fields.optional("wave") {
            entry.wave = wave.integer()?;
            if i32::try_from(entry.wave).is_err() {
                return Err(wave.fault("`wave` is too far from 0"));
            }
        }
        if let Some(namespace) = fields.optional("namespace") {
            let name = namespace.text()?;
            if name.parse::<ClusterName>().is_err() {
                return Err(namespace.fault(format_args!("`{}` is not the name of a namespace", name.escape_debug())));
            }
            name.clone_into(&mut entry.namespace);
        }
        if tier == Tier::Services && entry.namespace == ARGOCD_NAMESPACE {
            return Err(field
                .fault_at(
                    &key,
                    format_args!(
                        "a service cannot go to the namespace `{ARGOCD_NAMESPACE}`: whoever writes there is administrator of the cluster"
                    ),
                )
                .hint("give it another `namespace`, or make it infrastructure"));
        }
        if let Some(protect) = fields.optional("protect") {
            entry.protect = protect.boolean()?;
        }
        if let Some(options) = fields.optional("syncOptions") {
            entry.sync_options = options.list()?.iter().map(|option| sync_option(option)).collect::<Result<_>>()?;
        }
    }
    Ok(())
}

fn sync_option(field: &Field<'_>) -> Result<String> {
    let text = field.text()?;
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok(text.to_owned()),
        _ => Err(field.fault("a sync option is `NAME=VALUE`, as in `RespectIgnoreDifferences=true`")),
    }
}

/// The folders and Applications of one cluster.
#[derive(Clone, Copy, Debug)]
pub struct Applications<'a> {
    /// The fleet repository.
    pub repository: &'a Repository,
    /// The cluster.
    pub cluster: &'a ClusterName,
}

impl Applications<'_> {
    /// The folder of everything that the cluster gets.
    pub fn folder(&self) -> Result<RepositoryPath> {
        path(&self.repository.rendered, self.cluster.as_str())
    }

    /// The folder of the Applications of a tier, or with `argocd` of the projects and app-of-apps.
    pub fn group(&self, name: &str) -> Result<RepositoryPath> {
        path(&path(&self.folder()?, "argocd")?, name)
    }

    /// The folder of what an app is made of.
    pub fn app(&self, tier: Tier, name: &str) -> Result<RepositoryPath> {
        path(&path(&self.folder()?, tier.name())?, name)
    }

    /// The root app-of-apps, which holds itself, and one for each tier that has an app.
    pub fn app_of_apps(&self, tiers: &BTreeMap<Tier, Vec<Entry>>) -> Result<Vec<Object>> {
        let mut objects = vec![self.group_application("argocd", LAST_WAVE, true)?];
        for (tier, wave) in [(Tier::Infrastructure, INFRASTRUCTURE_WAVE), (Tier::Services, LAST_WAVE)] {
            if tiers.get(&tier).is_some_and(|entries| entries.iter().any(|entry| entry.enabled)) {
                objects.push(self.group_application(tier.name(), wave, false)?);
            }
        }
        Ok(objects)
    }

    /// Deleting one of these never deletes what is below it: they have no finalizer. The root is not even pruned.
    fn group_application(&self, group: &str, wave: i64, root: bool) -> Result<Object> {
        self.object(&Application {
            name: format!("{group}-app-of-apps"),
            project: "argocd",
            namespace: ARGOCD_NAMESPACE,
            path: self.group(group)?,
            wave,
            prune_protected: root,
            cascade: false,
            sync_options: vec![SERVER_SIDE_APPLY.to_owned()],
        })
    }

    /// The Application of an app.
    pub fn application(&self, tier: Tier, entry: &Entry) -> Result<Object> {
        let mut sync_options = vec![CREATE_NAMESPACE.to_owned(), SERVER_SIDE_APPLY.to_owned()];
        for option in &entry.sync_options {
            sync_options.retain(|other| !is_same_option(other, option));
            sync_options.push(option.clone());
        }
        self.object(&Application {
            name: entry.name.clone(),
            project: tier.name(),
            namespace: &entry.namespace,
            path: self.app(tier, &entry.name)?,
            wave: entry.wave,
            prune_protected: entry.protect,
            cascade: !entry.protect,
            sync_options,
        })
    }

    fn object(&self, application: &Application<'_>) -> Result<Object> {
        let mut metadata = json!({"name": application.name, "namespace": ARGOCD_NAMESPACE});
        let mut annotations = serde_json::Map::new();
        if application.wave != 0 {
            annotations.insert("argocd.argoproj.io/sync-wave".to_owned(), application.wave.to_string().into());
        }
        if application.prune_protected {
            annotations.insert("argocd.argoproj.io/sync-options".to_owned(), "Prune=false,Delete=false".into());
        }
        if !annotations.is_empty() {
            metadata["annotations"] = Value::Object(annotations);
        }
        if application.cascade {
            metadata["finalizers"] = json!(["resources-finalizer.argocd.argoproj.io"]);
        }
        let value = json!({
            "apiVersion": ARGOCD_API_VERSION,
            "kind": "Application",
            "metadata": metadata,
            "spec": {
                "project": application.project,
                "source": {
                    "repoURL": self.repository.url.as_str(),
                    "targetRevision": self.repository.branch,
                    "path": application.path.as_str(),
                },
                "destination": {"server": THIS_CLUSTER, "namespace": application.namespace},
                "syncPolicy": {
                    "automated": {"prune": true, "selfHeal": true},
                    // By default Argo CD gives up on a commit after five tries: an app that waits for another one would stay failed for
                    // ever. `refresh` lets a newer commit end the retries of an older one (Argo CD 3.2 and later).
                    "retry": {"limit": -1, "refresh": true, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "3m"}},
                    "syncOptions": application.sync_options,
                },
            },
        });
        Object::new(value).map_err(|error| Failure::bug(format!("the Application `{}` is {error}", application.name)))
    }
}

/// What differs from Application to Application.
struct Application<'a> {
    name: String,
    project: &'a str,
    namespace: &'a str,
    path: RepositoryPath,
    wave: i64,
    prune_protected: bool,
    cascade: bool,
    sync_options: Vec<String>,
}

fn path(folder: &RepositoryPath, child: &str) -> Result<RepositoryPath> {
    folder.join(child).map_err(|error| Failure::repository(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: Values<'_> = Values {
        file: "values.yaml",
        text: "applications:\n  web:\n    enabled: true\n    wave: 2\n    syncOptions: [ServerSideApply=false, Validate=false]\n  off: {}\n",
    };

    fn refusal(tier: Tier, text: &str) -> String {
        entries(tier, Values { file: "v.yaml", text }, None).unwrap_err().to_string()
    }

    #[test]
    fn a_cluster_says_only_what_differs() {
        let staging =
            Values { file: "values.staging.yaml", text: "applications:\n  web: {wave: 3}\n  off: {enabled: true, namespace: other}\n" };
        let found = entries(Tier::Services, COMMON, Some(staging)).unwrap();
        let seen: Vec<_> = found.iter().map(|entry| (entry.name.as_str(), entry.enabled, entry.wave, entry.namespace.as_str())).collect();
        assert_eq!(seen, [("off", true, 0, "other"), ("web", true, 3, "web")]);
        assert!(!entries(Tier::Services, COMMON, None).unwrap()[0].enabled, "an entry is off unless it says that it is on");
    }

    #[test]
    fn what_is_not_understood_is_cited() {
        for (text, expected) in [
            ("applications:\n  web: {enabeld: true}\n", "v.yaml:2:9: unknown key `enabeld`; did you mean `enabled`?"),
            ("application: {}\n", "v.yaml:1:1: unknown key `application`; did you mean `applications`?"),
            ("applications:\n  web: {enabled: 1}\n", "v.yaml:2:18: `applications.web.enabled` must be true or false, and is a number"),
            ("applications:\n  web: true\n", "v.yaml:2:8: `applications.web` must be a mapping, and is true or false"),
            ("applications:\n  ../web: {}\n", "v.yaml:2:3: `../web` is not the name of an app"),
            ("applications:\n  web: {namespace: argocd}\n", "v.yaml:2:3: a service cannot go to the namespace `argocd`"),
            (
                "applications:\n  web: {syncOptions: [yes]}\n",
                "v.yaml:2:23: `applications.web.syncOptions[0]` must be a text, and is true or false",
            ),
        ] {
            let refusal = refusal(Tier::Services, text);
            assert!(refusal.starts_with(expected), "{refusal}");
        }
    }

    #[test]
    fn applications_as_argo_cd_gets_them() {
        let repository = crate::manifest::declaration::parse(
            "version: 1\nrepository: {url: 'git@github.com:acme/fleet.git'}\nargocd: {version: v3.5.7, sha256: 09bfbb9041b4a8503c6e4fa22cf41c403fa62be17526de353648a4551f5beb77}\nclusters: {staging: }\n",
            "gitops.yaml",
        )
        .unwrap()
        .repository;
        let cluster = "staging".parse().unwrap();
        let applications = Applications { repository: &repository, cluster: &cluster };
        let services = entries(Tier::Services, COMMON, None).unwrap();
        let web = applications.application(Tier::Services, &services[1]).unwrap();
        let protected = Entry { protect: true, wave: -10, ..services[1].clone() };
        let protected = applications.application(Tier::Infrastructure, &protected).unwrap();
        let groups = applications.app_of_apps(&BTreeMap::from([(Tier::Infrastructure, Vec::new()), (Tier::Services, services)])).unwrap();
        let names: Vec<_> = groups.iter().map(Object::name).collect();
        assert_eq!(
            names,
            ["argocd-app-of-apps", "services-app-of-apps"],
            "a tier without an app has no app-of-apps, since it has no folder"
        );
        let texts: Vec<_> = [&web, &protected, &groups[0]].into_iter().map(|object| yaml::to_text(object.value())).collect();
        insta::assert_snapshot!(texts.join("---\n"));
    }
}

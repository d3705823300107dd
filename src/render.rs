//! From the sources to what each cluster gets: `src/` in, `rendered/<cluster>/` out, the same bytes every time.
//!
//! [`Sources::read`] reads everything once, [`Sources::plan`] decides what has to be built and with which tools, [`Plan::render`] builds it, and
//! [`Rendering::compare`] says what of it is stale on disk.

mod build;
mod changes;
mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures::stream::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

pub use self::changes::Changes;
use crate::adapters::files;
use crate::adapters::tools::{Tool, Tools};
use crate::domain::declaration::Declaration;
use crate::domain::{ClusterName, Object, RepositoryPath};
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, Events};
use crate::manifest::applications::{Applications, Entry, Tier, Values, entries};

/// The files that people write, as they were at one moment.
#[derive(Clone, Debug)]
pub struct Sources {
    fleet: PathBuf,
    declaration: Declaration,
    files: BTreeMap<RepositoryPath, Vec<u8>>,
}

/// What has to be built for some clusters.
#[derive(Debug)]
pub struct Plan<'a> {
    sources: &'a Sources,
    clusters: Vec<ClusterPlan<'a>>,
}

/// What has to be built for one cluster.
#[derive(Debug)]
struct ClusterPlan<'a> {
    cluster: &'a ClusterName,
    tiers: BTreeMap<Tier, Vec<Entry>>,
    apps: Vec<App>,
}

/// An app of one cluster, how it is built and where it goes.
#[derive(Debug)]
struct App {
    tier: Tier,
    name: String,
    folder: RepositoryPath,
    target: RepositoryPath,
    build: build::Build,
}

/// What the clusters get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    /// The folders that belong to this rendering, and to nothing else.
    pub folders: Vec<RepositoryPath>,
    /// All files, with their content.
    pub files: BTreeMap<RepositoryPath, String>,
    /// How many apps were built.
    pub apps: usize,
}

impl Sources {
    /// Reads the sources of the fleet repository at `fleet`.
    pub fn read(fleet: &Path, declaration: &Declaration) -> Result<Self> {
        let files = files::read_folder(fleet, &declaration.repository.source)?;
        if files.is_empty() {
            let source = &declaration.repository.source;
            return Err(Failure::repository(format!("there is nothing in the source folder `{source}`"))
                .hint("`gitops-bootstrap new` writes it; `repository.source` in gitops.yaml names it"));
        }
        let files = files.into_iter().map(|file| (file.path, file.content)).collect();
        let sources = Self { fleet: fleet.to_owned(), declaration: declaration.clone(), files };
        sources.check_argocd()?;
        Ok(sources)
    }

    /// Refuses an install manifest of Argo CD that is not the pinned one.
    fn check_argocd(&self) -> Result<()> {
        let path = self.folder(&["infrastructure", "argocd", "install.yaml"])?;
        let Some(content) = self.files.get(&path) else { return Ok(()) };
        let found: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        let pinned = &self.declaration.argocd.sha256;
        if &found == pinned {
            return Ok(());
        }
        Err(Failure::new(Kind::Unverified, format!("`{path}` is not the manifest that gitops.yaml pins"))
            .because(format!("its SHA-256 is {found}"))
            .because(format!("`argocd.sha256` in gitops.yaml is {pinned}"))
            .hint("put the released file back, or, if this is an upgrade, set `argocd.version` and `argocd.sha256` to what it is"))
    }

    /// Decides what has to be built for `clusters`, each of which must be declared.
    pub fn plan<'a>(&'a self, clusters: &'a [ClusterName]) -> Result<Plan<'a>> {
        let plans = clusters.iter().map(|cluster| self.plan_cluster(cluster)).collect::<Result<_>>()?;
        Ok(Plan { sources: self, clusters: plans })
    }

    fn plan_cluster<'a>(&'a self, cluster: &'a ClusterName) -> Result<ClusterPlan<'a>> {
        let applications = Applications { repository: &self.declaration.repository, cluster };
        let mut tiers = BTreeMap::new();
        let mut apps = Vec::new();
        for tier in Tier::ALL {
            let entries = self.entries(tier, cluster)?;
            for entry in entries.iter().filter(|entry| entry.enabled) {
                let folder = self.folder(&[tier.name(), &entry.name])?;
                let build = build::detect(self, &folder, cluster, entry).map_err(|failure| of_app(failure, tier, &entry.name, cluster))?;
                let target = applications.app(tier, &entry.name)?;
                apps.push(App { tier, name: entry.name.clone(), folder, target, build });
            }
            tiers.insert(tier, entries);
        }
        let mut names = BTreeMap::new();
        for app in &apps {
            if let Some(other) = names.insert(app.name.as_str(), app.tier) {
                return Err(Failure::repository(format!("the app `{}` is there twice on `{cluster}`", app.name)).because(format!(
                    "in `{}` and in `{}`; both would be the Application `{}`",
                    other.name(),
                    app.tier.name(),
                    app.name
                )));
            }
        }
        Ok(ClusterPlan { cluster, tiers, apps })
    }

    fn entries(&self, tier: Tier, cluster: &ClusterName) -> Result<Vec<Entry>> {
        let common = self.folder(&["argocd", tier.name(), "values.yaml"])?;
        let of_cluster = self.folder(&["argocd", tier.name(), &format!("values.{cluster}.yaml")])?;
        let common_text = self.text(&common)?.ok_or_else(|| {
            Failure::repository(format!("`{common}` is missing"))
                .hint("it says which apps there are, as in `applications: {web: {enabled: true}}`")
        })?;
        let of_cluster_text = self.text(&of_cluster)?;
        let of_cluster = of_cluster_text.map(|text| Values { file: of_cluster.as_str(), text });
        entries(tier, Values { file: common.as_str(), text: common_text }, of_cluster)
    }

    /// A path below the source folder.
    fn folder(&self, parts: &[&str]) -> Result<RepositoryPath> {
        let join = |folder: RepositoryPath, part: &&str| folder.join(part).map_err(|error| Failure::repository(error.to_string()));
        parts.iter().try_fold(self.declaration.repository.source.clone(), join)
    }

    /// The text of a source file, if it is there.
    fn text(&self, path: &RepositoryPath) -> Result<Option<&str>> {
        let Some(content) = self.files.get(path) else { return Ok(None) };
        std::str::from_utf8(content).map(Some).map_err(|_| Failure::repository(format!("`{path}` is not UTF-8")))
    }

    /// The manifests below a folder: its YAML and JSON files.
    fn manifests<'a>(&'a self, folder: &'a RepositoryPath) -> impl Iterator<Item = &'a RepositoryPath> {
        let is_manifest = |path: &&RepositoryPath| [".yaml", ".yml", ".json"].iter().any(|extension| path.as_str().ends_with(extension));
        self.files.keys().filter(move |path| path.is_within(folder)).filter(is_manifest)
    }
}

impl Plan<'_> {
    /// The tools that are needed.
    pub fn tools(&self) -> BTreeSet<Tool> {
        self.clusters.iter().flat_map(|cluster| &cluster.apps).filter_map(|app| app.build.tool()).collect()
    }

    /// Builds everything, as many apps at a time as there are processors.
    pub async fn render(&self, tools: &Tools, events: &Events, cancel: &CancellationToken) -> Result<Rendering> {
        // Clusters for which an app is built from the same files with the same settings share one build.
        let mut builds: BTreeMap<&build::Build, (&App, &ClusterName, Vec<&RepositoryPath>)> = BTreeMap::new();
        for plan in &self.clusters {
            for app in &plan.apps {
                builds.entry(&app.build).or_insert_with(|| (app, plan.cluster, Vec::new())).2.push(&app.target);
            }
        }
        let total = builds.len() as u64;
        let at_once = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let mut built = futures::stream::iter(builds)
            .map(|(build, (app, cluster, targets))| async move {
                let objects =
                    build.run(self.sources, app, tools, cancel).await.map_err(|failure| of_app(failure, app.tier, &app.name, cluster))?;
                Ok::<_, Failure>((app, cluster, objects, targets))
            })
            .buffer_unordered(at_once);
        let mut files = BTreeMap::new();
        let mut done = 0;
        while let Some((app, cluster, objects, targets)) = built.try_next().await? {
            if cancel.is_cancelled() {
                return Err(Failure::new(Kind::Interrupted, "interrupted while rendering; nothing was written"));
            }
            let texts = objects::files(objects, &app.folder).map_err(|failure| of_app(failure, app.tier, &app.name, cluster))?;
            for target in targets {
                for (name, text) in &texts {
                    files.insert(below(target, name)?, text.clone());
                }
            }
            done += 1;
            events.send(Event::Work { message: format!("rendered {}", app.name), done, total });
        }
        drop(built);
        let mut folders = Vec::new();
        for plan in &self.clusters {
            files.extend(self.applications(plan)?);
            folders.push(Applications { repository: &self.sources.declaration.repository, cluster: plan.cluster }.folder()?);
        }
        Ok(Rendering { folders, files, apps: self.clusters.iter().map(|plan| plan.apps.len()).sum() })
    }

    /// The projects, the app-of-apps and the Applications of a cluster.
    fn applications(&self, plan: &ClusterPlan<'_>) -> Result<BTreeMap<RepositoryPath, String>> {
        let applications = Applications { repository: &self.sources.declaration.repository, cluster: plan.cluster };
        let mut files = BTreeMap::new();
        let mut add = |folder: &RepositoryPath, objects: Vec<Object>, source: &RepositoryPath| -> Result<()> {
            for (name, text) in objects::files(objects, source)? {
                files.insert(below(folder, &name)?, text);
            }
            Ok(())
        };
        let projects = self.sources.folder(&["argocd", "projects"])?;
        let top = applications.group("argocd")?;
        add(&top, objects::read(self.sources, &projects)?, &projects)?;
        add(&top, applications.app_of_apps(&plan.tiers)?, &self.sources.folder(&["argocd"])?)?;
        for (tier, entries) in &plan.tiers {
            let enabled = entries.iter().filter(|entry| entry.enabled);
            let objects = enabled.map(|entry| applications.application(*tier, entry)).collect::<Result<_>>()?;
            add(&applications.group(tier.name())?, objects, &self.sources.folder(&["argocd", tier.name()])?)?;
        }
        Ok(files)
    }
}

fn below(folder: &RepositoryPath, name: &str) -> Result<RepositoryPath> {
    folder.join(name).map_err(|error| Failure::repository(error.to_string()))
}

/// Says which app a failure is about.
fn of_app(mut failure: Failure, tier: Tier, name: &str, cluster: &ClusterName) -> Failure {
    if failure.kind == Kind::InvalidRepository {
        let said = std::mem::replace(&mut failure.message, format!("{}/{name} cannot be rendered for {cluster}", tier.name()).into());
        failure.causes.insert(0, said.into_owned());
    }
    failure
}

//! Reading the tree of one cluster from the rendered files of one commit, and refusing one that cannot boot.
//!
//! The layout is that of kube-starter-kit: `<rendered>/<cluster>/argocd/argocd/` holds the AppProjects and the app-of-apps Applications,
//! `<rendered>/<cluster>/argocd/{infrastructure,services}/` one Application for each app, and `<rendered>/<cluster>/{infrastructure,services}/<app>/`
//! what the app is made of. Files may have any name: what counts is what is in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::yaml::{self, Located};
use super::{projects, secrets};
use crate::domain::application::THIS_CLUSTER;
use crate::domain::declaration::{Repository, default_rendered};
use crate::domain::object::InvalidObject;
use crate::domain::tree::{ARGOCD_NAMESPACE, PROJECTS, Rendered, Tree};
use crate::domain::{ClusterName, Commit, Object, RepositoryPath, RepositoryUrl};
use crate::error::{Failure, Result};
use crate::ports::git::File;

/// The rendered folder of kube-starter-kit.
const STARTER_KIT: &str = "kubernetes/rendered";

/// The most files of one cluster that are read.
const MOST_FILES: usize = 100_000;

/// A tree, and what a person should know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The tree.
    pub tree: Tree,
    /// All objects in the files of the cluster.
    pub objects: Vec<Rendered>,
    /// What does not keep it from booting: full sentences that start with the file, without any secret value.
    pub warnings: Vec<String>,
}

/// The rendered folder of a repository without `gitops.yaml`: `rendered`, else kube-starter-kit's. `paths` are the files of the commit.
pub fn detect<'a>(paths: impl IntoIterator<Item = &'a RepositoryPath> + Clone) -> Result<RepositoryPath> {
    let starter_kit: RepositoryPath = STARTER_KIT.parse().unwrap_or_else(|_| unreachable!("a constant"));
    for folder in [default_rendered(), starter_kit] {
        if paths.clone().into_iter().any(|path| path.is_within(&folder)) {
            return Ok(folder);
        }
    }
    Err(Failure::repository(format!("this is not a fleet repository: it has no `gitops.yaml`, no `rendered/` and no `{STARTER_KIT}/`"))
        .hint("write one with `gitops-bootstrap new`, or name its folder with `--fleet`"))
}

/// The clusters that a rendered folder has folders for.
pub fn clusters<'a>(rendered: &RepositoryPath, paths: impl IntoIterator<Item = &'a RepositoryPath>) -> BTreeSet<ClusterName> {
    let below = format!("{rendered}/");
    let first = |path: &RepositoryPath| path.as_str().strip_prefix(&below)?.split_once('/')?.0.parse().ok();
    paths.into_iter().filter_map(first).collect()
}

/// Reads the tree of `cluster`. `files` are those of `commit` below `rendered`, or below the cluster's folder in it. `declared` is the
/// repository that `gitops.yaml` names; without one, address and branch are the root Application's.
///
/// Fails with [`crate::error::Kind::InvalidRepository`] on what can never boot, citing each place.
pub fn read(
    cluster: &ClusterName,
    commit: &Commit,
    files: &[File],
    rendered: &RepositoryPath,
    declared: Option<&Repository>,
) -> Result<Reading> {
    let folder = rendered.join(cluster.as_str()).map_err(|error| Failure::repository(error.to_string()))?;
    let contents = Contents::read(cluster, files, &folder)?;
    let applications = contents.of_kind("Application");
    let projects = contents.of_kind("AppProject");
    unique(&applications)?;
    unique(&projects)?;

    let root = root(&applications, &folder)?;
    let repository = repository(&root, declared)?;
    let mut warnings = contents.warnings.clone();
    declared_projects(&applications, &projects, declared.is_some(), &folder)?;
    warnings.extend(projects.iter().filter(|project| project.object.name() == "services").flat_map(projects::too_wide));

    let mut paths = BTreeSet::new();
    for application in &applications {
        warnings.extend(foreign(application, &repository));
        for source in own_sources(application, &repository) {
            if let Some(path) = source_path(application, source)? {
                warnings.extend(contents.check_folder(application, source, &path, &folder)?);
                paths.insert(path);
            }
        }
    }
    let argocd = argocd(&contents, &applications, &repository)?;
    let tree = Tree {
        cluster: cluster.clone(),
        commit: commit.clone(),
        revision: revision(&root),
        repository,
        root,
        projects,
        applications,
        argocd,
        paths: paths.into_iter().collect(),
    };
    Ok(Reading { tree, objects: contents.all(), warnings })
}

/// A document with its file: an object, or why it is none.
type Document<'a> = (&'a RepositoryPath, Located<std::result::Result<Object, InvalidObject>>);

/// The parsed files of one cluster.
struct Contents<'a> {
    /// In the order of their paths.
    files: Vec<&'a File>,
    /// In the order of their files.
    documents: Vec<Document<'a>>,
    warnings: Vec<String>,
}

impl<'a> Contents<'a> {
    fn read(cluster: &ClusterName, files: &'a [File], folder: &RepositoryPath) -> Result<Self> {
        let mut files: Vec<&File> = files.iter().filter(|file| file.path.is_within(folder)).collect();
        if files.is_empty() {
            return Err(Failure::repository(format!("the commit has no files in `{folder}`"))
                .hint(format!("render and commit them: `gitops-bootstrap render {cluster}`, then `git add {folder}` and `git commit`")));
        }
        if files.len() > MOST_FILES {
            return Err(Failure::repository(format!("`{folder}` has {} files; {MOST_FILES} is the most that is read", files.len())));
        }
        files.sort_by(|left, right| left.path.cmp(&right.path));
        let mut spellings = BTreeMap::new();
        for file in &files {
            if let Some(other) = spellings.insert(file.path.as_str().to_lowercase(), &file.path) {
                return Err(Failure::repository(format!("`{other}` and `{}` are one file where case makes no difference", file.path))
                    .because("a clone on macOS or Windows has only one of them"));
            }
        }
        let manifests: Vec<&File> = files.iter().copied().filter(|file| is_manifest(&file.path)).collect();
        let mut documents = Vec::new();
        let mut warnings = Vec::new();
        // Of several files that are wrong, it is the first that is told, whichever was parsed first.
        for parsed in yaml::each_in_parallel(&manifests, parse) {
            let (parsed, of_file) = parsed?;
            documents.extend(parsed);
            warnings.extend(of_file);
        }
        Ok(Self { files, documents, warnings })
    }

    /// The objects of one of Argo CD's kinds.
    fn of_kind(&self, kind: &str) -> Vec<Rendered> {
        self.those(|object| object.kind() == kind && object.api_version().starts_with("argoproj.io/"))
    }

    /// All objects; what is none, such as a values file, is left out.
    fn all(&self) -> Vec<Rendered> {
        self.those(|_| true)
    }

    fn those(&self, wanted: impl Fn(&Object) -> bool) -> Vec<Rendered> {
        let objects = self.documents.iter().filter_map(|(path, document)| Some((*path, document.value.as_ref().ok()?)));
        let objects = objects.filter(|(_, object)| wanted(object));
        objects.map(|(path, object)| Rendered { path: path.clone(), object: object.clone() }).collect()
    }

    /// The objects in a folder, in the order of their files.
    fn objects(&self, folder: &RepositoryPath) -> Result<Vec<Rendered>> {
        let inside = self.documents.iter().filter(|(path, _)| path.is_within(folder));
        inside
            .map(|(path, document)| {
                let object = document.value.clone().map_err(|error| {
                    yaml::fault(path.as_str(), document.line, document.column, format_args!("not a Kubernetes object: {error}"))
                })?;
                Ok(Rendered { path: (*path).clone(), object })
            })
            .collect()
    }

    /// Refuses an Application whose folder would be nothing, or would be pruned to nothing.
    fn check_folder(
        &self,
        application: &Rendered,
        source: &Value,
        path: &RepositoryPath,
        cluster: &RepositoryPath,
    ) -> Result<Option<String>> {
        let cited = cite(application);
        if !path.is_within(cluster) {
            // Another cluster's folder is somebody else's decision; a folder outside of the rendered ones was not read.
            return Ok(Some(format!("{cited} takes `{path}`, which is not in `{cluster}`: what runs here can be changed from there")));
        }
        if !holds(&self.files, |file| &file.path, path) {
            return Err(Failure::repository(format!("{cited} takes `{path}`, and the commit has no such folder"))
                .because(format!("`{path}` does not exist"))
                .hint("render and commit it, or disable the application in its values file"));
        }
        let has = |name: &str| path.join(name).is_ok_and(|wanted| self.files.binary_search_by(|file| file.path.cmp(&wanted)).is_ok());
        let is_tool = source.get("helm").is_some() || ["kustomization.yaml", "kustomization.yml", "Chart.yaml"].into_iter().any(has);
        let holds_objects = holds(&self.documents, |(file, _)| file, path);
        if holds_objects || is_tool {
            return Ok(None);
        }
        let empty = format!("{cited} takes `{path}`, which holds no object");
        if application.object.at("/spec/syncPolicy/automated/prune") == Some(&Value::Bool(true)) {
            return Err(Failure::repository(empty).because("with `prune` on, an empty folder means: delete everything"));
        }
        Ok(Some(empty))
    }
}

/// The documents of a file, and what is in clear in it.
fn parse(file: &File) -> Result<(Vec<Document<'_>>, Vec<String>)> {
    let name = file.path.as_str();
    let text = std::str::from_utf8(&file.content)
        .map_err(|error| yaml::fault(name, 1, 1, format_args!("not UTF-8 from byte {}", error.valid_up_to())))?;
    let parsed = yaml::parse_documents(text, name)?;
    let warnings = secrets::in_clear(text, name, &parsed);
    let document = |Located { value, line, column }| (&file.path, Located { value: Object::new(value), line, column });
    Ok((parsed.into_iter().map(document).collect(), warnings))
}

/// Whether one of `items`, which are in the order of their paths, is `folder` or lies in it. There may be ten thousand items, and a folder for each.
fn holds<T>(items: &[T], path: impl Fn(&T) -> &RepositoryPath, folder: &RepositoryPath) -> bool {
    let inside = format!("{folder}/");
    let begins = |from: &str| items.get(items.partition_point(|item| path(item).as_str() < from)).map(&path);
    begins(&inside).is_some_and(|path| path.is_within(folder)) || begins(folder.as_str()) == Some(folder)
}

/// Whether Argo CD reads a file of a plain folder as manifests (its directory source: `*.yaml`, `*.yml` and `*.json`).
pub(super) fn is_manifest(path: &RepositoryPath) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|extension| path.file_name().ends_with(extension))
}

/// How messages name an Application or a project, and its file.
fn cite(rendered: &Rendered) -> String {
    format!("{}: {} `{}`", rendered.path, rendered.object.kind(), rendered.object.name())
}

/// Refuses two objects of one name.
fn unique(objects: &[Rendered]) -> Result<()> {
    let mut seen: BTreeMap<(&str, &str), &RepositoryPath> = BTreeMap::new();
    for rendered in objects {
        let object = &rendered.object;
        let key = (object.namespace().unwrap_or(ARGOCD_NAMESPACE), object.name());
        if let Some(first) = seen.insert(key, &rendered.path) {
            return Err(Failure::repository(format!("{} `{}` is there twice", object.kind(), object.name()))
                .because(format!("once in {first}"))
                .because(format!("once in {}", rendered.path)));
        }
    }
    Ok(())
}

/// The sources of an Application: `source`, or the items of `sources`.
fn sources(application: &Rendered) -> Vec<&Value> {
    let several = application.object.at("/spec/sources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    application.object.at("/spec/source").into_iter().chain(several).collect()
}

fn source_path(application: &Rendered, source: &Value) -> Result<Option<RepositoryPath>> {
    let Some(path) = source.get("path").and_then(Value::as_str) else { return Ok(None) };
    path.parse().map(Some).map_err(|error| Failure::repository(format!("{}: {error}", cite(application))))
}

fn source_repository(source: &Value) -> Option<RepositoryUrl> {
    source.get("repoURL").and_then(Value::as_str)?.parse().ok()
}

/// The sources of an Application that are in the fleet repository, whatever the transport.
fn own_sources<'a>(application: &'a Rendered, repository: &RepositoryUrl) -> Vec<&'a Value> {
    let own = |source: &&Value| source_repository(source).is_some_and(|url| url.is_same_repository(repository));
    sources(application).into_iter().filter(own).collect()
}

/// The root app-of-apps: the one Application that holds itself, since its path is the folder that its own file lies in.
fn root(applications: &[Rendered], folder: &RepositoryPath) -> Result<Rendered> {
    let holds_itself = |application: &&Rendered| {
        sources(application).into_iter().any(|source| {
            let Ok(Some(path)) = source_path(application, source) else { return false };
            let recurse = source.pointer("/directory/recurse") == Some(&Value::Bool(true));
            application.path.parent().as_ref() == Some(&path) || (recurse && application.path.is_within(&path))
        })
    };
    let mut roots = applications.iter().filter(holds_itself);
    match (roots.next(), roots.next()) {
        (Some(root), None) => Ok(root.clone()),
        (Some(first), Some(second)) => Err(Failure::repository(format!("`{folder}` has two root Applications"))
            .because(cite(first))
            .because(cite(second))
            .hint("a tree has one Application whose `spec.source.path` is the folder that its own file lies in")),
        (None, _) => Err(Failure::repository(format!("`{folder}` has no root Application"))
            .because(format!(
                "none of its {} Applications has as its `spec.source.path` the folder that its own file lies in",
                applications.len()
            ))
            .hint(format!("kube-starter-kit has it in `{folder}/argocd/argocd/`; `gitops-bootstrap new` writes one"))),
    }
}

/// The branch that an Application follows; `HEAD` if it names none.
fn revision(application: &Rendered) -> String {
    let named = sources(application).first().and_then(|source| source.get("targetRevision")).and_then(Value::as_str).unwrap_or("HEAD");
    named.strip_prefix("refs/heads/").unwrap_or(named).to_owned()
}

/// The address that the root names, which must be the declared one.
fn repository(root: &Rendered, declared: Option<&Repository>) -> Result<RepositoryUrl> {
    let address = sources(root).first().and_then(|source| source.get("repoURL")).and_then(Value::as_str).unwrap_or_default();
    let url: RepositoryUrl = address.parse().map_err(|error| Failure::repository(format!("{}: `repoURL` is {error}", cite(root))))?;
    let Some(declared) = declared else { return Ok(url) };
    if url.normalised() != declared.url.normalised() {
        return Err(Failure::repository("the root Application follows another repository than `gitops.yaml` names")
            .because(format!("{} names {url}", cite(root)))
            .because(format!("gitops.yaml: `repository.url` is {}", declared.url))
            .hint("make both the same (Argo CD takes an https and an ssh address for two repositories), then `gitops-bootstrap render`"));
    }
    let revision = revision(root);
    if revision != declared.branch {
        return Err(Failure::repository("the root Application follows another branch than `gitops.yaml` names")
            .because(format!("{} follows `{revision}`", cite(root)))
            .because(format!("gitops.yaml: `repository.branch` is `{}`", declared.branch))
            .hint("make both the same, then `gitops-bootstrap render`"));
    }
    Ok(url)
}

/// What an Application takes from elsewhere than from the fleet repository's own branch, which widens who can change the cluster.
fn foreign(application: &Rendered, repository: &RepositoryUrl) -> Vec<String> {
    let mut warnings = Vec::new();
    for source in sources(application) {
        let address = source.get("repoURL").and_then(Value::as_str).unwrap_or_default();
        let Some(url) = source_repository(source) else { continue };
        if source.get("chart").is_none() && url.is_same_repository(repository) && url.normalised() != repository.normalised() {
            warnings.push(format!(
                "{} names {address}, the root {repository}: Argo CD takes them for two repositories, and the deploy key opens only the second",
                cite(application)
            ));
        }
    }
    let server = application.object.text("/spec/destination/server");
    if server.is_some_and(|server| server != THIS_CLUSTER) {
        warnings.push(format!("{} goes to another cluster; only this one is bootstrapped", cite(application)));
    }
    if application.object.at("/spec/syncPolicy/automated/allowEmpty") == Some(&Value::Bool(true)) {
        warnings.push(format!("{} sets `allowEmpty`: an emptied folder would delete everything it runs", cite(application)));
    }
    warnings
}

/// Refuses Applications of projects that no file declares: Argo CD would never sync them. A declared fleet has all three projects.
fn declared_projects(applications: &[Rendered], projects: &[Rendered], declared: bool, folder: &RepositoryPath) -> Result<()> {
    let known: BTreeSet<&str> = projects.iter().map(|project| project.object.name()).collect();
    let missing = |name: &str| Failure::repository(format!("AppProject `{name}` is missing: no file in `{folder}` declares it"));
    for application in applications {
        let project = application.object.text("/spec/project").unwrap_or_default();
        // `default` is made by Argo CD's server.
        if project != "default" && !known.contains(project) {
            return Err(missing(project).because(format!("{} is of this project", cite(application))));
        }
    }
    match PROJECTS.into_iter().find(|name| declared && !known.contains(name)) {
        Some(name) => Err(missing(name).hint("`gitops-bootstrap new` writes it to `src/argocd/projects/`")),
        None => Ok(()),
    }
}

/// The objects of Argo CD itself: those in the folder of the Application that holds its resource definitions.
fn argocd(contents: &Contents<'_>, applications: &[Rendered], repository: &RepositoryUrl) -> Result<Vec<Rendered>> {
    let defines_applications = |object: &Object| object.kind() == "CustomResourceDefinition" && object.name() == "applications.argoproj.io";
    let definition =
        contents.documents.iter().find(|(_, document)| document.value.as_ref().is_ok_and(defines_applications)).map(|(path, _)| *path);
    let mut folders = Vec::new();
    for application in applications {
        for source in own_sources(application, repository) {
            folders.extend(source_path(application, source)?.map(|path| (application, path)));
        }
    }
    let holds = |path: &RepositoryPath| definition.is_some_and(|definition| definition.is_within(path));
    let Some((application, folder)) = folders
        .iter()
        .find(|(_, path)| holds(path))
        .or_else(|| folders.iter().find(|(application, _)| application.object.name() == "argocd"))
    else {
        return Err(Failure::repository("no Application of the tree holds Argo CD itself")
            .because("none takes a folder with the CustomResourceDefinition `applications.argoproj.io`")
            .hint("render Argo CD's install manifest into the repository, so that a clone is all that a recovery needs"));
    };
    let objects = contents.objects(folder)?;
    for (kinds, what) in [(&["CustomResourceDefinition"][..], "CustomResourceDefinition"), (&["Deployment", "StatefulSet"], "Deployment")] {
        if !objects.iter().any(|rendered| kinds.contains(&rendered.object.kind())) {
            return Err(Failure::repository(format!("the folder of Argo CD, `{folder}`, holds no {what}"))
                .because(format!("{} takes it", cite(application)))
                .hint("render it again: `gitops-bootstrap render`"));
        }
    }
    Ok(objects)
}

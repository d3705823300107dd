//! How an app is built: plain manifests, Kustomize or Helm, found out by the files in its folder.

use std::collections::BTreeSet;
use std::ffi::OsString;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{App, Sources, objects};
use crate::adapters::files;
use crate::adapters::tools::{Tool, Tools};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{ClusterName, HostKey, HostKeys, Object, RepositoryPath};
use crate::error::{Failure, Result};
use crate::manifest::applications::Entry;
use crate::manifest::yaml;

/// The version of Kubernetes that charts are told: the oldest one that is supported, since helm's own guess differs from release to release.
const KUBERNETES: &str = "1.33.0";

/// The ConfigMap with the host keys that Argo CD trusts, and its only key.
const HOST_KEYS: (&str, &str) = ("argocd-ssh-known-hosts-cm", "ssh_known_hosts");

/// How kustomize names its files.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Keys of a kustomization that name files or folders.
const KUSTOMIZATION_PATHS: [&str; 12] = [
    "resources",
    "bases",
    "components",
    "crds",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "replacements",
];

/// How one app is built. Equal builds give equal objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Build {
    /// All manifests in the folder, as they are.
    Plain(RepositoryPath),
    /// `kustomize build` of this folder.
    Kustomize(RepositoryPath),
    /// `helm template` of this chart.
    Helm {
        /// The folder of the chart.
        chart: RepositoryPath,
        /// The name of the release.
        release: String,
        /// The namespace of the release.
        namespace: String,
        /// The values of the cluster, if it has its own.
        values: Option<RepositoryPath>,
    },
}

/// Finds out how the app in `folder` is built for `cluster`.
pub(super) fn detect(sources: &Sources, folder: &RepositoryPath, cluster: &ClusterName, entry: &Entry) -> Result<Build> {
    if !sources.files.keys().any(|path| path.is_within(folder)) {
        return Err(Failure::repository(format!("`{folder}` is empty or not there"))
            .hint("write the app there, or set `enabled: false` in the values file of its tier"));
    }
    let join = |child: &str| folder.join(child).map_err(|error| Failure::repository(error.to_string()));
    let chart = join("Chart.yaml")?;
    let overlays = join("overlays")?;
    let overlay = overlays.join(cluster.as_str()).map_err(|error| Failure::repository(error.to_string()))?;
    let has_overlays = sources.files.keys().any(|path| path.is_within(&overlays));
    let is_chart = sources.files.contains_key(&chart);
    let kustomization = if has_overlays { kustomization(sources, &overlay) } else { kustomization(sources, folder) };
    if is_chart && (has_overlays || kustomization.is_some()) {
        return Err(Failure::repository(format!("`{folder}` has both a `Chart.yaml` and a kustomization; only one can be meant")));
    }
    if is_chart {
        dependencies(sources, folder, &chart)?;
        let values = join(&format!("values.{cluster}.yaml"))?;
        let values = sources.files.contains_key(&values).then_some(values);
        return Ok(Build::Helm { chart: folder.clone(), release: entry.name.clone(), namespace: entry.namespace.clone(), values });
    }
    if has_overlays || kustomization.is_some() {
        let start = if has_overlays { overlay } else { folder.clone() };
        local_only(sources, &start, &mut BTreeSet::new())?;
        return Ok(Build::Kustomize(start));
    }
    Ok(Build::Plain(folder.clone()))
}

impl Build {
    /// The tool that is needed, if any.
    pub(super) const fn tool(&self) -> Option<Tool> {
        match self {
            Self::Plain(_) => None,
            Self::Kustomize(_) => Some(Tool::Kustomize),
            Self::Helm { .. } => Some(Tool::Helm),
        }
    }

    /// Builds the app's objects.
    pub(super) async fn run(&self, sources: &Sources, app: &App, tools: &Tools, cancel: &CancellationToken) -> Result<Vec<Object>> {
        let printed = match self {
            Self::Plain(folder) => return with_host_keys(sources, objects::read(sources, folder)?),
            Self::Kustomize(folder) => {
                let path = files::absolute(&sources.fleet, folder);
                tools.run(Tool::Kustomize, &sources.fleet, vec!["build".into(), path.into()], cancel).await
            }
            Self::Helm { chart, release, namespace, values } => {
                let mut arguments: Vec<OsString> = vec!["template".into(), release.into(), files::absolute(&sources.fleet, chart).into()];
                arguments.extend(["--namespace".into(), namespace.into(), "--include-crds".into(), "--skip-tests".into()]);
                arguments.extend(["--kube-version".into(), KUBERNETES.into()]);
                if let Some(values) = values {
                    arguments.extend(["--values".into(), files::absolute(&sources.fleet, values).into()]);
                }
                tools.run(Tool::Helm, &sources.fleet, arguments, cancel).await
            }
        };
        let name = format!("{} (as {} builds it)", app.folder, self.tool().map_or("nothing", Tool::name));
        let objects = objects::parse(&printed.map_err(|failure| failure.hint(format!("the sources are in `{}`", app.folder)))?, &name)?;
        if objects.is_empty() {
            return Err(Failure::repository(format!("`{}` renders to no object", app.folder))
                .because("with `prune` on, an empty folder means: delete everything")
                .hint("to switch the app off, set `enabled: false` in the values file of its tier"));
        }
        with_host_keys(sources, objects)
    }
}

/// Adds the host keys of `gitops.yaml` to those that Argo CD trusts. Git must hold them: Argo CD puts back what differs from Git.
fn with_host_keys(sources: &Sources, objects: Vec<Object>) -> Result<Vec<Object>> {
    let (name, key) = HOST_KEYS;
    let declared = &sources.declaration.repository.known_hosts;
    let is_host_keys = |object: &Object| {
        object.kind() == "ConfigMap" && object.name() == name && object.namespace().is_none_or(|namespace| namespace == ARGOCD_NAMESPACE)
    };
    objects
        .into_iter()
        .map(|object| {
            if !is_host_keys(&object) || declared.is_empty() {
                return Ok(object);
            }
            let mut text = object.at("/data").and_then(|data| data.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned();
            let known = HostKeys::from_known_hosts(&text);
            for line in declared {
                for pinned in HostKey::parse_line(line).map_err(|error| Failure::repository(format!("gitops.yaml: {error}")))? {
                    if !known.contains(&pinned) {
                        text.push_str(if text.is_empty() || text.ends_with('\n') { "" } else { "\n" });
                        text.push_str(&pinned.to_line());
                        text.push('\n');
                    }
                }
            }
            let mut value = object.into_value();
            value["data"][key] = text.into();
            Object::new(value).map_err(|error| Failure::bug(format!("{name} is {error}")))
        })
        .collect()
}

/// The kustomization of a folder, if it has one.
fn kustomization(sources: &Sources, folder: &RepositoryPath) -> Option<RepositoryPath> {
    KUSTOMIZATIONS.iter().filter_map(|name| folder.join(name).ok()).find(|path| sources.files.contains_key(path))
}

/// Refuses a kustomization that takes anything which is not among the sources: what runs would not be what is in Git.
fn local_only(sources: &Sources, folder: &RepositoryPath, seen: &mut BTreeSet<RepositoryPath>) -> Result<()> {
    if !seen.insert(folder.clone()) {
        return Ok(());
    }
    let Some(file) = kustomization(sources, folder) else {
        return Err(Failure::repository(format!("`{folder}` has no `{}`", KUSTOMIZATIONS[0])));
    };
    let text = sources.text(&file)?.unwrap_or_default();
    let documents = yaml::parse_documents(text, file.as_str())?;
    let Some(document) = documents.first() else { return Ok(()) };
    for name in named_files(&document.value) {
        let line = text.lines().position(|line| line.contains(&name)).map_or(1, |index| index + 1);
        let refuse = |what: &str| {
            Failure::repository(format!("{file}:{line}: `{}` {what}", name.escape_debug()))
                .hint("put a copy into the repository: a clone must be all that a recovery needs")
        };
        let Some(path) = resolve(folder, &name) else { return Err(refuse("is not a path inside the repository")) };
        if !path.is_within(&sources.declaration.repository.source) {
            return Err(refuse("leads out of the source folder"));
        }
        if sources.files.contains_key(&path) {
            continue;
        }
        if !sources.files.keys().any(|file| file.is_within(&path)) {
            return Err(refuse("is not among the sources, and nothing is fetched"));
        }
        local_only(sources, &path, seen)?;
    }
    Ok(())
}

/// The files and folders that a kustomization names.
fn named_files(kustomization: &Value) -> Vec<String> {
    let mut named = Vec::new();
    for key in KUSTOMIZATION_PATHS {
        for item in kustomization.get(key).and_then(Value::as_array).into_iter().flatten() {
            match item {
                // An entry with a line break is written in place.
                Value::String(text) if !text.contains('\n') => named.push(text.clone()),
                Value::Object(_) => named.extend(item.get("path").and_then(Value::as_str).map(str::to_owned)),
                _ => {}
            }
        }
    }
    for key in ["configMapGenerator", "secretGenerator"] {
        for generator in kustomization.get(key).and_then(Value::as_array).into_iter().flatten() {
            let list = |key: &str| generator.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            let after_key = |text: &str| text.split_once('=').map_or(text, |(_, path)| path).to_owned();
            named.extend(list("files").map(after_key));
            named.extend(list("envs").map(str::to_owned));
            named.extend(generator.get("env").and_then(Value::as_str).map(str::to_owned));
        }
    }
    named.extend(kustomization.pointer("/openapi/path").and_then(Value::as_str).map(str::to_owned));
    named
}

/// The path that `name` means in `folder`, with `..` resolved; none if it is an address, absolute, or outside of the repository.
fn resolve(folder: &RepositoryPath, name: &str) -> Option<RepositoryPath> {
    if name.contains(':') || name.contains('?') || name.contains("//") || name.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = folder.as_str().split('/').filter(|part| *part != ".").collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    parts.join("/").parse().ok()
}

/// Refuses a chart whose dependencies are not in the repository.
fn dependencies(sources: &Sources, folder: &RepositoryPath, chart: &RepositoryPath) -> Result<()> {
    let documents = yaml::parse_documents(sources.text(chart)?.unwrap_or_default(), chart.as_str())?;
    let wanted = documents.first().and_then(|document| document.value.get("dependencies")).and_then(Value::as_array);
    for dependency in wanted.into_iter().flatten() {
        let name = dependency.get("name").and_then(Value::as_str).unwrap_or_default();
        let charts = format!("{folder}/charts/");
        let vendored = |path: &RepositoryPath| {
            let Some(rest) = path.as_str().strip_prefix(&charts) else { return false };
            rest.starts_with(&format!("{name}/")) || (rest.ends_with(".tgz") && rest.starts_with(&format!("{name}-")))
        };
        if !sources.files.keys().any(vendored) {
            return Err(Failure::repository(format!("{chart}: the dependency `{name}` is not in `{charts}`, and nothing is fetched"))
                .hint(format!("vendor it: `helm dependency update {folder}`, and commit `{charts}`")));
        }
    }
    Ok(())
}

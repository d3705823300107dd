//! The files of a new fleet repository: those of `bootstrap/` as they are, and those of `templates/` with their holes filled.

use std::collections::BTreeSet;

use include_dir::{Dir, include_dir};
use serde_json::Value;

use crate::domain::declaration::{ArgoCd, Flavour, Repository};
use crate::domain::{ClusterName, RepositoryPath};
use crate::error::{Failure, Result};

/// Files that are written as they are.
static BOOTSTRAP: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/bootstrap");

/// Texts with holes, in the template language Tera.
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The part of a template's path that stands for a cluster: such a file is written once for each.
const CLUSTER: &str = "_cluster_";

/// The name of a cluster that nobody tries things on.
const PRODUCTION: &str = "production";

/// Where Argo CD's install manifest goes.
pub const INSTALL_MANIFEST: &str = "src/infrastructure/argocd/install.yaml";

/// The folders of the examples.
const EXAMPLES: [&str; 3] = ["src/infrastructure/default-backend", "src/services/website", "src/services/whoami"];

/// The release of Argo CD that a new fleet gets.
pub const ARGOCD_VERSION: &str = "v3.5.7";

/// The releases whose SHA-256 is known here.
const DIGESTS: [(&str, Flavour, &str); 2] = [
    ("v3.5.7", Flavour::Standard, "09bfbb9041b4a8503c6e4fa22cf41c403fa62be17526de353648a4551f5beb77"),
    ("v3.5.7", Flavour::HighAvailability, "d7b75669da63dc218de0ea67ac00183783cebabd52147c3cf012250faa5ced85"),
];

/// What a person chooses for a new fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// The fleet repository. Its folders are the default ones.
    pub repository: Repository,
    /// The clusters.
    pub clusters: BTreeSet<ClusterName>,
    /// Argo CD's release, and the digest of `install_manifest`.
    pub argocd: ArgoCd,
    /// Argo CD's install manifest, to the byte.
    pub install_manifest: String,
    /// Whether to write the example apps.
    pub examples: bool,
}

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it goes.
    pub path: RepositoryPath,
    /// What is in it.
    pub text: String,
}

impl Choices {
    /// The cluster that a person tries things on first: one that is not called `production`, if there is one.
    pub fn first_cluster(&self) -> &str {
        let names = || self.clusters.iter().map(ClusterName::as_str);
        names().find(|name| *name != PRODUCTION).or_else(|| names().next()).unwrap_or_default()
    }
}

/// The SHA-256 of a release's manifest, if it is known here.
pub fn known_digest(version: &str, flavour: Flavour) -> Option<&'static str> {
    DIGESTS.iter().find(|(known, of, _)| *known == version && *of == flavour).map(|(_, _, digest)| *digest)
}

/// All files of a new fleet but the rendered ones, sorted by path.
pub fn files(choices: &Choices) -> Result<Vec<Document>> {
    let mut documents = vec![document(INSTALL_MANIFEST, choices.install_manifest.clone())?];
    for (path, text) in embedded(&BOOTSTRAP)? {
        documents.push(document(path, text.to_owned())?);
    }
    let mut tera = tera::Tera::new();
    tera.register_filter("quoted", |value: &str, _: tera::Kwargs, _: &tera::State<'_>| Value::from(value).to_string());
    let templates = embedded(&TEMPLATES)?;
    tera.add_raw_templates(templates.iter().copied()).map_err(|error| broken(&error))?;
    for (path, _) in &templates {
        if path.contains(CLUSTER) {
            for cluster in &choices.clusters {
                let mut holes = holes(choices);
                holes.insert("cluster", cluster.as_str());
                // Two show that production is not staging; one is enough to try things out.
                holes.insert("replicas", if cluster.as_str() == PRODUCTION { &2 } else { &1 });
                let text = tera.render(path, &holes).map_err(|error| broken(&error))?;
                documents.push(document(&path.replace(CLUSTER, cluster.as_str()), text)?);
            }
        } else {
            let text = tera.render(path, &holes(choices)).map_err(|error| broken(&error))?;
            documents.push(document(path, text)?);
        }
    }
    if !choices.examples {
        documents.retain(|document| !EXAMPLES.iter().any(|folder| document.path.as_str().starts_with(&format!("{folder}/"))));
    }
    documents.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(documents)
}

fn holes(choices: &Choices) -> tera::Context {
    let mut holes = tera::Context::new();
    let repository = &choices.repository;
    holes.insert(
        "repository",
        &serde_json::json!({
            "url": repository.url.as_str(),
            "branch": repository.branch,
            "api": repository.api,
            "knownHosts": repository.known_hosts,
        }),
    );
    holes.insert("name", repository.url.path().rsplit('/').next().unwrap_or_default());
    holes.insert("argocd", &choices.argocd);
    holes.insert("clusters", &choices.clusters);
    holes.insert("first", choices.first_cluster());
    holes.insert("examples", &choices.examples);
    holes.insert("tool", env!("CARGO_PKG_VERSION"));
    holes
}

/// The embedded files below a folder, sorted by path.
fn embedded(folder: &'static Dir<'static>) -> Result<Vec<(&'static str, &'static str)>> {
    let mut files = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        for file in folder.files() {
            let path = file.path().to_str().zip(file.contents_utf8());
            files.push(path.ok_or_else(|| Failure::bug(format!("the embedded file {} is not text", file.path().display())))?);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn document(path: &str, text: String) -> Result<Document> {
    let path = path.parse().map_err(|error| Failure::bug(format!("an embedded file has a bad name: {error}")))?;
    Ok(Document { path, text })
}

fn broken(error: &tera::Error) -> Failure {
    Failure::bug("an embedded template is broken").because(error)
}

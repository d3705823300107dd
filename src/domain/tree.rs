//! The tree of one cluster as the fleet repository declares it.

use super::{ClusterName, Commit, Object, RepositoryPath, RepositoryUrl};

/// The namespace of Argo CD.
pub const ARGOCD_NAMESPACE: &str = "argocd";

/// `apiVersion` of Argo CD's kinds.
pub const ARGOCD_API_VERSION: &str = "argoproj.io/v1alpha1";

/// The projects that every tree has.
pub const PROJECTS: [&str; 3] = ["argocd", "infrastructure", "services"];

/// A rendered document and the file that it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The file in the fleet repository.
    pub path: RepositoryPath,
    /// The object in it.
    pub object: Object,
}

/// Everything of one cluster that a bootstrap needs from one commit of the fleet repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Which cluster it is for.
    pub cluster: ClusterName,
    /// The commit it was read from.
    pub commit: Commit,
    /// The address that the root Application names.
    pub repository: RepositoryUrl,
    /// The branch that the root Application follows.
    pub revision: String,
    /// The root app-of-apps.
    pub root: Rendered,
    /// The AppProjects.
    pub projects: Vec<Rendered>,
    /// All Applications that the rendered files hold, the root among them.
    pub applications: Vec<Rendered>,
    /// The objects of Argo CD itself, in the order of their files.
    pub argocd: Vec<Rendered>,
    /// The paths from which Argo CD takes anything for this cluster.
    pub paths: Vec<RepositoryPath>,
}

impl Tree {
    /// Argo CD's version, read from the tag of the image that its workloads run: what is declared is what counts.
    pub fn argocd_version(&self) -> Option<String> {
        let images = self.argocd.iter().filter_map(|rendered| rendered.object.at("/spec/template/spec/containers")?.as_array()).flatten();
        let images = images.filter_map(|container| container.get("image")?.as_str());
        images.filter_map(|image| image.rsplit_once("/argocd:")).map(|(_, tag)| tag.split('@').next().unwrap_or(tag).to_owned()).next()
    }

    /// The Application with which Argo CD manages itself, if there is one.
    pub fn argocd_application(&self) -> Option<&Rendered> {
        let folder = self.argocd.first()?.path.parent()?;
        self.applications.iter().find(|application| {
            application
                .object
                .text("/spec/source/path")
                .and_then(|path| path.parse::<RepositoryPath>().ok())
                .is_some_and(|path| path == folder)
        })
    }
}

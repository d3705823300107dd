//! The Applications of a tree by what they are there for: what everything else stands on, and the services that stand on it.

use std::collections::BTreeSet;

use crate::domain::RepositoryPath;
use crate::domain::tree::{Rendered, Tree};

/// The folder of the tier whose Applications a recovery holds back.
const HELD: &str = "services";

/// The Applications right below the root, in two parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiers<'a> {
    /// Those that come first.
    pub first: Vec<&'a Rendered>,
    /// The app-of-apps of the services.
    pub held: Vec<&'a Rendered>,
}

impl<'a> Tiers<'a> {
    /// The tiers of a tree. A tree without an app-of-apps over a folder `services` holds nothing back.
    pub fn of(tree: &'a Tree) -> Self {
        let root = sources(&tree.root);
        let below = tree.applications.iter().filter(|application| application.object.name() != tree.root.object.name());
        let (held, first) = below
            .filter(|application| root.iter().any(|folder| application.path.parent().as_ref() == Some(folder)))
            .partition(|application| sources(application).iter().any(|folder| folder.file_name() == HELD));
        Self { first, held }
    }

    /// The names of all declared Applications that are held back: the app-of-apps of the services and everything below it.
    pub fn held_names(&self, tree: &'a Tree) -> BTreeSet<&'a str> {
        let mut names: BTreeSet<&str> = self.held.iter().map(|application| application.object.name()).collect();
        let mut folders: Vec<RepositoryPath> = self.held.iter().flat_map(|application| sources(application)).collect();
        while let Some(folder) = folders.pop() {
            for application in tree.applications.iter().filter(|application| application.path.is_within(&folder)) {
                if names.insert(application.object.name()) {
                    folders.extend(sources(application));
                }
            }
        }
        names
    }
}

/// The folders that an Application takes.
fn sources(application: &Rendered) -> Vec<RepositoryPath> {
    let object = &application.object;
    let several = object.at("/spec/sources").and_then(serde_json::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let paths = object.at("/spec/source").into_iter().chain(several).filter_map(|source| source.get("path")?.as_str());
    paths.filter_map(|path| path.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Object;

    fn application(name: &str, folder: &str, takes: &str) -> Rendered {
        let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name}, "spec": {"source": {"path": takes}}});
        Rendered { path: format!("{folder}/{name}.yaml").parse().unwrap(), object: Object::new(object).unwrap() }
    }

    #[test]
    fn the_services_and_all_below_them_are_held_and_nothing_else() {
        let root = application("root", "r/argocd/argocd", "r/argocd/argocd");
        let tree = Tree {
            cluster: "staging".parse().unwrap(),
            commit: "0".repeat(40).parse().unwrap(),
            repository: "git@github.com:acme/fleet.git".parse().unwrap(),
            revision: "main".to_owned(),
            applications: vec![
                root.clone(),
                application("infrastructure", "r/argocd/argocd", "r/argocd/infrastructure"),
                application("services", "r/argocd/argocd", "r/argocd/services"),
                application("argocd", "r/argocd/infrastructure", "r/infrastructure/argocd"),
                application("web", "r/argocd/services", "r/services/web"),
            ],
            root,
            projects: Vec::new(),
            argocd: Vec::new(),
            paths: Vec::new(),
        };
        let tiers = Tiers::of(&tree);
        assert_eq!(tiers.first.iter().map(|application| application.object.name()).collect::<Vec<_>>(), ["infrastructure"]);
        assert_eq!(tiers.held_names(&tree), BTreeSet::from(["services", "web"]));
    }
}

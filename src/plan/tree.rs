//! The Applications of a cluster as a tree: the root app-of-apps, the tiers below it, and one Application for each app below those.

use std::collections::BTreeMap;

use crate::domain::application::{Application, ApplicationRef, HealthStatus, SyncStatus};

use super::diagnosis::{self, State};

/// Applications by who made whom. Nodes are kept side by side and point to each other, so depth costs no stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApplicationTree {
    nodes: Vec<Node>,
    roots: Vec<usize>,
}

/// One Application in its place.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Which one.
    pub application: ApplicationRef,
    /// The AppProject; none if its parent has not made it yet.
    pub project: Option<String>,
    /// How it compares with Git; none if its parent has not made it yet.
    pub sync: Option<SyncStatus>,
    /// How its objects are; none if its parent has not made it yet.
    pub health: Option<HealthStatus>,
    /// The commit or chart version that it was compared with.
    pub revision: Option<String>,
    /// When its last sync ended, or began if it runs.
    pub synced_at: Option<jiff::Timestamp>,
    /// How it stands.
    #[serde(flatten)]
    pub state: State,
    /// The Application that made it.
    pub parent: Option<ApplicationRef>,
    #[serde(skip)]
    children: Vec<usize>,
    #[serde(skip)]
    is_settled: bool,
}

impl ApplicationTree {
    /// Grows the tree of any number of Applications, each with how it stands.
    ///
    /// An Application is below the one that lists it among its objects, else below the one that its tracking annotation names.
    /// One that lists itself, as a root may, is a root; of a circle, the first in the order of names is.
    pub fn grow(applications: &[(Application, State)]) -> Self {
        let mut nodes: Vec<Node> = applications.iter().map(|(application, state)| Node::of(application, state.clone())).collect();
        let mut by_reference: BTreeMap<ApplicationRef, usize> =
            nodes.iter().enumerate().map(|(index, node)| (node.application.clone(), index)).collect();
        let mut parents: Vec<Option<usize>> = vec![None; nodes.len()];
        for (parent, (application, _)) in applications.iter().enumerate() {
            for object in application.objects().iter().filter(|object| object.is_application() && !object.requires_pruning) {
                let namespace = if object.namespace.is_empty() { &application.reference.namespace } else { &object.namespace };
                let reference = ApplicationRef { namespace: namespace.clone(), name: object.name.clone() };
                let child = *by_reference.entry(reference).or_insert_with_key(|reference| {
                    nodes.push(Node::not_made_yet(reference.clone()));
                    parents.push(None);
                    nodes.len() - 1
                });
                if child != parent && parents[child].is_none() {
                    parents[child] = Some(parent);
                }
            }
        }
        for (child, (application, _)) in applications.iter().enumerate().filter(|&(child, _)| parents[child].is_none()).collect::<Vec<_>>()
        {
            parents[child] = application
                .tracked_by
                .as_ref()
                .map(|name| ApplicationRef { namespace: application.reference.namespace.clone(), name: name.clone() })
                .and_then(|reference| by_reference.get(&reference).copied())
                .filter(|&parent| parent != child);
        }
        open_circles(&nodes, &mut parents);
        Self::join(nodes, &parents)
    }

    fn join(mut nodes: Vec<Node>, parents: &[Option<usize>]) -> Self {
        let mut order: Vec<usize> = (0..nodes.len()).collect();
        order.sort_by(|&left, &right| nodes[left].application.name.cmp(&nodes[right].application.name));
        let mut roots = Vec::new();
        for index in order {
            match parents[index] {
                None => roots.push(index),
                Some(parent) => {
                    nodes[index].parent = Some(nodes[parent].application.clone());
                    nodes[parent].children.push(index);
                }
            }
        }
        for index in 0..nodes.len() {
            let mut at = Some(index).filter(|_| !nodes[index].state.is_converged());
            while let Some(unsettled) = at.filter(|&at| nodes[at].is_settled) {
                nodes[unsettled].is_settled = false;
                at = parents[unsettled];
            }
        }
        Self { nodes, roots }
    }

    /// The Applications that nothing is above of, by name.
    pub fn roots(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.roots.iter().map(|&index| &self.nodes[index])
    }

    /// The Applications directly below one, by name.
    pub fn children<'a>(&'a self, node: &'a Node) -> impl ExactSizeIterator<Item = &'a Node> {
        node.children.iter().map(|&index| &self.nodes[index])
    }

    /// All Applications, those that are not made yet among them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How many have converged.
    pub fn converged(&self) -> usize {
        self.nodes.iter().filter(|node| node.state.is_converged()).count()
    }
}

/// Makes the first of each circle, in the order of names, a root.
fn open_circles(nodes: &[Node], parents: &mut [Option<usize>]) {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by(|&left, &right| nodes[left].application.cmp(&nodes[right].application));
    let mut reaches_a_root = vec![false; nodes.len()];
    for start in order {
        let mut path = Vec::new();
        let mut on_path = std::collections::BTreeSet::new();
        let mut at = Some(start);
        while let Some(index) = at {
            if reaches_a_root[index] {
                break;
            }
            if !on_path.insert(index) {
                parents[start_of_circle(nodes, &path, index)] = None;
                break;
            }
            path.push(index);
            at = parents[index];
        }
        for index in path {
            reaches_a_root[index] = true;
        }
    }
}

/// The first by name of the circle that `path` closes at `again`.
fn start_of_circle(nodes: &[Node], path: &[usize], again: usize) -> usize {
    path.iter()
        .copied()
        .skip_while(|&index| index != again)
        .min_by(|&left, &right| nodes[left].application.cmp(&nodes[right].application))
        .unwrap_or(again)
}

impl Node {
    fn of(application: &Application, state: State) -> Self {
        let operation = application.operation();
        Self {
            application: application.reference.clone(),
            project: Some(application.spec.project.clone()),
            sync: Some(application.sync()),
            health: Some(application.health()),
            revision: application.revisions().next().map(str::to_owned),
            synced_at: operation.and_then(|operation| operation.finished_at.or(operation.started_at)),
            state,
            parent: None,
            children: Vec::new(),
            is_settled: true,
        }
    }

    fn not_made_yet(application: ApplicationRef) -> Self {
        Self {
            application,
            project: None,
            sync: None,
            health: None,
            revision: None,
            synced_at: None,
            state: State::Progressing { why: "the Application above it has not made it yet".to_owned() },
            parent: None,
            children: Vec::new(),
            is_settled: true,
        }
    }

    /// Whether it and everything below it has converged.
    pub const fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The commit in its first 10 digits, or the chart version.
    pub fn short_revision(&self) -> Option<&str> {
        self.revision.as_deref().map(diagnosis::short)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::domain::application::samples::{self, healthy, parent};

    fn grown(documents: Vec<Value>) -> ApplicationTree {
        let applications: Vec<(Application, State)> = documents
            .into_iter()
            .map(samples::read)
            .map(|application| {
                let state = diagnosis::verdict(&application, None);
                (application, state)
            })
            .collect();
        ApplicationTree::grow(&applications)
    }

    /// The tree as an outline: one name a line, two blanks for each level.
    fn outline(tree: &ApplicationTree) -> String {
        fn add(tree: &ApplicationTree, node: &Node, depth: usize, text: &mut String) {
            text.push_str(&format!("{}{}\n", "  ".repeat(depth), node.application));
            tree.children(node).for_each(|child| add(tree, child, depth + 1, text));
        }
        let mut text = String::new();
        tree.roots().for_each(|root| add(tree, root, 0, &mut text));
        text
    }

    #[test]
    fn the_tree_follows_what_each_application_made() {
        let tree = grown(vec![
            healthy("web"),
            parent("root", &["root", "services", "argocd"]),
            parent("services", &["web", "later"]),
            parent("argocd", &[]),
            parent("foreign", &[]),
        ]);
        assert_eq!(outline(&tree), "foreign\nroot\n  argocd\n  services\n    later\n    web\n");
        assert_eq!((tree.nodes().len(), tree.converged()), (6, 5), "`later` is declared and not made yet");
    }

    #[test]
    fn the_tracking_annotation_places_what_nobody_lists() {
        assert_eq!(outline(&grown(vec![parent("services", &[]), healthy("web")])), "services\n  web\n");
    }

    #[test]
    fn a_circle_is_opened_and_shows_everyone_once() {
        let tree = grown(vec![parent("b", &["c"]), parent("c", &["a"]), parent("a", &["b"]), parent("z", &["z"])]);
        assert_eq!(outline(&tree), "a\n  b\n    c\nz\n");
    }

    #[test]
    fn one_that_is_not_well_unsettles_all_above_it() {
        let mut broken = healthy("web");
        broken["status"]["health"]["status"] = "Degraded".into();
        let tree = grown(vec![
            parent("root", &["services", "argocd"]),
            parent("services", &["web", "api"]),
            parent("argocd", &[]),
            broken,
            healthy("api"),
        ]);
        let unsettled: Vec<&str> =
            tree.nodes().iter().filter(|node| !node.is_settled()).map(|node| node.application.name.as_str()).collect();
        assert_eq!(unsettled, ["root", "services", "web"]);
    }

    #[test]
    fn thousands_in_one_chain_are_no_problem() {
        let names: Vec<String> = (0..3_000).map(|number| format!("app-{number:05}")).collect();
        let chain = names.iter().zip(names.iter().skip(1)).map(|(above, below)| parent(above, &[below])).collect();
        let tree = grown(chain);
        assert_eq!((tree.roots().len(), tree.nodes().len()), (1, 3_000));
    }
}

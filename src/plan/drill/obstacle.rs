//! What keeps a cluster from booting from zero, each with the file and the line where it is written.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::HeldUp;
use crate::domain::application::{Application, ManagedObject, ObjectResult};
use crate::domain::tree::{Rendered, Tree};
use crate::domain::{ApplicationRef, RepositoryPath};
use crate::manifest::places::{Named, Place, Places};
use crate::plan::cause::{self, Evidence};
use crate::plan::diagnosis::State;
use crate::plan::plain_words;

/// Something that keeps the cluster from booting from zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Obstacle {
    /// What sort of thing it is.
    pub kind: Kind,
    /// The Application that is not up because of it; none if it was found without running anything.
    pub application: Option<String>,
    /// The object, as in `Certificate web/site`.
    pub object: Option<String>,
    /// The file of the fleet repository.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u64>,
    /// What is wrong, in a sentence without its full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What sort of thing keeps a cluster from booting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A custom resource whose definition is not there, or comes too late.
    MissingDefinition,
    /// A Secret that nobody makes.
    MissingSecret,
    /// A custom resource that nothing in a sandbox acts on, and that nobody stands in for.
    NobodyActs,
    /// An object that is there and does not become healthy.
    NotHealthy,
    /// An object that the API server does not take, or a hook that fails.
    NotApplied,
    /// An Application that is held back: by a sync window, or because it is synced only by hand.
    HeldBack,
    /// Anything else that Argo CD complains about.
    #[default]
    Refused,
    /// The recovery itself ended before it was done.
    Recovery,
    /// What `lint` says of the files.
    Lint,
}

impl Kind {
    /// The kind in a few words, as a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::MissingDefinition => "its definition is missing",
            Self::MissingSecret => "a Secret is missing",
            Self::NobodyActs => "nobody acts on it",
            Self::NotHealthy => "it does not become healthy",
            Self::NotApplied => "it cannot be applied",
            Self::HeldBack => "it is held back",
            Self::Refused => "Argo CD refuses it",
            Self::Recovery => "the recovery ended",
            Self::Lint => "it cannot boot from zero",
        }
    }
}

impl Obstacle {
    /// Where it is, what it is about, and what is wrong, in one line.
    pub fn sentence(&self) -> String {
        let place = self.place().map(|place| format!("{place}: ")).unwrap_or_default();
        let object = self.object.as_ref().or(self.application.as_ref()).map(|object| format!("{object}: ")).unwrap_or_default();
        format!("{place}{object}{}", self.message)
    }

    /// The file and the line, as editors and compilers write them.
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(self.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
    }

    #[must_use]
    fn at(mut self, place: Option<&Place>) -> Self {
        self.file = place.map(|place| place.file.to_string());
        self.line = place.map(|place| place.line);
        self
    }
}

/// What is known at the end of a recovery that did not bring everything up.
pub struct Remains<'a> {
    /// The Applications, each with how it stands.
    pub applications: &'a [(Application, State)],
    /// What the cluster shows of their objects.
    pub evidence: &'a Evidence,
    /// The tree that was recovered.
    pub tree: &'a Tree,
    /// Where its objects are written.
    pub places: &'a Places,
}

/// What keeps Applications from being up, and those that only wait for one of these.
pub fn obstacles(remains: &Remains<'_>) -> (Vec<Obstacle>, Vec<HeldUp>) {
    let mut found = Vec::new();
    let mut held_up = Vec::new();
    let unwell: BTreeSet<&ApplicationRef> =
        remains.applications.iter().filter(|(_, state)| !state.is_converged()).map(|(application, _)| &application.reference).collect();
    for (application, state) in remains.applications.iter().filter(|(_, state)| !state.is_converged()) {
        let about = About { application, state, folders: folders(application), remains };
        let mut own = about.obstacles();
        if own.is_empty() {
            let waits_for_others = application.objects().iter().any(|object| {
                let namespace = if object.namespace.is_empty() { &application.reference.namespace } else { &object.namespace };
                let child = ApplicationRef { namespace: namespace.clone(), name: object.name.clone() };
                object.is_application() && child != application.reference && (unwell.contains(&child) || !is_there(&child, remains))
            });
            let why = state.reason().unwrap_or("it is not well").to_owned();
            if waits_for_others {
                held_up.push(HeldUp { application: application.reference.to_string(), why });
                continue;
            }
            own.push(about.obstacle(Kind::NotHealthy, why).at(about.own_place()));
        }
        found.append(&mut own);
    }
    found
        .sort_by(|left, right| (left.kind, &left.file, left.line, &left.object).cmp(&(right.kind, &right.file, right.line, &right.object)));
    found.dedup_by(|left, right| {
        left.object.is_some() && (left.kind, &left.object, &left.message) == (right.kind, &right.object, &right.message)
    });
    (found, held_up)
}

fn is_there(application: &ApplicationRef, remains: &Remains<'_>) -> bool {
    remains.applications.iter().any(|(there, _)| there.reference == *application)
}

/// The folders of the fleet repository that an Application takes its objects from.
fn folders(application: &Application) -> Vec<RepositoryPath> {
    application.sources().filter_map(|source| source.path.as_deref()?.parse().ok()).collect()
}

struct About<'a> {
    application: &'a Application,
    state: &'a State,
    folders: Vec<RepositoryPath>,
    remains: &'a Remains<'a>,
}

impl About<'_> {
    fn obstacle(&self, kind: Kind, message: impl Into<String>) -> Obstacle {
        Obstacle { kind, application: Some(self.application.reference.to_string()), message: message.into(), ..Obstacle::default() }
    }

    /// Where the Application itself is written.
    fn own_place(&self) -> Option<&Place> {
        let namespace = self.application.reference.namespace.as_str();
        let own = Named { group: Some("argoproj.io"), kind: "Application", namespace, name: &self.application.reference.name };
        self.remains.places.find(own, &[])
    }

    fn obstacles(&self) -> Vec<Obstacle> {
        let failed = self.application.operation().and_then(|operation| operation.sync_result.as_ref());
        let failed: Vec<&ObjectResult> = failed.iter().flat_map(|result| &result.resources).filter(|result| result.is_failed()).collect();
        if !failed.is_empty() {
            return failed.into_iter().map(|result| self.not_applied(result)).collect();
        }
        if let State::Waiting { why } = self.state {
            let hint = "let it sync by itself, or bring it up by hand after a recovery".to_owned();
            return vec![Obstacle { hint: Some(hint), ..self.obstacle(Kind::HeldBack, why).at(self.own_place()) }];
        }
        let ignored = cause::ignored(self.application, self.state, self.remains.evidence);
        if !ignored.is_empty() {
            return ignored.iter().map(|object| self.nobody_acts(object)).collect();
        }
        if let Some((object, cause)) = cause::culprit(self.application, self.state, self.remains.evidence) {
            return vec![self.not_healthy(&object, &cause)];
        }
        match self.state {
            State::Failed { cause } | State::Stalled { cause, .. } if self.application.errors().next().is_some() => {
                vec![self.obstacle(Kind::Refused, cause).at(self.own_place())]
            }
            State::Unknown => vec![self.obstacle(Kind::Refused, self.state.reason().unwrap_or_default()).at(self.own_place())],
            _ => Vec::new(),
        }
    }

    fn not_applied(&self, result: &ObjectResult) -> Obstacle {
        let named = Named { group: None, kind: &result.kind, namespace: &result.namespace, name: &result.name };
        let place = self.remains.places.find(named, &self.folders).or_else(|| self.own_place());
        let object = Some(title(&result.kind, &result.namespace, &result.name));
        match missing_kind(&result.message) {
            Some((group, kind)) => {
                let (message, hint) = self.missing_definition(&group, &kind);
                Obstacle { object, hint: Some(hint), ..self.obstacle(Kind::MissingDefinition, message).at(place) }
            }
            None => Obstacle { object, ..self.obstacle(Kind::NotApplied, plain_words::explain(&result.message)).at(place) },
        }
    }

    fn missing_definition(&self, group: &str, kind: &str) -> (String, String) {
        match self.remains.places.definition(group, kind) {
            None => (
                format!("nothing in the repository defines the kind {kind} of {group}"),
                format!("commit its CustomResourceDefinition, in an Application of an earlier wave than `{}`", self.application.reference),
            ),
            Some(place) => {
                let definer = self.remains.tree.applications.iter().find(|application| takes(application, &place.file));
                let by = definer.map(|definer| format!(" by `{}`", definer.object.name())).unwrap_or_default();
                (
                    format!(
                        "the kind {kind} of {group} was never there: {}:{} defines it{by}, which did not come up in time",
                        place.file, place.line
                    ),
                    "give what defines it an earlier sync wave, and what uses it a `retry` that does not end".to_owned(),
                )
            }
        }
    }

    fn nobody_acts(&self, object: &ManagedObject) -> Obstacle {
        let message = "it has no status: its controller does not run in a sandbox, and nobody stands in for it";
        let hint = format!("write a stage for {} of {} and name its folder with `--stand-ins`", object.kind, object.group);
        Obstacle {
            object: Some(title(&object.kind, &object.namespace, &object.name)),
            hint: Some(hint),
            ..self.obstacle(Kind::NobodyActs, message).at(self.place(object))
        }
    }

    fn not_healthy(&self, object: &ManagedObject, cause: &str) -> Obstacle {
        let title = title(&object.kind, &object.namespace, &object.name);
        // The cause may lie deeper, as in a Pod of a Deployment; then it names where.
        let cause = cause.strip_prefix(&format!("{title}: ")).unwrap_or(cause);
        Obstacle { object: Some(title), ..self.obstacle(Kind::NotHealthy, cause).at(self.place(object)) }
    }

    fn place(&self, object: &ManagedObject) -> Option<&Place> {
        let named = Named { group: Some(&object.group), kind: &object.kind, namespace: &object.namespace, name: &object.name };
        self.remains.places.find(named, &self.folders).or_else(|| self.own_place())
    }
}

/// Whether an Application takes its objects from the folder of `file`.
fn takes(application: &Rendered, file: &RepositoryPath) -> bool {
    let path = application.object.text("/spec/source/path").and_then(|path| path.parse::<RepositoryPath>().ok());
    path.is_some_and(|path| file.is_within(&path))
}

fn title(kind: &str, namespace: &str, name: &str) -> String {
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}

/// The group and the kind that were not served, by what Argo CD says of an object that it could not apply (`sync_context.go` of its engine,
/// and the API machinery's "no matches for kind").
fn missing_kind(message: &str) -> Option<(String, String)> {
    if let Some((_, rest)) = message.split_once("could not find ")
        && message.contains("CRD is installed")
    {
        let (group, kind) = rest.split_whitespace().next()?.rsplit_once('/')?;
        return Some((group.to_owned(), kind.to_owned()));
    }
    let (_, rest) = message.split_once("no matches for kind \"")?;
    let (kind, rest) = rest.split_once('"')?;
    let version = rest.split_once("in version \"")?.1.split('"').next()?;
    Some((version.rsplit_once('/').map_or(version, |(group, _)| group).to_owned(), kind.to_owned()))
}

/// For each Application, those that define kinds of which it has objects.
pub fn needs(tree: &Tree, places: &Places) -> BTreeMap<String, BTreeSet<String>> {
    let folder = |application: &Rendered| application.object.text("/spec/source/path").and_then(|path| path.parse::<RepositoryPath>().ok());
    let definers: BTreeMap<(&str, &str), &str> = places
        .definitions()
        .filter_map(|(defined, place)| {
            let definer = tree.applications.iter().find(|application| takes(application, &place.file))?;
            Some((defined, definer.object.name()))
        })
        .collect();
    tree.applications
        .iter()
        .filter_map(|application| {
            let folder = folder(application)?;
            let name = application.object.name();
            let needed = places.kinds_within(&folder).filter_map(|kind| definers.get(&kind)).filter(|definer| **definer != name);
            Some((name.to_owned(), needed.map(|definer| (*definer).to_owned()).collect::<BTreeSet<_>>()))
        })
        .filter(|(_, needed)| !needed.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::Object;
    use crate::domain::application::samples::{COMMIT, healthy, parent, patched, read};
    use crate::plan::diagnosis::verdict;
    use crate::ports::git::File;

    fn places(files: &[(&str, &str)]) -> Places {
        let files: Vec<File> =
            files.iter().map(|(path, text)| File { path: path.parse().unwrap(), content: text.as_bytes().to_vec() }).collect();
        Places::of(&files)
    }

    /// A tree of Applications that take the folder of their name.
    fn tree(names: &[&str]) -> Tree {
        let application = |name: &&str| Rendered {
            path: format!("rendered/staging/argocd/services/Application.{name}.yaml").parse().unwrap(),
            object: Object::new(healthy(name)).unwrap(),
        };
        let applications: Vec<Rendered> = names.iter().map(application).collect();
        Tree {
            cluster: "staging".parse().unwrap(),
            commit: COMMIT.parse().unwrap(),
            repository: "git@github.com:acme/fleet.git".parse().unwrap(),
            revision: "main".to_owned(),
            root: applications[0].clone(),
            projects: Vec::new(),
            applications,
            argocd: Vec::new(),
            paths: Vec::new(),
        }
    }

    const WIDGET: &str = "# A widget.\napiVersion: example.org/v1\nkind: Widget\nmetadata: {name: w}\n";

    const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.org}\nspec: {group: example.org, names: {kind: Widget}}\n";

    fn found(documents: Vec<Value>, live: Vec<Value>, places: &Places) -> (Vec<Obstacle>, Vec<HeldUp>) {
        let applications: Vec<(Application, State)> = documents
            .into_iter()
            .map(|document| {
                let application = read(document);
                let state = verdict(&application, None);
                (application, state)
            })
            .collect();
        let evidence = cause::samples::evidence(&applications, live);
        let tree = tree(&["web", "definitions"]);
        obstacles(&Remains { applications: &applications, evidence: &evidence, tree: &tree, places })
    }

    /// An Application whose sync could not apply a widget.
    fn without_definition() -> Value {
        let message = "The Kubernetes API could not find example.org/Widget for requested resource web/w. Make sure the \"Widget\" CRD is installed on the destination cluster.";
        let result = json!([{"group": "example.org", "version": "v1", "kind": "Widget", "namespace": "web", "name": "w", "status": "SyncFailed", "message": message}]);
        patched(
            healthy("web"),
            &json!({"status": {"sync": {"status": "OutOfSync"}, "operationState": {"phase": "Failed", "syncResult": {"resources": result}}}}),
        )
    }

    #[test]
    fn a_kind_that_nobody_defines_is_named_with_the_line_of_the_resource() {
        let (obstacles, _) = found(vec![without_definition()], Vec::new(), &places(&[("rendered/staging/services/web/w.yaml", WIDGET)]));
        assert_eq!(
            obstacles.iter().map(Obstacle::sentence).collect::<Vec<_>>(),
            ["rendered/staging/services/web/w.yaml:2: Widget web/w: nothing in the repository defines the kind Widget of example.org"]
        );
        assert_eq!((obstacles[0].kind, obstacles[0].application.as_deref()), (Kind::MissingDefinition, Some("web")));
    }

    #[test]
    fn a_definition_that_came_too_late_is_named_with_who_brings_it() {
        let files =
            places(&[("rendered/staging/services/web/w.yaml", WIDGET), ("rendered/staging/services/definitions/crd.yaml", DEFINITION)]);
        let (obstacles, _) = found(vec![without_definition()], Vec::new(), &files);
        assert!(
            obstacles[0].message.contains("rendered/staging/services/definitions/crd.yaml:1 defines it by `definitions`"),
            "{obstacles:?}"
        );
        assert_eq!(
            needs(&tree(&["web", "definitions"]), &files),
            BTreeMap::from([("web".to_owned(), BTreeSet::from(["definitions".to_owned()]))])
        );
    }

    #[test]
    fn a_resource_without_a_status_is_one_that_nobody_acts_on() {
        let resource =
            json!([{"group": "example.org", "version": "v1", "kind": "Widget", "namespace": "web", "name": "w", "status": "Synced"}]);
        let waiting = patched(healthy("web"), &json!({"status": {"health": {"status": "Progressing"}, "resources": resource}}));
        let widget = |status: Value| {
            let widget = json!({"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "web"}});
            patched(widget, &status)
        };
        let files = places(&[("rendered/staging/services/web/w.yaml", WIDGET)]);
        let (obstacles, _) = found(vec![waiting.clone()], vec![widget(json!({}))], &files);
        assert_eq!(
            (obstacles[0].kind, obstacles[0].line, obstacles[0].object.as_deref()),
            (Kind::NobodyActs, Some(2), Some("Widget web/w"))
        );
        let false_condition = json!({"status": {"conditions": [{"type": "Ready", "status": "False", "message": "the issuer is gone"}]}});
        let (obstacles, _) = found(vec![waiting], vec![widget(false_condition)], &files);
        assert_eq!((obstacles[0].kind, obstacles[0].message.as_str()), (Kind::NotHealthy, "the issuer is gone"));
    }

    #[test]
    fn who_only_waits_for_another_is_held_up_and_no_obstacle() {
        let mut services = parent("services", &["web", "never-made"]);
        services["status"]["health"] = json!({"status": "Progressing"});
        let (obstacles, held_up) = found(vec![services, without_definition()], Vec::new(), &places(&[]));
        assert_eq!(obstacles.len(), 1, "{obstacles:?}");
        assert_eq!(held_up.iter().map(|held| held.application.as_str()).collect::<Vec<_>>(), ["services"]);
    }

    #[test]
    fn an_application_that_argo_cd_refuses_is_found_at_its_own_file() {
        let condition = json!([{"type": "InvalidSpecError", "message": "application destination is not permitted"}]);
        let refused = patched(healthy("web"), &json!({"status": {"conditions": condition}}));
        let own = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web, namespace: argocd}\n";
        let (obstacles, _) = found(vec![refused], Vec::new(), &places(&[("rendered/staging/argocd/services/web.yaml", own)]));
        assert_eq!(
            (obstacles[0].kind, obstacles[0].place().as_deref()),
            (Kind::Refused, Some("rendered/staging/argocd/services/web.yaml:1"))
        );
    }

    #[test]
    fn both_ways_of_saying_that_a_kind_is_not_there_are_understood() {
        let missing = |message: &str| missing_kind(message).map(|(group, kind)| format!("{kind} of {group}"));
        assert_eq!(missing("no matches for kind \"Widget\" in version \"example.org/v1\"").as_deref(), Some("Widget of example.org"));
        assert_eq!(missing("field is immutable"), None);
        assert_eq!(missing("no matches for kind \"Widget"), None);
    }
}

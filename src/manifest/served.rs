//! The tree as it is served from the clone while the forge is down: the same, with the address of the server in the cluster wherever Argo CD
//! would go to the forge.

use std::collections::BTreeSet;

use serde_json::Value;

use super::tree::is_manifest;
use super::yaml;
use crate::domain::tree::{Rendered, Tree};
use crate::domain::{Commit, Object, RepositoryPath, RepositoryUrl};
use crate::ports::git::File;

/// The files below `folders` as they are served. Only documents that lead Argo CD to `fleet` are written anew; every other file is byte for byte the clone's,
/// also one that is no YAML, as the template of a chart.
pub fn files(files: &[File], folders: &[RepositoryPath], fleet: &RepositoryUrl, server: &RepositoryUrl) -> Vec<File> {
    let used = files.iter().filter(|file| folders.iter().any(|folder| file.path.is_within(folder)));
    used.map(|file| File { path: file.path.clone(), content: led(file, fleet, server).unwrap_or_else(|| file.content.clone()) }).collect()
}

/// What a file is with the server's address in it; none if nothing in it leads to the fleet repository.
fn led(file: &File, fleet: &RepositoryUrl, server: &RepositoryUrl) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(&file.content).ok().filter(|_| is_manifest(&file.path))?;
    // Parsing every file of a large tree costs more than to look for the name first.
    if !text.to_lowercase().contains(&fleet.host().to_lowercase()) {
        return None;
    }
    let parsed = yaml::parse_documents(text, file.path.as_str()).ok()?;
    let mut documents: Vec<Value> = parsed.into_iter().map(|document| document.value).collect();
    // Each document is looked at, also after the first that was changed.
    let any = documents.iter_mut().fold(false, |any, document| lead(document, fleet, server) | any);
    any.then(|| match documents.as_slice() {
        [document] if file.path.file_name().ends_with(".json") => document.to_string().into_bytes(),
        documents => documents.iter().map(yaml::to_text).collect::<Vec<_>>().join("---\n").into_bytes(),
    })
}

/// The tree of `commit`, which has the files that [`files`] made, at `server`.
#[must_use]
pub fn tree(tree: &Tree, commit: Commit, server: &RepositoryUrl) -> Tree {
    let served = |rendered: &Rendered| {
        let mut value = rendered.object.value().clone();
        lead(&mut value, &tree.repository, server);
        Rendered { path: rendered.path.clone(), object: Object::new(value).unwrap_or_else(|_| rendered.object.clone()) }
    };
    Tree {
        commit,
        repository: server.clone(),
        root: served(&tree.root),
        projects: tree.projects.iter().map(served).collect(),
        applications: tree.applications.iter().map(served).collect(),
        ..tree.clone()
    }
}

/// The folders of the fleet repository that the cluster uses.
pub fn folders(tree: &Tree, rendered: &RepositoryPath) -> Vec<RepositoryPath> {
    let folders: BTreeSet<RepositoryPath> = tree.paths.iter().cloned().chain([rendered.clone()]).collect();
    folders.into_iter().collect()
}

/// What of the tree cannot be served: revisions that are not the branch's, of which the clone's commit says nothing.
pub fn unserved(tree: &Tree) -> Vec<String> {
    let sources = |application: &Rendered| -> Vec<Value> {
        let several = application.object.at("/spec/sources").and_then(Value::as_array).cloned().unwrap_or_default();
        application.object.at("/spec/source").cloned().into_iter().chain(several).collect()
    };
    let mut found = Vec::new();
    for application in &tree.applications {
        for source in sources(application) {
            let text = |name: &str| source.get(name).and_then(Value::as_str).unwrap_or_default();
            let revision = text("targetRevision").trim_start_matches("refs/heads/");
            if tree.repository.is_named_by(text("repoURL")) && !["", "HEAD", tree.revision.as_str()].contains(&revision) {
                found.push(format!(
                    "{}: Application `{}` is pinned to `{revision}`, which is not served: it stays as it is until the forge is back",
                    application.path,
                    application.object.name()
                ));
            }
        }
    }
    found
}

/// Puts the server's address into a document that leads Argo CD to the fleet repository. Whether it did.
fn lead(document: &mut Value, fleet: &RepositoryUrl, server: &RepositoryUrl) -> bool {
    let of_argocd = document.get("apiVersion").and_then(Value::as_str).is_some_and(|version| version.starts_with("argoproj.io/"));
    match document.get("kind").and_then(Value::as_str) {
        Some("AppProject") if of_argocd => permit(document, fleet, server),
        Some("Application" | "ApplicationSet") if of_argocd => {
            document.get_mut("spec").is_some_and(|spec| replace(spec, None, false, fleet, server))
        }
        Some(_) => false,
        // Values of a chart that makes Applications.
        None => replace(document, None, true, fleet, server),
    }
}

/// Lets a project take from the server what it may take from the fleet repository. The repository stays permitted, so that the project is right on
/// the way to the server and on the way back.
fn permit(project: &mut Value, fleet: &RepositoryUrl, server: &RepositoryUrl) -> bool {
    let Some(permitted) = project.pointer_mut("/spec/sourceRepos").and_then(Value::as_array_mut) else { return false };
    let everything = permitted.iter().any(|entry| entry == "*");
    let fleet_is = |entry: &Value| entry.as_str().is_some_and(|entry| fleet.is_named_by(entry) || fleet.is_covered_by(entry));
    if everything || !permitted.iter().any(fleet_is) {
        return false;
    }
    permitted.push(server.as_str().into());
    true
}

/// Replaces addresses in all texts of a value, or only in those under a key `repoURL`. Whether there were any.
fn replace(value: &mut Value, key: Option<&str>, only_keyed: bool, fleet: &RepositoryUrl, server: &RepositoryUrl) -> bool {
    match value {
        Value::String(text) if !only_keyed || key == Some("repoURL") => match replaced(text, fleet, server) {
            Some(new) => {
                *text = new;
                true
            }
            None => false,
        },
        // Each item is looked at, also after the first that was replaced.
        Value::Array(items) => items.iter_mut().fold(false, |any, item| replace(item, key, only_keyed, fleet, server) | any),
        Value::Object(fields) => {
            fields.iter_mut().fold(false, |any, (name, item)| replace(item, Some(name), only_keyed, fleet, server) | any)
        }
        _ => false,
    }
}

/// A text with every address of the fleet repository replaced; none if it has none. A text may be a whole file, as the values of a chart.
fn replaced(text: &str, fleet: &RepositoryUrl, server: &RepositoryUrl) -> Option<String> {
    let ends_word = |character: char| character.is_whitespace() || "\"'`,;()[]{}<>".contains(character);
    let mut new = String::with_capacity(text.len());
    let mut any = false;
    for piece in text.split_inclusive(ends_word) {
        let word = piece.trim_end_matches(ends_word);
        if !word.is_empty() && fleet.is_named_by(word) {
            any = true;
            new.push_str(server.as_str());
            new.push_str(&piece[word.len()..]);
        } else {
            new.push_str(piece);
        }
    }
    any.then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fleet() -> RepositoryUrl {
        "git@github.com:Acme/Fleet.git".parse().unwrap()
    }

    fn server() -> RepositoryUrl {
        RepositoryUrl::of_git_daemon("git.argocd.svc", 9418, "fleet.git")
    }

    fn served(mut document: Value) -> Value {
        lead(&mut document, &fleet(), &server());
        document
    }

    fn application(spec: &Value) -> Value {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web"}, "spec": spec})
    }

    #[test]
    fn every_spelling_of_the_fleets_address_leads_to_the_server() {
        for spelling in [
            "git@github.com:acme/fleet.git",
            "git@github.com:acme/fleet",
            "ssh://git@github.com/acme/fleet.git",
            "ssh://git@GitHub.com/Acme/Fleet",
            "https://github.com/acme/fleet.git",
            "https://github.com/acme/fleet/",
        ] {
            let document = served(application(&json!({"source": {"repoURL": spelling}})));
            assert_eq!(document["spec"]["source"]["repoURL"], server().as_str(), "{spelling}");
        }
    }

    #[test]
    fn other_repositories_charts_and_the_rest_of_a_document_stay() {
        for other in ["git@github.com:acme/fleet-charts.git", "https://charts.example.org", "git@gitlab.com:acme/fleet.git", "fleet"] {
            let document = application(&json!({"source": {"repoURL": other, "path": "github.com/acme/fleet"}}));
            assert_eq!(served(document.clone()), document, "{other}");
        }
        let note = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"repoURL": fleet().as_str()}});
        assert_eq!(served(note.clone()), note);
    }

    #[test]
    fn several_sources_generators_and_values_inside_of_texts_lead_to_the_server() {
        let document = served(application(&json!({"sources": [
            {"repoURL": "git@github.com:acme/fleet"},
            {"repoURL": "https://charts.example.org", "chart": "apps", "helm": {
                "values": "source: {repoURL: 'git@github.com:acme/fleet'}\nother: git@github.com:acme/other\n",
                "parameters": [{"name": "repo", "value": "git@github.com:acme/fleet"}],
            }},
        ]})));
        let helm = &document["spec"]["sources"][1]["helm"];
        assert_eq!(document["spec"]["sources"][0]["repoURL"], server().as_str());
        assert_eq!(helm["values"], format!("source: {{repoURL: '{}'}}\nother: git@github.com:acme/other\n", server()));
        assert_eq!(helm["parameters"][0]["value"], server().as_str());
    }

    #[test]
    fn a_project_permits_the_server_beside_the_fleet_repository_and_only_if_it_permits_that() {
        let project = |permitted: Value| {
            served(json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "p"},
                "spec": {"sourceRepos": permitted}}))["spec"]["sourceRepos"]
                .clone()
        };
        let fleet = "git@github.com:acme/fleet";
        assert_eq!(project(json!([fleet])), json!([fleet, server().as_str()]));
        assert_eq!(project(json!(["git@github.com:acme/*"])), json!(["git@github.com:acme/*", server().as_str()]));
        assert_eq!(project(json!(["*"])), json!(["*"]));
        assert_eq!(project(json!(["git@github.com:other/*"])), json!(["git@github.com:other/*"]));
    }

    #[test]
    fn a_file_that_names_the_fleet_nowhere_is_the_clones_to_the_byte() {
        let file = |path: &str, text: &str| File { path: path.parse().unwrap(), content: text.as_bytes().to_vec() };
        let folders = ["r".parse().unwrap()];
        let kept = [
            file("r/a.yaml", "# github.com\nkind:   Odd  \n"),
            file("r/templates/t.yaml", "repoURL: {{ .Values.url }} # github.com\n  odd"),
            file("r/b.bin", "\u{0}git@github.com:acme/fleet"),
            file("r/c.yaml", "kind: ConfigMap\nurl: git@github.com:acme/fleet # not for Argo CD\n"),
        ];
        let mut all = kept.to_vec();
        all.push(file("elsewhere/d.yaml", "a: 1\n"));
        assert_eq!(files(&all, &folders, &fleet(), &server()), kept);

        let two = file("r/e.yaml", "repoURL: git@github.com:acme/fleet\n---\nkind: Other\n");
        let content = files(&[two], &folders, &fleet(), &server()).remove(0).content;
        assert_eq!(String::from_utf8(content).unwrap(), format!("repoURL: {}\n---\nkind: Other\n", server()));
    }
}

//! Where in the repository's files an object is written.

use std::collections::BTreeMap;

use serde_json::Value;

use super::yaml;
use crate::domain::RepositoryPath;
use crate::ports::git::File;

/// A line of a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: RepositoryPath,
    /// The line at which the object begins.
    pub line: u64,
}

/// An object as an error message names it: its version is rarely told, and a file need not name its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// The API group; none if it is not known.
    pub group: Option<&'a str>,
    /// The kind.
    pub kind: &'a str,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: &'a str,
    /// The name.
    pub name: &'a str,
}

/// The objects of a commit's files, and where each is.
#[derive(Clone, Debug, Default)]
pub struct Places {
    objects: BTreeMap<(String, String), Vec<Written>>,
}

#[derive(Clone, Debug)]
struct Written {
    group: String,
    namespace: Option<String>,
    place: Place,
    defines: Option<(String, String)>,
}

impl Places {
    /// Reads `files`. What is no manifest, or not a valid one, is left out: others complain about that.
    pub fn of(files: &[File]) -> Self {
        let mut places = Self::default();
        for file in files {
            let name = file.path.as_str();
            if ![".yaml", ".yml", ".json"].iter().any(|extension| name.ends_with(extension)) {
                continue;
            }
            let Ok(text) = std::str::from_utf8(&file.content) else { continue };
            let Ok(documents) = yaml::parse_documents(text, name) else { continue };
            for document in documents {
                places.note(&document.value, Place { file: file.path.clone(), line: document.line });
            }
        }
        places
    }

    fn note(&mut self, value: &Value, place: Place) {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let (Some(kind), Some(name), Some(version)) = (text("/kind"), text("/metadata/name"), text("/apiVersion")) else { return };
        let written = Written {
            group: version.rsplit_once('/').map_or("", |(group, _)| group).to_owned(),
            namespace: text("/metadata/namespace").map(str::to_owned),
            defines: (kind == "CustomResourceDefinition")
                .then(|| Some((text("/spec/group")?.to_owned(), text("/spec/names/kind")?.to_owned())))
                .flatten(),
            place,
        };
        self.objects.entry((kind.to_owned(), name.to_owned())).or_default().push(written);
    }

    /// Where an object is written: in one of `folders` if it is in any of them, else anywhere.
    pub fn find(&self, object: Named<'_>, folders: &[RepositoryPath]) -> Option<&Place> {
        let written = self.objects.get(&(object.kind.to_owned(), object.name.to_owned()))?;
        let fits = |written: &&Written| {
            object.group.is_none_or(|group| group == written.group)
                && written.namespace.as_deref().is_none_or(|namespace| object.namespace.is_empty() || namespace == object.namespace)
        };
        let inside = |written: &&Written| folders.iter().any(|folder| written.place.file.is_within(folder));
        let mut fitting = written.iter().filter(fits);
        fitting.clone().find(inside).or_else(|| fitting.next()).map(|written| &written.place)
    }

    /// Where the kind of a custom resource is defined.
    pub fn definition(&self, group: &str, kind: &str) -> Option<&Place> {
        self.definitions().find(|(defined, _)| *defined == (group, kind)).map(|(_, place)| place)
    }

    /// All kinds that are defined, by group and kind, with where.
    pub fn definitions(&self) -> impl Iterator<Item = ((&str, &str), &Place)> {
        self.objects.values().flatten().filter_map(|written| {
            let (group, kind) = written.defines.as_ref()?;
            Some(((group.as_str(), kind.as_str()), &written.place))
        })
    }

    /// All kinds of objects within a folder, by group and kind.
    pub fn kinds_within<'a>(&'a self, folder: &'a RepositoryPath) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.objects.iter().flat_map(move |((kind, _), written)| {
            let inside = written.iter().filter(move |written| written.place.file.is_within(folder));
            inside.map(move |written| (written.group.as_str(), kind.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(files: &[(&str, &str)]) -> Places {
        let files: Vec<File> =
            files.iter().map(|(path, text)| File { path: path.parse().unwrap(), content: text.as_bytes().to_vec() }).collect();
        Places::of(&files)
    }

    fn found(places: &Places, kind: &str, namespace: &str, name: &str, folder: &str) -> Option<String> {
        let named = Named { group: None, kind, namespace, name };
        places.find(named, &[folder.parse().unwrap()]).map(|place| format!("{}:{}", place.file, place.line))
    }

    #[test]
    fn an_object_is_found_at_its_line_in_the_folder_that_is_meant() {
        let places = places(&[
            (
                "a/all.yaml",
                "# two\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: x}\n",
            ),
            ("b/Service.web.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"),
            ("b/notes.txt", "apiVersion: v1"),
            ("b/broken.yaml", "a: ["),
        ]);
        assert_eq!(found(&places, "Service", "x", "web", "b").as_deref(), Some("b/Service.web.yaml:1"));
        assert_eq!(found(&places, "Service", "x", "web", "c").as_deref(), Some("a/all.yaml:2"));
        assert_eq!(found(&places, "ConfigMap", "x", "web", "a").as_deref(), Some("a/all.yaml:6"));
        assert_eq!(found(&places, "ConfigMap", "y", "web", "a"), None);
    }

    #[test]
    fn definitions_are_known_by_what_they_define() {
        let text = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.org}\nspec: {group: example.org, names: {kind: Widget}}\n";
        let places =
            places(&[("crds/widget.yaml", text), ("app/w.yaml", "apiVersion: example.org/v1\nkind: Widget\nmetadata: {name: w}\n")]);
        assert_eq!(places.definition("example.org", "Widget").unwrap().file.as_str(), "crds/widget.yaml");
        assert_eq!(places.definition("example.org", "Gadget"), None);
        let folder = "app".parse().unwrap();
        assert_eq!(places.kinds_within(&folder).collect::<Vec<_>>(), [("example.org", "Widget")]);
    }
}

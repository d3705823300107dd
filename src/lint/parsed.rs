//! The rendered files of one cluster, parsed once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::domain::{Object, RepositoryPath};
use crate::manifest::yaml::{self, Located, Node};
use crate::ports::git::File;

/// Files that Argo CD's tools read, and that are no objects.
const OF_TOOLS: [&str; 5] = ["kustomization.yaml", "kustomization.yml", "Kustomization", "Chart.yaml", "values.yaml"];

/// A document that is a Kubernetes object.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// The file that it is in.
    pub(super) file: &'a RepositoryPath,
    /// The text of that file.
    pub(super) text: &'a str,
    /// Which document of the file it is.
    pub(super) index: usize,
    /// Where it begins.
    pub(super) line: u64,
    /// Where in the line.
    pub(super) column: u64,
    /// The object.
    pub(super) object: Object,
}

/// A file, or a document in one, that is no Kubernetes object.
#[derive(Debug)]
pub(super) struct Invalid<'a> {
    /// The file.
    pub(super) file: &'a RepositoryPath,
    /// Where it goes wrong.
    pub(super) line: u64,
    /// Where in the line.
    pub(super) column: u64,
    /// What is wrong.
    pub(super) what: String,
}

/// What the files of a folder hold.
#[derive(Debug, Default)]
pub(super) struct Parsed<'a> {
    /// The files.
    pub(super) files: Vec<&'a File>,
    /// The objects in them, by file.
    pub(super) documents: Vec<Document<'a>>,
    /// What is not an object.
    pub(super) invalid: Vec<Invalid<'a>>,
}

impl<'a> Parsed<'a> {
    /// Reads the files below `folder`.
    pub(super) fn read(files: &'a [File], folder: &RepositoryPath) -> Self {
        let mut files: Vec<&File> = files.iter().filter(|file| file.path.is_within(folder)).collect();
        files.sort_by(|left, right| left.path.cmp(&right.path));
        let is_read = |file: &&File| is_manifest(&file.path) && !OF_TOOLS.contains(&file.path.file_name());
        let manifests: Vec<&File> = files.iter().copied().filter(is_read).collect();
        let mut parsed = Self { files, ..Self::default() };
        for one in yaml::each_in_parallel(&manifests, Self::of) {
            parsed.documents.extend(one.documents);
            parsed.invalid.extend(one.invalid);
        }
        parsed
    }

    /// The documents of one file, and what is not an object.
    fn of(file: &'a File) -> Self {
        let mut parsed = Self::default();
        parsed.add(file);
        parsed
    }

    fn add(&mut self, file: &'a File) {
        let mut invalid = |line, column, what: String| self.invalid.push(Invalid { file: &file.path, line, column, what });
        let Ok(text) = std::str::from_utf8(&file.content) else { return invalid(1, 1, "it is not UTF-8".to_owned()) };
        let documents = match yaml::parse_documents(text, file.path.as_str()) {
            Ok(documents) => documents,
            Err(failure) => {
                let (line, column, what) = cited(&failure.message, file.path.as_str());
                return invalid(line, column, what.to_owned());
            }
        };
        for (index, Located { value, line, column }) in documents.into_iter().enumerate() {
            // A hook may leave its name to the API server.
            let is_named_later = value.pointer("/metadata/generateName").is_some();
            match Object::new(value) {
                Ok(object) => self.documents.push(Document { file: &file.path, text, index, line, column, object }),
                Err(_) if is_named_later => {}
                Err(error) => invalid(line, column, error.to_string()),
            }
        }
    }
}

impl Document<'_> {
    /// The options that an annotation of Argo CD lists for this object alone.
    pub(super) fn has_sync_option(&self, wanted: &str) -> bool {
        let options = self.object.annotation("argocd.argoproj.io/sync-options").unwrap_or_default();
        options.split(',').any(|option| option.trim() == wanted)
    }

    /// The turn of the object in its Application: 0 if it does not say.
    pub(super) fn wave(&self) -> i64 {
        self.object.annotation("argocd.argoproj.io/sync-wave").and_then(|wave| wave.trim().parse().ok()).unwrap_or_default()
    }

    /// `file:line`, to name this object in the message about another.
    pub(super) fn cited(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// Whether Argo CD reads a file of a plain folder as manifests (its directory source: `*.yaml`, `*.yml` and `*.json`).
fn is_manifest(path: &RepositoryPath) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|extension| path.file_name().ends_with(extension))
}

/// Takes `file:line:column: what` apart.
fn cited<'t>(message: &'t str, file: &str) -> (u64, u64, &'t str) {
    let parts = message.strip_prefix(file).and_then(|rest| {
        let mut parts = rest.strip_prefix(':')?.splitn(3, ':');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.trim_start()))
    });
    parts.unwrap_or((1, 1, message))
}

/// Finds places in documents. Files are parsed with places only when something was found in them, since that takes longer.
#[derive(Default)]
pub(super) struct Places<'a>(RefCell<BTreeMap<&'a RepositoryPath, Vec<Located<Node>>>>);

impl<'a> Places<'a> {
    /// The line and the column of what `pointer` names in a document.
    pub(super) fn find(&self, document: &Document<'a>, pointer: &str) -> (u64, u64) {
        let mut files = self.0.borrow_mut();
        let nodes = files
            .entry(document.file)
            .or_insert_with(|| yaml::parse_all_located(document.text, document.file.as_str()).unwrap_or_default());
        nodes.get(document.index).and_then(|node| node.value.place(pointer)).unwrap_or((document.line, document.column))
    }
}

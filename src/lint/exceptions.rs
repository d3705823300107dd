//! What a repository allows, with a reason: `lint.allow` in gitops.yaml, and the annotation `gitops-bootstrap.io/allow` of an object.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::parsed::{Document, Parsed};
use crate::domain::declaration::Allow;
use crate::domain::glob::path_fits;
use crate::domain::{Finding, RepositoryPath, Rule};
use crate::manifest::declaration::FILE;

/// The annotation: `RULE: REASON`, one a line.
pub(super) const ANNOTATION: &str = "gitops-bootstrap.io/allow";

/// All exceptions, and which of them were of use.
pub(super) struct Exceptions<'a> {
    listed: &'a [Allow],
    /// By file, since most files have none.
    annotated: BTreeMap<RepositoryPath, Vec<Annotated<'a>>>,
    /// By number in `listed`.
    used: BTreeSet<usize>,
}

/// A line of the annotation of an object.
struct Annotated<'a> {
    document: &'a Document<'a>,
    rule: Result<Rule, String>,
    reason: &'a str,
    is_used: bool,
}

impl<'a> Exceptions<'a> {
    /// Those of `gitops.yaml`, and those that the objects of the clusters bear.
    pub(super) fn read(listed: &'a [Allow], clusters: &'a [Parsed<'a>]) -> Self {
        let mut annotated: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for document in clusters.iter().flat_map(|cluster| &cluster.documents) {
            let lines = document.object.annotation(ANNOTATION).unwrap_or_default().lines();
            for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
                let (name, reason) = line.split_once(':').unwrap_or((line, ""));
                let rule = name.trim().parse().map_err(|error| format!("`{}`: {error}", name.trim().escape_debug()));
                let exception = Annotated { document, rule, reason: reason.trim(), is_used: false };
                annotated.entry(document.file.clone()).or_default().push(exception);
            }
        }
        Self { listed, annotated, used: BTreeSet::new() }
    }

    /// Why a finding is allowed, if it is. One that is about a file is allowed by any object in it.
    pub(super) fn reason(&mut self, finding: &Finding) -> Option<String> {
        let is_about = |document: &Document<'_>| finding.object.as_ref().is_none_or(|object| *object == document.object.reference());
        let fits = |exception: &&mut Annotated<'_>| {
            exception.rule.as_ref() == Ok(&finding.rule) && !exception.reason.is_empty() && is_about(exception.document)
        };
        if let Some(exception) = self.annotated.get_mut(&finding.file).into_iter().flatten().find(fits) {
            exception.is_used = true;
            return Some(exception.reason.to_owned());
        }
        let fits = |allow: &Allow| allow.rule == finding.rule && path_fits(&allow.path, finding.file.as_str());
        let number = self.listed.iter().position(fits)?;
        self.used.insert(number);
        Some(self.listed[number].reason.clone())
    }

    /// What is wrong with the exceptions themselves. `file` is `gitops.yaml`; `is_whole` says that every cluster was looked at, without which
    /// an exception in it may be of use to another.
    pub(super) fn unused(&self, file: Option<&'a RepositoryPath>, is_whole: bool) -> Vec<Draft<'a>> {
        let mut drafts = Vec::new();
        let pointer = format!("/metadata/annotations/{}", ANNOTATION.replace('/', "~1"));
        for exception in self.annotated.values().flatten().filter(|exception| !exception.is_used) {
            let (message, hint) = match &exception.rule {
                Err(what) => (format!("allows what is no rule: {what}"), "`gitops-bootstrap lint --rules` lists the rules"),
                Ok(rule) if exception.reason.is_empty() => {
                    (format!("allows `{rule}` without a reason"), "write `RULE: REASON`, for the next person")
                }
                Ok(rule) => (format!("allows `{rule}`, which finds nothing in this object"), "remove the line"),
            };
            drafts.push(exception.document.draft(pointer.clone(), message, hint));
        }
        let unused = self.listed.iter().enumerate().filter(|(number, _)| is_whole && !self.used.contains(number));
        for (_, allow) in unused {
            let message = format!("allows `{}` in `{}`, where it finds nothing", allow.rule, allow.path.escape_debug());
            drafts.extend(
                file.map(|file| Draft::at(file, (allow.line, allow.column), message, format!("remove it from `lint.allow` in {FILE}"))),
            );
        }
        drafts
    }
}

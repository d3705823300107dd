//! Checking a fleet repository: what is dangerous in it, and what could not boot from zero. Pure and fast; nothing is fetched.
//!
//! [`lint`] parses the files once, looks at each cluster with every rule, and takes out what the repository allows with a reason.

mod draft;
mod exceptions;
mod parsed;
mod pods;
mod rules;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use self::draft::Draft;
use self::exceptions::Exceptions;
use self::parsed::{Parsed, Places};
use self::rules::Check;
use self::view::{Cluster, Paths};
use crate::domain::{ClusterName, Declaration, Finding, RepositoryPath, Rule, Severity, Stale};
use crate::manifest::declaration::FILE;
use crate::ports::git::File;

/// What is checked.
#[derive(Clone, Copy, Debug)]
pub struct Repository<'a> {
    /// The files: all of the repository's, or at least `gitops.yaml` and those below the rendered folder.
    pub files: &'a [File],
    /// What `gitops.yaml` says; none in a repository that was not made by this tool.
    pub declaration: Option<&'a Declaration>,
    /// The folder with what the clusters get.
    pub rendered: &'a RepositoryPath,
    /// The rendered files that are not what the sources render to, if that was looked at.
    pub stale: &'a [Stale],
    /// Files that are there and were not read, each with the reason: `a symbolic link`.
    pub left_out: &'a BTreeMap<RepositoryPath, &'static str>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What needs a person, by file and line.
    pub findings: Vec<Finding>,
    /// What was found and is allowed, each with its reason.
    pub allowed: Vec<Finding>,
    /// How many objects the clusters have together.
    pub objects: usize,
    /// How many files were looked at.
    pub files: usize,
}

impl Report {
    /// What can keep a cluster from becoming healthy when everything starts from nothing.
    pub fn cannot_boot(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.rule.concerns_boot())
    }

    /// How many findings there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Checks the whole repository, and `clusters` in it. Nothing is said twice, however many clusters it is true for.
pub fn lint(repository: &Repository<'_>, clusters: &[ClusterName]) -> Report {
    let paths = Paths::of(repository);
    let folders: Vec<RepositoryPath> = clusters.iter().filter_map(|cluster| repository.rendered.join(cluster.as_str()).ok()).collect();
    let parsed: Vec<Parsed<'_>> = folders.iter().map(|folder| Parsed::read(repository.files, folder)).collect();
    let views: Vec<Cluster<'_>> = clusters
        .iter()
        .zip(folders)
        .zip(&parsed)
        .map(|((name, folder), parsed)| Cluster::new(name, folder, repository, &paths, parsed))
        .collect();
    let places = Places::default();
    let mut found = BTreeSet::new();
    for rule in Rule::ALL {
        if let Check::Repository(check) = rules::check(rule) {
            found.extend(findings(rule, check(repository), &places));
        }
    }
    for view in &views {
        found.extend(of_cluster(view, &places));
    }

    let listed = repository.declaration.map(|declaration| declaration.allow.as_slice()).unwrap_or_default();
    let mut exceptions = Exceptions::read(listed, &parsed);
    let mut report =
        Report { objects: parsed.iter().map(|parsed| parsed.documents.len()).sum(), files: repository.files.len(), ..Report::default() };
    for finding in found {
        match exceptions.reason(&finding) {
            Some(reason) => report.allowed.push(Finding { allowed: Some(reason), ..finding }),
            None => report.findings.push(finding),
        }
    }
    let is_whole = repository.declaration.is_none_or(|declaration| declaration.clusters.keys().all(|name| clusters.contains(name)));
    let file = repository.files.iter().map(|file| &file.path).find(|path| path.as_str() == FILE);
    report.findings.extend(findings(Rule::UnusedAllow, exceptions.unused(file, is_whole), &places));
    report.findings.sort();
    report
}

/// What all rules say of a cluster.
fn of_cluster<'a>(cluster: &Cluster<'a>, places: &Places<'a>) -> Vec<Finding> {
    let mut found = Vec::new();
    for rule in Rule::ALL {
        if let Check::Cluster(check) = rules::check(rule) {
            found.extend(findings(rule, check(cluster), places));
        }
    }
    let is_explained = found.iter().any(|finding| finding.rule.concerns_boot() && finding.severity == Severity::Error);
    for rule in Rule::ALL {
        if let Check::Rest(check) = rules::check(rule)
            && !is_explained
        {
            found.extend(findings(rule, check(cluster), places));
        }
    }
    found
}

fn findings<'a>(rule: Rule, drafts: Vec<Draft<'a>>, places: &Places<'a>) -> Vec<Finding> {
    drafts.into_iter().map(|draft| draft.finding(rule, places)).collect()
}

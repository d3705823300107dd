//! The fleet repository: its declaration, what lint says, the tree of a cluster, and the clone.

use std::path::Path;

use super::Context;
use super::board::{Board, failed};
use crate::cli::lint::Arguments;
use crate::commands::lint;
use crate::domain::{Check, CheckId, ClusterName, Declaration, Severity};
use crate::error::Result;
use crate::manifest::declaration;
use crate::preflight::Fleet;

/// Judges what was read of gitops.yaml.
pub(super) fn declaration(board: &Board, folder: &Path, declared: &Result<Option<Declaration>>) {
    let id = CheckId::Declaration;
    board.note(match declared {
        Ok(Some(declaration)) => {
            let names: Vec<&str> = declaration.clusters.keys().map(ClusterName::as_str).collect();
            Check::well(id, format!("Argo CD {}, clusters: {}", declaration.argocd.version, names.join(", ")))
        }
        Ok(None) if is_fleet(folder) => Check::well(id, format!("there is no {}: the layout is found by itself", declaration::FILE)),
        Ok(None) => {
            board.leave_out(&[CheckId::Lint], None, NO_FLEET);
            Check::not_checked(id, NO_FLEET)
                .hint("go to the clone of one, or name it: `--fleet FOLDER`")
                .hint("or write a new one: gitops-bootstrap new fleet")
        }
        Err(failure) => failed(id, failure),
    });
}

/// Why nothing of a fleet repository is looked at where there is none.
pub(super) const NO_FLEET: &str = "this folder is no fleet repository";

/// Whether a folder without a declaration looks like a fleet repository.
pub(super) fn is_fleet(folder: &Path) -> bool {
    ["rendered", "kubernetes/rendered"].iter().any(|name| folder.join(name).exists())
}

/// Checks the files as they are on disk.
pub(super) async fn lint(board: &Board, folder: &Path, clusters: &[ClusterName], context: &Context) {
    let id = CheckId::Lint;
    let arguments = Arguments { clusters: clusters.to_vec(), strict: false, sarif: None, no_render: false, rules: false };
    let checked = match lint::check(folder, &arguments, context).await {
        Ok(checked) => checked,
        Err(failure) => return board.note(failed(id, &failure)),
    };
    let (errors, warnings) = (checked.report.count(Severity::Error), checked.report.count(Severity::Warning));
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let evidence = format!("{}, {} in {}", count(errors, "error"), count(warnings, "warning"), count(checked.report.objects, "object"));
    let named: Vec<&str> = clusters.iter().map(ClusterName::as_str).collect();
    let hint = format!("gitops-bootstrap lint {}", named.join(" "));
    board.note(match (errors, warnings, checked.unrendered) {
        (0, 0, None) => Check::well(id, evidence),
        (0, _, None) => Check::warning(id, evidence).hint(hint),
        (0, _, Some(failure)) => failed(id, &failure),
        _ => Check::wrong(id, evidence).hint(hint),
    });
}

/// Judges the tree of a cluster by the commit that is checked out.
pub(super) fn tree(board: &Board, cluster: &ClusterName, fleet: &Result<Fleet>) {
    let id = CheckId::Tree;
    let check = match fleet {
        Ok(fleet) => {
            let tree = &fleet.reading.tree;
            let version = tree.argocd_version().map(|version| format!("Argo CD {version}, ")).unwrap_or_default();
            let evidence = format!("{version}{} applications of {}", tree.applications.len(), tree.repository);
            match fleet.reading.warnings.as_slice() {
                [] => Check::well(id, evidence),
                [only] => Check::warning(id, format!("{evidence}; {only}")),
                [first, rest @ ..] => Check::warning(id, format!("{evidence}; {first}; and {} more like it", rest.len())),
            }
        }
        Err(failure) => {
            board.leave_out(&[CheckId::Clone], Some(cluster), "the tree cannot be read");
            failed(id, failure)
        }
    };
    board.note(check.of(cluster));
}

//! One file that is no Kubernetes object keeps Argo CD from making anything of the whole folder.

use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let hint = "correct it where it is written, and render again; what is no manifest does not belong into this folder";
    let invalid = cluster.parsed.invalid.iter();
    invalid
        .map(|invalid| Draft::at(invalid.file, (invalid.line, invalid.column), format!("not a Kubernetes object: {}", invalid.what), hint))
        .collect()
}

//! One file that is no Kubernetes object keeps Argo CD from making anything of the whole folder.

use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let hint = "correct it where it is written, and render again; what is no manifest does not belong into this folder";
    let left_out = cluster.repository.left_out.iter().filter(|(file, _)| file.is_within(&cluster.folder));
    let left_out = left_out.map(|(file, reason)| Draft::at(file, (1, 1), format!("is {reason}, which a bootstrap refuses"), hint));
    let invalid = cluster.parsed.invalid.iter();
    invalid
        .map(|invalid| Draft::at(invalid.file, (invalid.line, invalid.column), format!("not a Kubernetes object: {}", invalid.what), hint))
        .chain(left_out)
        .collect()
}

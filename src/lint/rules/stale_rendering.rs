//! The clusters get what is rendered, people review what is written: both must be the same.

use crate::lint::Repository;
use crate::lint::draft::Draft;

pub(super) fn check<'a>(repository: &Repository<'a>) -> Vec<Draft<'a>> {
    let stale = repository.stale.iter();
    stale
        .map(|stale| Draft::at(&stale.file, (stale.line, 1), stale.difference.said(), "render and commit it: `gitops-bootstrap render`"))
        .collect()
}

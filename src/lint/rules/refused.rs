//! The guard of a bootstrap, as it stands: what it refuses and no other rule has named.

use crate::domain::{Commit, RepositoryPath};
use crate::error::Failure;
use crate::lint::draft::Draft;
use crate::lint::view::Cluster;
use crate::manifest::tree;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    // Which commit it is makes no difference to what is refused.
    let Ok(commit) = "0".repeat(40).parse::<Commit>() else { return Vec::new() };
    let repository = cluster.repository;
    let declared = repository.declaration.map(|declaration| &declaration.repository);
    match tree::read(cluster.name, &commit, repository.files, repository.rendered, declared) {
        Ok(_) => Vec::new(),
        Err(failure) => draft(&failure, cluster).into_iter().collect(),
    }
}

fn draft<'a>(failure: &Failure, cluster: &Cluster<'a>) -> Option<Draft<'a>> {
    let files = cluster.repository.files;
    // Messages about a file begin with it.
    let cited = std::iter::once(failure.message.as_ref())
        .chain(failure.causes.iter().map(String::as_str))
        .filter_map(|text| text.split_once(':').map(|(file, _)| file))
        .find_map(|name| files.iter().find(|file| file.path.as_str() == name));
    let declaration = |path: &RepositoryPath| path.as_str() == crate::manifest::declaration::FILE;
    let file = cited.or_else(|| files.iter().find(|file| declaration(&file.path))).or_else(|| files.first())?;
    Some(Draft::at(&file.path, (1, 1), format!("{}: {failure}", cluster.name), failure.hints.join("; ")))
}

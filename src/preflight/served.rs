//! The clone as it is served inside of the cluster while the forge is down.

use super::Fleet;
use crate::domain::RepositoryPath;
use crate::error::{Failure, Result};
use crate::manifest::{git_server, served};
use crate::ports::{Packer, Worktree};
use crate::steps::world::Served;

/// Makes the commit that is served, and the objects of the server; and says what cannot be served. Neither the clone nor the cluster is written.
pub async fn serve(worktree: &dyn Worktree, packer: &dyn Packer, fleet: &Fleet) -> Result<(Served, Vec<String>)> {
    let tree = &fleet.reading.tree;
    let folders: Vec<RepositoryPath> = served::folders(tree, &fleet.folder);
    let files = worktree.files(&tree.commit, &folders).await?;
    let server = git_server::address();
    let files = served::files(&files, &folders, &tree.repository, &server);
    let message = format!("The files of `{}` at {}, served from a clone", tree.cluster, tree.commit);
    let packed = packer.pack(&files, git_server::branch(tree), &message, git_server::LARGEST_PACK).await?;
    if packed.packs.len() > git_server::MOST_PACKS {
        let size: usize = packed.packs.iter().map(|pack| pack.content.len() + pack.index.len()).sum();
        return Err(Failure::repository(format!("the files of `{}` have {} MiB when compressed", tree.cluster, size >> 20))
            .because(format!(
                "at most {} packs of {} KiB are served from inside of the cluster",
                git_server::MOST_PACKS,
                git_server::LARGEST_PACK >> 10
            ))
            .hint("push the clone to a Git server that the cluster reaches, and name that in the root Application by hand"));
    }
    let objects = git_server::objects(&packed, tree)?;
    Ok((Served { tree: served::tree(tree, packed.commit, &server), objects }, served::unserved(tree)))
}

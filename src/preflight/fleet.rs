//! The fleet repository: its declaration, the tree of one cluster, and whether the clone is what the remote serves.

use std::sync::Arc;

use super::{UNCHANGED, refused};
use crate::domain::declaration::default_rendered;
use crate::domain::{ClusterName, Commit, Declaration, RepositoryPath};
use crate::error::{Failure, Result};
use crate::manifest::tree::Reading;
use crate::manifest::{declaration, tree};
use crate::ports::Worktree;
use crate::ports::git::{File, GitError, WorktreeFacts};
use crate::steps::fleet_clone::{FleetClone, listed};

/// The file that declares the fleet.
const DECLARATION: &str = "gitops.yaml";

/// What a commit of the fleet repository says of one cluster.
#[derive(Debug)]
pub struct Fleet {
    /// The declaration; none in a repository that was not made by this tool.
    pub declaration: Option<Declaration>,
    /// The tree of the cluster.
    pub reading: Reading,
    /// The files of the cluster, as the commit has them.
    pub files: Vec<File>,
    /// The clone.
    pub clone: WorktreeFacts,
    /// The folder of the cluster's rendered files.
    pub folder: RepositoryPath,
}

/// Reads the declaration and the tree of `cluster` from the commit that is checked out, or from `commit`.
pub async fn load(worktree: &dyn Worktree, cluster: &ClusterName, commit: Option<&Commit>) -> Result<Fleet> {
    let clone = worktree.facts().await?;
    let commit = commit.unwrap_or(&clone.head);
    let file: RepositoryPath = DECLARATION.parse().map_err(|_| Failure::bug("a constant path"))?;
    // Most fleets have the default folder, so its files are read along with the declaration; one that has it elsewhere may have anything there.
    let usual = rendered_folder(&default_rendered(), cluster)?;
    let found = match worktree.files(commit, &[file.clone(), usual.clone()]).await {
        Ok(found) => found,
        Err(GitError::File { .. }) => worktree.files(commit, std::slice::from_ref(&file)).await?,
        Err(error) => return Err(error.into()),
    };
    let (declarations, usual_files): (Vec<File>, Vec<File>) = found.into_iter().partition(|found| found.path == file);
    let declaration = match declarations.into_iter().next() {
        Some(file) => {
            let text = String::from_utf8(file.content).map_err(|_| Failure::repository(format!("{DECLARATION} is not UTF-8")))?;
            Some(declaration::parse(&text, DECLARATION)?)
        }
        None => None,
    };
    if let Some(declaration) = &declaration
        && !declaration.clusters.contains_key(cluster)
    {
        return Err(declaration::unknown_cluster(cluster, declaration));
    }
    let (rendered, files) = match &declaration {
        Some(declaration) => {
            let rendered = declaration.repository.rendered.clone();
            let folder = rendered_folder(&rendered, cluster)?;
            let files = if folder == usual && !usual_files.is_empty() { usual_files } else { worktree.files(commit, &[folder]).await? };
            (rendered, files)
        }
        None => {
            let root: RepositoryPath = ".".parse().map_err(|_| Failure::bug("a constant path"))?;
            let files = worktree.files(commit, &[root]).await?;
            (tree::detect(files.iter().map(|file| &file.path))?, files)
        }
    };
    let folder = rendered_folder(&rendered, cluster)?;
    let declared = declaration.as_ref().map(|declaration| declaration.repository.clone());
    let (cluster, commit) = (cluster.clone(), commit.clone());
    // On a thread of its own: a large tree takes seconds, in which the cluster is asked and Ctrl-C is heard.
    let parsing = tokio::task::spawn_blocking(move || {
        let reading = tree::read(&cluster, &commit, &files, &rendered, declared.as_ref())?;
        Ok::<_, Failure>((reading, files))
    });
    let (reading, files) = parsing.await.map_err(|error| Failure::bug("the reading of the tree ended early").because(error))??;
    let files = files.into_iter().filter(|file| file.path.is_within(&folder)).collect();
    Ok(Fleet { declaration, reading, files, clone, folder })
}

fn rendered_folder(rendered: &RepositoryPath, cluster: &ClusterName) -> Result<RepositoryPath> {
    rendered.join(cluster.as_str()).map_err(|error| Failure::repository(error.to_string()))
}

/// The clone at its commit, with the files that the cluster uses.
pub fn clone_of(worktree: Arc<dyn Worktree>, fleet: &Fleet) -> FleetClone {
    let used = fleet.reading.tree.paths.iter().cloned().chain([fleet.folder.clone()]).collect();
    FleetClone { worktree, head: fleet.clone.head.clone(), used }
}

/// Refuses a clone whose files differ from its commit, and one whose commit is not what the remote serves, as far as the cluster uses the files.
/// Returns the commit that the cluster will end up at: that of the remote. `remote_head` is none if it could not be asked.
pub async fn check_clone(clone: &FleetClone, fleet: &Fleet, remote_head: Option<&Commit>, wanted: Option<&Commit>) -> Result<Commit> {
    if let Some(wanted) = wanted {
        return Ok(remote_head.unwrap_or(wanted).clone());
    }
    let is_used = |path: &str| {
        path == DECLARATION || path.parse::<RepositoryPath>().is_ok_and(|path| clone.used.iter().any(|folder| path.is_within(folder)))
    };
    let dirty: Vec<&str> = fleet.clone.dirty.iter().map(String::as_str).filter(|path| is_used(path)).collect();
    if !dirty.is_empty() {
        return Err(listed(refused("the clone has changes that are not committed"), &dirty)
            .because("Argo CD would take the files of the remote, not these")
            .hint("commit and push them, or put them away with `git stash -u`"));
    }
    let Some(remote) = remote_head else { return Ok(clone.head.clone()) };
    clone.compare(&fleet.reading.tree, remote).await.map_err(|failure| failure.because(UNCHANGED))?;
    Ok(remote.clone())
}

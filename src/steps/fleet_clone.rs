//! The clone of the fleet repository that the run takes its files from, compared with what the remote serves.

use std::sync::Arc;

use crate::domain::tree::Tree;
use crate::domain::{Commit, RepositoryPath};
use crate::error::{Failure, Result};
use crate::ports::Worktree;

/// A clone at its commit.
#[derive(Clone)]
pub struct FleetClone {
    /// The clone.
    pub worktree: Arc<dyn Worktree>,
    /// The commit that is checked out.
    pub head: Commit,
    /// The files and folders that the cluster uses.
    pub used: Vec<RepositoryPath>,
}

impl FleetClone {
    /// Refuses a clone whose commit has other files for the cluster than `remote`, the commit that the remote serves: Argo CD would take other files
    /// than this run.
    pub async fn compare(&self, tree: &Tree, remote: &Commit) -> Result<()> {
        if *remote == self.head {
            return Ok(());
        }
        let branch = &tree.revision;
        // A commit that the clone has never seen cannot be compared: somebody else has pushed.
        let Ok(changed) = self.worktree.changed(remote, &self.head, &self.used).await else {
            return Err(Failure::refused(format!(
                "{branch} of {} is at {}, which this clone does not have",
                tree.repository,
                remote.short()
            ))
            .because("somebody has pushed since the clone was last updated")
            .hint("git pull --rebase; then run the same command again"));
        };
        if changed.is_empty() {
            return Ok(());
        }
        let changed: Vec<&str> = changed.iter().map(RepositoryPath::as_str).collect();
        let (ours, theirs) = (self.head.short(), remote.short());
        Err(listed(Failure::refused(format!("the clone is at {ours}, but {branch} of {} is at {theirs}", tree.repository)), &changed)
            .because("Argo CD takes what the remote serves")
            .hint(format!("git push origin HEAD:{branch}; or update the clone with git pull --rebase"))
            .hint(format!("to check against the remote's files without updating the clone: --commit {remote}")))
    }
}

/// Names the first of `files` as causes of `failure`, and counts the others.
pub fn listed(failure: Failure, files: &[&str]) -> Failure {
    const MOST: usize = 10;
    let failure = files.iter().take(MOST).fold(failure, |failure, file| failure.because(file));
    if files.len() > MOST { failure.because(format!("and {} more files", files.len() - MOST)) } else { failure }
}

//! Commits made out of files alone, in a repository that is gone afterwards: the clone is neither written nor asked.

use std::path::Path;

use async_trait::async_trait;

use super::ssh::private_folder;
use super::{complaint, require_git, run, sealed};
use crate::adapters::process::{Output, Program};
use crate::domain::Commit;
use crate::ports::Packer;
use crate::ports::git::{File, GitError, Pack, PackedCommit};

/// The largest answer of `git` that is read: the names of all objects, or a pack.
const LARGEST_ANSWER: usize = 256 << 20;

/// Who makes the commits, and when. Both are part of a commit's name, so neither may change.
const AUTHOR: &str = "gitops-bootstrap <gitops-bootstrap@localhost> 0 +0000";

/// Makes commits with the installed `git`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GitPacker;

#[async_trait]
impl Packer for GitPacker {
    async fn pack(&self, files: &[File], branch: &str, message: &str, largest: usize) -> Result<PackedCommit, GitError> {
        require_git().await?;
        let folder = private_folder()?;
        let git = |arguments: &[&str]| fixed(folder.path()).args(arguments.iter().copied());
        run(git(&["init", "--quiet", "--bare", "--object-format=sha1", "--template="]), said).await?;
        let reference = format!("refs/heads/{branch}");
        run(git(&["fast-import", "--quiet"]).input(stream(files, &reference, message)), said).await?;
        let commit = run(git(&["rev-parse", "--verify", &reference]), said).await?;
        let commit: Commit = String::from_utf8_lossy(&commit)
            .trim()
            .parse()
            .map_err(|_| GitError::Other("`git rev-parse` printed what is not understood".to_owned()))?;
        let listed = run(git(&["rev-list", "--objects", &reference]).at_most(LARGEST_ANSWER), said).await?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        // Halves of what is too large, until each part fits: how small a part gets is known only once it is packed.
        let mut parts = vec![listed.lines().collect::<Vec<_>>()];
        let mut packs = Vec::new();
        while let Some(part) = parts.pop() {
            let pack = pack(folder.path(), &part).await?;
            if pack.content.len() + pack.index.len() <= largest {
                packs.push(pack);
                continue;
            }
            match part.as_slice() {
                [object] => return Err(too_large(object, pack.content.len(), largest)),
                several => {
                    let (first, second) = several.split_at(several.len() / 2);
                    parts.extend([second.to_vec(), first.to_vec()]);
                }
            }
        }
        Ok(PackedCommit { commit, packs })
    }
}

/// `git` in the repository in `folder`, with settings on which the bytes of a pack depend.
fn fixed<'a>(folder: &Path) -> Program<'a> {
    let settings = [("pack.threads", "1"), ("pack.writeReverseIndex", "false"), ("core.compression", "9"), ("pack.compression", "9")];
    sealed(folder, settings.map(|(name, value)| (name.to_owned(), value.to_owned()))).env("GIT_DIR", folder)
}

fn said(output: &Output) -> GitError {
    GitError::Other(complaint(output))
}

/// What `git fast-import` reads (git-fast-import(1)).
fn stream(files: &[File], reference: &str, message: &str) -> Vec<u8> {
    let mut files: Vec<&File> = files.iter().collect();
    files.sort_by(|left, right| left.path.cmp(&right.path));
    let mut stream = format!("commit {reference}\ncommitter {AUTHOR}\ndata {}\n{message}\n", message.len()).into_bytes();
    for file in files {
        let path = file.path.as_str().replace('\\', "\\\\").replace('"', "\\\"");
        stream.extend(format!("M 100644 inline \"{path}\"\ndata {}\n", file.content.len()).bytes());
        stream.extend(&file.content);
        stream.push(b'\n');
    }
    stream
}

/// Packs the objects of these lines, each with its name and its path.
async fn pack(folder: &Path, objects: &[&str]) -> Result<Pack, GitError> {
    let base = folder.join("part");
    let input = objects.join("\n").into_bytes();
    let options = ["pack-objects", "--quiet", "--no-reuse-delta", "--no-reuse-object", "--delta-base-offset"];
    let name = run(fixed(folder).args(options).args([&base]).input(input), said).await?;
    let name = String::from_utf8_lossy(&name).trim().to_owned();
    let take = |ending: &str| {
        let file = folder.join(format!("part-{name}.{ending}"));
        let content = std::fs::read(&file).map_err(|error| GitError::Other(format!("a pack cannot be read: {error}")))?;
        // Git makes these files read-only; the folder is ours.
        let _ = std::fs::remove_file(file);
        Ok::<_, GitError>(content)
    };
    let (content, index) = (take("pack")?, take("idx")?);
    Ok(Pack { name, content, index })
}

/// The failure for an object that fits nowhere; the line has its name, and its path if it is a file or a folder.
fn too_large(object: &str, size: usize, largest: usize) -> GitError {
    let path = object.split_once(' ').map(|(_, path)| path).filter(|path| !path.is_empty()).unwrap_or("the root folder");
    GitError::File {
        path: path.to_owned(),
        reason: format!("it has {} KiB when compressed; at most {} can be served from inside of the cluster", size >> 10, largest >> 10),
    }
}

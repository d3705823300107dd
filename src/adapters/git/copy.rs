//! Copies commits of a clone to another server, for the drill. Nothing of the clone is read but its objects, and nothing in it is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::ssh::{KeyOnly, explain, private_folder};
use super::{complaint, failed, require_git, run, sealed};
use crate::domain::{Commit, HostKeys, RepositoryUrl};
use crate::ports::git::GitError;

/// How long a push may take.
const PUSH_LIMIT: Duration = Duration::from_secs(300);

/// A clone whose commits can be copied.
#[derive(Clone, Debug)]
pub struct Source {
    folder: PathBuf,
    objects: PathBuf,
    shallow: Option<PathBuf>,
}

impl Source {
    /// The clone in `folder`, or around it.
    pub async fn open(folder: &Path) -> Result<Self, GitError> {
        require_git().await?;
        let places = ["rev-parse", "--path-format=absolute", "--git-path", "objects", "--git-path", "shallow"];
        let places = run(sealed(folder, []).args(places), |output| GitError::Other(complaint(output))).await?;
        let places =
            String::from_utf8(places).map_err(|_| GitError::Other("the clone's folder has a name that is not UTF-8".to_owned()))?;
        let (objects, shallow) = places
            .trim_end()
            .split_once('\n')
            .ok_or_else(|| GitError::Other("`git rev-parse` printed what is not understood".to_owned()))?;
        let shallow = Some(PathBuf::from(shallow)).filter(|file| file.exists());
        Ok(Self { folder: folder.to_owned(), objects: objects.into(), shallow })
    }

    /// Whether the clone has only the newest part of the history, as CI systems make it. A server must be told to take that.
    pub const fn is_shallow(&self) -> bool {
        self.shallow.is_some()
    }

    /// What a reference such as `refs/tags/v1` names; none if the clone has no such reference.
    pub async fn reference(&self, name: &str) -> Result<Option<Commit>, GitError> {
        let program = sealed(&self.folder, []).args(["rev-parse", "--verify", "--quiet", "--end-of-options", name]);
        let output = program.run().await.map_err(|error| failed(&error))?;
        Ok(Some(output).filter(|output| output.is_success()).and_then(|output| String::from_utf8_lossy(&output.stdout).trim().parse().ok()))
    }

    /// Makes each reference of `url` that is named what is given with it. References that are there are not overwritten.
    pub async fn push(
        &self,
        references: &[(Commit, String)],
        url: &RepositoryUrl,
        key: &SecretString,
        hosts: &HostKeys,
    ) -> Result<(), GitError> {
        // Another repository over the same objects: the settings of the clone, which may name programs and other servers, are not asked.
        let folder = private_folder()?;
        let inside = |error: std::io::Error| GitError::Other(format!("{}: {error}", folder.path().display()));
        let copy = folder.path().join("copy.git");
        let init = sealed(folder.path(), []).args(["init", "--quiet", "--bare", "--template=", "--"]).args([copy.as_os_str()]);
        run(init, |output| GitError::Other(complaint(output))).await?;
        fs::create_dir_all(copy.join("objects/info")).map_err(inside)?;
        fs::write(copy.join("objects/info/alternates"), format!("{}\n", self.objects.display())).map_err(inside)?;
        if let Some(shallow) = &self.shallow {
            fs::copy(shallow, copy.join("shallow")).map_err(inside)?;
        }
        let connection = KeyOnly::prepare("ssh", key, hosts)?;
        let program = sealed(connection.folder(), [("protocol.ssh.allow".to_owned(), "always".to_owned())]);
        let program = program.args(["--git-dir".as_ref(), copy.as_os_str()]).args(["push", "--quiet", "--no-verify", "--", url.as_str()]);
        let program = program.args(references.iter().map(|(commit, name)| format!("{commit}:{name}"))).within(PUSH_LIMIT);
        run(connection.applied_to(program), |output| explain(url, output)).await.map(drop)
    }
}

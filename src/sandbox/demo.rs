//! The demonstration: a fleet repository for a first try, in a folder of the person's and on the sandbox's forge.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use tokio::time::Instant;

use super::State;
use crate::adapters::git::publish::{Access, Author, NewRepository};
use crate::adapters::git::{GitRemote, GitWorktree};
use crate::adapters::github::{GitHub, GitHubOptions};
use crate::context::Context;
use crate::domain::declaration::Repository;
use crate::domain::{Declaration, RepositoryPath};
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::manifest::declaration;
use crate::ports::forge::ForgeError;
use crate::ports::git::GitError;
use crate::ports::{Forge, Remote as _, Worktree as _};

/// The folder of the demonstration, below the one in which the person works.
pub const FOLDER: &str = "fleet";

/// The organisation and the name of the repository at the sandbox's forge.
const OWNER: &str = "demo";
const NAME: &str = "fleet";

const BRANCH: &str = "main";

/// How long the sandbox's forge may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The setting of the clone that tells our demonstration, and which sandbox it is for, from anything else in that folder.
const MARK: &str = "gitops-bootstrap.sandbox";

/// The demonstration, in place.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The folder of the clone.
    pub folder: PathBuf,
    /// What was done for it.
    pub how: How,
}

/// What was done for the demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It was not there.
    Made,
    /// It was there, for this sandbox at this address.
    Found,
    /// It was there, and the sandbox has another address now.
    Moved,
}

/// Where the repository is on the forge of this sandbox.
pub fn repository(state: &State) -> Result<Repository> {
    let url = state.forge.ssh_url(OWNER, NAME);
    let url = url.parse().map_err(|error| Failure::bug("the sandbox's forge has a strange address").because(error))?;
    Ok(Repository {
        url,
        branch: BRANCH.to_owned(),
        api: Some(state.forge.api.clone()),
        github_app: None,
        oauth_client_id: None,
        known_hosts: state.forge.host_key_lines()?,
        source: folder("src")?,
        rendered: folder("rendered")?,
    })
}

/// Sees to it that `folder` is a clone of the demonstration that the forge of this sandbox serves. Harmless when it is.
///
/// A folder with anything else in it is refused. Where the sandbox has another address than when the clone was made (after `sandbox down`,
/// or when another program took its port), the clone is changed to follow it. `scaffold` writes the files of a new fleet, rendered ones
/// included, into an empty folder.
pub async fn ensure(
    folder: &Path,
    state: &State,
    context: &Context,
    scaffold: impl AsyncFnOnce(&Path, &Repository) -> Result<()>,
) -> Result<Demo> {
    let demo = Demonstration { folder, state, repository: repository(state)? };
    let how = match demo.found().await? {
        Found::Nothing => {
            demo.make(scaffold).await?;
            How::Made
        }
        Found::Ours => demo.follow().await?,
        Found::Other(what) => {
            return Err(Failure::refused(format!("`{}` is there and {what}; nothing was changed", folder.display()))
                .hint("to bootstrap a fleet repository of your own: run this in its folder, or name the folder with `-C`")
                .hint("to have the demonstration made: run this in another folder"));
        }
    };
    demo.publish(how, context).await?;
    let place = folder.strip_prefix(&context.environment.folder).map_or_else(|_| folder.to_owned(), |below| Path::new(".").join(below));
    let text = match how {
        How::Made => format!("made in {}, pushed to {}", place.display(), demo.repository.url),
        How::Found => format!("{}, on {}", place.display(), demo.repository.url),
        How::Moved => format!("{}, changed to follow the sandbox to {}", place.display(), demo.repository.url),
    };
    context.events.send(Event::Fact { name: "demo fleet", text });
    Ok(Demo { folder: folder.to_owned(), how })
}

enum Found {
    Nothing,
    Ours,
    /// Something else, described as in "is ...".
    Other(String),
}

struct Demonstration<'a> {
    folder: &'a Path,
    state: &'a State,
    repository: Repository,
}

impl Demonstration<'_> {
    async fn found(&self) -> Result<Found> {
        match self.folder.read_dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(self.unusable(&error)),
            Ok(mut entries) => {
                if entries.next().is_none() {
                    return Ok(Found::Nothing);
                }
            }
        }
        let configuration = NewRepository::open(self.folder).configuration().await.map_err(|error| self.git(&error))?;
        Ok(match configuration.get(MARK) {
            Some(name) if *name == self.state.name => Found::Ours,
            Some(name) => Found::Other(format!("is the demonstration of the sandbox `{name}`")),
            None => Found::Other("is not the sandbox's demonstration".to_owned()),
        })
    }

    /// Makes the clone beside its place and moves it there when it is whole, so that a run that dies leaves no half of one.
    async fn make(&self, scaffold: impl AsyncFnOnce(&Path, &Repository) -> Result<()>) -> Result<()> {
        let parent = self.folder.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|error| self.unusable(&error))?;
        let workshop = tempfile::Builder::new().prefix(".fleet-").tempdir_in(parent).map_err(|error| self.unusable(&error))?;
        let clone = workshop.path().join(FOLDER);
        fs::create_dir(&clone).map_err(|error| self.unusable(&error))?;
        scaffold(&clone, &self.repository).await?;
        let git = NewRepository::init(&clone, BRANCH).await.map_err(|error| self.git(&error))?;
        git.commit_all(&author(), "A new fleet").await.map_err(|error| self.git(&error))?;
        self.configure(&git).await?;
        // An empty folder gives way; one that somebody has filled in the meantime does not.
        fs::rename(&clone, self.folder).map_err(|error| self.unusable(&error))
    }

    /// Changes the clone where it names an address or a host key that the sandbox no longer has.
    async fn follow(&self) -> Result<How> {
        let path = self.folder.join(declaration::FILE);
        let text = fs::read_to_string(&path).map_err(|error| self.unusable(&error))?;
        let before: Declaration = declaration::parse(&text, &path.display().to_string())?;
        let replacements = replacements(&before.repository, &self.repository);
        let git = NewRepository::open(self.folder);
        self.configure(&git).await?;
        if replacements.is_empty() {
            return Ok(How::Found);
        }
        let everything = [folder(".")?];
        let worktree = GitWorktree::new(self.folder);
        let facts = worktree.facts().await.map_err(|error| self.git(&error))?;
        if !facts.dirty.is_empty() {
            return Err(Failure::refused("the sandbox has another address than the demo fleet says, and the clone has changes of yours")
                .because(format!("not committed: {}", facts.dirty.join(", ")))
                .hint(format!("commit them (`git -C {} commit -a`), then run the same command again", self.folder.display())));
        }
        let files = worktree.files(&facts.head, &everything).await.map_err(|error| self.git(&error))?;
        for file in files {
            let Ok(text) = String::from_utf8(file.content) else { continue };
            let moved = replacements.iter().fold(text.clone(), |text, (old, new)| text.replace(old, new));
            if moved != text {
                fs::write(self.folder.join(file.path.as_str()), moved).map_err(|error| self.unusable(&error))?;
            }
        }
        git.commit_all(&author(), "Follow the sandbox to its new address").await.map_err(|error| self.git(&error))?;
        Ok(How::Moved)
    }

    /// Lets a plain `git push` and `git fetch` in the clone work: with the sandbox's key, and trusting its host keys alone.
    async fn configure(&self, git: &NewRepository) -> Result<()> {
        let forge = &self.state.forge;
        let ssh = format!(
            "ssh -F /dev/null -i {} -o IdentitiesOnly=yes -o {} -o StrictHostKeyChecking=yes",
            quoted(&forge.user_key.display().to_string()),
            // The option is a list of files, in which quotation marks keep a name with a blank together (ssh_config(5)).
            quoted(&format!("UserKnownHostsFile=\"{}\"", forge.known_hosts.display())),
        );
        let wanted = [("remote.origin.url", self.repository.url.as_str()), ("core.sshCommand", ssh.as_str()), (MARK, &self.state.name)];
        let found = git.configuration().await.map_err(|error| self.git(&error))?;
        if wanted.iter().all(|(name, value)| found.get(&name.to_ascii_lowercase()).is_some_and(|found| found == value)) {
            return Ok(());
        }
        git.set_origin(&self.repository.url).await.map_err(|error| self.git(&error))?;
        for (name, value) in [("core.sshCommand", ssh.as_str()), (MARK, &self.state.name)] {
            git.configure(name, value).await.map_err(|error| self.git(&error))?;
        }
        Ok(())
    }

    /// Creates the repository at the forge and pushes to it, where that was not done yet. What is there is never overwritten.
    async fn publish(&self, how: How, context: &Context) -> Result<()> {
        let refused = |error: ForgeError| Failure::new(Kind::Transient, "the sandbox's forge does not take the demo fleet").because(error);
        let forge = GitHub::connect(GitHubOptions {
            repository: self.repository.url.clone(),
            api: self.repository.api.clone(),
            token: self.state.forge.token("admin")?,
            deadline: Instant::now() + PATIENCE,
        })
        .map_err(refused)?;
        match forge.create_repository().await {
            Ok(_) | Err(ForgeError::RepositoryExists(_)) => {}
            Err(error) => return Err(refused(error).hint("see what it wrote: `gitops-bootstrap sandbox logs forge`")),
        }
        // What a person has committed is theirs to push.
        if how == How::Found && forge.branch_head(BRANCH).await.map_err(refused)?.is_some() {
            return Ok(());
        }
        let key = self.state.forge.user_key()?;
        let hosts = self.state.forge.host_keys()?;
        let url = &self.repository.url;
        let remote = GitRemote::new(context.environment.variables.clone());
        let there = remote.branch_head(url, BRANCH, &key, &hosts).await.map_err(|error| self.git(&error))?;
        if there.is_none() || how == How::Moved {
            let access = Access::Key(&key, &hosts);
            NewRepository::open(self.folder).push(url, BRANCH, access).await.map_err(|error| self.git(&error))?;
        }
        Ok(())
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        Failure::usage(format!("the folder of the demo fleet, `{}`, cannot be used", self.folder.display()))
            .because(error)
            .hint("run this in a folder that can be written to")
    }

    fn git(&self, error: &GitError) -> Failure {
        let kind = if matches!(error, GitError::Program(_)) { Kind::Usage } else { Kind::Transient };
        Failure::new(kind, format!("git failed on the demo fleet in `{}`", self.folder.display()))
            .because(error)
            .hint("run the same command again; to start anew, move that folder away")
    }
}

/// The texts that name the sandbox's old address, each with the one to put in its place.
fn replacements(before: &Repository, after: &Repository) -> Vec<(String, String)> {
    let mut pairs = vec![(before.url.as_str().to_owned(), after.url.as_str().to_owned())];
    pairs.extend(before.api.clone().zip(after.api.clone()));
    // A host key that came or went without another is one that the fleet does not need.
    pairs.extend(before.known_hosts.iter().cloned().zip(after.known_hosts.iter().cloned()));
    pairs.retain(|(old, new)| old != new);
    pairs
}

fn folder(name: &str) -> Result<RepositoryPath> {
    name.parse().map_err(|error| Failure::bug("a constant is no path").because(error))
}

fn author() -> Author {
    Author { name: "gitops-bootstrap".to_owned(), email: "gitops-bootstrap@localhost".to_owned() }
}

/// One word of a command of the shell (sh(1)).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository_at(port: u16, key: &str) -> Repository {
        Repository {
            url: format!("ssh://git@127.0.0.1:{port}/demo/fleet.git").parse().unwrap(),
            branch: BRANCH.to_owned(),
            api: Some(format!("http://127.0.0.1:{}/api/v3", port + 1)),
            github_app: None,
            oauth_client_id: None,
            known_hosts: vec![format!("[127.0.0.1]:{port} ssh-ed25519 {key}")],
            source: folder("src").unwrap(),
            rendered: folder("rendered").unwrap(),
        }
    }

    #[test]
    fn nothing_is_replaced_where_the_sandbox_stayed() {
        assert_eq!(replacements(&repository_at(1000, "A"), &repository_at(1000, "A")), []);
    }

    #[test]
    fn address_api_and_host_keys_follow_the_sandbox() {
        let replacements = replacements(&repository_at(1000, "A"), &repository_at(2000, "B"));
        let moved = replacements.iter().fold(
            "url: ssh://git@127.0.0.1:1000/demo/fleet.git\napi: http://127.0.0.1:1001/api/v3\n- [127.0.0.1]:1000 ssh-ed25519 A".to_owned(),
            |text, (old, new)| text.replace(old, new),
        );
        assert_eq!(
            moved,
            "url: ssh://git@127.0.0.1:2000/demo/fleet.git\napi: http://127.0.0.1:2001/api/v3\n- [127.0.0.1]:2000 ssh-ed25519 B"
        );
    }

    #[test]
    fn a_path_with_a_quotation_mark_stays_one_word() {
        assert_eq!(quoted("/it's here"), r"'/it'\''s here'");
    }
}

//! The repository at the forge: created there, and the new fleet pushed to it, as far as `new` is told to.
//!
//! Nothing at the forge is ever overwritten: a repository with other content is refused before a file is written.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::adapters::git::publish::{Access, Author, NewRepository, person};
use crate::adapters::git::{GitRemote, GitWorktree};
use crate::adapters::github::GitHub;
use crate::cli::forge::Login;
use crate::commands::Context;
use crate::commands::ask::ask;
use crate::commands::asked::Asked;
use crate::commands::forge::Rights;
use crate::domain::Commit;
use crate::domain::declaration::Repository;
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::ports::forge::{ForgeError, RepositoryFacts};
use crate::ports::git::{GitError, WorktreeFacts};
use crate::ports::{Forge, Remote as _, Worktree as _};
use crate::steps::fleet_clone::listed;

/// How long the forge may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The message of the first commit.
const MESSAGE: &str = "fleet: first version";

/// What is to be done at the forge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Create the repository.
    pub(super) create: bool,
    /// Commit what was written, and push it.
    pub(super) push: bool,
}

/// What was done at the forge.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Published {
    /// Whether the repository was created, by this run.
    pub(super) created: bool,
    /// The commit that the branch is at; none if nothing was to be pushed.
    pub(super) pushed: Option<Commit>,
}

/// What was seen before anything was written.
pub(super) struct Publication<'a> {
    wishes: Wishes,
    repository: &'a Repository,
    folder: &'a Path,
    forge: Option<GitHub>,
    /// The commit of the branch at the remote; none if it is not there.
    remote_head: Option<Commit>,
    context: &'a Context,
}

/// Asks what is to be done at the forge, where the flags leave it open.
pub(super) async fn ask_wishes(given: Wishes, repository: &Repository, context: &Context) -> Result<Wishes> {
    if given != Wishes::default() {
        return Ok(given);
    }
    let Some((owner, name)) = repository.url.owner_and_name() else { return Ok(given) };
    let question = format!("Create the repository {owner}/{name} at {}, private?", repository.url.host());
    let create = ask(context, move || dialoguer::Confirm::new().with_prompt(question).default(false).interact()).await?;
    let question = format!("Commit the new fleet, and push it to {}?", repository.url);
    let push = ask(context, move || dialoguer::Confirm::new().with_prompt(question).default(create).interact()).await?;
    Ok(Wishes { create, push })
}

impl<'a> Publication<'a> {
    /// Looks for what would stand in the way, before a file is written: a token, an author, and a remote without other content.
    pub(super) async fn prepare(
        wishes: Wishes,
        repository: &'a Repository,
        folder: &'a Path,
        login: &Login,
        context: &'a Context,
    ) -> Result<Self> {
        let forge = if wishes.create { Some(forge(repository, login, context).await?) } else { None };
        let mut publication = Self { wishes, repository, folder, forge, remote_head: None, context };
        if publication.wishes.push {
            publication.check_clone().await?;
            let facts = publication.facts_at_forge().await?;
            publication.remote_head = publication.head_of_remote(facts.as_ref()).await?;
            publication.refuse_other_content(facts.as_ref()).await?;
        }
        Ok(publication)
    }

    /// Creates the repository and pushes to it. What was done before is found, and not done again.
    pub(super) async fn carry_out(mut self) -> Result<Published> {
        // What was done here meanwhile may have taken long, and is not the forge's time: the engine that renders may have been built for it.
        if let Some(forge) = &mut self.forge {
            forge.extend(Instant::now() + PATIENCE);
        }
        let mut published = Published::default();
        let commit = if self.wishes.push { Some(self.commit().await?) } else { None };
        if let Some(forge) = &self.forge {
            published.created = match forge.create_repository().await {
                Ok(_) => true,
                Err(ForgeError::RepositoryExists(_)) => false,
                Err(error) => return Err(error.into()),
            };
            let how = if published.created { "created, private" } else { "there already" };
            self.fact("repository", format!("{}, {how}", forge.name()));
        }
        if let Some(commit) = commit {
            self.push(&commit).await?;
            published.pushed = Some(commit);
        }
        Ok(published)
    }

    /// Refuses a clone in which something else is going on; one that is not there yet is made later.
    async fn check_clone(&self) -> Result<()> {
        let Some(facts) = self.clone().await? else { return self.author().await.map(drop) };
        let Repository { url, branch, .. } = self.repository;
        if let Some(origin) = facts.origin.filter(|origin| !origin.is_same_repository(url)) {
            return Err(Failure::refused(format!("`{}` is a clone of another repository: {origin}", self.folder.display()))
                .because("nothing was written")
                .hint(format!("name that one: `--repository {origin}`, or write the fleet to another folder")));
        }
        if facts.branch.as_ref() != Some(branch) {
            let found = facts.branch.unwrap_or_else(|| "no branch".to_owned());
            return Err(Failure::refused(format!("the clone in `{}` has {found} checked out, not `{branch}`", self.folder.display()))
                .because("nothing was written")
                .hint(format!("git switch {branch}; or leave `--push` out and push by hand")));
        }
        Ok(())
    }

    /// The clone in the folder; none if it has no commit yet, or if there is none.
    async fn clone(&self) -> Result<Option<WorktreeFacts>> {
        let folder = self.folder;
        if folder.join(".git").exists() {
            return Ok(match NewRepository::open(folder).head().await? {
                Some(_) => Some(GitWorktree::new(folder).facts().await?),
                None => None,
            });
        }
        match folder.ancestors().skip(1).find(|parent| parent.join(".git").exists()) {
            Some(parent) => Err(Failure::refused(format!("`{}` is inside of another clone, `{}`", folder.display(), parent.display()))
                .because("nothing was written")
                .hint("write the fleet to a folder outside of it, or leave `--push` out and commit by hand")),
            None => Ok(None),
        }
    }

    async fn author(&self) -> Result<Author> {
        person(&self.context.environment.variables).await?.ok_or_else(|| {
            Failure::usage("git does not know who commits")
                .because("`user.name` and `user.email` are not set")
                .hint("git config --global user.name NAME && git config --global user.email ADDRESS")
        })
    }

    async fn facts_at_forge(&self) -> Result<Option<RepositoryFacts>> {
        let Some(forge) = &self.forge else { return Ok(None) };
        match forge.repository().await {
            Ok(facts) => Ok(Some(facts)),
            Err(ForgeError::NotFound(_)) => Ok(None),
            Err(error) => Err(Failure::from(error).because("nothing was written")),
        }
    }

    /// The commit of the branch at the remote, by the API or by the person's own access.
    async fn head_of_remote(&self, facts: Option<&RepositoryFacts>) -> Result<Option<Commit>> {
        let branch = &self.repository.branch;
        match (&self.forge, facts) {
            (Some(_), None) => Ok(None),
            (Some(forge), Some(_)) => Ok(forge.branch_head(branch).await?),
            (None, _) => {
                let remote = GitRemote::new(self.context.environment.variables.clone());
                remote.branch_head_as_person(&self.repository.url, branch).await.map_err(|error| self.no_access(error))
            }
        }
    }

    /// Refuses a remote whose content this clone does not have, and one whose content is on another branch.
    async fn refuse_other_content(&self, facts: Option<&RepositoryFacts>) -> Result<()> {
        let Repository { url, branch, .. } = self.repository;
        let refuse = |what: String| {
            Err(Failure::refused(format!("{url} has other content: {what}"))
                .because("nothing was written, and nothing there is ever overwritten")
                .hint("name an empty repository, or one that is not there yet")
                .hint(format!(
                    "or put the fleet into that one: `git clone {url}`, then `gitops-bootstrap new` in the clone, without `--push`"
                )))
        };
        if let Some(head) = &self.remote_head {
            return if NewRepository::open(self.folder).has(head).await? {
                Ok(())
            } else {
                refuse(format!("`{branch}` is at {}, which `{}` does not have", head.short(), self.folder.display()))
            };
        }
        if let (Some(forge), Some(facts)) = (&self.forge, facts)
            && facts.default_branch != *branch
            && let Some(head) = forge.branch_head(&facts.default_branch).await?
        {
            return refuse(format!("`{}` is at {}", facts.default_branch, head.short()));
        }
        Ok(())
    }

    /// The commit to push: the first one, made here, or the one that is checked out.
    async fn commit(&self) -> Result<Commit> {
        let Some(facts) = self.clone().await? else {
            let author = self.author().await?;
            let repository = NewRepository::init(self.folder, &self.repository.branch).await?;
            repository.set_origin(&self.repository.url).await?;
            return Ok(repository.commit_all(&author, MESSAGE).await?);
        };
        if !facts.dirty.is_empty() {
            let dirty: Vec<&str> = facts.dirty.iter().map(String::as_str).collect();
            return Err(listed(Failure::refused("the clone has changes that are not committed"), &dirty)
                .because("only the first commit of a new clone is made here: later ones are yours to word")
                .hint("git add --all && git commit; then run the same command again, or `git push`"));
        }
        if facts.origin.is_none() {
            NewRepository::open(self.folder).set_origin(&self.repository.url).await?;
        }
        Ok(facts.head)
    }

    async fn push(&self, commit: &Commit) -> Result<()> {
        let Repository { url, branch, .. } = self.repository;
        if self.remote_head.as_ref() == Some(commit) {
            self.fact("pushed", format!("{branch} is at {} already", commit.short()));
            return Ok(());
        }
        let access = Access::Person(&self.context.environment.variables);
        NewRepository::open(self.folder).push(url, branch, access).await.map_err(|error| self.no_access(error))?;
        self.fact("pushed", format!("{branch}, at {}", commit.short()));
        Ok(())
    }

    /// The failure of a person's own access. What is said of deploy keys elsewhere does not hold here.
    fn no_access(&self, error: GitError) -> Failure {
        let url = &self.repository.url;
        let failure = match &error {
            GitError::Denied(_) | GitError::NotFound(_) => {
                Failure::new(Kind::Denied, format!("git does not get into {url} with your own access"))
                    .because(&error)
                    .hint(format!("see what it says: git ls-remote {url}"))
            }
            _ => return error.into(),
        };
        if self.wishes.create { failure } else { failure.hint("if it is not there yet: `--create-repository`") }
    }

    fn fact(&self, name: &'static str, text: String) {
        self.context.events.send(Event::Fact { name, text });
    }
}

/// The forge's API with the token that is found.
async fn forge(repository: &Repository, login: &Login, context: &Context) -> Result<GitHub> {
    let deadline = Instant::now() + PATIENCE;
    let asked = Asked { flags: login, declared: Some(repository), repository: &repository.url, sandbox: None, deadline };
    let found = asked.find(Rights::Administration, context).await?;
    found.map(|found| found.told(context)).ok_or_else(|| {
        asked
            .without_token("the repository is created by its API; nothing was written")
            .hint("or create the repository by hand, and leave `--create-repository` out")
    })
}

//! `new`.

mod publish;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use self::publish::{Publication, Published, Wishes, ask_wishes};
use super::Context;
use super::ask::ask;
use super::render::{declared, render};
use crate::adapters::{files, releases};
use crate::cli::new::Arguments;
use crate::domain::declaration::{ArgoCd, Flavour, Repository, branch_fault, default_branch, default_rendered, default_source};
use crate::domain::{ClusterName, Declaration, HostKeys, RepositoryPath, RepositoryUrl};
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::manifest::scaffold::{self, ARGOCD_VERSION, Choices, INSTALL_MANIFEST};
use crate::sandbox::engine;
use crate::steps::world::interrupted;

/// The clusters of a new fleet if none are named.
const CLUSTERS: [&str; 2] = ["staging", "production"];

/// What was written into a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The files that are new or have new content.
    pub written: Vec<RepositoryPath>,
    /// How many files were there as they should be.
    pub unchanged: usize,
}

/// What to do about files that are there with other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave everything as it is, and fail.
    Refuse,
    /// Ask for each file.
    Ask,
    /// Overwrite them.
    Overwrite,
}

/// A fleet repository that is there now.
pub(super) struct Made {
    /// Its folder.
    pub(super) folder: PathBuf,
    choices: Choices,
    written: Written,
    published: Published,
}

impl Made {
    /// Whether the remote serves it, so that a cluster can be bootstrapped from it.
    pub(super) fn is_pushed(&self) -> bool {
        self.published.pushed.is_some()
    }
}

/// Runs `new`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    report(&make(arguments, context).await?, context);
    Ok(())
}

/// Makes a fleet repository, here and at the forge, as far as flags and answers say.
pub(super) async fn make(arguments: Arguments, context: &Context) -> Result<Made> {
    let folder = context.environment.folder.join(arguments.folder.as_deref().or(context.global.fleet.as_deref()).unwrap_or(Path::new("")));
    let existing = match (arguments.overwrite, context.environment.interactive && !context.global.yes) {
        (true, _) => Existing::Overwrite,
        (false, true) => Existing::Ask,
        (false, false) => Existing::Refuse,
    };
    let before = declared(&folder)?;
    let asking = context.environment.interactive && !context.global.yes && before.is_none();
    let wishes = Wishes { create: arguments.create_repository, push: arguments.push };
    let login = arguments.api.as_login();
    let choices = choose(arguments, before.as_ref(), asking, &folder, context).await?;
    let repository = &choices.repository;
    let wishes = if asking { ask_wishes(wishes, repository, context).await? } else { wishes };
    let work = async {
        let publication = Publication::prepare(wishes.clone(), repository, &folder, &login, context).await?;
        let written = scaffold(&folder, &choices, existing, context).await?;
        Ok::<_, Failure>((written, publication.carry_out().await?))
    };
    let (written, published) = tokio::select! {
        biased;
        () = context.cancel.cancelled() => return Err(interrupted().hint("run the same command again: it goes on from here")),
        done = work => done?,
    };
    Ok(Made { folder, choices, written, published })
}

/// Writes a fleet repository to `folder`, rendered for all of its clusters. Files that are as they should be are not touched.
pub async fn scaffold(folder: &Path, choices: &Choices, existing: Existing, context: &Context) -> Result<Written> {
    let documents = scaffold::files(choices)?;
    let mut different = Vec::new();
    for document in &documents {
        match files::read_file(folder, &document.path)? {
            Some(content) if content != document.text.as_bytes() => different.push(&document.path),
            _ => {}
        }
    }
    let is_new = declared(folder).is_ok_and(|declaration| declaration.is_none());
    if is_new && existing != Existing::Overwrite {
        refuse_foreign_rendered(folder, choices)?;
    }
    let kept = match existing {
        Existing::Refuse if !different.is_empty() => return Err(in_the_way(&different)),
        Existing::Ask if !different.is_empty() => ask_for_each(&different, context).await?,
        _ => Vec::new(),
    };
    let mut written = Vec::new();
    let mut unchanged = 0;
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::usage(format!("`{}` cannot be made", folder.display()))
            .because(error)
            .hint("name another folder: `gitops-bootstrap new FOLDER`")
    })?;
    for document in documents {
        if kept.contains(&document.path) {
            continue;
        }
        if files::write_file(folder, &document.path, document.text.as_bytes())? {
            written.push(document.path);
        } else {
            unchanged += 1;
        }
    }
    let declaration = declared(folder)?.ok_or_else(|| Failure::bug("gitops.yaml was written and is not there"))?;
    let clusters: Vec<ClusterName> = declaration.clusters.keys().cloned().collect();
    let rendering = render(folder, &declaration, &clusters, context).await?;
    let changes = rendering.compare(folder)?;
    changes.apply(folder)?;
    unchanged += rendering.files.len();
    for path in changes.paths().filter(|path| rendering.files.contains_key(path)) {
        unchanged -= 1;
        written.push(path.clone());
    }
    Ok(Written { written, unchanged })
}

/// Fetches Argo CD's manifest and checks it against the digest that is known. What is in the folder already is taken if it is the right one.
pub async fn install_manifest(
    version: &str,
    flavour: Flavour,
    offline: bool,
    folder: &Path,
    context: &Context,
) -> Result<(String, ArgoCd)> {
    let pinned = |sha256: String| ArgoCd { version: version.to_owned(), flavour, sha256 };
    let known = scaffold::known_digest(version, flavour);
    let path: RepositoryPath = INSTALL_MANIFEST.parse().map_err(|error| Failure::bug(format!("{error}")))?;
    if let (Some(known), Some(content)) = (known, files::read_file(folder, &path)?)
        && digest(&content) == known
    {
        return Ok((text(content, INSTALL_MANIFEST)?, pinned(known.to_owned())));
    }
    let (content, origin) = if offline {
        if known.is_none() {
            return Err(Failure::usage(format!("the sandbox's engine holds Argo CD {ARGOCD_VERSION}, not {version}"))
                .hint(format!("leave `--offline` out, or take `--argocd-version {ARGOCD_VERSION}`")));
        }
        let engine = engine::locate(context).await?;
        (engine.argocd_manifest(flavour == Flavour::HighAvailability, context).await?, "the sandbox's engine")
    } else {
        context.events.send(Event::Work { message: format!("fetching Argo CD {version}"), done: 0, total: 0 });
        let fetch = releases::manifest(releases::ADDRESS, version, flavour);
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(Failure::new(Kind::Interrupted, "interrupted while Argo CD's manifest was fetched; nothing was written")),
            content = fetch => (content?, "its release"),
        }
    };
    let found = digest(&content);
    match known {
        Some(known) if found != known => {
            Err(Failure::new(Kind::Unverified, format!("the manifest of Argo CD {version} from {origin} is not the one that was released"))
                .because(format!("its SHA-256 is {found}"))
                .because(format!("that of the release is {known}"))
                .hint("somebody between here and there may have changed it: try from another network, or with `--offline`"))
        }
        Some(_) => Ok((text(content, origin)?, pinned(found))),
        None => {
            let hint =
                format!("compare it with what others see of https://github.com/argoproj/argo-cd/blob/{version}/{}", flavour.manifest());
            context.events.warn(
                format!("the SHA-256 of Argo CD {version} is not known to this gitops-bootstrap; what was fetched is pinned: {found}"),
                Some(hint),
            );
            Ok((text(content, origin)?, pinned(found)))
        }
    }
}

/// Puts together flags, what `gitops.yaml` says already, answers and defaults, in this order.
async fn choose(arguments: Arguments, before: Option<&Declaration>, asking: bool, folder: &Path, context: &Context) -> Result<Choices> {
    // Read here and not by the command line's parser, which would repeat the whole text: an address may hold a password.
    let named = arguments.repository.map(|text| text.parse()).transpose();
    let named: Option<RepositoryUrl> = named.map_err(|error| Failure::usage(format!("`--repository` is {error}")))?;
    let url = match named.or_else(|| before.map(|before| before.repository.url.clone())) {
        Some(url) => url,
        None if asking => ask_url(context).await?,
        None => {
            return Err(Failure::usage("the address of the repository is missing")
                .hint("name it: `--repository git@github.com:OWNER/NAME.git`, or GITOPS_BOOTSTRAP_REPOSITORY"));
        }
    };
    let branch = match arguments.branch.or_else(|| before.map(|before| before.repository.branch.clone())) {
        Some(branch) => branch,
        None if asking => ask_branch(context).await?,
        None => default_branch(),
    };
    let mut clusters: BTreeSet<ClusterName> = arguments.clusters.into_iter().collect();
    if clusters.is_empty() {
        clusters = match before {
            Some(before) => before.clusters.keys().cloned().collect(),
            None if asking => ask_clusters(context).await?,
            None => parse_clusters(&CLUSTERS.join(",")).map_err(Failure::bug)?,
        };
    }
    let flavour = match arguments.flavour.map(Flavour::from).or_else(|| before.map(|before| before.argocd.flavour)) {
        Some(flavour) => flavour,
        None if asking => ask_flavour(context).await?,
        None => Flavour::default(),
    };
    let version = arguments
        .argocd_version
        .or_else(|| before.map(|before| before.argocd.version.clone()))
        .unwrap_or_else(|| ARGOCD_VERSION.to_owned());
    let mut known_hosts = arguments.known_hosts;
    if known_hosts.is_empty() {
        known_hosts = before.map(|before| before.repository.known_hosts.clone()).unwrap_or_default();
    }
    let repository = Repository {
        api: arguments.api.forge_api.or_else(|| before.and_then(|before| before.repository.api.clone())),
        github_app: None,
        oauth_client_id: None,
        url,
        branch,
        known_hosts,
        source: default_source(),
        rendered: default_rendered(),
    };
    warn_of_unknown_host(&repository, context)?;
    let (install_manifest, argocd) = install_manifest(&version, flavour, arguments.offline, folder, context).await?;
    Ok(Choices { repository, clusters, argocd, install_manifest, examples: !arguments.no_examples })
}

fn warn_of_unknown_host(repository: &Repository, context: &Context) -> Result<()> {
    let pinned = HostKeys::pinned(repository.known_hosts.iter().map(String::as_str)).map_err(|error| Failure::usage(error.to_string()))?;
    if repository.url.transport() == crate::domain::repository_url::Transport::Ssh && pinned.of(&repository.url).is_empty() {
        let host = repository.url.known_host();
        context.events.warn(
            format!("no host key of {host} is pinned, so `init` will refuse to talk to it"),
            Some(
                "compare what `ssh-keyscan` prints with what its administrator publishes, and pass each line: `--known-host LINE`"
                    .to_owned(),
            ),
        );
    }
    Ok(())
}

/// Everything in `rendered/<cluster>` is the rendering's; in a folder that is no fleet yet, it may be somebody's work.
fn refuse_foreign_rendered(folder: &Path, choices: &Choices) -> Result<()> {
    for cluster in &choices.clusters {
        let rendered = choices.repository.rendered.join(cluster.as_str()).map_err(|error| Failure::usage(error.to_string()))?;
        if let Some(file) = files::read_folder(folder, &rendered)?.first() {
            return Err(Failure::refused(format!(
                "`{}` is there already, and everything in `{rendered}` would be replaced; nothing was changed",
                file.path
            ))
            .hint("write the new fleet to an empty folder, or allow it: `--overwrite`"));
        }
    }
    Ok(())
}

fn in_the_way(different: &[&RepositoryPath]) -> Failure {
    let failure = Failure::refused(format!("{} files are there already with other content; nothing was changed", different.len()));
    different.iter().fold(failure, |failure, path| failure.because(path)).hint("to overwrite them: `--overwrite`")
}

async fn ask_for_each(different: &[&RepositoryPath], context: &Context) -> Result<Vec<RepositoryPath>> {
    let mut kept = Vec::new();
    for path in different {
        let path = (*path).clone();
        let question = format!("{path} is there with other content. Overwrite it?");
        if !ask(context, move || dialoguer::Confirm::new().with_prompt(question).default(false).interact()).await? {
            kept.push(path);
        }
    }
    Ok(kept)
}

async fn ask_url(context: &Context) -> Result<RepositoryUrl> {
    let prompt = "Address of the repository (git@github.com:OWNER/NAME.git)";
    let valid = |text: &String| text.parse::<RepositoryUrl>().map(drop).map_err(|error| error.to_string());
    let text = ask(context, move || dialoguer::Input::<String>::new().with_prompt(prompt).validate_with(valid).interact_text()).await?;
    text.parse().map_err(|error| Failure::usage(format!("{error}")))
}

async fn ask_branch(context: &Context) -> Result<String> {
    let valid = |text: &String| branch_fault(text).map_or(Ok(()), Err);
    let prompt = "Branch that the clusters follow";
    ask(context, move || {
        dialoguer::Input::<String>::new().with_prompt(prompt).default(default_branch()).validate_with(valid).interact_text()
    })
    .await
}

async fn ask_clusters(context: &Context) -> Result<BTreeSet<ClusterName>> {
    let valid = |text: &String| parse_clusters(text).map(drop);
    let prompt = "Names of the clusters";
    let text = ask(context, move || {
        dialoguer::Input::<String>::new().with_prompt(prompt).default(CLUSTERS.join(" ")).validate_with(valid).interact_text()
    })
    .await?;
    parse_clusters(&text).map_err(Failure::usage)
}

async fn ask_flavour(context: &Context) -> Result<Flavour> {
    let items = ["standard: one replica of each part", "high-availability: several replicas, on three nodes or more"];
    let choice = ask(context, move || dialoguer::Select::new().with_prompt("Argo CD").items(items).default(0).interact()).await?;
    Ok(Flavour::ALL.get(choice).copied().unwrap_or_default())
}

fn parse_clusters(text: &str) -> Result<BTreeSet<ClusterName>, String> {
    let names: Vec<&str> = text.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err("name at least one cluster".to_owned());
    }
    names.into_iter().map(|name| name.parse().map_err(|error| format!("{error}"))).collect()
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(content: Vec<u8>, origin: &str) -> Result<String> {
    String::from_utf8(content).map_err(|_| Failure::new(Kind::Unverified, format!("Argo CD's manifest from {origin} is not text")))
}

/// Tells what was made, and what to type next.
pub(super) fn report(made: &Made, context: &Context) {
    let Made { folder, choices, written, published } = made;
    let shown = shown_folder(folder, &context.environment.folder);
    context.events.send(Event::Fact { name: "fleet", text: folder.display().to_string() });
    let nothing = written.written.is_empty();
    let text = if nothing {
        format!("nothing to do: all {} files are as they should be", written.unchanged)
    } else {
        let kept = if written.unchanged == 0 { String::new() } else { format!(", {} as they should be", written.unchanged) };
        format!("{} written{kept}", written.written.len())
    };
    context.events.send(Event::Fact { name: "files", text });
    context.events.send(Event::Fact { name: "Argo CD", text: format!("{}, sha256 {}", choices.argocd.version, choices.argocd.sha256) });
    let cluster = choices.first_cluster();
    let go = shown.map(|folder| format!("cd {folder} && ")).unwrap_or_default();
    let bootstrap = format!("gitops-bootstrap init {cluster}");
    let next = if published.pushed.is_some() {
        vec![go + &bootstrap]
    } else if !folder.join(".git").exists() {
        let (branch, url) = (&choices.repository.branch, &choices.repository.url);
        vec![
            format!("{go}git init -b {branch} && git add . && git commit -m 'fleet: first version'"),
            format!("git remote add origin {url} && git push -u origin {branch}"),
            bootstrap,
        ]
    } else if nothing {
        vec![go + &bootstrap]
    } else {
        vec![format!("{go}git add . && git commit && git push"), bootstrap]
    };
    for (index, text) in next.into_iter().enumerate() {
        context.events.send(Event::Fact { name: if index == 0 { "next" } else { "then" }, text });
    }
    let result = serde_json::json!({
        "folder": folder, "written": written.written, "unchanged": written.unchanged, "argocd": choices.argocd, "clusters": choices.clusters,
        "published": published,
    });
    context.events.send(Event::Finished { result });
}

/// The folder as it is typed after `cd`; none if it is the working directory.
fn shown_folder(folder: &Path, here: &Path) -> Option<String> {
    let relative: PathBuf =
        folder.strip_prefix(here).unwrap_or(folder).components().filter(|part| *part != std::path::Component::CurDir).collect();
    (!relative.as_os_str().is_empty()).then(|| relative.display().to_string())
}

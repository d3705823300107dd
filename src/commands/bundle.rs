//! Opens the bundle of a cluster, for the verbs that need what is in it.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::Context;
use super::ask::ask;
use crate::adapters::age::{self, Identity, OpenError};
use crate::adapters::{files, secret_file};
use crate::cli::identities::Identities;
use crate::discover::{self, Discovered};
use crate::domain::bundle::{Bundle, Index};
use crate::domain::{ClusterName, Commit, Declaration, Identity as ClusterIdentity, RepositoryPath};
use crate::error::{Failure, Kind, Result};
use crate::manifest::decryptable::{Decryption, Keys, check_decryptable};
use crate::manifest::{bundle, declaration};
use crate::ports::{Cluster, Worktree};

/// The variable with the name of a file with a key, or with the key itself, as secrets are handed to jobs in CI.
pub const VARIABLE: &str = "GITOPS_BOOTSTRAP_IDENTITY";

/// Where the rendered files are in a repository without a declaration.
const RENDERED: [&str; 2] = ["rendered", "kubernetes/rendered"];

/// How the private keys that are understood begin.
const AGE_KEY: &str = "AGE-SECRET-KEY-1";
const SSH_KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";

/// Where a bundle is.
pub enum Place<'a> {
    /// In a commit of a clone.
    Commit(&'a dyn Worktree, &'a Commit),
    /// In the folder of a fleet repository, as it is now.
    Folder(&'a Path),
    /// In a file of its own; the index, if there is one, is beside it.
    File(&'a Path),
}

/// An encrypted bundle and its index.
pub struct Locked {
    /// How messages call the file.
    pub name: String,
    /// The encrypted bundle.
    pub file: Vec<u8>,
    /// The index; none if the bundle came without.
    pub index: Option<Index>,
}

/// Opens the bundle of `cluster`; none if there is none at `place`.
///
/// # Errors
/// Each is a refusal before anything was changed. [`Kind::Refused`]: no key is at hand, or none of them is one of the recipients, who are named; the bundle is
/// another cluster's. [`Kind::Unverified`]: the bundle is cut short or altered, or is not the one that its index describes.
pub async fn open(place: Place<'_>, cluster: &ClusterName, identities: &Identities, context: &Context) -> Result<Option<Bundle>> {
    let Some(locked) = locked(place, cluster).await? else { return Ok(None) };
    unlock(&locked, cluster, identities, context).await.map(Some)
}

/// Reads the encrypted bundle of `cluster` and its index, and checks that they belong together; none if there is no bundle at `place`.
pub async fn locked(place: Place<'_>, cluster: &ClusterName) -> Result<Option<Locked>> {
    let (bundle_path, index_path) = (bundle::bundle_path(cluster)?, bundle::index_path(cluster)?);
    let (name, file, index) = match place {
        Place::Folder(root) => (bundle_path.to_string(), files::read_file(root, &bundle_path)?, files::read_file(root, &index_path)?),
        Place::Commit(worktree, commit) => {
            let mut found = worktree.files(commit, &[bundle_path.clone(), index_path.clone()]).await?;
            let mut take = |path: &RepositoryPath| {
                let place = found.iter().position(|file| file.path == *path)?;
                Some(found.swap_remove(place).content)
            };
            (bundle_path.to_string(), take(&bundle_path), take(&index_path))
        }
        Place::File(path) => (path.display().to_string(), Some(named(path)?), beside(path)?),
    };
    let index = match index {
        Some(text) => {
            let text = String::from_utf8(text).map_err(|_| Failure::repository(format!("{index_path}:1:1: not UTF-8")))?;
            Some(bundle::index_from_text(&text, index_path.as_str())?)
        }
        None => None,
    };
    let Some(file) = file else {
        return match index {
            Some(_) => Err(Failure::new(Kind::Unverified, format!("{bundle_path} is not there, and its index {index_path} is"))
                .because("nothing was changed")
                .hint(format!("get the file back from Git: git checkout HEAD -- {bundle_path}"))),
            None => Ok(None),
        };
    };
    let locked = Locked { name, file, index };
    check(&locked, cluster)?;
    Ok(Some(locked))
}

fn named(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("the bundle {} cannot be read", path.display())).because(error))
}

/// The index beside a bundle: `staging.index.yaml` beside `staging.age`.
fn beside(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path.with_extension("index.yaml")) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::usage(format!("the index beside the bundle {} cannot be read", path.display())).because(error)),
    }
}

fn check(locked: &Locked, cluster: &ClusterName) -> Result<()> {
    let Some(index) = &locked.index else { return Ok(()) };
    if index.cluster != *cluster {
        return Err(another_cluster(&locked.name, &index.cluster, cluster));
    }
    if index.sha256 != bundle::sha256(&locked.file) {
        return Err(Failure::new(Kind::Unverified, format!("{} is not the bundle that its index describes", locked.name))
            .because(format!(
                "it has {} bytes: it was cut short or altered, or one of the two files is from another commit",
                locked.file.len()
            ))
            .because("nothing was changed")
            .hint(format!("see when it changed: git log --stat -- bundles/{cluster}.*")));
    }
    Ok(())
}

fn another_cluster(name: &str, found: &ClusterName, wanted: &ClusterName) -> Failure {
    Failure::refused(format!("{name} is the bundle of the cluster `{found}`, not of `{wanted}`")).because("nothing was changed")
}

/// Opens an encrypted bundle with the keys that the flags, the environment or the person give.
///
/// # Errors
/// As [`open`].
pub async fn unlock(locked: &Locked, cluster: &ClusterName, identities: &Identities, context: &Context) -> Result<Bundle> {
    let damaged = |error: OpenError| {
        Failure::new(Kind::Unverified, format!("{} cannot be opened", locked.name))
            .because(error)
            .because("nothing was changed")
            .hint("take the file from another clone, or an older one: git log -- bundles")
    };
    let by_passphrase = age::is_for_passphrase(&locked.file).map_err(damaged)?;
    let keys = if by_passphrase {
        vec![Identity::from_passphrase(passphrase(&locked.name, identities, context).await?)]
    } else {
        keys(identities, context).await?
    };
    let plain = match age::decrypt(&locked.file, &keys) {
        Ok(plain) => plain,
        Err(OpenError::WrongKey) => return Err(wrong_key(locked, keys.len(), by_passphrase)),
        Err(error) => return Err(damaged(error)),
    };
    let bundle = bundle::from_plain(&plain, &locked.name)?;
    if bundle.cluster != *cluster {
        return Err(another_cluster(&locked.name, &bundle.cluster, cluster));
    }
    Ok(bundle)
}

fn wrong_key(locked: &Locked, keys: usize, by_passphrase: bool) -> Failure {
    if by_passphrase {
        return Failure::refused(format!("the passphrase does not open {}", locked.name))
            .because("nothing was changed")
            .hint("try another one: `--passphrase-file FILE`");
    }
    let message = match keys {
        0 => format!("{} is encrypted, and no key is at hand to open it", locked.name),
        1 => format!("the key at hand does not open {}", locked.name),
        several => format!("none of the {several} keys at hand opens {}", locked.name),
    };
    let recipients = locked.index.iter().flat_map(|index| &index.recipients);
    recipients
        .fold(Failure::refused(message), |failure, recipient| failure.because(format!("it opens with the private half of {recipient}")))
        .because("nothing was changed")
        .hint(format!("name the file with the private key: `--identity FILE`, or {VARIABLE}"))
}

/// The bundle that would be made of a cluster now, and what was found beside it. It is empty where there is no root of trust.
///
/// # Errors
/// Those of [`discover::root_of_trust`].
pub(super) async fn of_cluster(
    cluster: &dyn Cluster,
    name: &ClusterName,
    identity: ClusterIdentity,
    declaration: Option<&Declaration>,
) -> Result<(Bundle, Discovered)> {
    let asked = declaration.map(|declaration| declaration.root_of_trust.clone()).unwrap_or_default();
    let mut found = discover::root_of_trust(cluster, &asked).await?;
    let entries = std::mem::take(&mut found.chosen.entries);
    // To the second.
    let made = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).map_err(|error| Failure::bug(error.to_string()))?;
    Ok((Bundle { cluster: name.clone(), identity, made, entries }, found))
}

/// The folder of the fleet repository: that of `--fleet`, or the nearest one above the working directory that looks like one.
pub(super) fn fleet_folder(context: &Context) -> Result<PathBuf> {
    let start = &context.environment.folder;
    if let Some(folder) = &context.global.fleet {
        return Ok(start.join(folder));
    }
    let is_fleet = |folder: &&Path| [declaration::FILE].iter().chain(&RENDERED).any(|name| folder.join(name).exists());
    start.ancestors().find(is_fleet).map(Path::to_owned).ok_or_else(|| {
        Failure::usage(format!("{} is not in a fleet repository: there is no `{}`", start.display(), declaration::FILE))
            .hint("go to the clone of the fleet repository, or name it: `--fleet FOLDER`, or GITOPS_BOOTSTRAP_FLEET")
    })
}

/// What gitops.yaml says, if there is one; an error if it has no such cluster.
pub(super) fn declared(folder: &Path, cluster: &ClusterName) -> Result<Option<Declaration>> {
    let declared = super::render::declared(folder)?;
    if let Some(found) = declared.as_ref().filter(|found| !found.clusters.contains_key(cluster)) {
        return Err(declaration::unknown_cluster(cluster, found));
    }
    Ok(declared)
}

/// Checks what is encrypted in the rendered files of `cluster`, as they are in the folder now, against the keys of a bundle.
pub(super) async fn check_tree(
    folder: &Path,
    declaration: Option<&Declaration>,
    cluster: &ClusterName,
    bundle: Option<&Bundle>,
) -> Result<Decryption> {
    let rendered: Vec<RepositoryPath> = match declaration {
        Some(declaration) => vec![declaration.repository.rendered.clone()],
        None => RENDERED.iter().filter_map(|path| path.parse().ok()).collect(),
    };
    let mut tree = Vec::new();
    for rendered in rendered {
        let of_cluster = rendered.join(cluster.as_str()).map_err(|error| Failure::repository(error.to_string()))?;
        tree.extend(files::read_folder(folder, &of_cluster)?);
    }
    let keys = Keys::of(bundle);
    let checked = tokio::task::spawn_blocking(move || check_decryptable(&tree, keys)).await;
    checked.map_err(|error| Failure::bug("the check of the tree ended early").because(error))
}

/// Whether a key is named by a flag or by the environment, so that a bundle can be opened without a question.
pub fn has_keys(identities: &Identities, context: &Context) -> bool {
    !identities.files.is_empty() || identities.passphrase_file.is_some() || context.environment.variable(VARIABLE).is_some()
}

/// The keys that the flags and the environment name.
async fn keys(identities: &Identities, context: &Context) -> Result<Vec<Identity>> {
    let mut keys = Vec::new();
    for file in &identities.files {
        keys.extend(keys_of_file(&context.environment.folder.join(file), context).await?);
    }
    match context.environment.variable(VARIABLE).map(str::trim) {
        Some(text) if is_key(text) => {
            keys.extend(parse(text, VARIABLE, context).await?);
        }
        Some(file) => keys.extend(keys_of_file(&context.environment.folder.join(PathBuf::from(file)), context).await?),
        None => {}
    }
    Ok(keys)
}

/// Whether a text is a key rather than the name of a file. In doubt it is one: names are told in messages.
fn is_key(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    text.contains("SECRET-KEY-") || text.contains("PRIVATE KEY") || text.contains('\n')
}

async fn keys_of_file(file: &Path, context: &Context) -> Result<Vec<Identity>> {
    let text = secret_file::read(file, "the identity")?;
    parse(&text, &file.display().to_string(), context).await
}

/// Reads an identity file of age (a key a line, comments with `#`) or a private key of OpenSSH. Messages never quote what is read.
async fn parse(text: &str, origin: &str, context: &Context) -> Result<Vec<Identity>> {
    if text.trim_start().starts_with(SSH_KEY) {
        return Ok(vec![ssh_identity(text, origin, context).await?]);
    }
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        keys.push(Identity::from_age(line).ok_or_else(|| {
            Failure::usage(format!("{origin}, line {}: this is not an age identity", number + 1))
                .because(format!("a line begins with `{AGE_KEY}`; or the whole file is a private key of OpenSSH"))
        })?);
    }
    if keys.is_empty() {
        return Err(Failure::usage(format!("{origin} holds no key")).hint("make one: `age-keygen -o FILE`"));
    }
    Ok(keys)
}

async fn ssh_identity(text: &str, origin: &str, context: &Context) -> Result<Identity> {
    let unusable = |reason: String| Failure::usage(format!("the private key in {origin} cannot be used")).because(reason);
    let key = ssh_key::PrivateKey::from_openssh(text.trim()).map_err(|error| unusable(error.to_string()))?;
    if key.algorithm() != ssh_key::Algorithm::Ed25519 {
        return Err(unusable(format!("it is an {} key; only ssh-ed25519 keys open bundles", key.algorithm())));
    }
    let key = if key.is_encrypted() {
        if !context.environment.interactive {
            return Err(unusable("it is locked by a passphrase, and nobody can be asked for it".to_owned()));
        }
        let passphrase = hidden(context, format!("Passphrase of {origin} (not shown)")).await?;
        let opened = tokio::task::spawn_blocking(move || key.decrypt(passphrase.as_bytes())).await;
        opened
            .map_err(|error| Failure::bug("a key was not unlocked").because(error))?
            .map_err(|_| unusable("the passphrase is not right".to_owned()))?
    } else {
        key
    };
    let plain = key.to_openssh(ssh_key::LineEnding::LF).map_err(|error| unusable(error.to_string()))?;
    Identity::from_openssh(&plain).ok_or_else(|| unusable("it is not an ssh-ed25519 key".to_owned()))
}

async fn hidden(context: &Context, prompt: String) -> Result<Zeroizing<String>> {
    ask(context, move || dialoguer::Password::new().with_prompt(prompt).interact().map(Zeroizing::new)).await
}

/// The passphrase of the file called `name`: from a file, or asked for.
pub async fn passphrase(name: &str, identities: &Identities, context: &Context) -> Result<SecretString> {
    if let Some(file) = &identities.passphrase_file {
        let text = secret_file::read(&context.environment.folder.join(file), "the passphrase")?;
        let line = text.trim_end_matches(['\r', '\n']);
        if line.is_empty() || line.contains('\n') {
            return Err(Failure::usage(format!("{} does not hold one line with a passphrase", file.display())));
        }
        return Ok(line.into());
    }
    if !context.environment.interactive {
        return Err(Failure::refused(format!("{name} is locked by a passphrase, and nobody can be asked for it"))
            .because("nothing was changed")
            .hint("put the passphrase into a file of its own: `--passphrase-file FILE`"));
    }
    let answer = hidden(context, format!("Passphrase of {name} (not shown)")).await?;
    Ok(answer.as_str().into())
}

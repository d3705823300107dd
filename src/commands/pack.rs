//! `pack`: the root of trust of a cluster into an encrypted file of the fleet repository, and whether the file that is there still is it.

use secrecy::SecretString;
use serde_json::json;

use super::bundle::{self, Locked, Place};
use super::{Context, ask::ask, connect};
use crate::adapters::age::{self, Lock};
use crate::adapters::{files, secret_file};
use crate::cli::Output;
use crate::cli::pack::Arguments;
use crate::discover::Discovered;
use crate::domain::bundle::{Bundle, Index};
use crate::domain::{ClusterName, Declaration};
use crate::error::{Failure, Kind, Result};
use crate::event::{self, Event};
use crate::manifest::bundle as format;
use crate::manifest::decryptable::{Decryption, Undecryptable};
use crate::plan::packing::{Drift, drift, lost_keys};
use crate::preflight;
use crate::report;
use crate::steps::world::interrupted;

/// The shortest passphrase that is taken: whoever has the repository can try passphrases for as long as they like.
const SHORTEST_PASSPHRASE: usize = 16;

/// Runs `pack`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    if context.global.output == Output::Json {
        let cluster = Some(arguments.cluster.to_string());
        context.events.send(Event::Started { version: event::VERSION, tool: env!("CARGO_PKG_VERSION"), verb: "pack", cluster });
    }
    let work = async { if arguments.check { check(&arguments, context).await } else { pack(&arguments, context).await } };
    tokio::select! {
        done = work => done,
        () = context.cancel.cancelled() => Err(interrupted()),
    }
}

async fn pack(arguments: &Arguments, context: &Context) -> Result<()> {
    let cluster = &arguments.cluster;
    let folder = bundle::fleet_folder(context)?;
    let declaration = bundle::declared(&folder, cluster)?;
    let recipients = recipients(arguments, declaration.as_ref())?;
    if recipients.is_empty() {
        return Err(without_recipients(cluster));
    }
    // A bundle that is damaged is replaced; its index still tells what was in it.
    let old = match bundle::locked(Place::Folder(&folder), cluster).await {
        Err(failure) if failure.kind == Kind::Unverified => {
            context.events.warn(format!("{}; it is written anew", failure.message), None);
            None
        }
        old => old?,
    };
    let (bundle, found) = look(arguments, declaration.as_ref(), context).await?;
    let mut new = format::index(&bundle, &recipients, String::new());
    let paths = (format::bundle_path(cluster)?, format::index_path(cluster)?);
    let drift = match &old {
        Some(Locked { index: Some(index), .. }) => {
            refuse_loss(index, &new, arguments)?;
            Some(compare(index, &new, old.as_ref(), &bundle, arguments, context).await?)
        }
        _ => None,
    };
    tell(&bundle, &found, context);
    let fresh = drift.as_ref().is_some_and(Drift::is_none);
    if !fresh {
        let lock =
            if arguments.passphrase { Lock::Passphrase(new_passphrase(arguments, context).await?) } else { Lock::Recipients(&recipients) };
        let file = age::encrypt(&format::to_plain(&bundle)?, lock)?;
        new.sha256 = format::sha256(&file);
        let index = format::index_to_text(&new)?;
        files::write_own_file(&folder, &paths.0, &file)?;
        files::write_file(&folder, &paths.1, index.as_bytes())?;
    }
    let tree = bundle::check_tree(&folder, declaration.as_ref(), cluster, Some(&bundle)).await?;
    warn_of(&tree, context);
    let fact = |name, text: String| context.events.send(Event::Fact { name, text });
    for line in drift.iter().flat_map(Drift::lines) {
        fact("changed", line);
    }
    fact(
        "bundle",
        if fresh { format!("{} is what the cluster has: nothing to do", paths.0) } else { format!("{} and {}", paths.0, paths.1) },
    );
    fact("opens with", recipients.join(", "));
    if !fresh {
        fact("next", format!("git add {} {} && git commit -m 'Pack {cluster}' && git push", paths.0, paths.1));
    }
    let result = json!({
        "cluster": cluster, "bundle": paths.0, "index": paths.1, "written": !fresh, "drift": drift, "recipients": recipients, "entries": new.entries,
        "leftOut": left_out(&found), "tree": tree,
    });
    context.events.send(Event::Finished { result });
    Ok(())
}

async fn check(arguments: &Arguments, context: &Context) -> Result<()> {
    let cluster = &arguments.cluster;
    let folder = bundle::fleet_folder(context)?;
    let declaration = bundle::declared(&folder, cluster)?;
    let again = format!("gitops-bootstrap pack {cluster}");
    let missing = |what: String| Failure::new(Kind::Found, format!("{what} is not there")).hint(format!("write it: {again}"));
    let Some(old) = bundle::locked(Place::Folder(&folder), cluster).await? else {
        return Err(missing(format!("the bundle {}", format::bundle_path(cluster)?)));
    };
    let Some(index) = &old.index else { return Err(missing(format!("the index {}", format::index_path(cluster)?))) };
    let opened = if arguments.offline || bundle::has_keys(&arguments.identities, context) {
        Some(bundle::unlock(&old, cluster, &arguments.identities, context).await?)
    } else {
        None
    };
    let live = if arguments.offline { None } else { Some(look(arguments, declaration.as_ref(), context).await?.0) };
    let drift = match &live {
        Some(live) => {
            let wanted = Some(recipients(arguments, declaration.as_ref())?).filter(|recipients| !recipients.is_empty());
            let new = format::index(live, &wanted.unwrap_or_else(|| index.recipients.clone()), String::new());
            settle(drift(index, &new), opened.as_ref(), live)
        }
        None => Drift::default(),
    };
    let tree = bundle::check_tree(&folder, declaration.as_ref(), cluster, opened.as_ref().or(live.as_ref())).await?;
    warn_of(
        &Decryption { undecryptable: tree.undecryptable.iter().filter(|found| !found.proven).cloned().collect(), ..Decryption::default() },
        context,
    );
    let findings: Vec<String> =
        drift.lines().into_iter().chain(tree.undecryptable.iter().filter(|found| found.proven).map(described)).collect();
    let fact = |name, text: String| context.events.send(Event::Fact { name, text });
    fact("bundle", format!("{}: {} Secrets, made {}", old.name, index.entries.len(), index.made));
    fact(
        "opened",
        if opened.is_some() {
            "with the key at hand".to_owned()
        } else {
            format!("not tried: no key is at hand; name one by `--identity` or {}", bundle::VARIABLE)
        },
    );
    if live.is_none() {
        fact("cluster", "not asked".to_owned());
    }
    let decrypted = tree.encrypted - tree.undecryptable.len();
    fact(
        "tree",
        match tree.encrypted {
            0 => "nothing in it is encrypted".to_owned(),
            encrypted => format!("{decrypted} of {encrypted} encrypted documents can be decrypted"),
        },
    );
    let result = json!({
        "cluster": cluster, "bundle": old.name, "made": index.made, "opened": opened.is_some(), "clusterAsked": live.is_some(), "drift": drift, "tree": tree,
        "findings": findings,
    });
    context.events.send(Event::Finished { result });
    if findings.is_empty() {
        return Ok(());
    }
    let message = if drift.is_none() {
        format!("the bundle of `{cluster}` does not decrypt the whole tree")
    } else {
        format!("the bundle of `{cluster}` is out of date")
    };
    let failure = findings.iter().fold(Failure::new(Kind::Found, message), Failure::because);
    Err(if drift.is_none() {
        failure.hint("encrypt these files again for the keys of this cluster, or add the missing key to it and pack again")
    } else {
        failure.hint(format!("write it anew and commit it: {again}"))
    })
}

/// Reads the cluster: first whether it is the one that is meant, then its root of trust.
async fn look(arguments: &Arguments, declaration: Option<&Declaration>, context: &Context) -> Result<(Bundle, Discovered)> {
    let connected = connect::connect(&arguments.target, context).await?;
    let facts = preflight::check_identity(&connected.cluster, &arguments.cluster, declaration).await?;
    let (context_name, identity) = (facts.context, facts.identity);
    let (bundle, found) = bundle::of_cluster(&connected.cluster, &arguments.cluster, identity, declaration).await?;
    for warning in &found.warnings {
        context.events.warn(warning.clone(), None);
    }
    if bundle.entries.is_empty() {
        return Err(Failure::refused(format!("{context_name} has no root of trust: there is nothing to pack"))
            .because("Argo CD's Secrets are not there; nothing was changed")
            .hint(format!("bootstrap the cluster first: gitops-bootstrap init {}", arguments.cluster)));
    }
    Ok((bundle, found))
}

/// For whom the bundle is to be: those of gitops.yaml and those of the flags, each once.
fn recipients(arguments: &Arguments, declaration: Option<&Declaration>) -> Result<Vec<String>> {
    if arguments.passphrase {
        return Ok(vec![format::PASSPHRASE.to_owned()]);
    }
    let declared = declaration.map(|declaration| declaration.recipients.as_slice()).unwrap_or_default();
    let mut recipients: Vec<String> = Vec::new();
    for recipient in declared.iter().chain(&arguments.recipients).map(|recipient| recipient.trim()) {
        if recipient.starts_with("AGE-SECRET-KEY-") {
            return Err(Failure::usage("a recipient is the public half of a key, and this is the private one")
                .because("every user of this machine could read it on the command line")
                .hint("make a new key: `age-keygen -o FILE`"));
        }
        if !recipients.iter().any(|known| known == recipient) {
            recipients.push(recipient.to_owned());
        }
    }
    Ok(recipients)
}

fn without_recipients(cluster: &ClusterName) -> Failure {
    Failure::usage(format!("nobody is named who could open the bundle of `{cluster}`"))
        .because("`recipients` in gitops.yaml is empty; nothing was changed")
        .hint("make a key, and keep it away from the cluster and from the repository: age-keygen -o gitops-bootstrap.key")
        .hint("write the public key that it prints under `recipients` in gitops.yaml; or that of an ssh-ed25519 key that you have: ~/.ssh/id_ed25519.pub")
        .hint("or lock the bundle with a passphrase: --passphrase")
}

/// Leaving out a key that decrypts something is no accident that may happen: a cluster that was made anew has other keys than the one that was lost.
fn refuse_loss(old: &Index, new: &Index, arguments: &Arguments) -> Result<()> {
    let lost = lost_keys(old, new);
    if lost.is_empty() || arguments.forget_keys {
        return Ok(());
    }
    let failure = Failure::refused("the bundle holds decryption keys that the cluster has not");
    let failure = lost
        .iter()
        .fold(failure, |failure, name| failure.because(format!("{name} would be left out, and with it what was encrypted for it")));
    let cluster = &arguments.cluster;
    Err(failure
        .because("nothing was changed")
        .hint(format!("put them back into the cluster first: gitops-bootstrap unpack {cluster}"))
        .hint(format!("or leave them out for good: gitops-bootstrap pack {cluster} --forget-keys")))
}

async fn compare(
    old: &Index,
    new: &Index,
    locked: Option<&Locked>,
    bundle: &Bundle,
    arguments: &Arguments,
    context: &Context,
) -> Result<Drift> {
    let found = drift(old, new);
    let opened = match locked {
        Some(locked) if found.unknown && bundle::has_keys(&arguments.identities, context) => {
            Some(bundle::unlock(locked, &arguments.cluster, &arguments.identities, context).await?)
        }
        _ => None,
    };
    Ok(settle(found, opened.as_ref(), bundle))
}

/// What the hashes could not tell, told by the contents, where the bundle was opened.
fn settle(mut found: Drift, opened: Option<&Bundle>, live: &Bundle) -> Drift {
    let Some(opened) = opened.filter(|_| found.unknown) else { return found };
    let before = |entry: &crate::domain::bundle::Entry| {
        opened.entries.iter().find(|other| other.object.full_name() == entry.object.full_name()).map(|other| &other.object)
    };
    let changed = live.entries.iter().filter(|entry| before(entry).is_some_and(|before| !format::same_content(before, &entry.object)));
    found.changed.extend(changed.map(|entry| entry.object.full_name()));
    found.changed.sort();
    found.changed.dedup();
    found.unknown = false;
    found
}

async fn new_passphrase(arguments: &Arguments, context: &Context) -> Result<SecretString> {
    let passphrase = match &arguments.identities.passphrase_file {
        Some(file) => {
            let text = secret_file::read(&context.environment.folder.join(file), "the passphrase")?;
            zeroize::Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        None if context.environment.interactive => {
            let question = || {
                let password = dialoguer::Password::new().with_prompt("Passphrase for the bundle (not shown)");
                password.with_confirmation("Once more", "the two are different").interact().map(zeroize::Zeroizing::new)
            };
            ask(context, question).await?
        }
        None => {
            return Err(Failure::usage("no passphrase was given, and nobody can be asked for it")
                .hint("put it into a file of its own: `--passphrase --passphrase-file FILE`"));
        }
    };
    if passphrase.chars().count() < SHORTEST_PASSPHRASE {
        return Err(Failure::refused(format!("a passphrase of fewer than {SHORTEST_PASSPHRASE} characters is not taken"))
            .because("whoever can read the repository can try passphrases for as long as they like")
            .because("nothing was changed"));
    }
    Ok(passphrase.as_str().into())
}

/// Prints what is in the bundle, on standard output, for people.
fn tell(bundle: &Bundle, found: &Discovered, context: &Context) {
    if context.global.output == Output::Json {
        return;
    }
    let rows: Vec<(String, String)> =
        bundle.entries.iter().map(|entry| (entry.object.full_name().to_string(), entry.why.to_string())).collect();
    context.events.suspend(&mut || report::text(&table(&rows)));
    for (name, controller) in &found.chosen.left_out {
        context.events.send(Event::Fact { name: "left out", text: format!("{name}: {controller} makes it again") });
    }
}

/// Two columns.
pub(super) fn table(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    rows.iter().map(|(name, text)| format!("{name:width$}  {text}\n")).collect()
}

fn left_out(found: &Discovered) -> Vec<serde_json::Value> {
    found.chosen.left_out.iter().map(|(name, controller)| json!({"secret": name, "madeBy": controller})).collect()
}

fn described(found: &Undecryptable) -> String {
    format!("{}:{}: {} needs {}", found.file, found.line, found.what, found.needs)
}

fn warn_of(tree: &Decryption, context: &Context) {
    for found in &tree.undecryptable {
        let hint = (!found.proven).then(|| "see to it that the cluster's own access to it comes back with the cluster".to_owned());
        context.events.warn(described(found), hint);
    }
}

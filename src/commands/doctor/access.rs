//! What a cluster has of secrets: the deploy key, the proof that it opens the repository, and the bundle in Git.

use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use super::Context;
use super::board::{Board, failed};
use super::cluster::{Answering, Subjected};
use super::forge::{Subject, Told};
use crate::adapters::ssh_key::SshKeyMaker;
use crate::commands::bundle::{self, Locked, Place};
use crate::domain::{Check, CheckId, Declaration, PublicKey};
use crate::error::{Failure, Result};
use crate::manifest::bundle as format;
use crate::plan::checkup::{self, BundleFacts};
use crate::plan::packing::drift;
use crate::ports::Cluster;
use crate::ports::forge::DeployKey;
use crate::preflight::Fleet;
use crate::steps::credential::Credential;
use crate::steps::faults::Faults;
use crate::steps::secret_create::SecretCreate;
use crate::steps::world::Wanted;
use crate::steps::{Step as _, World};

/// Looks at the deploy key of a cluster that answers.
pub(super) async fn deploy_key(
    board: &Board,
    subjected: &Subjected<'_>,
    answering: &Answering,
    subject: &Subject,
    told: &Told,
    deadline: Instant,
    context: &Context,
) {
    let (id, proof, name) = (CheckId::DeployKey, CheckId::KeyProof, subjected.name());
    let note = |check: Check| board.note(check.of(name));
    let (Ok(fleet), Ok(hosts)) = (subjected.fleet, &subject.hosts) else {
        return board.leave_out(&[id, proof], Some(name), "the tree or the pinned host keys cannot be read");
    };
    let world = world(fleet, answering, subject, hosts.clone(), deadline, context);
    let credential = match credential(&world).await {
        Ok(credential) => credential,
        Err(failure) => {
            note(match failure.kind {
                crate::error::Kind::Denied => Check::not_checked(id, "the account may not read the Secrets of Argo CD"),
                _ => failed(id, &failure),
            });
            return board.leave_out(&[proof], Some(name), "the deploy key is not known");
        }
    };
    let (public, private) = match credential {
        Some(Credential::DeployKey { public, private }) => (public, private),
        Some(Credential::GitHubApp(app)) => {
            note(Check::well(id, format!("none is needed: Argo CD uses {app}")));
            return board.leave_out(&[proof], Some(name), "`init` and `plan` prove a GitHub App");
        }
        Some(Credential::Other(what)) => {
            note(Check::well(id, format!("none is needed: Argo CD uses {what}")));
            return board.leave_out(&[proof], Some(name), "Argo CD proves what it uses itself");
        }
        None if answering.has_argocd => {
            note(Check::wrong(id, "Argo CD has nothing to open the repository with").hint(format!("gitops-bootstrap init {name}")));
            return board.leave_out(&[proof], Some(name), "there is no deploy key");
        }
        None => return board.leave_out(&[id, proof], Some(name), "there is none yet: `init` makes it"),
    };
    let registered = registered(&public, told, name.as_str());
    let is_unregistered = registered.result == crate::domain::CheckResult::Wrong;
    note(registered);
    if is_unregistered {
        return board.leave_out(&[proof], Some(name), "the deploy key is not good at the forge");
    }
    if let Some(because) = told.silent {
        return board.leave_out(&[proof], Some(name), because);
    }
    let tree = &fleet.reading.tree;
    let asked = board
        .patiently(|| async { Ok::<_, Failure>(subject.remote.branch_head(&tree.repository, &tree.revision, &private, hosts).await?) });
    note(match asked.await {
        Ok(Some(head)) => Check::well(proof, format!("it opens the repository: {} is at {}", tree.revision, head.short())),
        Ok(None) => Check::wrong(proof, format!("it opens the repository, which has no branch `{}`", tree.revision))
            .hint(format!("push it: git push origin HEAD:{}", tree.revision)),
        Err(failure) => failed(proof, &failure),
    });
}

/// The cluster as a run would see it, which is only looked at.
fn world(
    fleet: &Fleet,
    answering: &Answering,
    subject: &Subject,
    hosts: crate::domain::HostKeys,
    deadline: Instant,
    context: &Context,
) -> World {
    let tree = &fleet.reading.tree;
    let wanted = Wanted {
        cluster: tree.cluster.clone(),
        tree: tree.clone(),
        commit: tree.commit.clone(),
        facts: answering.facts.clone(),
        hosts,
        bundle: None,
        recovery: None,
        take_ownership: false,
        fix_key: false,
        wait_for_lock: false,
        holder: String::new(),
        now: jiff::Timestamp::now(),
    };
    World::new(
        Arc::new(answering.cluster.clone()) as Arc<dyn Cluster>,
        None,
        subject.remote.clone(),
        Arc::new(SshKeyMaker),
        context.events.clone(),
        context.cancel.clone(),
        deadline,
        Arc::new(Faults::default()),
        wanted,
    )
}

/// How Argo CD gets into the repository; an error if that cannot be read, or is not clear.
async fn credential(world: &World) -> Result<Option<Credential>> {
    let seen = SecretCreate.look(world).await?;
    SecretCreate.decide(world, &seen)?;
    Ok(world.credential())
}

/// Judges the key by what the forge has of it.
fn registered(public: &PublicKey, told: &Told, cluster: &str) -> Check {
    let id = CheckId::DeployKey;
    let fingerprint = public.fingerprint();
    let keys = match &told.keys {
        Some(Ok(keys)) => keys,
        Some(Err(why)) => return Check::not_checked(id, format!("{why}; the cluster has {fingerprint}")),
        None => return Check::not_checked(id, format!("the forge was not asked; the cluster has {fingerprint}")),
    };
    let init = format!("gitops-bootstrap init {cluster}");
    let Some(key) = keys.iter().find(|key| key.key == *public) else {
        return Check::wrong(id, format!("{fingerprint} is in the cluster and not registered at the forge"))
            .hint(format!("register the same key again: {init}"));
    };
    let described = describe(key, &fingerprint.to_string());
    if !key.enabled {
        return Check::wrong(id, format!("{described}; a policy of the organisation has disabled it"))
            .hint("an owner allows deploy keys under Settings, Member privileges, Deploy keys");
    }
    if !key.read_only {
        return Check::wrong(id, format!("{described}; it may write"))
            .hint(format!("register it again so that it may only read: {init} --fix-key"));
    }
    let created = key.created.as_deref().and_then(|time| time.parse().ok());
    checkup::deploy_key_age(&described, created, jiff::Timestamp::now(), &format!("gitops-bootstrap rotate-key {cluster}"))
}

fn describe(key: &DeployKey, fingerprint: &str) -> String {
    let registered = key.created.as_deref().map(|time| format!(" on {time}")).unwrap_or_default();
    let used =
        key.last_used.as_deref().map_or_else(|| "never used, as far as the forge says".to_owned(), |time| format!("last used on {time}"));
    format!("{fingerprint}, registered{registered} as `{}` (id {}), {used}", key.title, key.id)
}

/// Looks at the bundle in the clone, and compares it with the cluster if that answers. It is not opened.
pub(super) async fn bundle(board: &Board, subjected: &Subjected<'_>, answering: Option<&Answering>, folder: &Path) {
    let (id, name) = (CheckId::Bundle, subjected.name());
    let pack = format!("gitops-bootstrap pack {name}");
    let note = |check: Check| board.note(check.of(name));
    let locked = match bundle::locked(Place::Folder(folder), name).await {
        Ok(locked) => locked,
        Err(failure) => return note(failed(id, &failure)),
    };
    let Some(Locked { name: file, index, .. }) = locked else {
        return match answering {
            Some(Answering { has_argocd: true, .. }) => note(
                Check::warning(id, "there is none: if the cluster is lost, so are the Secrets that are not in Git")
                    .hint(format!("name recipients in gitops.yaml, then: {pack}")),
            ),
            _ => note(Check::not_checked(id, "there is none, and nothing to pack yet")),
        };
    };
    let Some(index) = index else {
        return note(
            Check::warning(id, format!("{file} has no index, which tells what is in it")).hint(format!("write both anew: {pack}")),
        );
    };
    let drift = match answering {
        Some(Answering { has_argocd: true, cluster, facts, .. }) => {
            match bundle::of_cluster(cluster, name, facts.identity.clone(), subjected.declaration).await {
                Ok((live, _)) => {
                    Ok(drift(&index, &format::index(&live, &recipients(subjected.declaration, &index.recipients), String::new())))
                }
                Err(failure) => Err(format!("the root of trust of the cluster cannot be read: {}", failure.message)),
            }
        }
        Some(_) => Err("Argo CD is not installed, and there is nothing to compare it with".to_owned()),
        None => Err("the cluster cannot be asked".to_owned()),
    };
    note(checkup::bundle(
        &BundleFacts { made: index.made, secrets: index.entries.len(), recipients: index.recipients.len(), drift },
        &pack,
    ));
}

/// For whom the bundle is to be: those of gitops.yaml, or those that it is for where that names none.
fn recipients(declaration: Option<&Declaration>, packed: &[String]) -> Vec<String> {
    let declared = declaration.map(|declaration| declaration.recipients.clone()).unwrap_or_default();
    if declared.is_empty() { packed.to_vec() } else { declared }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CheckResult::{self, NotChecked, Warning, Well, Wrong};

    fn key(seed: u8) -> PublicKey {
        let key = ssh_key::PublicKey::from(ssh_key::public::Ed25519PublicKey([seed; 32]));
        PublicKey::from_openssh(&key.to_openssh().unwrap()).unwrap()
    }

    fn at_forge(change: impl FnOnce(&mut DeployKey)) -> (CheckResult, String) {
        let created = Some(jiff::Timestamp::now().to_string());
        let mut ours = DeployKey { id: 7, title: "ours".to_owned(), key: key(1), read_only: true, enabled: true, created, last_used: None };
        change(&mut ours);
        judged(Some(Ok(vec![ours])))
    }

    fn judged(keys: Option<Result<Vec<DeployKey>, String>>) -> (CheckResult, String) {
        let check = registered(&key(1), &Told { keys, ..Told::default() }, "staging");
        (check.result, check.evidence + &check.hints.concat())
    }

    #[test]
    fn a_deploy_key_is_registered_for_reading_and_enabled_or_it_is_wrong() {
        assert_eq!(at_forge(|_| {}).0, Well);
        let has = |(result, text): (CheckResult, String), word: &str| (result, text.contains(word));
        assert_eq!(has(at_forge(|key| key.key = self::key(2)), "not registered"), (Wrong, true));
        assert_eq!(has(at_forge(|key| key.read_only = false), "--fix-key"), (Wrong, true));
        assert_eq!(has(at_forge(|key| key.enabled = false), "policy"), (Wrong, true));
        assert_eq!(has(at_forge(|key| key.created = Some("2020-01-01T00:00:00Z".to_owned())), "rotate-key"), (Warning, true));
        assert_eq!(has(judged(Some(Err("no token".to_owned()))), "no token"), (NotChecked, true));
        assert_eq!(judged(None).0, NotChecked);
    }
}

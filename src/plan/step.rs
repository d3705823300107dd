//! The steps by name, and the verdict on one.

use std::fmt;

/// The steps of all recipes. The names are the ids that people see and that faults are injected at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepId {
    /// The namespace of Argo CD.
    Ns,
    /// The lock against a second run.
    Lease,
    /// The record that a recovery has begun.
    Record,
    /// The Secrets of the bundle.
    RootOfTrust,
    /// The repository Secret with the deploy key.
    SecretCreate,
    /// The deploy key at the forge.
    KeyRegister,
    /// The proof that the key opens the repository.
    KeyVerify,
    /// Argo CD's custom resource definitions.
    Crds,
    /// The other objects of Argo CD.
    Install,
    /// The forge's host keys where Argo CD reads them.
    KnownHosts,
    /// Argo CD's workloads, running.
    Rollout,
    /// The Git server in the cluster that serves the clone.
    ServeClone,
    /// The AppProjects.
    Projects,
    /// The app-of-apps that come before the services.
    Infrastructure,
    /// What has to hold before the services come.
    Gates,
    /// The root app-of-apps.
    RootApp,
    /// The whole tree, Synced and Healthy.
    Converge,
    /// The Git server in the cluster, removed.
    ServeEnd,
    /// The deploy keys of the cluster that is gone.
    PruneKeys,
    /// The webhook by which the forge tells Argo CD of pushes.
    Webhook,
    /// The record of the bootstrap in the cluster.
    Marker,
    /// The lock, given back.
    Release,
    /// The next key, in the cluster and not yet in use.
    NextKey,
    /// The next key in the repository Secret.
    SecretSwap,
    /// The proof that Argo CD itself opens the repository with it.
    Fetch,
    /// The old key, gone from the forge.
    OldKey,
    /// The record of the rotation, gone.
    Settle,
    /// The commit with the other address, seen by Argo CD.
    Refresh,
    /// The repository Secret for the address that is left, gone.
    OldSecret,
    /// What must stay, written down before anything goes.
    Census,
    /// Argo CD's workloads, stopped.
    Stop,
    /// Argo CD's finalizers, taken off.
    Finalizers,
    /// ApplicationSets, Applications and AppProjects, gone.
    Applications,
    /// The deploy key, gone from the forge.
    KeyRemove,
    /// The webhook, gone from the forge.
    WebhookRemove,
    /// Argo CD's objects, gone.
    Remove,
    /// Argo CD's custom resource definitions, gone.
    Definitions,
    /// The proof that everything else is as it was.
    Proof,
    /// The namespace of Argo CD, gone unless it holds what is somebody else's.
    Leave,
}

impl StepId {
    /// All steps of `init`, in their order.
    pub const INIT: [Self; 14] = [
        Self::Ns,
        Self::Lease,
        Self::SecretCreate,
        Self::KeyRegister,
        Self::KeyVerify,
        Self::Crds,
        Self::Install,
        Self::KnownHosts,
        Self::Rollout,
        Self::Projects,
        Self::RootApp,
        Self::Converge,
        Self::Marker,
        Self::Release,
    ];

    /// All steps of `recover`, in their order.
    pub const RECOVER: [Self; 19] = [
        Self::Ns,
        Self::Lease,
        Self::Record,
        Self::RootOfTrust,
        Self::SecretCreate,
        Self::KeyRegister,
        Self::KeyVerify,
        Self::Crds,
        Self::Install,
        Self::KnownHosts,
        Self::Rollout,
        Self::Projects,
        Self::Infrastructure,
        Self::Gates,
        Self::RootApp,
        Self::Converge,
        Self::PruneKeys,
        Self::Marker,
        Self::Release,
    ];

    /// All steps of `rotate-key`, in their order: the old key is removed when the new one is proven.
    pub const ROTATE: [Self; 9] = [
        Self::Lease,
        Self::NextKey,
        Self::KeyRegister,
        Self::KeyVerify,
        Self::SecretSwap,
        Self::Fetch,
        Self::OldKey,
        Self::Settle,
        Self::Release,
    ];

    /// All steps of `rotate-key --revoke-first`, in their order: a key that is not secret any more is removed before anything else.
    pub const REVOKE_AND_ROTATE: [Self; 9] = [
        Self::Lease,
        Self::NextKey,
        Self::OldKey,
        Self::KeyRegister,
        Self::KeyVerify,
        Self::SecretSwap,
        Self::Fetch,
        Self::Settle,
        Self::Release,
    ];

    /// The steps of `rotate-key --to` while Git still names the old address, in their order: the other credential is made and proven beside the one in use.
    pub const PREPARE_MOVE: [Self; 6] =
        [Self::Lease, Self::SecretCreate, Self::KeyRegister, Self::KeyVerify, Self::KnownHosts, Self::Release];

    /// The steps of `rotate-key --to` once Git names the new address, in their order: the old credential goes when nothing needs it any more.
    pub const FINISH_MOVE: [Self; 14] = [
        Self::Lease,
        Self::SecretCreate,
        Self::KeyRegister,
        Self::KeyVerify,
        Self::KnownHosts,
        Self::Refresh,
        Self::Projects,
        Self::RootApp,
        Self::Converge,
        Self::Fetch,
        Self::OldKey,
        Self::OldSecret,
        Self::Marker,
        Self::Release,
    ];

    /// All steps of `detach`, in their order.
    pub const DETACH: [Self; 12] = [
        Self::Lease,
        Self::Census,
        Self::Stop,
        Self::Finalizers,
        Self::Applications,
        Self::KeyRemove,
        Self::WebhookRemove,
        Self::Remove,
        Self::Definitions,
        Self::Proof,
        Self::Leave,
        Self::Release,
    ];

    /// Whether looking at this step finds what looking at the ones after it needs.
    pub const fn informs_others(self) -> bool {
        matches!(self, Self::SecretCreate | Self::NextKey | Self::Census)
    }

    /// `recipe` while the forge is down: Argo CD takes the tree from the clone, and nothing is asked of the forge. `moves` says that Argo CD has a
    /// tree already, from elsewhere.
    pub fn without_forge(recipe: &[Self], moves: bool) -> Vec<Self> {
        let asks_the_forge = |step: &Self| matches!(step, Self::KeyRegister | Self::KeyVerify | Self::PruneKeys);
        let kept = recipe.iter().copied().filter(|step| !asks_the_forge(step));
        let steps = kept.flat_map(|step| if step == Self::Projects { vec![Self::ServeClone, step] } else { vec![step] }).collect();
        if moves { Self::root_first(steps) } else { steps }
    }

    /// `recipe` with the webhook, once Argo CD listens.
    pub fn with_webhook(recipe: &[Self]) -> Vec<Self> {
        recipe.iter().flat_map(|&step| if step == Self::Marker { vec![Self::Webhook, step] } else { vec![step] }).collect()
    }

    /// `recipe` for a tree that came from the clone so far, and from now on comes from the forge.
    pub fn back_to_forge(recipe: &[Self], moves: bool) -> Vec<Self> {
        let steps = recipe.iter().flat_map(|&step| if step == Self::Converge { vec![step, Self::ServeEnd] } else { vec![step] }).collect();
        if moves { Self::root_first(steps) } else { steps }
    }

    /// The root before the projects: while the root still goes to the old place, it puts projects that permit the new one back to what they were.
    fn root_first(mut steps: Vec<Self>) -> Vec<Self> {
        let place = |wanted| steps.iter().position(|step| *step == wanted);
        if let (Some(projects), Some(root)) = (place(Self::Projects), place(Self::RootApp))
            && projects < root
        {
            let root = steps.remove(root);
            steps.insert(projects, root);
        }
        steps
    }

    /// The id as people see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::Lease => "lease",
            Self::Record => "record",
            Self::RootOfTrust => "root-of-trust",
            Self::SecretCreate => "secret-create",
            Self::KeyRegister => "key-register",
            Self::KeyVerify => "key-verify",
            Self::Crds => "crds",
            Self::Install => "install",
            Self::KnownHosts => "known-hosts",
            Self::Rollout => "rollout",
            Self::ServeClone => "serve-clone",
            Self::Projects => "projects",
            Self::Infrastructure => "infrastructure",
            Self::Gates => "gates",
            Self::RootApp => "root-app",
            Self::Converge => "converge",
            Self::ServeEnd => "serve-end",
            Self::PruneKeys => "prune-keys",
            Self::Webhook => "webhook",
            Self::Marker => "marker",
            Self::Release => "release",
            Self::NextKey => "next-key",
            Self::SecretSwap => "secret-swap",
            Self::Fetch => "fetch",
            Self::OldKey => "old-key",
            Self::Settle => "settle",
            Self::Refresh => "refresh",
            Self::OldSecret => "old-secret",
            Self::Census => "census",
            Self::Stop => "stop",
            Self::Finalizers => "finalizers",
            Self::Applications => "applications",
            Self::KeyRemove => "key-remove",
            Self::WebhookRemove => "webhook-remove",
            Self::Remove => "remove",
            Self::Definitions => "definitions",
            Self::Proof => "proof",
            Self::Leave => "leave",
        }
    }

    /// What the step does, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Ns => "namespace argocd",
            Self::Lease => "lock against a second run",
            Self::Record => "record that a recovery has begun",
            Self::RootOfTrust => "root of trust from the bundle",
            Self::SecretCreate => "repository Secret, by which Argo CD gets in",
            Self::KeyRegister => "deploy key at the forge",
            Self::KeyVerify => "the key opens the repository",
            Self::Crds => "Argo CD's resource definitions",
            Self::Install => "Argo CD's objects",
            Self::KnownHosts => "the forge's host keys",
            Self::Rollout => "Argo CD's workloads are running",
            Self::ServeClone => "the clone, served inside of the cluster",
            Self::Projects => "projects",
            Self::Infrastructure => "infrastructure, before the services",
            Self::Gates => "what has to hold before the services come",
            Self::RootApp => "root app-of-apps",
            Self::Converge => "everything Synced and Healthy",
            Self::ServeEnd => "no Git server in the cluster any more",
            Self::PruneKeys => "deploy keys of the cluster that is gone",
            Self::Webhook => "the forge tells Argo CD of pushes",
            Self::Marker => "record of the bootstrap",
            Self::Release => "lock given back",
            Self::NextKey => "the next key, in waiting",
            Self::SecretSwap => "the next key in the repository Secret",
            Self::Fetch => "Argo CD opens the repository with it",
            Self::OldKey => "the old key is gone from the forge",
            Self::Settle => "the rotation is over",
            Self::Refresh => "Argo CD sees the commit with the other address",
            Self::OldSecret => "the repository Secret for the old address is gone",
            Self::Census => "what stays, written down",
            Self::Stop => "Argo CD's workloads are stopped",
            Self::Finalizers => "Argo CD's finalizers are taken off",
            Self::Applications => "Applications and projects are gone",
            Self::KeyRemove => "the deploy key is gone from the forge",
            Self::WebhookRemove => "the webhook is gone from the forge",
            Self::Remove => "Argo CD's objects are gone",
            Self::Definitions => "Argo CD's resource definitions are gone",
            Self::Proof => "everything else is as it was",
            Self::Leave => "namespace argocd is gone",
        }
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a step has to do, given what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: what is wanted is there.
    Satisfied {
        /// What was found, in a few words.
        because: String,
    },
    /// Something.
    Needed {
        /// Why, in a few words.
        because: String,
        /// The objects that will change, as far as they are known.
        changes: Vec<String>,
    },
}

impl Verdict {
    /// Nothing to do, because.
    pub fn satisfied(because: impl Into<String>) -> Self {
        Self::Satisfied { because: because.into() }
    }

    /// Something to do, because.
    pub fn needed(because: impl Into<String>) -> Self {
        Self::Needed { because: because.into(), changes: Vec::new() }
    }

    /// Whether there is something to do.
    pub const fn is_needed(&self) -> bool {
        matches!(self, Self::Needed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::StepId;

    #[test]
    fn without_the_forge_nothing_is_asked_of_it_and_the_clone_is_served_before_anybody_needs_it() {
        let steps = StepId::without_forge(&StepId::RECOVER, false);
        let place = |wanted| steps.iter().position(|step| *step == wanted);
        assert_eq!((place(StepId::KeyRegister), place(StepId::KeyVerify)), (None, None));
        assert!(place(StepId::Rollout) < place(StepId::ServeClone) && place(StepId::ServeClone) < place(StepId::Projects));
        assert!(place(StepId::Projects) < place(StepId::RootApp));
    }

    #[test]
    fn a_tree_that_moves_is_moved_at_its_root_first_and_the_server_goes_last() {
        let steps = StepId::back_to_forge(&StepId::INIT, true);
        let place = |wanted| steps.iter().position(|step| *step == wanted);
        assert!(place(StepId::KeyVerify) < place(StepId::RootApp) && place(StepId::RootApp) < place(StepId::Projects));
        assert!(place(StepId::Converge) < place(StepId::ServeEnd) && place(StepId::ServeEnd) < place(StepId::Marker));
        assert_eq!(steps.len(), StepId::INIT.len() + 1);
    }
}

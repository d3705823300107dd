//! Why each step exists: what `--explain` adds.

use super::StepId;

impl StepId {
    /// Why the step exists, and why it stands where it stands. Full sentences for a person who sees it for the first time.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Ns => "Everything of Argo CD lives in one namespace, so it comes first. One that is still being deleted is waited for.",
            Self::Lease => {
                "Two runs at once would get into each other's way. The lock is a Lease in the cluster, so it also holds against a run \
                 from another machine, and it runs out by itself if its holder dies."
            }
            Self::Record => {
                "A recovery that is killed must be known for what it is by the run that goes on from there, so the cluster says from the \
                 beginning whose it is."
            }
            Self::RootOfTrust => {
                "Some Secrets cannot come from Git in clear. They go in before the controllers that would otherwise make their own, with \
                 which nothing in Git could be decrypted."
            }
            Self::SecretCreate => {
                "Argo CD needs a key of its own to read the repository. It is stored in the cluster before the forge is told, so that no \
                 key can be registered whose private half is lost."
            }
            Self::KeyRegister => "The forge has to let the key in. It is registered for this repository alone, and may only read.",
            Self::KeyVerify => {
                "The key is tried with the pinned host keys alone, before Argo CD depends on it: what fails here would else be found \
                 only when Argo CD stalls."
            }
            Self::Crds => "The API server has to know Argo CD's kinds before any object of them can be sent.",
            Self::Install => {
                "Argo CD is installed exactly as the commit has it, under its own name as field manager and with its own mark, so that it \
                 finds itself as Git has it and takes itself over without a conflict."
            }
            Self::KnownHosts => {
                "Argo CD refuses a Git server whose host key it does not know. It gets the pinned ones rather than whatever a server \
                 shows first."
            }
            Self::Rollout => "The root Application is of use only once something runs that reads it.",
            Self::ServeClone => {
                "While the forge is down, Argo CD needs another place to read the tree from: a Git server in the cluster, with the \
                 commit of this clone."
            }
            Self::Projects => "An Application is refused as long as its project is not there, so the projects come before any of them.",
            Self::Infrastructure => {
                "Services need what is below them, such as certificates, storage and secrets. In a recovery that comes first, alone, \
                 exactly as Git has it."
            }
            Self::Gates => {
                "A service that starts before its data is restored may make new data in its place. So the services wait until what \
                 gitops.yaml names holds."
            }
            Self::RootApp => {
                "From the root app-of-apps Argo CD makes everything else. It is the last thing that is sent, once the key, the host keys \
                 and the projects are there."
            }
            Self::Converge => {
                "Argo CD works on its own from here. The run waits until all of it is Synced and Healthy at the commit, and asks again \
                 where Argo CD has given up."
            }
            Self::ServeEnd => "Once the tree comes from the forge again, a Git server in the cluster would only serve what is out of date.",
            Self::PruneKeys => {
                "The keys of a cluster that is gone still open the repository for whoever has them. Those that were named are removed, \
                 once the new cluster works without them."
            }
            Self::Webhook => {
                "Argo CD looks at the repository every few minutes. Told of a push it looks at once, and by the secret it knows who tells."
            }
            Self::Marker => "The cluster says itself what it is and where it came from, so that no later run takes it for another one.",
            Self::Release => "The next run need not wait.",
            Self::NextKey => {
                "The next key waits in a Secret of its own, so that a run that is killed goes on with the same one instead of leaving \
                 keys behind."
            }
            Self::SecretSwap => "Argo CD reads its key from the repository Secret. It is swapped only once the new key is known to work.",
            Self::Fetch => "That the key works from here does not prove that Argo CD uses it, so Argo CD is asked to fetch with it.",
            Self::OldKey => "A key that nobody needs any more is a way in that nobody watches.",
            Self::Settle => "What the rotation wrote down for itself is removed, so that the next one begins anew.",
            Self::Refresh => {
                "Argo CD looks at the repository every few minutes. What is sent now would be taken back by what it saw last, so it is asked \
                 to look."
            }
            Self::OldSecret => "A credential that nothing uses any more goes, once no Application names the address that it is for.",
            Self::Census => {
                "What must stay is written down with its UIDs before anything goes, since afterwards nobody could tell what was there."
            }
            Self::Stop => "A controller that runs would put back, or delete, what is taken apart around it.",
            Self::Finalizers => "By its finalizer the deletion of an Application would delete its workloads, so the finalizers go first.",
            Self::Applications => "Without finalizers the Applications go and leave what they made as it is.",
            Self::KeyRemove => "The key was this Argo CD's. Nobody needs it any more.",
            Self::WebhookRemove => "Nobody listens there any more, and the forge would go on to knock.",
            Self::Remove => "What Argo CD ran by goes, and only that: what is somebody else's stays.",
            Self::Definitions => "With a definition goes every object of its kind, so those that somebody else uses stay.",
            Self::Proof => "That nothing else was touched is checked object by object against what was written down before.",
            Self::Leave => "An empty namespace is of no use. One that holds what is somebody else's stays.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StepId;

    #[test]
    fn every_step_of_every_recipe_says_why_in_one_or_two_sentences_of_its_own() {
        let recipes = [
            &StepId::INIT[..],
            &StepId::RECOVER,
            &StepId::ROTATE,
            &StepId::FINISH_MOVE,
            &StepId::DETACH,
            &[StepId::ServeClone, StepId::ServeEnd],
        ];
        let steps: std::collections::BTreeSet<StepId> = recipes.concat().into_iter().collect();
        let mut said = std::collections::BTreeSet::new();
        for step in steps {
            let why = step.why();
            assert!(why.ends_with('.') && !why.contains("  ") && why.matches(". ").count() < 2, "{step}: {why}");
            assert!(why.len() < 260, "{step}: {why}");
            assert!(said.insert(why), "{step} says what another step says");
        }
    }
}

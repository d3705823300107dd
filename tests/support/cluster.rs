//! What is in a sandbox's cluster, seen with kubectl, and past the program that is tested.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;

use super::{TestSandbox, eventually, forge};

/// How long Argo CD may take for a few Applications on busy cores.
pub(crate) const SYNC: Duration = Duration::from_secs(180);

/// Kinds whose objects in Argo CD's namespace nobody but their manager changes: no status, no heartbeat.
const STILL: &str = "configmaps,secrets,serviceaccounts,services,networkpolicies,roles,rolebindings,appprojects,leases";

impl TestSandbox {
    /// What `kubectl get` has for `arguments`.
    #[track_caller]
    pub(crate) fn get(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[&["get", "--output", "json"], arguments].concat())).unwrap()
    }

    /// The same of several objects.
    #[track_caller]
    pub(crate) fn list(&self, arguments: &[&str]) -> Vec<Value> {
        let Value::Array(items) = self.get(arguments)["items"].take() else { panic!("{arguments:?} is no list") };
        items
    }

    /// Whether kubectl finds an object.
    pub(crate) fn has(&self, arguments: &[&str]) -> bool {
        self.cli(&[&["sandbox", "kubectl", "--", "get"], arguments].concat()).run().status == Some(0)
    }

    /// The Secrets by which Argo CD gets into repositories; none without Argo CD's namespace.
    #[track_caller]
    pub(crate) fn repository_secrets(&self) -> Vec<Value> {
        self.list(&["secrets", "--namespace", "argocd", "--selector", "argocd.argoproj.io/secret-type=repository"])
    }

    /// The only one of them, as the private key that it holds.
    #[track_caller]
    pub(crate) fn private_key(&self) -> String {
        let secrets = self.repository_secrets();
        assert_eq!(secrets.len(), 1, "one repository Secret");
        let key = secrets[0]["data"]["sshPrivateKey"].as_str().unwrap();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(key).unwrap()).unwrap()
    }

    /// Who holds the lock; nobody if it is free or not there.
    #[track_caller]
    pub(crate) fn lock_holder(&self) -> Option<String> {
        let leases = self.list(&["leases", "--namespace", "argocd", "--field-selector", "metadata.name=gitops-bootstrap"]);
        leases.first()?["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()).map(str::to_owned)
    }

    /// The versions of the objects in Argo CD's namespace that change only if somebody changes them.
    #[track_caller]
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let version = |object: &Value| {
            let metadata = &object["metadata"];
            (format!("{} {}", text(&object["kind"]), text(&metadata["name"])), text(&metadata["resourceVersion"]))
        };
        self.list(&[STILL, "--namespace", "argocd"]).iter().map(version).collect()
    }

    /// Asks Argo CD to look into Git now instead of within three minutes, as a webhook does; `--all` is every Application.
    #[track_caller]
    pub(crate) fn refresh(&self, application: &str) {
        let annotation = "argocd.argoproj.io/refresh=normal";
        self.kubectl(&["annotate", "application", application, "--namespace", "argocd", "--overwrite", annotation]);
    }

    /// Waits until every Application is Synced and Healthy at a commit.
    #[track_caller]
    pub(crate) fn until_all_at(&self, commit: &str) {
        for application in self.list(&["applications", "--namespace", "argocd"]) {
            self.until_at(application["metadata"]["name"].as_str().unwrap(), commit);
        }
    }

    /// Waits until an Application is Synced and Healthy at a commit.
    #[track_caller]
    pub(crate) fn until_at(&self, application: &str, commit: &str) {
        eventually(&format!("{application} at {commit}"), SYNC, || {
            let applications = self.list(&["applications", "--namespace", "argocd"]);
            let found = applications.iter().find(|found| found["metadata"]["name"] == application)?;
            (stands(found) == STANDS && found["status"]["sync"]["revision"] == commit).then_some(())
        });
    }

    /// Whether every Application is well.
    pub(crate) fn stands_well(&self) -> bool {
        self.list(&["applications", "--namespace", "argocd"]).iter().all(is_well)
    }

    /// Checks all that is promised of a bootstrapped cluster.
    #[track_caller]
    pub(crate) fn assert_converged(&self) {
        let applications = self.list(&["applications", "--namespace", "argocd"]);
        let states: BTreeMap<_, _> = applications.iter().map(|found| (found["metadata"]["name"].to_string(), stands(found))).collect();
        assert!(states.len() > 3 && applications.iter().all(is_well), "{states:?}");

        let public = public_half(&self.private_key());
        let keys = forge::deploy_keys(&self.state);
        assert_eq!(keys.len(), 1, "one deploy key: {keys:?}");
        assert_eq!(keys[0]["read_only"], true, "{keys:?}");
        assert_eq!(words(keys[0]["key"].as_str().unwrap()), words(&public), "the key at the forge is the one in the cluster");
        assert_eq!(self.lock_holder(), None, "the lock is given back");
        assert_eq!(self.get(&["configmap", "gitops-bootstrap", "--namespace", "argocd"])["data"]["cluster"], "staging");
    }
}

/// How an Application stands that is well.
const STANDS: [&str; 3] = ["Synced", "Healthy", "Succeeded"];

/// The Application with which Argo CD manages itself, and how it stands where Argo CD found its objects as Git has them.
const OWN: &str = "argocd";
const FOUND: [&str; 3] = ["Synced", "Healthy", "none"];

fn stands(application: &Value) -> [&str; 3] {
    let status = &application["status"];
    [&status["sync"]["status"], &status["health"]["status"], &status["operationState"]["phase"]]
        .map(|state| state.as_str().unwrap_or("none"))
}

fn is_well(application: &Value) -> bool {
    let stands = stands(application);
    stands == STANDS || (stands == FOUND && application["metadata"]["name"] == OWN)
}

/// The type and the content of a public key, without the comment.
fn words(key: &str) -> Vec<&str> {
    key.split_whitespace().take(2).collect()
}

/// The public half of a private key, by OpenSSH.
#[expect(clippy::disallowed_methods, reason = "the program is found by the PATH")]
pub(crate) fn public_half(private: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(private.as_bytes()).unwrap();
    let output = Command::new("ssh-keygen").args(["-y", "-f"]).arg(file.path()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

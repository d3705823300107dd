//! What the engine says of a sandbox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::domain::{HostKeys, RepositoryUrl};
use crate::error::{Failure, Result};

/// A sandbox as the engine describes it. Fields that this tool does not need are not read, so that an engine may say more.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Its name.
    pub name: String,
    /// Its folder; everything that it writes is below it.
    pub folder: PathBuf,
    /// Whether everything in it is up.
    #[serde(default)]
    pub ready: bool,
    /// The process that all others belong to.
    pub supervisor: Supervisor,
    /// The file with the administrator's credentials.
    pub kubeconfig: PathBuf,
    /// The context in that file.
    pub context: String,
    /// The address of the API server.
    pub server: String,
    /// The API server's audit log: an event of `audit.k8s.io/v1` a line.
    pub audit_log: PathBuf,
    /// The Git forge.
    pub forge: Forge,
    /// Argo CD, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argocd: Option<ArgoCd>,
    /// The processes, each a real program.
    pub components: Vec<Component>,
    /// The log of the objects that a controller was stood in for, if any are: a JSON object a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in_log: Option<PathBuf>,
    /// What a cluster has and a sandbox has not, in words.
    #[serde(default)]
    pub off: Vec<String>,
    /// The versions of the programs.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
}

/// The process that all others belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Supervisor {
    /// Its number; 0 while the sandbox does not run.
    pub pid: u32,
}

/// How the forge is reached.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forge {
    /// The base address of its REST API.
    pub api: String,
    /// The address for browsers and for Git over HTTP.
    pub http: String,
    /// The host of its SSH server.
    pub ssh_host: String,
    /// The port of its SSH server.
    pub ssh_port: u16,
    /// A known-hosts file with its host keys.
    pub known_hosts: PathBuf,
    /// The file with the private key of a person who may push to every repository.
    pub user_key: PathBuf,
    /// The files with its tokens, by the name of their rights.
    pub tokens: BTreeMap<String, PathBuf>,
    /// The log of all requests: a JSON object a line.
    pub request_log: PathBuf,
    /// The folder of the bare repositories, as `OWNER/NAME.git`.
    pub repositories: PathBuf,
}

/// How Argo CD is opened.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArgoCd {
    /// The address of its page.
    pub url: String,
}

/// One process of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// The name of the program.
    pub name: String,
    /// The number of its process; 0 while there is none.
    pub pid: u32,
    /// How often it ended unasked and was started again.
    pub restarts: u32,
    /// Whether it answers.
    pub ready: bool,
    /// Since when its process runs (RFC 3339).
    #[serde(default)]
    pub since: String,
}

/// The file in the sandbox's folder in which it keeps what it says of its pods.
pub(super) const PODS_FILE: &str = "pods/state.json";

/// What it says of its pods, as far as it is used.
#[derive(serde::Deserialize)]
struct Pods {
    argocd: Option<ArgoCd>,
}

/// Where Argo CD is opened, by the content of [`PODS_FILE`].
pub(super) fn argocd_url(json: &[u8]) -> Option<String> {
    serde_json::from_slice::<Pods>(json).ok()?.argocd.map(|argocd| argocd.url)
}

impl Supervisor {
    /// Whether there is a process of that number.
    #[cfg(unix)]
    pub(super) fn is_alive(&self) -> bool {
        let process = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        process.is_some_and(|process| rustix::process::test_kill_process(process).is_ok())
    }

    /// Whether there is a process of that number: here only the engine can say.
    #[cfg(not(unix))]
    pub(super) fn is_alive(&self) -> bool {
        false
    }
}

impl State {
    /// The file in the sandbox's folder in which it keeps what it says of itself.
    pub(super) const FILE: &str = "sandbox.json";

    /// Reads what the engine printed.
    pub(super) fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|error| {
            Failure::bug("the sandbox's engine does not say what is needed of the sandbox")
                .because(error)
                .hint("the engine is of another version, if it was given with `--engine`: leave that out, and the right one is built")
        })
    }

    /// Whether the sandbox runs.
    pub fn is_running(&self) -> bool {
        self.supervisor.pid != 0
    }
}

impl Forge {
    /// The address of a repository over SSH.
    pub fn ssh_url(&self, owner: &str, name: &str) -> String {
        format!("ssh://git@{}:{}/{owner}/{name}.git", self.ssh_host, self.ssh_port)
    }

    /// Where a repository is that this forge stands in for: under the same owner and name. None for a repository of its own address, and for one
    /// whose address has no owner and name.
    pub fn stand_in(&self, repository: &RepositoryUrl) -> Option<RepositoryUrl> {
        let is_own = repository.host() == self.ssh_host && repository.port() == Some(self.ssh_port);
        if is_own || repository.as_str().strip_prefix(&self.http).is_some_and(|rest| rest.starts_with('/')) {
            return None;
        }
        let (owner, name) = repository.owner_and_name()?;
        self.ssh_url(owner, name).parse().ok()
    }

    /// The token with the rights called `name`, as in `admin`.
    pub fn token(&self, name: &str) -> Result<SecretString> {
        let path = self.tokens.get(name).ok_or_else(|| Failure::bug(format!("the sandbox's forge has no token `{name}`")))?;
        let text = read(path).map(Zeroizing::new)?;
        Ok(SecretString::from(text.trim()))
    }

    /// The private key of a person who may push to every repository, in OpenSSH's format.
    pub fn user_key(&self) -> Result<SecretString> {
        read(&self.user_key).map(SecretString::from)
    }

    /// The host keys of the SSH server, as lines of a known-hosts file.
    pub fn host_key_lines(&self) -> Result<Vec<String>> {
        Ok(read(&self.known_hosts)?.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// The same as the host keys that are pinned.
    pub fn host_keys(&self) -> Result<HostKeys> {
        HostKeys::pinned(self.host_key_lines()?.iter().map(String::as_str))
            .map_err(|error| Failure::bug("the sandbox's forge has a strange host key").because(error))
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read `{}` of the sandbox", path.display()))
            .because(error)
            .hint("make the sandbox anew: `gitops-bootstrap sandbox down`, then `gitops-bootstrap sandbox up`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> serde_json::Value {
        serde_json::json!({
            "version": 1, "name": "default", "folder": "/s", "supervisor": {"pid": 7, "started": "x"}, "kubeconfig": "/s/kubeconfig",
            "context": "sandbox-default", "server": "https://127.0.0.1:1", "auditLog": "/s/audit.jsonl", "later": {"more": true},
            "forge": {"api": "http://127.0.0.1:2/api/v3", "http": "http://127.0.0.1:2", "sshHost": "127.0.0.1", "sshPort": 3,
                "knownHosts": "/s/known_hosts", "userKey": "/s/user_key", "tokens": {"admin": "/s/admin"}, "requestLog": "/s/forge.jsonl",
                "repositories": "/s/repositories"},
            "components": [{"name": "etcd", "pid": 8, "restarts": 0, "ready": true, "since": "2026-01-01T00:00:00Z"}],
            "versions": {"kubernetes": "v1.36.1"}, "ports": {"etcd": 4},
        })
    }

    #[test]
    fn an_engine_may_say_more() {
        let state = State::parse(&serde_json::to_vec(&sample()).unwrap()).unwrap();
        assert!(state.is_running() && state.argocd.is_none());
        assert_eq!(state.forge.ssh_url("demo", "fleet"), "ssh://git@127.0.0.1:3/demo/fleet.git");
    }

    #[test]
    fn argo_cd_is_where_the_pods_say_once_it_is_there() {
        let said = br#"{"argocd": {"url": "https://127.0.0.1:2", "namespace": "argocd", "ready": true}, "pods": []}"#;
        assert_eq!(argocd_url(said).as_deref(), Some("https://127.0.0.1:2"));
        assert_eq!(argocd_url(br#"{"pods": []}"#), None);
    }

    #[test]
    fn the_forge_stands_in_for_every_repository_but_its_own() {
        let forge = State::parse(&serde_json::to_vec(&sample()).unwrap()).unwrap().forge;
        let stand_in = |url: &str| forge.stand_in(&url.parse().unwrap()).map(|url| url.to_string());
        assert_eq!(stand_in("git@github.com:acme/fleet.git").as_deref(), Some("ssh://git@127.0.0.1:3/acme/fleet.git"));
        assert_eq!(stand_in("ssh://git@127.0.0.1:3/demo/fleet.git"), None);
        assert_eq!(stand_in("http://127.0.0.1:2/demo/fleet.git"), None);
        assert_eq!(stand_in("git@gitlab.com:group/below/fleet.git"), None);
    }

    #[test]
    fn an_engine_that_says_too_little_is_named_with_what_is_missing() {
        let mut sample = sample();
        sample["forge"].as_object_mut().unwrap().remove("userKey");
        let failure = State::parse(&serde_json::to_vec(&sample).unwrap()).unwrap_err();
        assert!(failure.causes[0].contains("userKey"), "{failure:?}");
    }
}

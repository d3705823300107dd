//! What the API server and the forge wrote down of the requests that they got.

use std::fs;

use gitops_bootstrap::sandbox::State;
use serde_json::Value;

/// A request that changed something on the API server, or could have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutation {
    /// What was asked for: `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub(crate) verb: String,
    /// The resource and the name, as in `namespaces/argocd` or `argocd/secrets/repository`.
    pub(crate) object: String,
    /// The client, as it calls itself.
    pub(crate) user_agent: String,
    /// The HTTP status of the answer.
    pub(crate) status: u64,
}

/// The requests of `client` (the beginning of its user agent) that changed something: no dry runs, and no questions about rights, which are
/// created but change nothing.
pub(crate) fn mutations(state: &State, client: &str) -> Vec<Mutation> {
    lines(&state.audit_log).iter().filter_map(mutation).filter(|mutation| mutation.user_agent.starts_with(client)).collect()
}

fn mutation(event: &Value) -> Option<Mutation> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let verb = text(&event["verb"]);
    let changes = matches!(verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
    let dry = event["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun="));
    let object = &event["objectRef"];
    let question = object["apiGroup"].as_str().is_some_and(|group| matches!(group, "authorization.k8s.io" | "authentication.k8s.io"));
    if event["stage"] != "ResponseComplete" || !changes || dry || question {
        return None;
    }
    let path: Vec<String> =
        ["namespace", "resource", "name"].iter().map(|part| text(&object[part])).filter(|part| !part.is_empty()).collect();
    Some(Mutation {
        verb,
        object: path.join("/"),
        user_agent: text(&event["userAgent"]),
        status: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
    })
}

/// A request to the forge.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub(crate) struct ForgeRequest {
    /// `rest`, `git-http` or `git-ssh`.
    pub(crate) kind: String,
    /// The HTTP method, or the service of Git: `git-upload-pack` reads, `git-receive-pack` writes.
    pub(crate) method: String,
    /// The path below the API's base address, or the repository.
    pub(crate) path: String,
    /// The name of the token, or the fingerprint of the key.
    #[serde(default)]
    pub(crate) actor: String,
    /// The HTTP status, or the exit status of the SSH command.
    pub(crate) status: i64,
}

impl ForgeRequest {
    /// Whether it went to the REST API.
    pub(crate) fn is_rest(&self) -> bool {
        self.kind == "rest"
    }

    /// Whether it could have changed something.
    pub(crate) fn is_write(&self) -> bool {
        match self.kind.as_str() {
            "rest" => self.method != "GET" && self.method != "HEAD",
            _ => self.method == "git-receive-pack",
        }
    }
}

/// All requests that the forge got.
pub(crate) fn forge_requests(state: &State) -> Vec<ForgeRequest> {
    lines(&state.forge.request_log).into_iter().map(|line| serde_json::from_value(line).unwrap()).collect()
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    // The last line may be half written.
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// How far the logs were at some moment.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    mutations: usize,
    requests: usize,
}

/// The name under which the program that is tested talks to the API server.
const OURS: &str = "gitops-bootstrap/";

impl Mark {
    /// How far they are now.
    pub(crate) fn now(state: &State) -> Self {
        Self { mutations: mutations(state, OURS).len(), requests: forge_requests(state).len() }
    }

    /// What the program changed in the cluster since then.
    pub(crate) fn mutations(self, state: &State) -> Vec<Mutation> {
        mutations(state, OURS).split_off(self.mutations)
    }

    /// What the forge was asked since then.
    pub(crate) fn requests(self, state: &State) -> Vec<ForgeRequest> {
        forge_requests(state).split_off(self.requests)
    }

    /// Checks that nothing was changed since then, neither in the cluster nor at the forge.
    #[track_caller]
    pub(crate) fn assert_unchanged(self, state: &State) {
        assert_eq!(self.mutations(state), [], "the cluster");
        let writes: Vec<_> = self.requests(state).into_iter().filter(ForgeRequest::is_write).collect();
        assert_eq!(writes, [], "the forge");
    }
}

//! The sandbox's forge, asked past the program that is tested.

use gitops_bootstrap::sandbox::State;
use serde_json::Value;

/// The repository of the demonstration.
const REPOSITORY: &str = "/repos/demo/fleet";

/// The text of the token with the rights called `name`.
pub(crate) fn token(state: &State, name: &str) -> String {
    std::fs::read_to_string(&state.forge.tokens[name]).unwrap().trim().to_owned()
}

/// The deploy keys of the fleet repository.
#[track_caller]
pub(crate) fn deploy_keys(state: &State) -> Vec<Value> {
    match request(state, "GET", &format!("{REPOSITORY}/keys"), &Value::Null) {
        (404, _) => Vec::new(),
        (200, Value::Array(keys)) => keys,
        (status, answer) => panic!("{status}: {answer}"),
    }
}

/// The open pull requests of the fleet repository, the newest first.
#[track_caller]
pub(crate) fn pull_requests(state: &State) -> Vec<Value> {
    match request(state, "GET", &format!("{REPOSITORY}/pulls"), &Value::Null) {
        (200, Value::Array(open)) => open,
        (status, answer) => panic!("{status}: {answer}"),
    }
}

/// Removes a deploy key, as in the settings of the repository.
#[track_caller]
pub(crate) fn delete_deploy_key(state: &State, key: &Value) {
    let (status, answer) = request(state, "DELETE", &format!("{REPOSITORY}/keys/{}", key["id"]), &Value::Null);
    assert_eq!(status, 204, "{answer}");
}

/// Sets switches of the forge: faults that it is to have.
#[track_caller]
pub(crate) fn switch(state: &State, switches: &Value) {
    let (status, answer) = request(state, "POST", "/_sandbox/switches", switches);
    assert_eq!(status, 200, "{answer}");
}

/// The webhooks of the fleet repository.
#[track_caller]
pub(crate) fn webhooks(state: &State) -> Vec<Value> {
    let (status, answer) = request(state, "GET", &format!("{REPOSITORY}/hooks"), &Value::Null);
    assert_eq!(status, 200, "{answer}");
    answer.as_array().unwrap().clone()
}

/// Makes a GitHub App with this public key (PEM) and installs it on the owner of the fleet repository; returns its number.
#[track_caller]
pub(crate) fn make_app(state: &State, public_key: &str) -> u64 {
    let app = serde_json::json!({"slug": "bootstrap", "account": "demo", "public_key": public_key});
    let (status, made) = request(state, "POST", "/_sandbox/apps", &app);
    assert_eq!(status, 201, "{made}");
    made["id"].as_u64().unwrap()
}

/// Sends a request to the REST API as its administrator.
fn request(state: &State, method: &str, path: &str, body: &Value) -> (u16, Value) {
    gitops_bootstrap::adapters::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{}{path}", state.forge.api);
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        // GitHub refuses clients without a name.
        let request = request.header("user-agent", "test").bearer_auth(token(state, "admin"));
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    })
}

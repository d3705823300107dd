//! The webhooks of a repository, against an API that has GitHub's moods.

use std::time::Duration;

use gitops_bootstrap::adapters::github::{GitHub, GitHubOptions};
use gitops_bootstrap::domain::WebhookUrl;
use gitops_bootstrap::ports::Forge as _;
use gitops_bootstrap::ports::forge::ForgeError;
use serde_json::{Value, json};
use tokio::time::Instant;
use wiremock::matchers::{body_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const HOOKS: &str = "/api/v3/repos/acme/fleet/hooks";
const URL: &str = "https://argocd.acme.test/api/webhook";

fn url() -> WebhookUrl {
    URL.parse().unwrap()
}

fn forge(server: &MockServer) -> GitHub {
    let options = GitHubOptions {
        repository: "git@git.acme.test:acme/fleet.git".parse().unwrap(),
        api: Some(format!("{}/api/v3", server.uri())),
        token: "ghp_t0ken".to_owned().into(),
        deadline: Instant::now() + Duration::from_secs(30),
    };
    GitHub::connect(options).unwrap()
}

fn hook(id: u64, config: &Value) -> Value {
    json!({"type": "Repository", "id": id, "name": "web", "active": true, "events": ["push"], "config": config})
}

fn good(url: &str) -> Value {
    json!({"url": url, "content_type": "json", "insecure_ssl": "0", "secret": "********"})
}

fn wished() -> Value {
    let config = json!({"url": URL, "content_type": "json", "insecure_ssl": "0", "secret": "quiet"});
    json!({"name": "web", "active": true, "events": ["push"], "config": config})
}

async fn once(server: &MockServer, verb: &str, where_: &str, status: u16, body: &Value) {
    let answer = ResponseTemplate::new(status).set_body_json(body);
    Mock::given(method(verb)).and(path(where_)).respond_with(answer).up_to_n_times(1).mount(server).await;
}

async fn changes(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    requests.iter().filter(|request| request.method != "GET").map(|request| format!("{} {}", request.method, request.url.path())).collect()
}

#[tokio::test]
async fn a_webhook_is_registered_for_pushes_signed_and_as_json() {
    let server = MockServer::start().await;
    once(&server, "GET", HOOKS, 200, &json!([hook(1, &good("https://other.test/x"))])).await;
    let made = ResponseTemplate::new(201).set_body_json(hook(7, &good(URL)));
    Mock::given(method("POST")).and(path(HOOKS)).and(body_json(wished())).respond_with(made).mount(&server).await;
    let webhook = forge(&server).register_webhook(&url(), &"quiet".into()).await.unwrap();
    assert_eq!((webhook.id, webhook.url.as_str(), webhook.is_as_wanted), (7, URL, true));
}

#[tokio::test]
async fn one_for_the_same_address_is_changed_and_an_answer_that_is_lost_makes_no_second_one() {
    let server = MockServer::start().await;
    once(&server, "GET", HOOKS, 200, &json!([])).await;
    once(&server, "POST", HOOKS, 502, &json!({})).await;
    once(&server, "GET", HOOKS, 200, &json!([hook(7, &good(URL))])).await;
    let changed = ResponseTemplate::new(200).set_body_json(hook(7, &good(URL)));
    Mock::given(method("PATCH")).and(path(format!("{HOOKS}/7"))).and(body_json(wished())).respond_with(changed).mount(&server).await;
    assert_eq!(forge(&server).register_webhook(&url(), &"quiet".into()).await.unwrap().id, 7);
    assert_eq!(changes(&server).await, [format!("POST {HOOKS}"), format!("PATCH {HOOKS}/7")]);
}

#[tokio::test]
async fn only_one_that_tells_of_pushes_safely_is_as_wanted() {
    let server = MockServer::start().await;
    let with = |name: &str, value: Value| {
        let mut config = good(URL);
        config[name] = value;
        hook(1, &config)
    };
    let mut silent = hook(2, &good(URL));
    silent["active"] = false.into();
    let mut others = hook(3, &good(URL));
    others["events"] = json!(["issues"]);
    let mut wrong = vec![
        with("content_type", "form".into()),
        with("insecure_ssl", "1".into()),
        with("insecure_ssl", 1.into()),
        with("secret", "".into()),
        silent,
        others,
    ];
    for (number, hook) in (10_u64..).zip(&mut wrong) {
        hook["id"] = number.into();
    }
    wrong.push(with("insecure_ssl", 0.into()));
    once(&server, "GET", HOOKS, 200, &wrong.into()).await;
    let found = forge(&server).webhooks().await.unwrap();
    assert_eq!(found.iter().map(|webhook| webhook.is_as_wanted).collect::<Vec<_>>(), [false, false, false, false, false, false, true]);
}

#[tokio::test]
async fn one_that_is_gone_is_no_error_and_one_that_may_not_be_seen_is() {
    let server = MockServer::start().await;
    once(&server, "DELETE", &format!("{HOOKS}/7"), 404, &json!({"message": "Not Found"})).await;
    once(&server, "GET", HOOKS, 200, &json!([])).await;
    assert_eq!(forge(&server).delete_webhook(7).await, Ok(()));

    let facts =
        json!({"full_name": "acme/fleet", "default_branch": "main", "permissions": {"admin": false}, "ssh_url": "", "html_url": ""});
    once(&server, "GET", "/api/v3/repos/acme/fleet", 200, &facts).await;
    once(&server, "GET", HOOKS, 404, &json!({"message": "Not Found"})).await;
    let refused = forge(&server).webhooks().await.unwrap_err();
    assert!(matches!(&refused, ForgeError::Forbidden { needed: Some(needed), .. } if needed == "repository_hooks=write"), "{refused}");
}

//! Pull requests, against an API that has GitHub's moods.

use std::time::Duration;

use gitops_bootstrap::adapters::github::{GitHub, GitHubOptions};
use gitops_bootstrap::ports::forge::ForgeError;
use gitops_bootstrap::ports::pull_requests::{NewPullRequest, PullRequest, PullRequests as _};
use serde_json::{Value, json};
use tokio::time::Instant;
use wiremock::matchers::{body_partial_json, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

const REPOSITORY: &str = "/api/v3/repos/acme/fleet";
const PULLS: &str = "/api/v3/repos/acme/fleet/pulls";

fn forge(server: &MockServer) -> GitHub {
    let options = GitHubOptions {
        repository: "ssh://git@127.0.0.1:2222/acme/fleet.git".parse().unwrap(),
        api: Some(format!("{}/api/v3", server.uri())),
        token: "ghp_t0ken".to_owned().into(),
        deadline: Instant::now() + Duration::from_secs(30),
    };
    GitHub::connect(options).unwrap()
}

fn pull(number: u64, head: &str, repository: Option<&str>) -> Value {
    let repo = repository.map(|name| json!({"full_name": name}));
    json!({"number": number, "html_url": format!("https://h/acme/fleet/pull/{number}"), "head": {"ref": head, "repo": repo}})
}

fn request(number: u64, head: &str) -> PullRequest {
    PullRequest { number, url: format!("https://h/acme/fleet/pull/{number}"), head: head.to_owned() }
}

fn new() -> NewPullRequest {
    let text = |text: &str| text.to_owned();
    NewPullRequest { title: text("shop: v2"), body: text("..."), head: text("promote/shop"), base: text("main") }
}

async fn on(server: &MockServer, verb: &str, place: &str, status: u16, body: Value) {
    Mock::given(method(verb)).and(path(place)).respond_with(ResponseTemplate::new(status).set_body_json(body)).mount(server).await;
}

#[tokio::test]
async fn one_is_opened_and_its_page_is_told() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(PULLS))
        .and(body_partial_json(json!({"title": "shop: v2", "body": "...", "head": "promote/shop", "base": "main"})))
        .respond_with(ResponseTemplate::new(201).set_body_json(pull(7, "promote/shop", Some("acme/fleet"))))
        .mount(&server)
        .await;
    assert_eq!(forge(&server).open_pull_request(&new()).await.unwrap(), request(7, "promote/shop"));
}

#[tokio::test]
async fn after_a_lost_answer_it_is_looked_for_before_it_is_sent_again() {
    let server = MockServer::start().await;
    on(&server, "POST", PULLS, 502, json!({})).await;
    on(&server, "GET", PULLS, 200, json!([pull(7, "promote/shop", Some("acme/fleet"))])).await;
    assert_eq!(forge(&server).open_pull_request(&new()).await.unwrap().number, 7);
    let sent = server.received_requests().await.unwrap();
    assert_eq!(sent.iter().map(|request| request.method.to_string()).collect::<Vec<_>>(), ["POST", "GET"]);
}

#[tokio::test]
async fn one_that_is_open_already_is_found_and_any_other_refusal_is_told() {
    let refusal =
        json!({"message": "Validation Failed", "errors": [{"code": "custom", "message": "No commits between main and promote/shop"}]});
    let server = MockServer::start().await;
    on(&server, "POST", PULLS, 422, refusal.clone()).await;
    on(&server, "GET", PULLS, 200, json!([pull(3, "promote/shop", Some("Acme/Fleet"))])).await;
    assert_eq!(forge(&server).open_pull_request(&new()).await.unwrap().number, 3);

    let server = MockServer::start().await;
    on(&server, "POST", PULLS, 422, refusal).await;
    on(&server, "GET", PULLS, 200, json!([])).await;
    let error = forge(&server).open_pull_request(&new()).await.unwrap_err();
    assert!(matches!(&error, ForgeError::Invalid { message, .. } if message.contains("No commits between")), "{error:?}");
}

#[tokio::test]
async fn a_branch_of_a_fork_is_not_ours_and_all_pages_are_read() {
    let server = MockServer::start().await;
    let next = format!("<{}{PULLS}?page=2>; rel=\"next\"", server.uri());
    let first = json!([pull(9, "promote/shop", Some("mallory/fleet")), pull(8, "promote/shop", None)]);
    Mock::given(method("GET"))
        .and(path(PULLS))
        .and(query_param("page", "2"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!([pull(2, "promote/shop", Some("acme/fleet"))])))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path(PULLS))
        .and(query_param("base", "main"))
        .respond_with(ResponseTemplate::new(200).set_body_json(first).insert_header("link", next.as_str()))
        .mount(&server)
        .await;
    assert_eq!(forge(&server).open_pull_requests("main").await.unwrap(), [request(2, "promote/shop")]);
}

#[tokio::test]
async fn a_token_that_may_only_read_is_known_before_anything_is_written() {
    for (permissions, may) in [(json!({"pull": true, "push": false}), false), (json!({"push": true}), true), (Value::Null, true)] {
        let server = MockServer::start().await;
        on(&server, "GET", REPOSITORY, 200, json!({"full_name": "acme/fleet", "permissions": permissions})).await;
        assert_eq!(forge(&server).may_write().await.unwrap(), may, "{permissions}");
    }
}

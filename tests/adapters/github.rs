//! The forge adapter against an API that has GitHub's moods.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gitops_bootstrap::adapters::github::{GitHub, GitHubOptions};
use gitops_bootstrap::domain::PublicKey;
use gitops_bootstrap::ports::Forge as _;
use gitops_bootstrap::ports::forge::ForgeError;
use serde_json::{Value, json};
use tokio::time::Instant;
use wiremock::matchers::{body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const OURS: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const KEYS: &str = "/api/v3/repos/acme/fleet/keys";
const REPOSITORY: &str = "/api/v3/repos/acme/fleet";

fn ours() -> PublicKey {
    PublicKey::from_openssh(OURS).unwrap()
}

fn forge_until(server: &MockServer, deadline: Instant) -> GitHub {
    let options = GitHubOptions {
        repository: "ssh://git@127.0.0.1:2222/acme/fleet.git".parse().unwrap(),
        api: Some(format!("{}/api/v3", server.uri())),
        token: "ghp_t0ken".to_owned().into(),
        deadline,
    };
    GitHub::connect(options).unwrap()
}

fn forge(server: &MockServer) -> GitHub {
    forge_until(server, Instant::now() + Duration::from_secs(30))
}

fn repository() -> Value {
    json!({ "full_name": "acme/fleet", "default_branch": "main", "permissions": { "admin": true }, "ssh_url": "git@h:acme/fleet.git",
        "html_url": "https://h/acme/fleet" })
}

fn key(id: u64, key: &str, read_only: bool) -> Value {
    json!({ "id": id, "key": key, "title": "gitops-bootstrap", "read_only": read_only, "enabled": true })
}

fn other(n: u8) -> String {
    let blob = ssh_key::PublicKey::from(ssh_key::public::Ed25519PublicKey([n; 32]));
    blob.to_openssh().unwrap()
}

fn say(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

fn validation(message: &str) -> ResponseTemplate {
    say(
        422,
        json!({ "message": "Validation Failed", "errors": [{ "resource": "PublicKey", "code": "custom", "field": "key", "message": message }] }),
    )
}

/// Answers in turn; the last answer stays.
struct InTurn(Vec<ResponseTemplate>, AtomicUsize);

impl Respond for InTurn {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let at = self.1.fetch_add(1, Ordering::SeqCst);
        self.0[at.min(self.0.len() - 1)].clone()
    }
}

fn in_turn(answers: impl IntoIterator<Item = ResponseTemplate>) -> InTurn {
    InTurn(answers.into_iter().collect(), AtomicUsize::new(0))
}

async fn on(server: &MockServer, verb: &str, where_: &str, answers: impl IntoIterator<Item = ResponseTemplate>) {
    Mock::given(method(verb)).and(path(where_)).respond_with(in_turn(answers)).mount(server).await;
}

async fn sent(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    requests.iter().map(|request| format!("{} {}", request.method, request.url.path())).collect()
}

#[tokio::test]
async fn the_repository_is_asked_for_as_github_wants_it() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path(REPOSITORY))
        .and(header("authorization", "Bearer ghp_t0ken"))
        .and(header("x-github-api-version", "2022-11-28"))
        .and(header("accept", "application/vnd.github+json"))
        .and(header("user-agent", concat!("gitops-bootstrap/", env!("CARGO_PKG_VERSION"))))
        .respond_with(say(200, repository()).insert_header("x-oauth-scopes", "repo, admin:org"))
        .mount(&server)
        .await;
    let forge = forge(&server);
    let facts = forge.repository().await.unwrap();
    assert_eq!((facts.full_name.as_str(), facts.default_branch.as_str(), facts.may_administer), ("acme/fleet", "main", true));
    assert_eq!(facts.warnings.len(), 1, "{:?}", facts.warnings);
    assert_eq!(forge.name(), format!("{}/acme/fleet", server.address()));
}

#[tokio::test]
async fn a_branch_is_at_a_commit_and_one_that_is_not_there_at_none() {
    let server = MockServer::start().await;
    let head = "0123456789abcdef0123456789abcdef01234567";
    on(&server, "GET", REPOSITORY, [say(200, repository())]).await;
    on(&server, "GET", &format!("{REPOSITORY}/branches/main"), [say(200, json!({ "name": "main", "commit": { "sha": head } }))]).await;
    on(&server, "GET", &format!("{REPOSITORY}/branches/feature%2Fone"), [say(200, json!({ "commit": { "sha": head } }))]).await;
    on(&server, "GET", &format!("{REPOSITORY}/branches/gone"), [say(404, json!({ "message": "Branch not found" }))]).await;
    let to = format!("{REPOSITORY}/branches/main");
    on(&server, "GET", &format!("{REPOSITORY}/branches/master"), [ResponseTemplate::new(301).insert_header("location", to)]).await;
    on(&server, "GET", &format!("{REPOSITORY}/branches/odd"), [say(200, json!({ "commit": { "sha": "main" } }))]).await;
    let forge = forge(&server);
    for there in ["main", "feature/one"] {
        assert_eq!(forge.branch_head(there).await.unwrap().unwrap().as_str(), head, "{there}");
    }
    for absent in ["gone", "master"] {
        assert_eq!(forge.branch_head(absent).await, Ok(None), "{absent}");
    }
    assert!(matches!(forge.branch_head("odd").await, Err(ForgeError::Transient { .. })));
}

#[tokio::test]
async fn a_branch_that_the_token_may_not_read_is_not_taken_for_absent() {
    let server = MockServer::start().await;
    let refused = say(403, json!({ "message": "Resource not accessible by personal access token" }));
    on(&server, "GET", &format!("{REPOSITORY}/branches/main"), [refused]).await;
    assert!(matches!(forge(&server).branch_head("main").await, Err(ForgeError::Forbidden { .. })));

    let nothing = MockServer::start().await;
    assert_eq!(forge(&nothing).branch_head("main").await, Err(ForgeError::NotFound("acme/fleet".to_owned())));
}

#[tokio::test]
async fn a_key_is_registered_for_reading_only() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(KEYS))
        .and(body_json(json!({ "title": "staging", "key": OURS, "read_only": true })))
        .respond_with(say(201, key(7, &format!("{OURS} comment"), true)))
        .mount(&server)
        .await;
    let registered = forge(&server).register_key("staging", &ours()).await.unwrap();
    assert_eq!((registered.id, registered.key, registered.read_only), (7, ours(), true));
    assert_eq!(sent(&server).await, [format!("POST {KEYS}")]);
}

/// H01 and H11.
#[tokio::test]
async fn after_a_lost_answer_the_key_is_looked_for_before_it_is_sent_again() {
    let server = MockServer::start().await;
    on(&server, "POST", KEYS, [ResponseTemplate::new(502)]).await;
    on(&server, "GET", KEYS, [say(200, json!([key(7, OURS, true)]))]).await;
    assert_eq!(forge(&server).register_key("t", &ours()).await.unwrap().id, 7);
    assert_eq!(sent(&server).await, [format!("POST {KEYS}"), format!("GET {KEYS}")]);

    let server = MockServer::start().await;
    on(&server, "POST", KEYS, [ResponseTemplate::new(503), say(201, key(8, OURS, true))]).await;
    on(&server, "GET", KEYS, [say(200, json!([]))]).await;
    assert_eq!(forge(&server).register_key("t", &ours()).await.unwrap().id, 8);
    assert_eq!(sent(&server).await, [format!("POST {KEYS}"), format!("GET {KEYS}"), format!("POST {KEYS}")]);
}

/// H01.
#[tokio::test]
async fn a_key_in_use_here_is_ours_already() {
    let server = MockServer::start().await;
    on(&server, "POST", KEYS, [validation("key is already in use")]).await;
    on(&server, "GET", KEYS, [say(200, json!([key(1, &other(1), true), key(7, OURS, true)]))]).await;
    assert_eq!(forge(&server).register_key("t", &ours()).await.unwrap().id, 7);
}

/// H02, H03, H04.
#[tokio::test]
async fn the_meanings_of_422_are_told_apart() {
    let refused = async |message: &str| {
        let server = MockServer::start().await;
        on(&server, "POST", KEYS, [validation(message)]).await;
        on(&server, "GET", KEYS, [say(200, json!([key(1, &other(1), true)]))]).await;
        let error = forge(&server).register_key("t", &ours()).await.unwrap_err();
        (error, sent(&server).await.iter().filter(|request| request.starts_with("POST")).count())
    };
    assert_eq!(refused("key is already in use").await, (ForgeError::KeyInUse, 1));
    let disabled = ForgeError::DeployKeysDisabled("acme/fleet".to_owned());
    assert_eq!(refused("Deploy keys are disabled for this repository").await, (disabled, 1));
    let (invalid, times) = refused("key is invalid. You must supply a key in OpenSSH public key format").await;
    assert!(matches!(&invalid, ForgeError::Invalid { message, .. } if message.contains("key is invalid")), "{invalid}");
    assert_eq!(times, 1);
}

/// H05.
#[tokio::test]
async fn a_token_that_is_not_accepted_is_sent_once() {
    let server = MockServer::start().await;
    on(&server, "GET", REPOSITORY, [say(401, json!({ "message": "Bad credentials" }))]).await;
    let error = forge(&server).repository().await.unwrap_err();
    assert_eq!(error, ForgeError::Unauthorized { forge: server.address().to_string() });
    assert_eq!(sent(&server).await.len(), 1);
}

/// H06.
#[tokio::test]
async fn a_missing_right_is_told_from_a_missing_repository() {
    let server = MockServer::start().await;
    on(&server, "GET", REPOSITORY, [say(200, repository())]).await;
    let error = forge(&server).deploy_keys().await.unwrap_err();
    assert!(matches!(&error, ForgeError::Forbidden { needed: Some(needed), .. } if needed == "administration=read"), "{error}");
    let error = forge(&server).register_key("t", &ours()).await.unwrap_err();
    assert!(matches!(&error, ForgeError::Forbidden { needed: Some(needed), .. } if needed == "administration=write"), "{error}");

    let nothing = MockServer::start().await;
    assert_eq!(forge(&nothing).deploy_keys().await, Err(ForgeError::NotFound("acme/fleet".to_owned())));
}

#[tokio::test]
async fn a_fine_grained_token_hears_which_permission_it_lacks() {
    let server = MockServer::start().await;
    let refused = say(403, json!({ "message": "Resource not accessible by personal access token" }));
    on(&server, "POST", KEYS, [refused.insert_header("x-accepted-github-permissions", "administration=write")]).await;
    let error = forge(&server).register_key("t", &ours()).await.unwrap_err();
    assert!(matches!(&error, ForgeError::Forbidden { needed: Some(needed), .. } if needed == "administration=write"), "{error}");
}

/// H07.
#[tokio::test]
async fn single_sign_on_is_told_and_a_foreign_page_is_not_repeated() {
    let server = MockServer::start().await;
    let refused = ResponseTemplate::new(403).insert_header("X-GitHub-SSO", "required; url=https://evil.test/orgs/acme/sso");
    on(&server, "GET", REPOSITORY, [refused]).await;
    let error = forge(&server).repository().await.unwrap_err();
    assert_eq!(error, ForgeError::SingleSignOn { forge: server.address().to_string(), url: None });
    assert_eq!(sent(&server).await.len(), 1);
}

/// H08.
#[tokio::test]
async fn a_limit_is_obeyed_for_reads_and_for_changes() {
    let server = MockServer::start().await;
    let limited = |status| ResponseTemplate::new(status).insert_header("retry-after", "1");
    on(&server, "GET", REPOSITORY, [limited(429), say(200, repository())]).await;
    on(&server, "POST", KEYS, [limited(403), say(201, key(7, OURS, true))]).await;
    let forge = forge(&server);
    let begun = Instant::now();
    forge.repository().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    forge.register_key("t", &ours()).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    let expected = [format!("GET {REPOSITORY}"), format!("GET {REPOSITORY}"), format!("POST {KEYS}"), format!("POST {KEYS}")];
    assert_eq!(sent(&server).await, expected);
}

/// H09.
#[tokio::test]
async fn a_limit_beyond_the_deadline_is_told_at_once_with_its_end() {
    let server = MockServer::start().await;
    let limited = ResponseTemplate::new(403)
        .insert_header("date", "Sat, 21 Nov 2020 11:00:00 GMT")
        .insert_header("x-ratelimit-remaining", "0")
        .insert_header("x-ratelimit-reset", "1605958800");
    on(&server, "GET", REPOSITORY, [limited]).await;
    let begun = Instant::now();
    let error = forge(&server).repository().await.unwrap_err();
    assert_eq!(error, ForgeError::RateLimited { forge: server.address().to_string(), until: "2020-11-21T11:40:00Z".to_owned() });
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(sent(&server).await.len(), 1);
}

/// H11.
#[tokio::test]
async fn a_read_is_sent_again_after_passing_faults() {
    let server = MockServer::start().await;
    on(&server, "GET", REPOSITORY, [ResponseTemplate::new(502), ResponseTemplate::new(503), say(200, repository())]).await;
    forge(&server).repository().await.unwrap();
    assert_eq!(sent(&server).await.len(), 3);
}

/// H12.
#[tokio::test]
async fn a_renamed_repository_is_named_and_no_change_follows_it() {
    let server = MockServer::start().await;
    let moved = |to: &str| ResponseTemplate::new(301).insert_header("location", format!("{}{to}", server.uri()));
    on(&server, "GET", REPOSITORY, [moved("/api/v3/repositories/42")]).await;
    on(&server, "POST", KEYS, [moved("/api/v3/repositories/42/keys")]).await;
    let mut renamed = repository();
    renamed["full_name"] = json!("acme/new-name");
    on(&server, "GET", "/api/v3/repositories/42", [say(200, renamed)]).await;
    on(&server, "GET", "/api/v3/repositories/42/keys", [say(200, json!([]))]).await;
    let expected = ForgeError::Renamed { from: "acme/fleet".to_owned(), to: "acme/new-name".to_owned() };
    assert_eq!(forge(&server).repository().await, Err(expected.clone()));
    assert_eq!(forge(&server).register_key("t", &ours()).await, Err(expected));
    let posts = sent(&server).await.iter().filter(|request| request.starts_with("POST")).count();
    assert_eq!(posts, 1);
}

/// H12.
#[tokio::test]
async fn the_token_follows_nobody_to_another_host() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let away = ResponseTemplate::new(307).insert_header("location", format!("{}/api/v3/repos/acme/fleet", elsewhere.uri()));
    on(&server, "GET", REPOSITORY, [away.clone()]).await;
    on(&server, "POST", KEYS, [away]).await;
    let link = format!("<{}/keys?page=2>; rel=\"next\"", elsewhere.uri());
    on(&server, "GET", KEYS, [say(200, json!([])).insert_header("link", link.as_str())]).await;
    let forge = forge(&server);
    assert!(matches!(forge.repository().await, Err(ForgeError::Untrusted { .. })));
    assert!(matches!(forge.register_key("t", &ours()).await, Err(ForgeError::Untrusted { .. })));
    assert!(matches!(forge.deploy_keys().await, Err(ForgeError::Transient { .. })));
    assert_eq!(elsewhere.received_requests().await.unwrap().len(), 0);
}

/// H13.
#[tokio::test]
async fn all_pages_are_read_and_a_key_that_moved_between_them_counts_once() {
    let server = MockServer::start().await;
    let page = |number: u32, next: bool, keys: Value| {
        let answer = say(200, keys);
        let link = format!("<{}{KEYS}?per_page=100&page={}>; rel=\"next\"", server.uri(), number + 1);
        if next { answer.insert_header("link", link.as_str()) } else { answer }
    };
    Mock::given(query_param("page", "2"))
        .respond_with(page(2, true, json!([key(2, &other(2), true), key(1, &other(1), true)])))
        .mount(&server)
        .await;
    Mock::given(query_param("page", "3")).respond_with(page(3, false, json!([key(3, OURS, true)]))).mount(&server).await;
    Mock::given(query_param("per_page", "100")).respond_with(page(1, true, json!([key(1, &other(1), true)]))).mount(&server).await;
    let ids: Vec<_> = forge(&server).deploy_keys().await.unwrap().iter().map(|key| key.id).collect();
    assert_eq!(ids, [1, 2, 3]);
}

/// H15, H17.
#[tokio::test]
async fn a_key_that_may_write_or_is_disabled_is_shown_as_such() {
    let server = MockServer::start().await;
    let mut disabled = key(2, &other(2), true);
    disabled["enabled"] = json!(false);
    on(&server, "GET", KEYS, [say(200, json!([key(1, OURS, false), disabled]))]).await;
    let keys = forge(&server).deploy_keys().await.unwrap();
    assert_eq!((keys[0].read_only, keys[0].enabled, keys[1].enabled), (false, true, false));
}

#[tokio::test]
async fn a_key_that_is_gone_already_is_removed() {
    let server = MockServer::start().await;
    on(&server, "DELETE", &format!("{KEYS}/7"), [ResponseTemplate::new(204)]).await;
    on(&server, "GET", KEYS, [say(200, json!([key(9, OURS, true)]))]).await;
    on(&server, "GET", REPOSITORY, [say(200, repository())]).await;
    let forge = forge(&server);
    forge.delete_key(7).await.unwrap();
    forge.delete_key(8).await.unwrap();
    let still_there = forge.delete_key(9).await.unwrap_err();
    assert!(matches!(still_there, ForgeError::Forbidden { .. }), "{still_there}");
}

/// H18.
#[tokio::test]
async fn what_github_does_not_answer_is_a_fault_with_its_status_and_never_too_much() {
    for body in ["<html>proxy</html>".to_owned(), "{}".to_owned(), String::new(), "x".repeat((5 << 20) + 1)] {
        let server = MockServer::start().await;
        on(&server, "GET", REPOSITORY, [ResponseTemplate::new(200).set_body_string(body)]).await;
        let error = forge(&server).repository().await.unwrap_err();
        assert!(matches!(&error, ForgeError::Transient { message, .. } if message.contains("200")), "{error}");
        assert!(!error.to_string().contains("proxy"), "{error}");
    }
}

#[tokio::test]
async fn requests_go_one_at_a_time_and_changes_a_second_apart() {
    let server = MockServer::start().await;
    on(&server, "POST", KEYS, [say(201, key(7, OURS, true))]).await;
    let forge = Arc::new(forge(&server));
    let begun = Instant::now();
    let (one, two) = (ours(), ours());
    let (first, second) = tokio::join!(forge.register_key("a", &one), forge.register_key("b", &two));
    first.unwrap();
    second.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_forge_that_never_answers_is_left_at_the_deadline() {
    let server = MockServer::start().await;
    on(&server, "GET", REPOSITORY, [say(200, repository()).set_delay(Duration::from_secs(600))]).await;
    let begun = Instant::now();
    let error = forge_until(&server, begun + Duration::from_millis(300)).repository().await.unwrap_err();
    assert!(matches!(error, ForgeError::Transient { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_repository_is_created_private_and_empty_where_it_belongs() {
    for (login, where_) in [("Acme", "/api/v3/user/repos"), ("somebody", "/api/v3/orgs/acme/repos")] {
        let server = MockServer::start().await;
        on(&server, "GET", "/api/v3/user", [say(200, json!({ "login": login }))]).await;
        Mock::given(method("POST"))
            .and(path(where_))
            .and(body_json(json!({ "name": "fleet", "private": true, "auto_init": false })))
            .respond_with(say(201, repository()))
            .mount(&server)
            .await;
        assert_eq!(forge(&server).create_repository().await.unwrap().full_name, "acme/fleet");
    }
    let server = MockServer::start().await;
    on(&server, "GET", "/api/v3/user", [say(200, json!({ "login": "somebody" }))]).await;
    let error = forge(&server).create_repository().await.unwrap_err();
    assert!(matches!(&error, ForgeError::NoOwner { owner, .. } if owner == "acme"), "{error}");

    let server = MockServer::start().await;
    on(&server, "GET", REPOSITORY, [say(200, repository())]).await;
    assert_eq!(forge(&server).create_repository().await, Err(ForgeError::RepositoryExists("acme/fleet".to_owned())));
    assert_eq!(sent(&server).await, [format!("GET {REPOSITORY}")]);
}

//! A GitHub App as itself, against an API that has GitHub's moods.

use std::num::NonZeroU64;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gitops_bootstrap::adapters::github::{GitHubAppTokens, app_api, check_app_key};
use gitops_bootstrap::domain::{GitHubApp, RepositoryUrl};
use gitops_bootstrap::ports::AppTokens as _;
use gitops_bootstrap::ports::forge::ForgeError;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::Instant;
use wiremock::matchers::{body_partial_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const TOKENS: &str = "/api/v3/app/installations/34/access_tokens";

/// A private key as GitHub gives it, or in another form of OpenSSH's.
#[expect(clippy::disallowed_methods, reason = "the program is found by the PATH")]
fn key(kind: &str, bits: &str, format: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-b", bits, "-m", format, "-N", "", "-f"]).arg(&file).status().unwrap();
    assert!(made.success());
    std::fs::read_to_string(file).unwrap()
}

fn app(private_key: &str) -> GitHubApp {
    let number = |number| NonZeroU64::new(number).unwrap();
    GitHubApp { id: number(12), installation: number(34), private_key: private_key.into(), api: None }
}

fn repository() -> RepositoryUrl {
    "https://git.acme.test/acme/fleet.git".parse().unwrap()
}

fn tokens(server: &MockServer) -> GitHubAppTokens {
    GitHubAppTokens { api: Some(format!("{}/api/v3", server.uri())), deadline: Instant::now() + Duration::from_secs(30) }
}

async fn answer(server: &MockServer, verb: &str, where_: &str, answer: ResponseTemplate) {
    Mock::given(method(verb)).and(path(where_)).respond_with(answer).up_to_n_times(1).mount(server).await;
}

fn say(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

#[tokio::test]
async fn a_token_is_asked_for_with_a_signature_and_for_one_repository_alone() {
    let server = MockServer::start().await;
    let body = json!({"repositories": ["fleet"], "permissions": {"contents": "read"}});
    Mock::given(method("POST"))
        .and(path(TOKENS))
        .and(body_partial_json(body))
        .respond_with(say(201, json!({"token": "ghs_x", "expires_at": "2030-01-01T00:00:00Z"})))
        .mount(&server)
        .await;
    let pem = key("rsa", "2048", "PEM");
    let token = tokens(&server).token(&app(&pem), &repository()).await.unwrap();
    assert_eq!(token.expose_secret(), "ghs_x");

    let request = &server.received_requests().await.unwrap()[0];
    let assertion = request.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let parts: Vec<Value> = signed.split('.').map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()).collect();
    assert_eq!((&parts[0]["alg"], &parts[1]["iss"]), (&json!("RS256"), &json!("12")));
    let times = ["iat", "exp"].map(|name| parts[1][name].as_i64().unwrap());
    let now = jiff::Timestamp::now().as_second();
    assert!(times[0] < now && times[1] > now + 300 && times[1] - times[0] <= 600, "{times:?} at {now}");
    let pair = PrivatePkcs1KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let pair = RsaKeyPair::from_der(pair.secret_pkcs1_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref());
    public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again_and_a_refusal_is_not() {
    let server = MockServer::start().await;
    answer(&server, "POST", TOKENS, say(502, json!({}))).await;
    answer(&server, "POST", TOKENS, say(201, json!({"token": "ghs_x"}))).await;
    let pem = key("rsa", "2048", "PEM");
    assert_eq!(tokens(&server).token(&app(&pem), &repository()).await.unwrap().expose_secret(), "ghs_x");

    for (status, words) in [(401, "clock"), (404, "does not see"), (422, "does not see")] {
        let server = MockServer::start().await;
        answer(&server, "POST", TOKENS, say(status, json!({"message": "no"}))).await;
        let refused = tokens(&server).token(&app(&pem), &repository()).await.unwrap_err();
        assert!(matches!(&refused, ForgeError::AppRefused { message, .. } if message.contains(words)), "{status}: {refused}");
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn the_installation_is_found_by_the_repository() {
    let server = MockServer::start().await;
    let where_ = "/api/v3/repos/acme/fleet/installation";
    answer(&server, "GET", where_, say(200, json!({"id": 34, "app_id": 12}))).await;
    answer(&server, "GET", where_, say(404, json!({"message": "Not Found"}))).await;
    let app = app(&key("rsa", "2048", "PEM"));
    let tokens = tokens(&server);
    assert_eq!(tokens.installation(app.id, &app.private_key, &repository()).await.unwrap().get(), 34);
    let refused = tokens.installation(app.id, &app.private_key, &repository()).await.unwrap_err();
    assert!(refused.to_string().contains("not installed on acme/fleet"), "{refused}");
}

#[test]
fn a_private_key_is_rsa_in_pem_in_either_form_and_no_other_text_is_one() {
    for format in ["PEM", "PKCS8"] {
        check_app_key(&key("rsa", "2048", format).into()).unwrap();
    }
    for wrong in [key("rsa", "1024", "PEM"), key("ecdsa", "256", "PEM"), key("rsa", "2048", "RFC4716"), "hunter2".to_owned(), String::new()]
    {
        let refused = check_app_key(&wrong.as_str().into()).unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}

#[test]
fn argo_cd_is_told_of_an_api_that_is_not_githubs_own() {
    let api = |url: &str, given| app_api(&url.parse().unwrap(), given).unwrap();
    assert_eq!(api("https://github.com/a/b.git", None), None);
    assert_eq!(api("https://acme.ghe.com/a/b.git", None).as_deref(), Some("https://api.acme.ghe.com"));
    assert_eq!(api("https://git.acme.test/a/b.git", None).as_deref(), Some("https://git.acme.test/api/v3"));
    assert_eq!(api("https://git.acme.test/a/b.git", Some("https://api.acme.test/v3/")).as_deref(), Some("https://api.acme.test/v3"));
}

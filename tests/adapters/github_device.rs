//! The login with a browser, against a forge that answers as GitHub does.

use std::time::Duration;

use gitops_bootstrap::adapters::github::DeviceFlow;
use gitops_bootstrap::ports::forge::ForgeError;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::Instant;
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const CODE: &str = "/login/device/code";
const TOKEN: &str = "/login/oauth/access_token";

async fn begin(server: &MockServer) -> Result<DeviceFlow, ForgeError> {
    let repository = "ssh://git@127.0.0.1:2222/acme/fleet.git".parse().unwrap();
    DeviceFlow::begin(&repository, Some(&format!("{}/api/v3", server.uri())), "Iv23liAbCdEf").await
}

/// A forge that gives a code, to be typed in at `page` and asked about every second, and then says each of `answers` once.
async fn forge(page: Option<&str>, answers: &[(u16, Value)]) -> MockServer {
    let server = MockServer::start().await;
    let page = page.map_or_else(|| format!("{}/login/device", server.uri()), str::to_owned);
    let codes = json!({"device_code": "3584d83530557fdd1f46af8289938c8ef79f9dc5", "user_code": "WDJB-MJHT", "verification_uri": page,
        "expires_in": 900, "interval": 1});
    Mock::given(method("POST"))
        .and(path(CODE))
        .and(header("accept", "application/json"))
        .and(body_string_contains("client_id=Iv23liAbCdEf"))
        .and(body_string_contains("scope=repo"))
        .respond_with(ResponseTemplate::new(200).set_body_json(codes))
        .mount(&server)
        .await;
    for (status, answer) in answers {
        Mock::given(method("POST"))
            .and(path(TOKEN))
            .and(body_string_contains("device_code=3584d83530557fdd1f46af8289938c8ef79f9dc5"))
            .and(body_string_contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"))
            .respond_with(ResponseTemplate::new(*status).set_body_json(answer))
            .up_to_n_times(1)
            .mount(&server)
            .await;
    }
    server
}

fn error(text: &str) -> (u16, Value) {
    (200, json!({"error": text, "error_description": "words"}))
}

async fn ended(answers: &[(u16, Value)]) -> Result<Option<String>, ForgeError> {
    let server = forge(None, answers).await;
    let flow = begin(&server).await.unwrap();
    flow.token().await.map(|token| token.map(|token| token.expose_secret().to_owned()))
}

#[tokio::test]
async fn a_person_logs_in_while_the_forge_is_asked_by_its_interval() {
    let slower = (200, json!({"error": "slow_down", "interval": 2}));
    let answers =
        [error("authorization_pending"), slower, (502, json!({})), (200, json!({"access_token": "gho_x", "token_type": "bearer"}))];
    let server = forge(None, &answers).await;
    let flow = begin(&server).await.unwrap();
    assert_eq!((flow.user_code.as_str(), flow.page), ("WDJB-MJHT", format!("{}/login/device", server.uri())));
    let flow = begin(&server).await.unwrap();
    let begun = Instant::now();
    assert_eq!(flow.token().await.unwrap().unwrap().expose_secret(), "gho_x");
    assert!(begun.elapsed() >= Duration::from_secs(6), "twice after one second, then after two: {:?}", begun.elapsed());
}

#[tokio::test]
async fn who_declines_or_is_too_late_gets_no_token_and_an_odd_answer_is_an_error() {
    for end in ["access_denied", "expired_token"] {
        assert_eq!(ended(&[error(end)]).await, Ok(None), "{end}");
    }
    assert!(matches!(ended(&[error("incorrect_client_credentials")]).await, Err(ForgeError::Invalid { .. })));
}

#[tokio::test]
async fn an_app_that_is_not_known_is_named_and_nobody_is_sent_to_another_host() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(CODE))
        .respond_with(ResponseTemplate::new(404).set_body_json(json!({"error": "Not Found"})))
        .mount(&server)
        .await;
    let refused = begin(&server).await.err().unwrap();
    assert!(refused.to_string().contains("Iv23liAbCdEf"), "{refused}");

    let server = forge(Some("https://evil.test/login/device"), &[]).await;
    assert!(matches!(begin(&server).await.err().unwrap(), ForgeError::Untrusted { .. }));
}

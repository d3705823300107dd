//! Runs the program that a kubeconfig names for credentials
//! (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>).
//!
//! The `kube` crate would run it with our terminal, without a limit of time, and would print its output and its environment in errors.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use crate::adapters::process::{ProcessError, Program, TOKEN_VARIABLES};
use crate::event::Events;
use crate::ports::cluster::ClusterError;

/// How long a plugin may take; long enough for a login in the browser.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What a plugin answers, as far as it is used.
#[derive(Deserialize)]
struct Answer {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Runs the plugin and adds its credentials to `user`; returns until when they are good, if it says so. What the plugin writes to its
/// standard error, such as where to log in, goes to `events`.
pub(super) async fn add_credentials(
    plugin: &ExecConfig,
    environment: &BTreeMap<String, String>,
    events: Option<&Events>,
    user: &mut AuthInfo,
) -> Result<Option<Timestamp>, ClusterError> {
    let command = plugin.command.clone().ok_or_else(|| fault("the kubeconfig names an exec plugin without a command"))?;
    if plugin.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(fault(&format!(
            "`{command}` of the kubeconfig has to be run on a terminal: run `kubectl version` once, then this again"
        )));
    }
    let request = json!({
        "apiVersion": plugin.api_version,
        "kind": "ExecCredential",
        "spec": { "interactive": false, "cluster": plugin.cluster },
    });
    let own = plugin.env.iter().flatten().filter_map(|entry| Some((entry.get("name")?, entry.get("value")?)));
    let program = Program::new(&command)
        .envs(environment.iter().filter(|(name, _)| !TOKEN_VARIABLES.contains(&name.as_str())))
        .envs(own)
        .env("KUBERNETES_EXEC_INFO", request.to_string())
        .args(plugin.args.iter().flatten())
        .within(TIME_LIMIT)
        .on_error_line(|line| {
            if let Some(events) = events {
                events.warn(format!("{command}: {line}"), None);
            }
        });
    let output = program.run().await.map_err(|error| match error {
        ProcessError::NotFound(_) => {
            let hint = plugin.install_hint.as_deref().map(|hint| format!(": {hint}")).unwrap_or_default();
            fault(&format!("the kubeconfig needs `{command}`, which is not installed{hint}"))
        }
        other => fault(&format!("the kubeconfig's plugin: {other}")),
    })?;
    if !output.is_success() {
        let last = output.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(fault(&format!("`{command}` of the kubeconfig gave no credentials: {last}")));
    }
    take_answer(&output.stdout, user)
        .ok_or_else(|| fault(&format!("`{command}` of the kubeconfig answered no credentials that are understood")))
}

/// Adds what a plugin answered to `user`; none if the answer is not understood.
fn take_answer(answer: &[u8], user: &mut AuthInfo) -> Option<Option<Timestamp>> {
    // Plugins may answer in YAML too, of which JSON is a part.
    let answer: Answer = serde_saphyr::from_slice(answer).ok()?;
    let status = answer.status?;
    let expires = match status.expiration_timestamp {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    if let (Some(certificate), Some(key)) = (&status.client_certificate_data, &status.client_key_data) {
        user.client_certificate_data = Some(base64(certificate)?);
        user.client_key_data = Some(base64(key)?.into());
    } else if status.token.is_none() {
        return None;
    }
    user.token = status.token.map(SecretString::from);
    Some(expires)
}

/// Base64, as kubeconfigs and Secrets hold bytes.
fn base64(text: &str) -> Option<String> {
    match serde_json::to_value(ByteString(text.as_bytes().to_vec())) {
        Ok(serde_json::Value::String(encoded)) => Some(encoded),
        _ => None,
    }
}

fn fault(message: &str) -> ClusterError {
    ClusterError::Kubeconfig(message.to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn plugin(script: &str) -> ExecConfig {
        ExecConfig {
            command: Some("sh".to_owned()),
            args: Some(vec!["-c".to_owned(), script.to_owned()]),
            ..serde_json::from_value(json!({ "apiVersion": "client.authentication.k8s.io/v1", "command": "sh" })).unwrap()
        }
    }

    #[tokio::test]
    async fn a_token_and_its_end_are_taken() {
        let script = r#"echo '{"kind":"ExecCredential","status":{"token":"t0ken","expirationTimestamp":"2030-01-01T00:00:00Z"}}'"#;
        let mut user = AuthInfo::default();
        let expires = add_credentials(&plugin(script), &BTreeMap::new(), None, &mut user).await.unwrap();
        assert_eq!(user.token.unwrap().expose_secret(), "t0ken");
        assert_eq!(expires, Some("2030-01-01T00:00:00Z".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_plugin_sees_the_persons_environment_but_not_the_forges_token() {
        let script = r#"echo "status: {token: \"$AWS_PROFILE/$GITHUB_TOKEN/\"}""#;
        let environment = [("AWS_PROFILE", "work"), ("GITHUB_TOKEN", "ghp_secret")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut user = AuthInfo::default();
        add_credentials(&plugin(script), &environment, None, &mut user).await.unwrap();
        assert_eq!(user.token.unwrap().expose_secret(), "work//");
    }

    #[tokio::test]
    async fn a_plugin_that_fails_is_quoted_by_its_last_line_and_never_by_its_output() {
        let script = "echo secret-output; echo 'log in first' >&2; exit 1";
        let error = add_credentials(&plugin(script), &BTreeMap::new(), None, &mut AuthInfo::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "`sh` of the kubeconfig gave no credentials: log in first");
    }

    #[tokio::test]
    async fn rubbish_is_no_credential() {
        for answer in ["", "hello", "{}", r#"{"status":{}}"#, r#"{"status":{"token":"x","expirationTimestamp":"soon"}}"#] {
            let script = format!("echo '{answer}'");
            assert!(add_credentials(&plugin(&script), &BTreeMap::new(), None, &mut AuthInfo::default()).await.is_err(), "{answer}");
        }
    }
}

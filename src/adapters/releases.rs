//! Fetching Argo CD's install manifest from its release.

use std::time::Duration;

use crate::domain::declaration::Flavour;
use crate::error::{Failure, Kind, Result};

/// Where the files of a release are.
pub const ADDRESS: &str = "https://raw.githubusercontent.com/argoproj/argo-cd";

/// How long a download may take, and how large it may be: the manifest has 2 MB.
const LONGEST: Duration = Duration::from_secs(60);
const LARGEST: usize = 32 * 1024 * 1024;

/// Fetches a release's manifest from `address`, to the byte.
pub async fn manifest(address: &str, version: &str, flavour: Flavour) -> Result<Vec<u8>> {
    let url = format!("{address}/{version}/{}", flavour.manifest());
    // Another part of the program may have chosen it before; then it is chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let failed = |what: &str| {
        Failure::new(Kind::Transient, format!("Argo CD's manifest cannot be fetched from {url}"))
            .because(what)
            .hint("to take it from the sandbox's engine instead, without a network: `gitops-bootstrap new --offline`")
    };
    let fetch = async {
        let client = reqwest::Client::builder()
            .user_agent(concat!("gitops-bootstrap/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| failed(&innermost(&error)))?;
        let mut response = client.get(&url).send().await.map_err(|error| failed(&innermost(&error)))?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Err(Failure::usage(format!("there is no release {version} of Argo CD"))
                .because(format!("{url} is not there"))
                .hint("see https://github.com/argoproj/argo-cd/releases, and name one with `--argocd-version`"));
        }
        if !response.status().is_success() {
            return Err(failed(&format!("the server answered {}", response.status())));
        }
        let mut content = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&innermost(&error)))? {
            if content.len() + chunk.len() > LARGEST {
                return Err(failed(&format!("the answer has more than {LARGEST} bytes")));
            }
            content.extend_from_slice(&chunk);
        }
        Ok(content)
    };
    tokio::time::timeout(LONGEST, fetch).await.unwrap_or_else(|_| Err(failed("no whole answer within a minute")))
}

/// The cause that says something: the outer ones only repeat the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    #[tokio::test]
    async fn the_manifest_comes_from_the_release_and_a_missing_release_is_named() {
        let server = MockServer::start().await;
        let manifest_of_ha = Mock::given(path("/v3.5.7/manifests/ha/install.yaml"));
        manifest_of_ha.respond_with(ResponseTemplate::new(200).set_body_string("kind: A\n")).mount(&server).await;
        assert_eq!(manifest(&server.uri(), "v3.5.7", Flavour::HighAvailability).await.unwrap(), b"kind: A\n");
        let failure = manifest(&server.uri(), "v9.9.9", Flavour::Standard).await.unwrap_err();
        assert_eq!((failure.kind, failure.message.as_ref()), (Kind::Usage, "there is no release v9.9.9 of Argo CD"));
    }

    #[tokio::test]
    async fn a_server_that_fails_or_sends_elsewhere_is_not_believed() {
        let server = MockServer::start().await;
        Mock::given(path("/v1.0.0/manifests/install.yaml")).respond_with(ResponseTemplate::new(503)).mount(&server).await;
        let elsewhere = ResponseTemplate::new(302).insert_header("location", "https://example.invalid/");
        Mock::given(path("/v2.0.0/manifests/install.yaml")).respond_with(elsewhere).mount(&server).await;
        for version in ["v1.0.0", "v2.0.0"] {
            assert_eq!(manifest(&server.uri(), version, Flavour::Standard).await.unwrap_err().kind, Kind::Transient, "{version}");
        }
    }
}

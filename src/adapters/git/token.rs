//! An HTTPS connection with one token, which `git` asks for over a socket, so that it is neither on a command line, nor in an environment, nor in a file.
//!
//! `git` brings the other half: its credential helper `cache` asks a daemon over a Unix socket (git-credential-cache(1), builtin/credential-cache.c).
//! Here that daemon is this process, which answers for one host and keeps nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use super::ssh::{outside_of_clones, private_folder};
use crate::adapters::process::Program;
use crate::domain::RepositoryUrl;
use crate::ports::git::GitError;

/// The name of the socket in its folder.
const SOCKET: &str = "credential";

/// The longest question that is taken.
const LONGEST: u64 = 16 * 1024;

/// The name that goes with the token of a GitHub App's installation (docs.github.com, "Authenticating as a GitHub App installation").
const USER: &str = "x-access-token";

/// The variables of a person's environment that say how https addresses are reached, and whose certificates are trusted.
const PASSED_ON: [&str; 11] = [
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// A folder that only we can enter, with the socket. Gone when it is dropped.
pub(super) struct TokenOnly {
    folder: TempDir,
    listening: JoinHandle<()>,
}

/// What is answered, and to which question.
struct Answer {
    protocol: &'static str,
    /// The host as `git` names it: with the port, if there is one.
    host: String,
    token: SecretString,
}

impl TokenOnly {
    /// Prepares a connection to the server of `url` with `token`.
    pub(super) fn prepare(url: &RepositoryUrl, token: &SecretString) -> Result<Self, GitError> {
        let protocol = protocol(url);
        let host = url.port().map_or_else(|| url.host().to_owned(), |port| format!("{}:{port}", url.host()));
        let answer = Answer { protocol, host, token: token.clone() };
        let folder = private_folder()?;
        let listener = UnixListener::bind(folder.path().join(SOCKET))
            .map_err(|error| GitError::Other(format!("no socket for the token in {}: {error}", folder.path().display())))?;
        Ok(Self { folder, listening: tokio::spawn(listen(listener, Arc::new(answer))) })
    }

    /// The folder that `git` has to run in.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What `git` has to be told. A redirect to another server is not followed.
    pub(super) fn settings(url: &RepositoryUrl) -> Vec<(String, String)> {
        [
            (format!("protocol.{}.allow", protocol(url)), "always".to_owned()),
            ("credential.helper".to_owned(), format!("cache --socket={SOCKET}")),
            ("http.followRedirects".to_owned(), "false".to_owned()),
        ]
        .into()
    }

    /// Lets `git` reach the server as `environment` says.
    pub(super) fn applied_to<'a>(&self, program: Program<'a>, environment: &BTreeMap<String, String>) -> Program<'a> {
        let passed_on = PASSED_ON.iter().filter_map(|name| Some((*name, environment.get(*name)?)));
        outside_of_clones(program.envs(passed_on).env("HOME", self.folder()), self.folder())
    }
}

impl Drop for TokenOnly {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// The protocol as `git` names it.
fn protocol(url: &RepositoryUrl) -> &'static str {
    if url.as_str().to_ascii_lowercase().starts_with("http://") { "http" } else { "https" }
}

async fn listen(listener: UnixListener, answer: Arc<Answer>) {
    // Dropped with this task, which ends the connections and wipes the token.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let answer = answer.clone();
        connections.spawn(async move { serve(stream, &answer).await });
    }
}

async fn serve(mut stream: UnixStream, answer: &Answer) -> std::io::Result<()> {
    let mut question = Vec::new();
    (&mut stream).take(LONGEST).read_to_end(&mut question).await?;
    if answer.is_asked_for(&String::from_utf8_lossy(&question)) {
        let said = zeroize::Zeroizing::new(format!("username={USER}\npassword={}\n", answer.token.expose_secret()));
        stream.write_all(said.as_bytes()).await?;
    }
    Ok(())
}

impl Answer {
    /// Whether a question is for this token: `git` also tells helpers what to keep and what to forget.
    fn is_asked_for(&self, question: &str) -> bool {
        let says = |wanted: (&str, &str)| question.lines().filter_map(|line| line.split_once('=')).any(|said| said == wanted);
        says(("action", "get")) && says(("protocol", self.protocol)) && says(("host", &self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::git::sealed;

    async fn filled(url: &str, asked: &str) -> String {
        let url = url.parse().unwrap();
        let connection = TokenOnly::prepare(&url, &"ghs_t0ken".into()).unwrap();
        let program = connection.applied_to(sealed(connection.folder(), TokenOnly::settings(&url)), &BTreeMap::new());
        let output = program.args(["credential", "fill"]).input(asked.as_bytes().to_vec()).run().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[tokio::test]
    async fn git_gets_the_token_for_the_host_that_is_meant_and_for_no_other() {
        let given = filled("https://github.com/a/b.git", "protocol=https\nhost=github.com\n\n").await;
        assert!(given.contains("username=x-access-token\n") && given.contains("password=ghs_t0ken\n"), "{given}");
        let given = filled("http://127.0.0.1:8080/a/b", "protocol=http\nhost=127.0.0.1:8080\n\n").await;
        assert!(given.contains("password=ghs_t0ken\n"), "{given}");
        for other in
            ["protocol=https\nhost=github.com.evil.test\n\n", "protocol=http\nhost=github.com\n\n", "protocol=https\nhost=evil.test\n\n"]
        {
            assert!(!filled("https://github.com/a/b.git", other).await.contains("ghs_t0ken"), "{other}");
        }
    }
}

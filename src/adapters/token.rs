//! Where the token for a forge comes from: what the person names, then what is at hand, then a question.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;

use super::process::Program;
use crate::error::{Failure, Result};
use crate::event::Events;

/// How long `gh` may take to look into its keyring.
const GH_LIMIT: Duration = Duration::from_secs(10);

/// The longest file that can be a token.
const LONGEST: u64 = 4096;

/// Where to look for a token.
pub struct TokenSources<'a> {
    /// A file that holds nothing else.
    pub file: Option<&'a Path>,
    /// The person's environment.
    pub environment: &'a BTreeMap<String, String>,
    /// The forge's host, as in `github.com`.
    pub host: &'a str,
    /// Whether the person can be asked.
    pub interactive: bool,
    /// Stands back while the person is asked.
    pub events: &'a Events,
}

/// A token, and where it was found.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub secret: SecretString,
    /// Where it was found, for people: `from GITHUB_TOKEN`.
    pub origin: String,
}

/// What to do where none is found, for people: the variable, or the login of `gh`.
pub fn where_to_put(host: &str) -> String {
    let variable = variables(host).first().copied().unwrap_or_default();
    let login = if host == "github.com" { String::new() } else { format!(" --hostname {host}") };
    format!("set {variable}, or log in with `gh auth login{login}`")
}

/// Finds the token for a forge; none if there is none, and the person cannot be asked or gave none.
///
/// A file comes first, then `GITHUB_TOKEN`, then `GH_TOKEN` (for hosts other than github.com and *.ghe.com `GH_ENTERPRISE_TOKEN` and
/// `GITHUB_ENTERPRISE_TOKEN`, as `gh help environment` has it), then the login of the program `gh`, then a question.
///
/// # Errors
/// A file that cannot be read, holds no token, or can be read by others.
pub async fn find(sources: TokenSources<'_>) -> Result<Option<Token>> {
    if let Some(file) = sources.file {
        return from_file(file).map(Some);
    }
    for name in variables(sources.host) {
        if let Some(value) = sources.environment.get(*name).map(|value| value.trim()).filter(|value| !value.is_empty()) {
            return Ok(Some(Token { secret: value.into(), origin: format!("from {name}") }));
        }
    }
    if let Some(token) = from_gh(sources.host, sources.environment).await {
        return Ok(Some(token));
    }
    if sources.interactive { ask(sources.host, sources.events.clone()).await } else { Ok(None) }
}

/// The variables that hold tokens for a host. One for github.com is not sent to a company's own server.
fn variables(host: &str) -> &'static [&'static str] {
    if host == "github.com" || host.ends_with(".ghe.com") {
        &["GITHUB_TOKEN", "GH_TOKEN"]
    } else {
        &["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"]
    }
}

fn from_file(file: &Path) -> Result<Token> {
    use std::os::unix::fs::PermissionsExt as _;
    let shown = file.display();
    let unreadable = |error: std::io::Error| Failure::usage(format!("the token file {shown} cannot be read")).because(error);
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(Failure::refused(format!("the token file {shown} is open to everybody on this machine"))
            .hint(format!("close it with `chmod 600 {shown}`, and make a new token if others may have read it")));
    }
    if metadata.len() > LONGEST {
        return Err(Failure::usage(format!("the file {shown} is no token: it has more than {LONGEST} bytes")));
    }
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(file).map_err(unreadable)?);
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(Failure::usage(format!("the file {shown} does not hold a token and nothing else")));
    }
    Ok(Token { secret: token.into(), origin: format!("from {shown}") })
}

/// The login of the program `gh`, if it is installed and logged in to the host.
async fn from_gh(host: &str, environment: &BTreeMap<String, String>) -> Option<Token> {
    // The desktop's keyring is reached by its bus.
    let passed_on = ["HOME", "PATH", "XDG_CONFIG_HOME", "GH_CONFIG_DIR", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"];
    let variables = passed_on.into_iter().filter_map(|name| Some((name, environment.get(name)?)));
    let program = Program::new("gh").args(["auth", "token", "--hostname", host]).envs(variables).within(GH_LIMIT);
    let output = program.run().await.ok().filter(super::process::Output::is_success)?;
    let text = zeroize::Zeroizing::new(String::from_utf8(output.stdout).ok()?);
    let token = Some(text.trim()).filter(|token| !token.is_empty())?;
    Some(Token { secret: token.into(), origin: format!("from `gh auth token --hostname {host}`") })
}

/// Asks the person, without showing what is typed.
async fn ask(host: &str, events: Events) -> Result<Option<Token>> {
    let prompt = format!("Token for {host} (not shown; empty for none)");
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = None;
        events.suspend(&mut || {
            let password = dialoguer::Password::new().with_prompt(prompt.as_str()).allow_empty_password(true);
            answer = Some(password.interact().map(zeroize::Zeroizing::new));
        });
        answer
    });
    let answer = asked.await.map_err(|error| Failure::bug("the question for a token ended early").because(error))?;
    match answer {
        Some(Ok(text)) if !text.trim().is_empty() => Ok(Some(Token { secret: text.trim().into(), origin: "as typed".to_owned() })),
        Some(Err(error)) => {
            Err(Failure::usage("no token could be asked for").because(error).hint("set GITHUB_TOKEN, or pass `--token-file FILE`"))
        }
        Some(Ok(_)) | None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::event::{Event, Reporter};

    struct Silent;

    impl Reporter for Silent {
        fn on(&mut self, _: &Event) {}
    }

    /// Looks with these variables, a `PATH` with nothing but `gh` if a script is given, and nobody to ask.
    async fn found(host: &str, variables: &[(&str, &str)], gh: Option<&str>) -> Option<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(script) = gh {
            let file = folder.path().join("gh");
            std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = folder.path().display().to_string();
        let variables = variables.iter().copied().chain([("PATH", path.as_str())]);
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let events = Events::new(Silent);
        let sources = TokenSources { file: None, environment: &environment, host, interactive: false, events: &events };
        find(sources).await.unwrap().map(|token| (token.secret.expose_secret().to_owned(), token.origin))
    }

    fn pair(token: &str, origin: &str) -> Option<(String, String)> {
        Some((token.to_owned(), origin.to_owned()))
    }

    #[tokio::test]
    async fn the_environment_comes_before_gh_and_gh_before_nothing() {
        let gh = Some("[ \"$*\" = 'auth token --hostname github.com' ] && echo from-gh");
        let both = [("GITHUB_TOKEN", "one\n"), ("GH_TOKEN", "two")];
        assert_eq!(found("github.com", &both, gh).await, pair("one", "from GITHUB_TOKEN"));
        assert_eq!(found("github.com", &[("GITHUB_TOKEN", " "), ("GH_TOKEN", "two")], gh).await, pair("two", "from GH_TOKEN"));
        assert_eq!(found("github.com", &[], gh).await, pair("from-gh", "from `gh auth token --hostname github.com`"));
        assert_eq!(found("github.com", &[], Some("exit 1")).await, None);
        assert_eq!(found("github.com", &[], None).await, None);
    }

    #[tokio::test]
    async fn a_token_for_github_is_not_for_a_companys_own_server() {
        let variables = [("GITHUB_TOKEN", "public"), ("GH_ENTERPRISE_TOKEN", "own")];
        assert_eq!(found("git.acme.test", &variables, None).await, pair("own", "from GH_ENTERPRISE_TOKEN"));
        assert_eq!(found("git.acme.test", &variables[..1], None).await, None);
        assert_eq!(found("acme.ghe.com", &variables, None).await, pair("public", "from GITHUB_TOKEN"));
    }

    #[test]
    fn what_to_do_without_a_token_names_a_variable_that_is_read() {
        assert_eq!(where_to_put("github.com"), "set GITHUB_TOKEN, or log in with `gh auth login`");
        assert_eq!(where_to_put("acme.ghe.com"), "set GITHUB_TOKEN, or log in with `gh auth login --hostname acme.ghe.com`");
        assert_eq!(where_to_put("git.acme.test"), "set GH_ENTERPRISE_TOKEN, or log in with `gh auth login --hostname git.acme.test`");
    }

    #[test]
    fn a_file_holds_a_token_and_nothing_else_and_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let write = |text: &str, mode: u32| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("ghp_x\n", 0o600);
        assert_eq!(from_file(&file).unwrap().secret.expose_secret(), "ghp_x");
        write("ghp_x\n", 0o644);
        let refused = from_file(&file).unwrap_err();
        assert!(refused.hints.iter().any(|hint| hint.contains("chmod 600")), "{refused:?}");
        for rubbish in ["", "two words", "ghp_x\nghp_y"] {
            write(rubbish, 0o600);
            let refused = from_file(&file).unwrap_err().to_string();
            assert!(!refused.contains("ghp_"), "{refused}");
        }
    }
}

//! An SSH connection with one key and pinned host keys, and what `ssh` and `git` say when it fails.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::SecretString;
use tempfile::TempDir;

use super::agent::SOCKET;
use super::{Agent, complaint};
use crate::adapters::process::{Output, Program};
use crate::domain::{HostKeys, RepositoryUrl, host_keys};
use crate::ports::git::GitError;

/// The name of the file with the pinned host keys.
const KNOWN_HOSTS: &str = "known_hosts";

/// What makes `ssh` offer the agent's key and no other, trust the pinned host keys and no others, and ask nothing. The names of files are
/// relative to the folder that it runs in, so that no path has to be quoted for the shell and for `ssh`.
///
/// `LogLevel=DEBUG1` is the only way to see the fingerprint of a host key that is not pinned.
const OPTIONS: [&str; 17] = [
    "IdentityFile=none",
    "IdentitiesOnly=no",
    "CertificateFile=none",
    "PKCS11Provider=none",
    "BatchMode=yes",
    "PreferredAuthentications=publickey",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    "VerifyHostKeyDNS=no",
    "CheckHostIP=no",
    "ForwardAgent=no",
    "ClearAllForwardings=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "LogLevel=DEBUG1",
];

/// A folder that only we can enter, with the agent and the pinned host keys. Gone when it is dropped.
pub(super) struct KeyOnly {
    folder: TempDir,
    ssh: String,
    _agent: Agent,
}

impl KeyOnly {
    /// Prepares a connection with `key` by the program `ssh`.
    pub(super) fn prepare(ssh: &str, key: &SecretString, hosts: &HostKeys) -> Result<Self, GitError> {
        let folder = private_folder()?;
        let pins: String =
            hosts.iter().filter(|pin| !host_keys::is_revoked(&pin.key.fingerprint())).map(|pin| pin.to_line() + "\n").collect();
        std::fs::write(folder.path().join(KNOWN_HOSTS), pins).map_err(|error| cannot_write(folder.path(), &error))?;
        let agent = Agent::start(folder.path(), key)?;
        Ok(Self { folder, ssh: ssh.to_owned(), _agent: agent })
    }

    /// The folder that `git` has to run in.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes `git` use this connection.
    pub(super) fn applied_to<'a>(&self, program: Program<'a>) -> Program<'a> {
        let mut command = format!("{} -F none -o IdentityAgent={SOCKET} -o UserKnownHostsFile={KNOWN_HOSTS}", quoted(&self.ssh));
        for option in OPTIONS {
            command.push_str(" -o ");
            command.push_str(option);
        }
        let program = program.env("GIT_SSH_COMMAND", command).env("GIT_SSH_VARIANT", "ssh").env("HOME", self.folder.path());
        outside_of_clones(program, self.folder.path())
    }
}

/// A new folder that only this user can enter.
pub(super) fn private_folder() -> Result<TempDir, GitError> {
    let permissions = std::fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("gitops-").permissions(permissions).tempdir();
    folder.map_err(|error| GitError::Other(format!("no temporary folder could be made: {error}")))
}

/// Keeps `git` from taking a clone around `folder` for its own.
pub(super) fn outside_of_clones<'a>(program: Program<'a>, folder: &Path) -> Program<'a> {
    match folder.parent() {
        Some(parent) => program.env("GIT_CEILING_DIRECTORIES", parent),
        None => program,
    }
}

fn cannot_write(folder: &Path, error: &std::io::Error) -> GitError {
    GitError::Other(format!("{} cannot be written to: {error}", folder.display()))
}

/// A word of a shell command.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What a failed `git` that talked to `url` means. Its words and those of `ssh` are matched in the C locale.
pub(super) fn explain(url: &RepositoryUrl, output: &Output) -> GitError {
    let text = &output.stderr;
    let says = |needles: &[&str]| needles.iter().find_map(|needle| text.lines().rfind(|line| line.contains(needle))).map(str::trim);
    let repository = url.to_string();
    if says(&["Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "host key is known for"]).is_some() {
        return GitError::HostKey { host: url.known_host(), shown: shown_host_key(text) };
    }
    if let Some(line) = says(&["Bad configuration option", "unknown option --", "command-line line 0"]) {
        return GitError::Program(format!("`ssh` is too old: {line}; install OpenSSH 8.4 or newer"));
    }
    if says(&["cannot run ssh", "ssh: not found", "ssh: command not found"]).is_some() {
        return GitError::Program("`ssh` is not installed, or not on the PATH: install OpenSSH's client".to_owned());
    }
    if says(&["Repository not found", "does not appear to be a git repository", "repository not found"]).is_some()
        || text.lines().any(|line| line.starts_with("fatal: repository '") && line.ends_with("not found"))
    {
        return GitError::NotFound(repository);
    }
    if says(&[
        "Permission denied (",
        "marked as read only",
        "Too many authentication failures",
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "returned error: 403",
        "returned error: 401",
    ])
    .is_some()
    {
        return GitError::Denied(repository);
    }
    let unreachable = says(&[
        "Connection refused",
        "Connection timed out",
        "Operation timed out",
        "Could not resolve host",
        "No route to host",
        "Network is unreachable",
        "Failed to connect",
        "Connection reset",
        "Connection closed",
        "kex_exchange_identification",
        "not responding",
    ]);
    match unreachable {
        Some(line) => GitError::Unreachable { host: url.known_host(), message: line.trim_start_matches("fatal: ").to_owned() },
        None => GitError::Other(complaint(output)),
    }
}

/// The fingerprint in `debug1: Server host key: ssh-ed25519 SHA256:...`.
fn shown_host_key(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("debug1: Server host key: "))?;
    line.split_whitespace().find(|word| word.starts_with("SHA256:")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(stderr: &str) -> GitError {
        let output = Output { status: Some(128), stdout: Vec::new(), stderr: stderr.to_owned() };
        explain(&"git@github.com:acme/fleet.git".parse().unwrap(), &output)
    }

    /// Taken from OpenSSH 9.2 and Git 2.39.
    #[test]
    fn what_ssh_and_git_say_is_understood() {
        let host_key = GitError::HostKey { host: "github.com".to_owned(), shown: Some("SHA256:abc".to_owned()) };
        let unknown = "debug1: Server host key: ssh-ed25519 SHA256:abc\r\nNo ED25519 host key is known for github.com and you have requested \
                       strict checking.\r\nHost key verification failed.\r\nfatal: Could not read from remote repository.\n";
        assert_eq!(explained(unknown), host_key);
        let denied = "git@github.com: Permission denied (publickey).\r\nfatal: Could not read from remote repository.\n";
        assert_eq!(explained(denied), GitError::Denied("git@github.com:acme/fleet.git".to_owned()));
        let read_only = "ERROR: The key you are authenticating with has been marked as read only.\nfatal: Could not read from remote \
                         repository.\n";
        assert!(matches!(explained(read_only), GitError::Denied(_)));
        let missing = "ERROR: Repository not found.\nfatal: Could not read from remote repository.\n";
        assert_eq!(explained(missing), GitError::NotFound("git@github.com:acme/fleet.git".to_owned()));
        let refused = "debug1: connect to address 127.0.0.1 port 22: Connection refused\nssh: connect to host github.com port 22: Connection \
                       refused\r\nfatal: Could not read from remote repository.\n";
        let message = "ssh: connect to host github.com port 22: Connection refused".to_owned();
        assert_eq!(explained(refused), GitError::Unreachable { host: "github.com".to_owned(), message });
        assert!(matches!(explained("error: cannot run ssh: No such file or directory\n"), GitError::Program(_)));
        assert_eq!(explained("debug1: hello\nfatal: something new\ndebug1: bye\n"), GitError::Other("something new".to_owned()));
    }

    #[tokio::test]
    async fn the_installed_ssh_knows_every_option() {
        let options = OPTIONS.iter().flat_map(|option| ["-o", option]);
        let output = Program::new("ssh").args(["-G", "-F", "none"]).args(options).args(["forge.test"]).run().await.unwrap();
        assert!(output.is_success(), "{}", output.stderr);
        let settings = String::from_utf8(output.stdout).unwrap();
        for setting in ["identityfile none", "stricthostkeychecking true", "batchmode yes", "globalknownhostsfile /dev/null"] {
            assert!(settings.contains(setting), "{setting}: {settings}");
        }
    }

    #[test]
    fn over_https_too() {
        let denied = "fatal: could not read Username for 'https://github.com': terminal prompts disabled\n";
        assert!(matches!(explained(denied), GitError::Denied(_)));
        assert!(matches!(
            explained("remote: Repository not found.\nfatal: repository 'https://github.com/a/b/' not found\n"),
            GitError::NotFound(_)
        ));
        assert!(matches!(
            explained("fatal: unable to access 'https://github.com/a/b/': Could not resolve host: github.com\n"),
            GitError::Unreachable { .. }
        ));
    }
}

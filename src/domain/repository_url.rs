//! The address of a Git repository, in the forms that Argo CD understands.

use std::fmt;
use std::str::FromStr;

use super::glob::path_fits;
use super::loopback::is_loopback;

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// SSH, written as `ssh://` or in the scp form `git@host:path`.
    Ssh,
    /// HTTPS, or plain HTTP.
    Http,
    /// Git's own protocol, which knows neither who asks nor who answers: for a server inside of the cluster alone.
    Git,
}

/// The address of a Git repository. Never holds a password: an address with one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryUrl {
    written: String,
    transport: Transport,
    user: Option<String>,
    host: String,
    port: Option<u16>,
    path: String,
}

/// A text that is not the address of a repository. It quotes no more than the host, since an address may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the address of a Git repository: {0}; write it as `git@HOST:OWNER/NAME.git`, `ssh://git@HOST[:PORT]/OWNER/NAME.git` or `https://HOST/OWNER/NAME.git`"
)]
pub struct InvalidRepositoryUrl(&'static str);

impl RepositoryUrl {
    /// The address of a repository at a `git daemon` (git-daemon(1)). No such address is taken from a person or from a file.
    pub(crate) fn of_git_daemon(host: &str, port: u16, path: &str) -> Self {
        Self {
            written: format!("git://{host}:{port}/{path}"),
            transport: Transport::Git,
            user: None,
            host: host.to_owned(),
            port: Some(port),
            path: path.strip_suffix(".git").unwrap_or(path).to_owned(),
        }
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// How the repository is reached.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The account on the server, for SSH.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("git")
    }

    /// The host name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The path on the host without `/` at its start and `.git` at its end: `owner/name`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The account or organisation that owns the repository, and its name there.
    pub fn owner_and_name(&self) -> Option<(&str, &str)> {
        self.path.rsplit_once('/').filter(|(owner, _)| !owner.contains('/'))
    }

    /// The address of the same repository over https.
    pub fn https(&self) -> String {
        format!("https://{}/{}.git", self.site(), self.path)
    }

    /// The host by the name that it has for every transport.
    fn site(&self) -> &str {
        if self.host.eq_ignore_ascii_case("ssh.github.com") { "github.com" } else { &self.host }
    }

    /// The address of the same repository over SSH.
    pub fn ssh(&self) -> String {
        format!("git@{}:{}.git", self.host, self.path)
    }

    /// Whether what is sent there can be read on the way: plain HTTP to another machine.
    pub fn is_in_clear(&self) -> bool {
        url::Url::parse(&self.written).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
    }

    /// The host as a known-hosts file names it: `host`, or `[host]:port` (sshd(8)).
    pub fn known_host(&self) -> String {
        match self.port {
            Some(port) if port != 22 => format!("[{}]:{port}", self.host),
            _ => self.host.clone(),
        }
    }

    /// The form in which Argo CD compares two addresses: lower case, without `.git`, the scp form as `ssh://`
    /// (`NormalizeGitURL` in Argo CD's util/git). An explicit port makes a difference, and so does HTTPS against SSH.
    pub fn normalised(&self) -> String {
        let scheme = match self.transport {
            Transport::Ssh => "ssh",
            Transport::Http if self.written.to_ascii_lowercase().starts_with("http://") => "http",
            Transport::Http => "https",
            Transport::Git => "git",
        };
        let user = self.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{user}{}{port}/{}", self.host, self.path).to_lowercase()
    }

    /// Whether `text` is an address of the same repository, however it is written.
    pub fn is_named_by(&self, text: &str) -> bool {
        text == self.written || text.parse::<Self>().is_ok_and(|url| url.is_same_repository(self))
    }

    /// Whether `pattern`, of the `sourceRepos` of an AppProject, covers this address (`IsSourcePermitted` in Argo CD's app_project_types.go).
    pub fn is_covered_by(&self, pattern: &str) -> bool {
        if pattern == "*" || pattern.parse::<Self>().is_ok_and(|url| url.normalised() == self.normalised()) {
            return true;
        }
        let pattern = pattern.to_lowercase();
        let pattern = if pattern.contains("://") { pattern } else { format!("ssh://{}", pattern.replacen(':', "/", 1)) };
        path_fits(pattern.trim_end_matches(".git"), &self.normalised())
    }

    /// Whether `text` is this address in the eyes of Argo CD, which takes one for SSH and one for https for two repositories.
    pub fn is_written(&self, text: &str) -> bool {
        text.parse::<Self>().is_ok_and(|url| url.normalised() == self.normalised())
    }

    /// Whether both name the same repository on the same host, whatever the transport.
    pub fn is_same_repository(&self, other: &Self) -> bool {
        self.site().eq_ignore_ascii_case(other.site()) && self.path.eq_ignore_ascii_case(&other.path)
    }
}

impl FromStr for RepositoryUrl {
    type Err = InvalidRepositoryUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() || text.len() > 2048 {
            return Err(InvalidRepositoryUrl("it is empty or too long"));
        }
        if text.chars().any(|character| character.is_control() || character.is_whitespace()) {
            return Err(InvalidRepositoryUrl("it has a blank or a control character"));
        }
        if text.starts_with('-') {
            return Err(InvalidRepositoryUrl("it starts with `-`"));
        }
        let (transport, user, host, port, path) = match text.split_once("://") {
            Some((scheme, _)) => {
                let transport = match scheme.to_ascii_lowercase().as_str() {
                    "ssh" => Transport::Ssh,
                    "https" | "http" => Transport::Http,
                    _ => return Err(InvalidRepositoryUrl("only ssh, https and http are taken")),
                };
                let url = url::Url::parse(text).map_err(|_| InvalidRepositoryUrl("it cannot be parsed"))?;
                if url.password().is_some() || (transport == Transport::Http && !url.username().is_empty()) {
                    return Err(InvalidRepositoryUrl("it has a user name or a password in it"));
                }
                if url.query().is_some() || url.fragment().is_some() {
                    return Err(InvalidRepositoryUrl("it has a query or a fragment"));
                }
                let host = url.host_str().ok_or(InvalidRepositoryUrl("it has no host"))?.to_owned();
                let user = Some(url.username()).filter(|user| !user.is_empty()).map(str::to_owned);
                (transport, user, host, url.port(), url.path().to_owned())
            }
            None => {
                let (authority, path) = text.split_once(':').ok_or(InvalidRepositoryUrl("it has no host"))?;
                if path.starts_with(':') {
                    return Err(InvalidRepositoryUrl("remote helpers are not taken"));
                }
                let (user, host) = authority.split_once('@').map_or((None, authority), |(user, host)| (Some(user.to_owned()), host));
                (Transport::Ssh, user, host.to_owned(), None, path.to_owned())
            }
        };
        if host.is_empty() || host.starts_with('-') || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)) {
            return Err(InvalidRepositoryUrl("its host is not a host name"));
        }
        if user
            .as_deref()
            .is_some_and(|user| user.starts_with('-') || !user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)))
        {
            return Err(InvalidRepositoryUrl("its user name is not one"));
        }
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..") || part.starts_with('-')) {
            return Err(InvalidRepositoryUrl("its path names no repository"));
        }
        Ok(Self { written: text.to_owned(), transport, user, host, port, path: path.to_owned() })
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl serde::Serialize for RepositoryUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl<'de> serde::Deserialize<'de> for RepositoryUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(text: &str) -> String {
        text.parse::<RepositoryUrl>().unwrap().normalised()
    }

    #[test]
    fn a_project_permits_an_address_by_its_transport_too() {
        let url: RepositoryUrl = "git@github.com:Acme/fleet.git".parse().unwrap();
        for pattern in ["*", "ssh://git@github.com/acme/fleet", "git@github.com:acme/*", "ssh://*/*/fleet.git", "ssh://**"] {
            assert!(url.is_covered_by(pattern), "{pattern}");
        }
        for pattern in ["", "https://github.com/acme/fleet.git", "git@github.com:other/*", "https://github.com/*", "ssh://*/fleet.git"] {
            assert!(!url.is_covered_by(pattern), "{pattern}");
        }
    }

    #[test]
    fn the_scp_form_and_the_ssh_form_are_the_same_repository() {
        assert_eq!(normalised("git@github.com:Acme/Fleet.git"), normalised("ssh://git@github.com/acme/fleet"));
        assert_ne!(normalised("git@github.com:acme/fleet"), normalised("https://github.com/acme/fleet"));
        assert_ne!(normalised("ssh://git@h:2222/a/b"), normalised("ssh://git@h/a/b"));
    }

    #[test]
    fn an_address_that_runs_code_or_holds_a_password_is_refused() {
        for bad in [
            "",
            "ext::sh -c id",
            "file:///etc",
            "-oProxyCommand=x",
            "ssh://-oProxyCommand=x/a",
            "https://user:secret@h/a/b",
            "git@h:a\nb",
            "/local/path",
            "../up",
            "git@h:../a",
            "ssh://git@h/",
            "git@-h:a/b",
            "https://token@h/a/b",
        ] {
            assert!(bad.parse::<RepositoryUrl>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_never_repeats_the_password() {
        let refusal = "https://user:hunter2@host/a/b".parse::<RepositoryUrl>().unwrap_err().to_string();
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn each_form_leads_to_the_other_and_only_plain_http_to_another_machine_is_in_clear() {
        let url = |text: &str| text.parse::<RepositoryUrl>().unwrap();
        assert_eq!(url("git@github.com:acme/fleet.git").https(), "https://github.com/acme/fleet.git");
        assert_eq!(url("ssh://git@ssh.github.com:443/acme/fleet").https(), "https://github.com/acme/fleet.git");
        assert_eq!(url("https://github.com/acme/fleet").ssh(), "git@github.com:acme/fleet.git");
        assert!(url("ssh://git@ssh.github.com:443/acme/fleet").is_same_repository(&url("https://github.com/acme/fleet.git")));
        assert!(url("git@github.com:acme/fleet.git").is_written("ssh://git@github.com/Acme/fleet"));
        assert!(!url("git@github.com:acme/fleet.git").is_written("https://github.com/acme/fleet.git"));
        assert!(url("http://git.acme.test/a/b").is_in_clear());
        for safe in ["https://git.acme.test/a/b", "git@git.acme.test:a/b", "http://127.0.0.1:80/a/b", "http://[::1]/a/b"] {
            assert!(!url(safe).is_in_clear(), "{safe}");
        }
    }

    #[test]
    fn a_port_other_than_22_is_part_of_the_known_host() {
        assert_eq!("ssh://git@127.0.0.1:2222/a/b".parse::<RepositoryUrl>().unwrap().known_host(), "[127.0.0.1]:2222");
        assert_eq!("git@github.com:a/b.git".parse::<RepositoryUrl>().unwrap().known_host(), "github.com");
    }
}

//! The host keys that a forge may show. Nothing is trusted on first use.

use super::{Fingerprint, PublicKey, RepositoryUrl};

/// GitHub's host keys (docs.github.com, "GitHub's SSH key fingerprints"; also `ssh_keys` of `GET /meta`).
const GITHUB: [&str; 3] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQCj7ndNxQowgcQnjshcLrqPEiiphnt+VTTvDP6mHBL9j1aNUkY4Ue1gvwnGLVlOhGeYrnZaMgRK6+PKCUXaDbC7qtbW8gIkhL7aGCsOr/C56SJMy/BCZfxd1nWzAOxSDPgVsmerOBYfNqltV9/hWCqBywINIR+5dIg6JTJ72pcEpEjcYgXkE2YEFXV1JHnsKgbLWNlhScqb2UmyRkQyytRLtL+38TGxkxCflmO+5Z8CSSNY7GidjMIZ7Q4zMjA2n1nGrlTDkzwDCsw+wqFPGQA179cnfGWOWRVruj16z6XyvxvjJwbz0wQZ75XK5tKSb7FNyeIEs4TT4jk+S4dhPeAUC5y+bDYirYgM4GC7uEnztnZyaVWQ7B381AK4Qdrwt51ZqExKbQpTUNn+EjqoTwvqNj4kqx5QUCI0ThS/YkOxJCXmPUWZbhjpCg56i+2aB6CmK2JGhn57K5mj0MNdBXA4/WnwH6XoPWJzK5Nyu2zB3nAZp+S5hpQs+p1vN1/wsjk=",
];

/// The hosts that show GitHub's host keys; the second one takes SSH on port 443 where 22 is closed.
const GITHUB_HOSTS: [&str; 2] = ["github.com", "[ssh.github.com]:443"];

/// GitHub's RSA key that leaked and was replaced on 2023-03-24 (github.blog); still found in old pages and caches.
const REVOKED: [&str; 1] = ["SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8"];

/// One host key: which host shows it, and the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct HostKey {
    /// The host as a known-hosts file names it: `host` or `[host]:port`.
    pub host: String,
    /// The key that this host shows.
    pub key: PublicKey,
}

/// A line that is not `host type base64`, or that holds a revoked key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHostKey {
    /// Not in the format of a known-hosts file, or with a form that is not taken here (hashed names, markers).
    #[error("`{0}` is not a host key: write `HOST TYPE BASE64`, as `ssh-keyscan HOST` prints it")]
    Malformed(String),
    /// The key is known to be in other hands.
    #[error("the host key {0} is revoked: its private half leaked")]
    Revoked(Fingerprint),
}

/// The pinned host keys of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostKeys(Vec<HostKey>);

impl HostKey {
    /// Reads one line of a known-hosts file (sshd(8)): `host[,host] type base64 [comment]`. Hashed hosts and markers are not taken.
    pub fn parse_line(line: &str) -> Result<Vec<Self>, InvalidHostKey> {
        let malformed = || InvalidHostKey::Malformed(line.chars().take(80).collect::<String>().escape_default().to_string());
        let (hosts, key) = line.trim().split_once(char::is_whitespace).ok_or_else(malformed)?;
        if hosts.starts_with('|') || hosts.starts_with('@') {
            return Err(malformed());
        }
        let key = PublicKey::from_openssh(key).map_err(|_| malformed())?;
        if is_revoked(&key.fingerprint()) {
            return Err(InvalidHostKey::Revoked(key.fingerprint()));
        }
        Ok(hosts.split(',').map(|host| Self { host: host.to_owned(), key: key.clone() }).collect())
    }

    /// The line of a known-hosts file for this key.
    pub fn to_line(&self) -> String {
        format!("{} {}", self.host, self.key.to_openssh())
    }
}

/// Whether a host key is known to be in other hands; such a key is never accepted, whoever trusts it.
pub fn is_revoked(fingerprint: &Fingerprint) -> bool {
    REVOKED.contains(&fingerprint.as_str())
}

impl HostKeys {
    /// The keys compiled in (GitHub's) and those of `lines`.
    pub fn pinned<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidHostKey> {
        let mut keys = Vec::new();
        for host in GITHUB_HOSTS {
            for key in GITHUB {
                keys.extend(HostKey::parse_line(&format!("{host} {key}"))?);
            }
        }
        for line in lines {
            keys.extend(HostKey::parse_line(line)?);
        }
        Ok(Self(keys))
    }

    /// Reads a whole known-hosts file; empty lines and comments are skipped, lines that are not understood are left out.
    pub fn from_known_hosts(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.filter_map(|line| HostKey::parse_line(line).ok()).flatten().collect())
    }

    /// The keys pinned for the host of `url`.
    pub fn of(&self, url: &RepositoryUrl) -> Vec<&HostKey> {
        let host = url.known_host();
        self.0.iter().filter(|key| key.host.eq_ignore_ascii_case(&host)).collect()
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = &HostKey> {
        self.0.iter()
    }

    /// Whether this very key is pinned for this very host.
    pub fn contains(&self, key: &HostKey) -> bool {
        self.0.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn githubs_keys_are_the_published_ones() {
        let keys = HostKeys::pinned([]).unwrap();
        let github =
            keys.of(&"git@github.com:a/b.git".parse().unwrap()).iter().map(|key| key.key.fingerprint().to_string()).collect::<Vec<_>>();
        assert_eq!(
            github,
            [
                "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
                "SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM",
                "SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s",
            ]
        );
    }

    #[test]
    fn a_host_on_another_port_is_another_host() {
        let keys = HostKeys::pinned([]).unwrap();
        assert!(keys.of(&"ssh://git@github.com:2222/a/b".parse().unwrap()).is_empty());
        assert_eq!(keys.of(&"ssh://git@ssh.github.com:443/a/b".parse().unwrap()).len(), 3);
    }

    #[test]
    fn hashed_names_markers_and_rubbish_are_not_pins() {
        for bad in ["", "github.com", "@cert-authority * ssh-ed25519 AAAA", "|1|x|y ssh-ed25519 AAAA", "h ssh-ed25519 nonsense"] {
            assert!(HostKey::parse_line(bad).is_err(), "{bad}");
        }
    }
}

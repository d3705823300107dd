//! The public half of a key, and how people compare it.

use std::fmt;

/// The public half of an SSH key: type and base64 body. The comment is not part of its identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct PublicKey {
    algorithm: String,
    body: String,
}

/// A text that is not a public key in OpenSSH's format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a public key in OpenSSH's format")]
pub struct InvalidPublicKey;

/// SHA-256 over the key's blob, written as `ssh-keygen -l` does: `SHA256:` and unpadded base64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl PublicKey {
    /// Reads `type base64 [comment]`.
    pub fn from_openssh(text: &str) -> Result<Self, InvalidPublicKey> {
        let key = ssh_key::PublicKey::from_openssh(text.trim()).map_err(|_| InvalidPublicKey)?;
        let line = key.to_openssh().map_err(|_| InvalidPublicKey)?;
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some(algorithm), Some(body)) => Ok(Self { algorithm: algorithm.to_owned(), body: body.to_owned() }),
            _ => Err(InvalidPublicKey),
        }
    }

    /// The type, as in `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// `type base64`, without a comment.
    pub fn to_openssh(&self) -> String {
        format!("{} {}", self.algorithm, self.body)
    }

    /// The fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = ssh_key::PublicKey::from_openssh(&self.to_openssh()).map(|key| key.fingerprint(ssh_key::HashAlg::Sha256).to_string());
        Fingerprint(digest.unwrap_or_default())
    }
}

impl Fingerprint {
    /// The fingerprint as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_openssh())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&str> for Fingerprint {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_not_identity_and_the_fingerprint_is_that_of_ssh_keygen() {
        let github = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        let plain = PublicKey::from_openssh(github).unwrap();
        assert_eq!(plain, PublicKey::from_openssh(&format!("{github} somebody@somewhere")).unwrap());
        assert_eq!(plain.fingerprint().as_str(), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
    }

    #[test]
    fn anything_else_is_not_a_key() {
        for bad in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----"] {
            assert!(PublicKey::from_openssh(bad).is_err(), "{bad}");
        }
    }
}

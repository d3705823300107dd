//! The name of a sandbox on this machine.

use std::fmt;
use std::str::FromStr;

/// The name of a sandbox: it becomes the name of a folder, and of a context in a kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct SandboxName(String);

/// A name that cannot be a sandbox's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sandbox's name: use 1 to 32 lower-case letters, digits and `-`, with a letter or digit at both ends")]
pub struct InvalidSandboxName(String);

impl SandboxName {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SandboxName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for SandboxName {
    type Err = InvalidSandboxName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let valid = matches!(bytes.len(), 1..=32)
            && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
            && bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidSandboxName(text.escape_default().to_string())) }
    }
}

impl fmt::Display for SandboxName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_its_folder() {
        for bad in ["", ".", "..", "a/b", "/a", "a\\b", "-a", "a-", "A", "a\n", &"a".repeat(33)] {
            assert!(bad.parse::<SandboxName>().is_err(), "{bad:?}");
        }
        for good in ["default", "a", "trial-2"] {
            assert!(good.parse::<SandboxName>().is_ok(), "{good}");
        }
    }
}

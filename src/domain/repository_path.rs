//! A path inside the fleet repository.

use std::fmt;
use std::str::FromStr;

/// A path relative to the repository's root, with `/` between its parts, which can never leave the repository nor enter `.git`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct RepositoryPath(String);

/// A text that is not a safe path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path inside the repository: {reason}")]
pub struct InvalidRepositoryPath {
    path: String,
    reason: &'static str,
}

/// The longest path that is taken, in bytes: the limit of Linux.
const LONGEST: usize = 4096;

impl RepositoryPath {
    /// The path as text; `.` for the root itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of `child` below this one.
    pub fn join(&self, child: &str) -> Result<Self, InvalidRepositoryPath> {
        if self.0 == "." { child.parse() } else { format!("{}/{child}", self.0).parse() }
    }

    /// The folder that holds this path; none for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            Some((parent, _)) => Some(Self(parent.to_owned())),
            None if self.0 == "." => None,
            None => Some(Self(".".to_owned())),
        }
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// Whether this path is `folder` or lies below it.
    pub fn is_within(&self, folder: &Self) -> bool {
        folder.0 == "." || self.0 == folder.0 || self.0.strip_prefix(folder.0.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl FromStr for RepositoryPath {
    type Err = InvalidRepositoryPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse =
            |reason| Err(InvalidRepositoryPath { path: text.chars().take(200).collect::<String>().escape_default().to_string(), reason });
        let trimmed = text.strip_prefix("./").unwrap_or(text).trim_end_matches('/');
        if trimmed.is_empty() || trimmed == "." {
            return if text.is_empty() || text.starts_with('/') { refuse("it is empty or absolute") } else { Ok(Self(".".to_owned())) };
        }
        if trimmed.len() > LONGEST {
            return refuse("it is longer than 4096 bytes");
        }
        if trimmed.starts_with('/') {
            return refuse("it is absolute");
        }
        if trimmed.chars().any(|character| character.is_control() || character == '\\') {
            return refuse("it has a control character or a backslash");
        }
        for part in trimmed.split('/') {
            match part {
                "" | "." => return refuse("it has an empty part"),
                ".." => return refuse("it goes up with `..`"),
                git if git.eq_ignore_ascii_case(".git") => return refuse("it goes into `.git`"),
                _ => {}
            }
        }
        Ok(Self(trimmed.to_owned()))
    }
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for RepositoryPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leaves_the_repository() {
        for bad in ["", "/", "/etc", "..", "a/../b", "a//b", ".git", "a/.GIT/config", "a\\b", "a\nb", &"a/".repeat(3000)] {
            assert!(bad.parse::<RepositoryPath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_root_and_a_leading_dot_are_understood() {
        assert_eq!(".".parse::<RepositoryPath>().unwrap().as_str(), ".");
        assert_eq!("./rendered/staging/".parse::<RepositoryPath>().unwrap().as_str(), "rendered/staging");
        assert!("a/b".parse::<RepositoryPath>().unwrap().is_within(&".".parse().unwrap()));
        assert!(!"ab".parse::<RepositoryPath>().unwrap().is_within(&"a".parse().unwrap()));
    }
}

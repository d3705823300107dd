//! What a check of the fleet repository found, and where.

use super::rule::{Rule, Severity};
use super::{ObjectRef, RepositoryPath};

/// Something that a rule found in a file of the fleet repository. Never holds a secret's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    // The place first: findings are ordered by where they are.
    /// The file.
    pub file: RepositoryPath,
    /// The line in it, from 1.
    pub line: u64,
    /// The column in the line, in characters from 1.
    pub column: u64,
    /// The rule that found it.
    pub rule: Rule,
    /// How much it weighs.
    pub severity: Severity,
    /// The object that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// What is wrong there. A lower-case fragment without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// Why it was allowed, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
}

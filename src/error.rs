//! The one error type: what happened, why, what to do about it, and how the process exits.

use std::borrow::Cow;
use std::fmt;

/// The class of a failure. Each class is one exit status, so that a script can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A bug in this program.
    Bug,
    /// Wrong arguments, or an answer that could not be asked for.
    Usage,
    /// A safety guard said no before anything was changed.
    Refused,
    /// Authentication, authorisation or a policy said no.
    Denied,
    /// Somebody else owns what would have to be changed.
    Conflict,
    /// A passing fault outlived its retries; the same command may be run again.
    Transient,
    /// Another run holds the lock, or took it over.
    Locked,
    /// A host key, hash, signature or certificate did not verify.
    Unverified,
    /// The deadline passed; what was done stays and the same command goes on from there.
    Deadline,
    /// The fleet repository is not valid.
    InvalidRepository,
    /// A check ran well and found something.
    Found,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Kind {
    /// The exit status of this class. They are part of the command line's contract.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Bug => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Denied => 4,
            Self::Conflict => 5,
            Self::Transient => 6,
            Self::Locked => 7,
            Self::Unverified => 8,
            Self::Deadline => 9,
            Self::InvalidRepository => 10,
            Self::Found => 11,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// A failure as a person reads it: one sentence, its causes from the outside in, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// The class, which picks the exit status.
    pub kind: Kind,
    /// What happened, and to which object. A lower-case fragment without a full stop.
    pub message: Cow<'static, str>,
    /// Why, the nearest cause first.
    pub causes: Vec<String>,
    /// What to do about it; most often a command.
    pub hints: Vec<String>,
}

/// The result of everything that can fail.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// A bug: something that cannot happen did.
    pub fn bug(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Bug, message)
            .hint("this is a bug in gitops-bootstrap: please report it with the output of the same command and `-vv`")
    }

    /// A mistake in what was typed.
    pub fn usage(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A refusal by a guard, before anything was changed.
    pub fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// A fault in the fleet repository.
    pub fn repository(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::InvalidRepository, message)
    }

    /// Adds a cause below those that are there.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds a way out below those that are there.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        for cause in &self.causes {
            write!(formatter, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_own_exit_status() {
        let all = [
            Kind::Bug,
            Kind::Usage,
            Kind::Refused,
            Kind::Denied,
            Kind::Conflict,
            Kind::Transient,
            Kind::Locked,
            Kind::Unverified,
            Kind::Deadline,
            Kind::InvalidRepository,
            Kind::Found,
            Kind::Interrupted,
            Kind::Terminated,
        ];
        let statuses: std::collections::BTreeSet<u8> = all.iter().map(|kind| kind.exit_status()).collect();
        assert_eq!(statuses.len(), all.len());
        assert!(!statuses.contains(&0), "no failure exits as a success");
        assert!(!statuses.contains(&101), "101 is a panic's");
    }
}

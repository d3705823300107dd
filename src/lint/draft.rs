//! What a rule says before it is known on which line that is.

use super::parsed::{Document, Places};
use crate::domain::{Finding, ObjectRef, RepositoryPath, Rule};

/// A finding whose place may still have to be looked up.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// Where.
    pub(super) place: Place<'a>,
    /// The object that it is about.
    pub(super) object: Option<ObjectRef>,
    /// What is wrong: a lower-case fragment without a full stop.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: String,
}

/// Where something was found.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// At what a JSON pointer names.
    Within {
        /// In which document.
        document: &'a Document<'a>,
        /// The pointer (RFC 6901).
        pointer: String,
    },
    /// At a line of a file.
    At {
        /// Which file.
        file: &'a RepositoryPath,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
    },
}

impl<'a> Draft<'a> {
    /// A finding at a line of a file.
    pub(super) fn at(file: &'a RepositoryPath, place: (u64, u64), message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (line, column) = place;
        Self { place: Place::At { file, line, column }, object: None, message: message.into(), hint: hint.into() }
    }

    /// The finding, at its line.
    pub(super) fn finding(self, rule: Rule, places: &Places<'a>) -> Finding {
        let (file, (line, column)) = match &self.place {
            Place::Within { document, pointer } => (document.file, places.find(document, pointer)),
            Place::At { file, line, column } => (*file, (*line, *column)),
        };
        Finding {
            rule,
            severity: rule.severity(),
            file: file.clone(),
            line,
            column,
            object: self.object,
            message: self.message,
            hint: self.hint,
            allowed: None,
        }
    }
}

impl<'a> Document<'a> {
    /// A finding at what a JSON pointer names in this object, or at the nearest thing around it.
    pub(super) fn draft(&'a self, pointer: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Draft<'a> {
        Draft {
            place: Place::Within { document: self, pointer: pointer.into() },
            object: Some(self.object.reference()),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

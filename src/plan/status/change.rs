//! What has changed between two looks at a cluster.

use std::collections::BTreeMap;

use crate::domain::ApplicationRef;

use super::{ApplicationStatus, Status};

/// What happened to an Application.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<'a> {
    /// It was not there before.
    New(&'a ApplicationStatus),
    /// It stands otherwise than before.
    Changed {
        /// How it stood.
        before: &'a ApplicationStatus,
        /// How it stands.
        now: &'a ApplicationStatus,
    },
    /// It is not there any more.
    Gone(&'a ApplicationStatus),
}

impl Change<'_> {
    /// The word for it in events.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::New(_) => "new",
            Self::Changed { .. } => "changed",
            Self::Gone(_) => "gone",
        }
    }

    /// How the Application stands, or stood last.
    pub const fn application(&self) -> &ApplicationStatus {
        match self {
            Self::New(now) | Self::Changed { now, .. } => now,
            Self::Gone(before) => before,
        }
    }

    /// The change in a line, if people can see it: another state, or another cause of it.
    pub fn line(&self) -> Option<String> {
        let stands = |status: &ApplicationStatus| {
            let why = status.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{}{why}", status.node.state.word())
        };
        let name = &self.application().node.application;
        match self {
            Self::New(now) => Some(format!("{name}: new, {}", stands(now))),
            Self::Gone(_) => Some(format!("{name}: gone")),
            Self::Changed { before, now } => Some(format!("{name}: {}", stands(now))).filter(|_| stands(before) != stands(now)),
        }
    }
}

impl ApplicationStatus {
    /// Whether it stands as `other` does; their places in the tree's memory do not count.
    fn is_as(&self, other: &Self) -> bool {
        let stands = |status: &Self| {
            let node = status.node.clone();
            (node.project, node.sync, node.health, node.revision, node.synced_at, node.state, node.parent)
        };
        self.deepest_cause == other.deepest_cause && stands(self) == stands(other)
    }
}

/// What happened to the Applications between `before` and `now`, by name.
pub fn between<'a>(before: &'a Status, now: &'a Status) -> Vec<Change<'a>> {
    let by_name = |status: &'a Status| -> BTreeMap<&'a ApplicationRef, &'a ApplicationStatus> {
        status.applications.iter().map(|application| (&application.node.application, application)).collect()
    };
    let (old, new) = (by_name(before), by_name(now));
    let mut changes: BTreeMap<&ApplicationRef, Change<'a>> =
        old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(name, status)| (*name, Change::Gone(status))).collect();
    for (name, now) in &new {
        match old.get(name) {
            None => changes.insert(name, Change::New(now)),
            Some(before) if !before.is_as(now) => changes.insert(name, Change::Changed { before, now }),
            Some(_) => None,
        };
    }
    changes.into_values().collect()
}

//! What has to hold before a recovery releases the services.

use std::fmt;
use std::time::Duration;

use super::ObjectRef;

/// A condition that holds the services back, beside the health of the infrastructure.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Gate {
    /// There are claims for volumes in a namespace, and all of them are bound.
    Claims {
        /// The namespace.
        namespace: String,
    },
    /// A condition of an object is true.
    Condition {
        /// Which object.
        object: ObjectRef,
        /// Which of the conditions in its status, as in `Ready`.
        condition: String,
    },
    /// A program on the machine of the person who recovers ends with exit status 0.
    Command {
        /// The program and its arguments. No shell is involved.
        arguments: Vec<String>,
        /// How long one run of it may take.
        limit: Duration,
    },
}

impl Gate {
    /// How long a command may take if nothing else is said.
    pub const COMMAND_LIMIT: Duration = Duration::from_secs(60);

    /// The condition if none is named.
    pub const CONDITION: &str = "Ready";

    /// The command, if it is one.
    pub fn command(&self) -> Option<String> {
        match self {
            Self::Command { arguments, .. } => Some(arguments.join(" ")),
            _ => None,
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claims { namespace } => write!(formatter, "the claims in namespace {namespace} are bound"),
            Self::Condition { object, condition } => write!(formatter, "{object} is {condition}"),
            Self::Command { arguments, .. } => write!(formatter, "`{}` succeeds", arguments.join(" ")),
        }
    }
}

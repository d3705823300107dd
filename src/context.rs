//! What every verb is given, whatever it does.

use tokio_util::sync::CancellationToken;

use crate::cli::Global;
use crate::event::Events;
use crate::settings::Environment;

/// The flags, the environment, where events go, and when to stop. Cheap to clone but for the environment.
#[derive(Clone)]
pub struct Context {
    /// The flags that every verb takes.
    pub global: Global,
    /// What the process was given.
    pub environment: Environment,
    /// Where events go.
    pub events: Events,
    /// Cancelled by the first Ctrl-C or SIGTERM.
    pub cancel: CancellationToken,
}

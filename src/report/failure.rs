//! A failure as people read it.

use super::text::{Line, Paint};
use crate::error::{Failure, Kind};

/// The lines of a failure: what happened, why, and what to do. A bug looks different: it asks to be reported.
pub(super) fn failure(failure: &Failure) -> Vec<Line> {
    let (paint, heading) = match failure.kind {
        Kind::Bug => (Paint::Bad, "internal error: "),
        Kind::Found => (Paint::Caution, "found: "),
        Kind::Interrupted | Kind::Terminated => (Paint::Caution, "stopped: "),
        _ => (Paint::Bad, "error: "),
    };
    let mut lines = vec![Line::new().with(paint, heading).with(Paint::Strong, &failure.message).hanging(2)];
    lines.extend(failure.causes.iter().map(|cause| Line::new().with(Paint::Faint, "  caused by: ").plain(cause).hanging(6)));
    lines.extend(failure.hints.iter().map(|hint| Line::new().with(Paint::Busy, "  hint: ").plain(hint).hanging(6)));
    if failure.kind == Kind::Bug {
        let version =
            format!("{} {} on {} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
        lines.push(Line::new().with(Paint::Faint, "  version: ").plain(version).hanging(6));
    }
    lines
}

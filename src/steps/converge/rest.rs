//! The time in which nothing comes of an Application, and when Argo CD is asked to look at it again because of that.
//!
//! Argo CD misses changes now and then, most of all while it syncs its own resource definitions, and those made right before it starts: it then says that
//! objects differ which do not, that a project is missing which is there, or that something is not ready which is. By itself it looks again minutes later.

use std::time::Duration;

use tokio::time::Instant;

/// How long nothing may come of an Application before Argo CD is asked to look at it again: longer than what is well takes as a rule. Each time that it did
/// not help, the pause doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(4);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Since when nothing comes of an Application.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    /// When it began, or when Argo CD was last asked to look again.
    since: Instant,
    looks: u32,
}

impl Rest {
    /// A rest that begins at `now`.
    pub(super) const fn begun(now: Instant) -> Self {
        Self { since: now, looks: 0 }
    }

    /// When Argo CD is to look again.
    pub(super) fn ends(self) -> Instant {
        self.since + FIRST_PAUSE.saturating_mul(1 << self.looks.min(8)).min(LONGEST_PAUSE)
    }

    /// The rest that goes on after Argo CD was asked to look again at `now`.
    pub(super) const fn looked_again(self, now: Instant) -> Self {
        Self { since: now, looks: self.looks.saturating_add(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_double_up_to_the_longest() {
        let begin = Instant::now();
        let mut rest = Rest::begun(begin);
        let mut ends = Vec::new();
        for _ in 0..7 {
            ends.push(rest.ends().duration_since(begin).as_secs());
            rest = rest.looked_again(rest.ends());
        }
        assert_eq!(ends, [4, 12, 28, 60, 120, 180, 240]);
    }
}

//! Where checks are noted as they are made, and what is still to come.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};

use crate::domain::{Check, CheckId, ClusterName};
use crate::error::{Failure, Kind, Result};
use crate::event::{Event, Events};

/// How often what is waited for is said.
const PACE: Duration = Duration::from_secs(2);

/// How often something is tried again that may come right.
const RETRIES: usize = 3;

/// The first pause before it is; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(1);

/// How many checks are named as those that are waited for.
const NAMED: usize = 4;

/// Which check, and of which cluster.
type Key = (Option<ClusterName>, CheckId);

/// The checks of a run.
pub(super) struct Board {
    events: Events,
    expected: Vec<Key>,
    made: Mutex<Vec<Check>>,
    /// What is tried again, and why.
    trouble: Mutex<Option<String>>,
}

impl Board {
    /// A board on which every check is still to come: those that are made once, and those of each cluster.
    pub(super) fn new(events: Events, clusters: &[ClusterName]) -> Self {
        let once = CheckId::of_clusters(false).map(|check| (None, check));
        let of_each = clusters.iter().flat_map(|cluster| CheckId::of_clusters(true).map(|check| (Some(cluster.clone()), check)));
        Self { events, expected: once.chain(of_each).collect(), made: Mutex::default(), trouble: Mutex::default() }
    }

    /// Notes a check, and says so to programs. The first one of a name counts.
    pub(super) fn note(&self, check: Check) {
        let mut made = self.made();
        let is_noted = made.iter().any(|other| other.check == check.check && other.cluster == check.cluster);
        if !is_noted {
            self.events.send(Event::Check(check.clone()));
            made.push(check);
        }
    }

    /// Notes that some checks were not made, for one reason.
    pub(super) fn leave_out(&self, checks: &[CheckId], cluster: Option<&ClusterName>, because: &str) {
        for check in checks {
            let check = Check::not_checked(*check, because);
            self.note(match cluster {
                Some(cluster) => check.of(cluster),
                None => check,
            });
        }
    }

    /// Says what is waited for, again and again. Never ends.
    pub(super) async fn tell(&self) {
        loop {
            tokio::time::sleep(PACE).await;
            let pending = self.pending();
            let mut names: Vec<&str> = pending.iter().take(NAMED).map(|(_, check)| check.name()).collect();
            if pending.len() > NAMED {
                names.push("others");
            }
            let done = self.expected.len() - pending.len();
            let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let message = trouble.unwrap_or_else(|| format!("waiting for {}", names.join(", ")));
            self.events.send(Event::Work { message, done: done as u64, total: self.expected.len() as u64 });
        }
    }

    /// Tries something again that fails for a reason that may pass, a few times, and says so. For what does not do so by itself, as the clients of
    /// the forge's API and of the API server do.
    pub(super) async fn patiently<T, A: Future<Output = Result<T>>>(&self, attempt: impl FnMut() -> A) -> Result<T> {
        let delays = ExponentialBuilder::default().with_min_delay(PAUSE).with_max_times(RETRIES);
        let passes = |failure: &Failure| failure.kind == Kind::Transient;
        let tell = |failure: &Failure, pause: Duration| {
            self.trouble(Some(format!("{}; trying again in {} s", failure.message, pause.as_secs().max(1))));
        };
        let outcome = attempt.retry(delays).when(passes).notify(tell).await;
        self.trouble(None);
        outcome
    }

    fn trouble(&self, text: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// The checks in the order in which they are shown, and how many of them were not come to; these are left out `because` of something.
    pub(super) fn finish(self, because: &str) -> (Vec<Check>, usize) {
        let pending = self.pending();
        let left = pending.len();
        for (cluster, check) in pending {
            self.leave_out(&[check], cluster.as_ref(), because);
        }
        let mut made = self.made.into_inner().unwrap_or_else(PoisonError::into_inner);
        let place = |check: &Check| self.expected.iter().position(|(cluster, id)| *id == check.check && *cluster == check.cluster);
        made.sort_by_key(place);
        (made, left)
    }

    fn pending(&self) -> Vec<Key> {
        let made = self.made();
        let is_pending = |(cluster, check): &&Key| !made.iter().any(|other| other.check == *check && other.cluster == *cluster);
        self.expected.iter().filter(is_pending).cloned().collect()
    }

    fn made(&self) -> MutexGuard<'_, Vec<Check>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A check that failed as a run would, as a row.
pub(super) fn failed(check: CheckId, failure: &Failure) -> Check {
    let causes = failure.causes.iter().map(String::as_str).filter(|cause| *cause != "nothing was changed");
    let evidence: Vec<&str> = std::iter::once(failure.message.as_ref()).chain(causes).collect();
    failure.hints.iter().fold(Check::wrong(check, evidence.join("; ")), |check, hint| check.hint(hint.clone()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::CheckResult;
    use crate::event::Reporter;

    struct Silent;

    impl Reporter for Silent {
        fn on(&mut self, _: &Event) {}
    }

    fn board() -> Board {
        Board::new(Events::new(Silent), &["staging".parse().unwrap()])
    }

    #[test]
    fn every_check_is_shown_once_in_its_order_whatever_was_made() {
        let board = board();
        board.note(Check::well(CheckId::Server, "x").of(&"staging".parse().unwrap()));
        board.note(Check::well(CheckId::Git, "x"));
        board.note(Check::wrong(CheckId::Git, "again"));
        let (checks, left) = board.finish("the time was over");
        assert_eq!(checks.iter().map(|check| check.check).collect::<Vec<_>>(), CheckId::ALL);
        assert_eq!(checks[0].result, CheckResult::Well);
        let open: Vec<&Check> = checks.iter().filter(|check| check.result == CheckResult::NotChecked).collect();
        assert_eq!((open.len(), left), (CheckId::ALL.len() - 2, CheckId::ALL.len() - 2));
        assert!(open.iter().all(|check| check.evidence == "because the time was over"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_come_right_is_tried_again_and_what_will_not_is_not() {
        let board = board();
        let attempts = AtomicUsize::new(0);
        let outcome = board
            .patiently(async || match attempts.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Err(Failure::new(Kind::Transient, "cut")),
                _ => Ok(()),
            })
            .await;
        assert_eq!((outcome, attempts.swap(0, Ordering::Relaxed)), (Ok(()), 3));
        let refused = board.patiently(async || {
            attempts.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Failure::refused("no"))
        });
        assert!(refused.await.is_err());
        assert_eq!(attempts.swap(0, Ordering::Relaxed), 1);
        let down = board.patiently(async || {
            attempts.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Failure::new(Kind::Transient, "down"))
        });
        assert!(down.await.is_err());
        assert_eq!(attempts.load(Ordering::Relaxed), RETRIES + 1);
    }

    #[test]
    fn a_row_says_what_a_refusal_would_have_said() {
        let failure = Failure::refused("it is too old").because("1.29").because("nothing was changed").hint("update it");
        let check = failed(CheckId::Server, &failure);
        assert_eq!((check.evidence.as_str(), check.hints.as_slice()), ("it is too old; 1.29", ["update it".to_owned()].as_slice()));
    }
}

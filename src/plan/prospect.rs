//! Whether an Application that has not converged can still come right by itself.

use super::diagnosis::State;

/// After how many failed tries an Application counts as unable to come right: the cause of what fails three times in a row is not the order in
/// which things came up.
const ENOUGH: u32 = 3;

/// What is to be expected of an Application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prospect {
    /// Nothing: it has converged.
    Converged,
    /// It is on its way, or may still be helped by a new try.
    Moving,
    /// It waits for a time or a person, as Git itself says.
    Waiting,
    /// It was tried often enough.
    Stuck,
}

/// What is to be expected of an Application in `state`. `tries` counts the failed tries: the syncs that Argo CD repeated and those that were asked for.
pub fn prospect(state: &State, tries: u32) -> Prospect {
    match state {
        State::Converged => Prospect::Converged,
        State::Waiting { .. } => Prospect::Waiting,
        State::Stalled { kickable: false, .. } => Prospect::Stuck,
        State::Stalled { .. } | State::Failed { .. } | State::Progressing { .. } if tries >= ENOUGH => Prospect::Stuck,
        State::Stalled { .. } | State::Failed { .. } | State::Progressing { .. } | State::Deleting | State::Unknown => Prospect::Moving,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_three_times_is_stuck_and_what_waits_is_not_tried() {
        let stalled = |kickable| State::Stalled { cause: "why".to_owned(), kickable };
        assert_eq!(prospect(&stalled(true), 0), Prospect::Moving);
        assert_eq!(prospect(&stalled(true), 3), Prospect::Stuck);
        assert_eq!(prospect(&stalled(false), 0), Prospect::Stuck);
        assert_eq!(prospect(&State::Progressing { why: String::new() }, 2), Prospect::Moving);
        assert_eq!(prospect(&State::Waiting { why: String::new() }, 9), Prospect::Waiting);
        assert_eq!(prospect(&State::Unknown, 9), Prospect::Moving);
    }
}

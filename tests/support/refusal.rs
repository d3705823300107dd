//! A run that is refused.

use super::logs::{ForgeRequest, Mark};
use super::{Cli, Ran, TestSandbox};

/// Checks that a run exits with `status`, says all `words`, and changed nothing. Returns what the forge was asked too.
#[track_caller]
pub(crate) fn assert_refuses(sandbox: &TestSandbox, run: Cli, status: i32, words: &[&str]) -> (Ran, Vec<ForgeRequest>) {
    let mark = Mark::now(&sandbox.state);
    let ran = run.run().exits(status);
    mark.assert_unchanged(&sandbox.state);
    // Lines are broken where the width says, so the words are looked for in what was said as a whole.
    let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(said.contains(word), "`{word}` is not said\n{ran}");
    }
    (ran, mark.requests(&sandbox.state))
}

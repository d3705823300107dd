//! Other processes, by their numbers.

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

fn pid(number: u32) -> Pid {
    i32::try_from(number).ok().and_then(Pid::from_raw).unwrap_or_else(|| panic!("{number} is no process"))
}

/// Whether there is such a process.
pub(crate) fn is_alive(number: u32) -> bool {
    // One that has ended but was not waited for still has its number.
    let ended = std::fs::read_to_string(format!("/proc/{number}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    test_kill_process(pid(number)).is_ok() && !ended
}

/// Ends a process without asking it.
pub(crate) fn kill(number: u32) {
    kill_process(pid(number), Signal::KILL).unwrap();
}

/// Presses Ctrl-C for a process.
pub(crate) fn interrupt(number: u32) {
    kill_process(pid(number), Signal::INT).unwrap();
}

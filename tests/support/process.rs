//! Other processes, by their numbers.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

fn pid(number: u32) -> Pid {
    i32::try_from(number).ok().and_then(Pid::from_raw).unwrap_or_else(|| panic!("{number} is no process"))
}

/// Whether there is such a process.
pub(crate) fn is_alive(number: u32) -> bool {
    // One that has ended but was not waited for still has its number.
    let ended = fs::read_to_string(format!("/proc/{number}/stat")).is_ok_and(|stat| stat.contains(") Z "));
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

/// Asks a process to end, as the machine does when it is shut down.
pub(crate) fn terminate(number: u32) {
    kill_process(pid(number), Signal::TERM).unwrap();
}

/// Holds a process up, until it is told to go on.
pub(crate) fn hold_up(number: u32) {
    kill_process(pid(number), Signal::STOP).unwrap();
}

/// Lets a process that was held up go on.
pub(crate) fn let_go_on(number: u32) {
    kill_process(pid(number), Signal::CONT).unwrap();
}

/// What every user of the machine can see of a process and its descendants (cmdline), and what their owner can (environ).
#[derive(Default)]
pub(crate) struct Seen {
    /// The command lines.
    pub(crate) commands: BTreeSet<Vec<u8>>,
    /// The environments of the descendants, each with its command line.
    pub(crate) environments: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

impl Seen {
    /// Looks at the process and its descendants once.
    pub(crate) fn look_at(&mut self, number: u32) {
        let read = |number: u32, what: &str| fs::read(format!("/proc/{number}/{what}")).unwrap_or_default();
        let own = read(number, "cmdline");
        let mut open = vec![number];
        while let Some(next) = open.pop() {
            let command = read(next, "cmdline");
            // Until a new process has become its own program it is a copy of its parent, environment and all (fork(2)).
            if command != own {
                self.environments.insert((command.clone(), read(next, "environ")));
            }
            self.commands.insert(command);
            // Each thread lists the children that it started (proc_pid_children(5)).
            let threads = fs::read_dir(format!("/proc/{next}/task")).into_iter().flatten().flatten();
            for thread in threads {
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                open.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
        }
    }
}

//! The terminal as it was before the run: a prompt that is cut short leaves the cursor hidden, or the echo off.

use std::sync::Arc;

#[cfg(unix)]
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// The state of the terminal when the process began. Cheap to clone.
#[derive(Clone)]
pub struct Terminal {
    #[cfg(unix)]
    modes: Option<Arc<Termios>>,
}

impl Terminal {
    /// Notes the state of the terminal, if there is one.
    pub fn note() -> Self {
        Self {
            #[cfg(unix)]
            modes: tcgetattr(std::io::stdin()).ok().map(Arc::new),
        }
    }

    /// Has Ctrl-C leave no `^C` on the screen: bars that are drawn in place would not know that it moved the cursor, and stay behind.
    pub fn hide_control_characters(&self) {
        #[cfg(unix)]
        if let Some(modes) = &self.modes {
            let mut modes = Termios::clone(modes);
            modes.local_modes.remove(LocalModes::ECHOCTL);
            set(&modes);
        }
    }

    /// Goes to the start of an empty line: a prompt that was cut short has left the cursor in the middle of one.
    pub fn start_line(&self) {
        let terminal = console::Term::stderr();
        if terminal.is_term() {
            let _gone = terminal.clear_line();
        }
    }

    /// Puts the terminal back.
    pub fn restore(&self) {
        let terminal = console::Term::stderr();
        if terminal.is_term() {
            let _gone = terminal.show_cursor();
        }
        #[cfg(unix)]
        if let Some(modes) = &self.modes {
            set(modes);
        }
    }
}

/// Changes the modes of the terminal, unless another program has it: a process in the background that tries is stopped (termios(3), `SIGTTOU`).
#[cfg(unix)]
fn set(modes: &Termios) {
    if tcgetpgrp(std::io::stdin()).is_ok_and(|foreground| foreground == rustix::process::getpgrp()) {
        let _gone = tcsetattr(std::io::stdin(), OptionalActions::Now, modes);
    }
}

//! Data for programs and pipes, as against the talk for people that reporters write.

use std::io::{self, Write as _};

use crate::error::{Failure, Kind, Result};

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
pub(super) fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Kind::Usage, "cannot write to standard output").because(error))
        }
        _ => Ok(()),
    }
}

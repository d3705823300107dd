//! What `-v` and `-vv` show: the requests of a run, without bodies.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::sanitise::sanitise;

/// Switches the log on standard error on: once for this tool's own, twice for every request.
///
/// The client libraries are silent: they log failed connections as errors beside this tool's own message, and may quote what they sent.
pub fn trace(verbosity: u8) {
    let level = match verbosity {
        0 => return,
        1 => "gitops_bootstrap=info",
        _ => "gitops_bootstrap=debug",
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level)).with_writer(Safe).with_ansi(false).with_target(false);
    // A second call is a test's: the first one counts.
    let _already = subscriber.try_init();
}

/// Writes whole records to standard error, made safe to print.
struct Safe;

impl<'a> MakeWriter<'a> for Safe {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl io::Write for Safe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let mut stream = io::stderr();
        for record in text.lines() {
            writeln!(stream, "{}", sanitise(record))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

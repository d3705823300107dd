//! Parses the command line, runs the verb, and returns its exit status.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::FromArgMatches as _;
use gitops_bootstrap::cli::{self, Cli, Global};
use gitops_bootstrap::commands::{self, Context};
use gitops_bootstrap::error::{Failure, Kind};
use gitops_bootstrap::event::{Event, Events};
use gitops_bootstrap::report::{self, Circumstances, Form, Style, Terminal};
use gitops_bootstrap::settings::{self, Environment};
use tokio_util::sync::CancellationToken;

/// A run reads and drops some hundred thousand small strings: with the system's allocator a first `init` takes a tenth more of processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let environment = Environment::of_process();
    if commands::completions::answer(&environment) {
        return ExitCode::SUCCESS;
    }
    gitops_bootstrap::adapters::install_tls_provider();
    if let Err(failure) = settings::refuse_tokens(std::env::args_os()) {
        report::failure(&failure, &report::style(&Circumstances::of(&Global::default(), &environment)));
        return ExitCode::from(failure.kind.exit_status());
    }
    let mut command = settings::without_empty_variables(cli::command(), &environment);
    let cli = Cli::from_arg_matches(&command.get_matches_mut()).unwrap_or_else(|error| error.format(&mut command).exit());
    let style = report::style(&Circumstances::of(&cli.global, &environment));
    report::trace(cli.global.verbose);
    let events = Events::boxed(report::reporter(&style));
    let terminal = Terminal::note();
    if style.form == Form::Bars {
        terminal.hide_control_characters();
    }
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let status = runtime.block_on(run(cli, environment, events, style, terminal.clone()));
            // A prompt or a program may still hold a thread; nothing waits for it.
            runtime.shutdown_background();
            terminal.restore();
            status
        }
        Err(error) => {
            let failure = Failure::new(Kind::Transient, "no threads can be started").because(error);
            report::failure(&failure, &style);
            ExitCode::from(failure.kind.exit_status())
        }
    }
}

async fn run(cli: Cli, environment: Environment, events: Events, style: Style, terminal: Terminal) -> ExitCode {
    let cancel = CancellationToken::new();
    let terminated = Arc::new(AtomicBool::new(false));
    let signals = tokio::spawn(listen(cancel.clone(), terminated.clone(), terminal.clone()));
    let context = Context { global: cli.global.clone(), environment, events: events.clone(), cancel };
    let result = commands::run(cli, context).await;
    signals.abort();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(mut failure) => {
            let interrupted = failure.kind == Kind::Interrupted;
            if interrupted && terminated.load(Ordering::Relaxed) {
                failure.kind = Kind::Terminated;
            }
            let status = failure.kind.exit_status();
            // A prompt that was cut short has left the terminal in its own mode.
            terminal.restore();
            if interrupted {
                terminal.start_line();
            }
            // A hidden answer goes on waiting for its Enter, and holds the reporter; nobody waits for that after Ctrl-C.
            if interrupted && !events.try_send(&Event::Failed { failure: failure.clone(), status }) {
                report::failure(&failure, &style);
            } else if !interrupted {
                events.send(Event::Failed { failure, status });
            }
            ExitCode::from(status)
        }
    }
}

/// Cancels the run at the first signal and ends the process at the second.
async fn listen(cancel: CancellationToken, terminated: Arc<AtomicBool>, terminal: Terminal) {
    // Made once: a second signal right after the first must find somebody who listens.
    let Some(mut signals) = Signals::new() else { return };
    let is_termination = signals.next().await;
    terminated.store(is_termination, Ordering::Relaxed);
    cancel.cancel();
    let is_termination = signals.next().await;
    terminal.restore();
    end_now(if is_termination { Kind::Terminated } else { Kind::Interrupted });
}

/// The signals that end a run: SIGINT and SIGTERM.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Some(Self { interrupt: signal(SignalKind::interrupt()).ok()?, terminate: signal(SignalKind::terminate()).ok()? })
    }

    /// Waits for the next one; whether it was SIGTERM.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.interrupt.recv() => false,
            _ = self.terminate.recv() => true,
        }
    }
}

/// The signal that ends a run: Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Option<Self> {
        Some(Self)
    }

    /// Waits for the next one, which is never SIGTERM here.
    async fn next(&mut self) -> bool {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        false
    }
}

#[expect(clippy::exit, reason = "the second signal ends the process at once, whatever it is doing")]
fn end_now(kind: Kind) -> ! {
    std::process::exit(i32::from(kind.exit_status()))
}

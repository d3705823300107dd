//! Parses the command line, runs the verb, and returns its exit status.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser as _;
use gitops_bootstrap::cli::{Cli, Global};
use gitops_bootstrap::commands::{self, Context};
use gitops_bootstrap::error::{Failure, Kind};
use gitops_bootstrap::event::{Event, Events};
use gitops_bootstrap::report::{self, Circumstances, Terminal};
use gitops_bootstrap::settings::{self, Environment};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    gitops_bootstrap::adapters::install_tls_provider();
    let environment = Environment::of_process();
    if let Err(failure) = settings::refuse_tokens(std::env::args_os()) {
        report::failure(&failure, &report::style(&Circumstances::of(&Global::default(), &environment)));
        return ExitCode::from(failure.kind.exit_status());
    }
    let cli = Cli::parse();
    let style = report::style(&Circumstances::of(&cli.global, &environment));
    report::trace(cli.global.verbose);
    let events = Events::boxed(report::reporter(&style));
    let terminal = Terminal::note();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let status = runtime.block_on(run(cli, environment, events, terminal.clone()));
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

async fn run(cli: Cli, environment: Environment, events: Events, terminal: Terminal) -> ExitCode {
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
            events.send(Event::Failed { failure, status });
            ExitCode::from(status)
        }
    }
}

/// Cancels the run at the first signal and ends the process at the second.
async fn listen(cancel: CancellationToken, terminated: Arc<AtomicBool>, terminal: Terminal) {
    let mut already = false;
    loop {
        let is_termination = next_signal().await;
        if already {
            terminal.restore();
            end_now(if is_termination { Kind::Terminated } else { Kind::Interrupted });
        }
        already = true;
        terminated.store(is_termination, Ordering::Relaxed);
        cancel.cancel();
    }
}

/// Waits for SIGINT or SIGTERM; whether it was the latter.
#[cfg(unix)]
async fn next_signal() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => false,
        _ = terminate.recv() => true,
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
async fn next_signal() -> bool {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    false
}

#[expect(clippy::exit, reason = "the second signal ends the process at once, whatever it is doing")]
fn end_now(kind: Kind) -> ! {
    std::process::exit(i32::from(kind.exit_status()))
}

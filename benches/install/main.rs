//! How long the install takes: ours, against the limit of the API server and against `kubectl`, near and far away.
//!
//! `cargo bench --locked` measures everything; `cargo bench --locked -- near` only what is named: `near`, `far`, `run`. See docs/benchmarks.md.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark prints a table, and stops at whatever goes wrong"
)]

mod contestant;
mod fresh_cluster;
#[path = "../common/kubectl.rs"]
mod kubectl;
mod manifest;
mod saturation;
mod slow_proxy;
#[path = "../common/statistics.rs"]
mod statistics;
#[path = "../../tests/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "a benchmark needs less than the tests do")]
mod support;
mod whole_run;

use std::time::Duration;

use contestant::Contestant;
use fresh_cluster::FreshCluster;
use manifest::Manifest;
use slow_proxy::SlowProxy;
use statistics::{Figures, table};

/// How often each contestant runs.
const SAMPLES: usize = 5;

/// How much later each answer comes from a cluster that is far away.
const DELAY: Duration = Duration::from_millis(50);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    gitops_bootstrap::adapters::install_tls_provider();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if is_wanted("near") {
        let figures = runtime.block_on(install(&Contestant::ALL, None));
        println!("{}", table("Install phase, on this machine", &figures));
    }
    if is_wanted("far") {
        let figures = runtime.block_on(install(&Contestant::ALL, Some(DELAY)));
        println!("{}", table("Install phase, each answer 50 ms late", &figures));
    }
    if is_wanted("run") {
        println!("{}", table("Whole runs of `init`", &whole_run::measure(SAMPLES)));
    }
}

/// Lets the contestants take turns, each on a control plane that has just started.
///
/// A new control plane for each sample costs some seconds, and is what a person has. The alternative, deleting the objects, would leave caches
/// that are warm, kinds that are still being taken down, and the garbage of the samples before in the database.
async fn install(contestants: &[Contestant], delay: Option<Duration>) -> Vec<Figures> {
    let manifest = Manifest::read();
    let kubectl = kubectl::build();
    let mut figures: Vec<Figures> = contestants.iter().map(|contestant| Figures::new(contestant.name())).collect();
    for round in 1..=SAMPLES {
        for (contestant, figures) in contestants.iter().zip(&mut figures) {
            let cluster = FreshCluster::start().await;
            let proxy = match delay {
                Some(delay) => Some(SlowProxy::start(&cluster.server(), delay).await),
                None => None,
            };
            let kubeconfig = cluster.kubeconfig(proxy.as_ref().map(SlowProxy::port));
            let took = contestant.install(&manifest, &kubeconfig, &kubectl).await;
            cluster.assert_installed(&manifest).await;
            println!("{round} of {SAMPLES}: {} {:.2} s", contestant.name(), took.as_secs_f64());
            figures.add(took);
        }
    }
    figures
}

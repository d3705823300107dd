//! How long a cluster of 10, 100, 300 Applications takes to come back: by `recover`, and by Argo CD given the same root.
//!
//! `cargo bench --locked --bench recovery` measures everything; `-- 10` only what is named: sizes, and `elsewhere` or `drill` for one of the two ways of
//! recovering; `once` takes one sample of each. See docs/benchmarks.md.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark prints a table, and stops at whatever goes wrong"
)]

mod contestant;
#[path = "../common/kubectl.rs"]
mod kubectl;
mod processes;
mod site;
#[path = "../common/statistics.rs"]
mod statistics;
#[path = "../../tests/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "a benchmark needs less than the tests do")]
mod support;

use contestant::Contestant;
use processes::ProcessorTimes;
use site::Site;
use statistics::{Figures, table};

/// How often each contestant runs.
const SAMPLES: usize = 3;

/// How many Applications there are beside those of the fleet itself.
const SIZES: [usize; 3] = [10, 100, 300];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |word: &str| wanted.iter().any(|wanted| wanted == word);
    let sizes: Vec<usize> = wanted.iter().filter_map(|wanted| wanted.parse().ok()).collect();
    let sizes = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    let all = !Contestant::ALL.iter().any(|contestant| is_wanted(contestant.word()));
    let contestants: Vec<Contestant> =
        Contestant::ALL.into_iter().filter(|contestant| all || *contestant == Contestant::ArgoCd || is_wanted(contestant.word())).collect();
    let samples = if is_wanted("once") { 1 } else { SAMPLES };
    gitops_bootstrap::adapters::install_tls_provider();
    for size in sizes {
        measure(size, &contestants, samples);
    }
}

/// Lets the contestants take turns, each on an empty cluster, with the same repository at the same forge.
fn measure(size: usize, contestants: &[Contestant], samples: usize) {
    let mut site = Site::with(size);
    let mut figures: Vec<(Figures, ProcessorTimes)> =
        contestants.iter().map(|contestant| (Figures::new(contestant.name()), ProcessorTimes::default())).collect();
    for round in 1..=samples {
        for (contestant, (figures, processors)) in contestants.iter().zip(&mut figures) {
            let (took, used) = site.measure(*contestant);
            println!("{round} of {samples}: {}, {size} Applications: {:.1} s", contestant.name(), took.as_secs_f64());
            figures.add(took);
            processors.add(used);
        }
    }
    let (figures, processors): (Vec<Figures>, Vec<ProcessorTimes>) = figures.into_iter().unzip();
    println!("{}", table(&format!("{size} Applications, until all are Synced, Healthy and Succeeded"), &figures));
    let named: Vec<(&str, &ProcessorTimes)> = contestants.iter().map(|contestant| contestant.name()).zip(&processors).collect();
    println!("{}", processes::table(&named));
}

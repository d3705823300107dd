//! Whole runs of the program on the sandbox: what a first run takes of our own, and what a second one takes.

use std::time::{Duration, Instant};

use crate::statistics::Figures;
use crate::support::logs::mutations;
use crate::support::{Fleet, TestSandbox};

/// How often the second run is made in each sandbox.
const RERUNS: usize = 3;

/// The beginning of our user agent.
const CLIENT: &str = "gitops-bootstrap/";

/// Runs `init` from a clone that is there on `samples` new sandboxes, and then again.
///
/// Our own time is the processor time of the program and of all that it starts and waits for (`git`, `ssh`, the engine's command): what it does
/// while it does not wait for the API server, the forge or Argo CD, which are other processes.
pub(crate) fn measure(samples: usize) -> Vec<Figures> {
    let mut own = Figures::new("first run: processor time of our own");
    let mut whole = Figures::new("first run: from start to end");
    let mut rerun = Figures::new("second run: from start to end");
    let mut rerun_own = Figures::new("second run: processor time of our own");
    for round in 1..=samples {
        let sandbox = TestSandbox::start();
        let fleet = Fleet::of(&sandbox);
        let first = init(&sandbox, &fleet);
        own.add(first.processor);
        whole.add(first.elapsed);
        let changes = mutations(&sandbox.state, CLIENT).len();
        for _ in 0..RERUNS {
            let second = init(&sandbox, &fleet);
            rerun.add(second.elapsed);
            rerun_own.add(second.processor);
        }
        assert_eq!(mutations(&sandbox.state, CLIENT).len(), changes, "a second run changes nothing");
        println!("{round} of {samples}: init {:.2} s, {:.2} s of our own", first.elapsed.as_secs_f64(), first.processor.as_secs_f64());
    }
    vec![own, whole, rerun, rerun_own]
}

struct Run {
    elapsed: Duration,
    processor: Duration,
}

fn init(sandbox: &TestSandbox, fleet: &Fleet) -> Run {
    let command = sandbox.cli(&["init", "staging", "--sandbox", "--output", "json"]).in_folder(fleet.folder());
    let (begin, before) = (Instant::now(), processor());
    let ran = command.run();
    let run = Run { elapsed: begin.elapsed(), processor: processor() - before };
    ran.exits(0);
    run
}

/// The processor time of all processes that were waited for: `cutime` and `cstime` in proc_pid_stat(5), in hundredths of a second.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = after_name.split(' ').collect();
    let hundredths = |field: usize| fields[field - 3].parse::<u64>().unwrap();
    Duration::from_millis(10 * (hundredths(16) + hundredths(17)))
}

//! What computes how much while a cluster comes back.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gitops_bootstrap::sandbox::State;

/// The processor time that one program has used, by its name.
#[derive(Clone, Debug)]
pub(crate) struct ProcessorTime {
    program: String,
    /// In seconds.
    seconds: f64,
}

/// The programs that a table shows, as they call themselves; all others are one column.
const SHOWN: [(&str, &str); 6] = [
    ("argocd-application-controller", "application controller"),
    ("argocd-repo-server", "repo-server"),
    ("kube-apiserver", "API server"),
    ("etcd", "etcd"),
    ("kube-controller-manager", "controller manager"),
    ("gitops-bootstrap", "gitops-bootstrap"),
];

impl ProcessorTime {
    /// What was used between two looks.
    pub(crate) fn since(before: &[Self], after: Vec<Self>) -> Vec<Self> {
        let earlier = |program: &str| before.iter().filter(|time| time.program == program).map(|time| time.seconds).sum::<f64>();
        after.into_iter().map(|time| Self { seconds: time.seconds - earlier(&time.program), ..time }).collect()
    }
}

/// The processor time of each program of a sandbox so far, and of all that this process has started and waited for, which is the command line with its `git`
/// and `ssh`, or kubectl.
pub(crate) fn of_sandbox(state: &State) -> Vec<ProcessorTime> {
    let mut processes: BTreeMap<u32, Process> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|number| Some((number, Process::read(number)?)))
        .collect();
    let own = Process::read(std::process::id()).unwrap();
    processes.retain(|_, process| process.arguments.len() > 1);
    let of_sandbox = |mut number: u32| {
        while let Some(process) = processes.get(&number) {
            if number == state.supervisor.pid {
                return true;
            }
            number = process.parent;
        }
        false
    };
    let mut seconds: BTreeMap<String, f64> = BTreeMap::new();
    for process in processes.iter().filter(|(number, _)| of_sandbox(**number)).map(|(_, process)| process) {
        *seconds.entry(process.arguments[1].clone()).or_default() += process.own;
    }
    seconds.insert("gitops-bootstrap".to_owned(), own.waited_for);
    seconds.into_iter().map(|(program, seconds)| ProcessorTime { program, seconds }).collect()
}

struct Process {
    parent: u32,
    arguments: Vec<String>,
    own: f64,
    /// That of its children that have ended.
    waited_for: f64,
}

impl Process {
    /// Reads proc_pid_stat(5), where times are in hundredths of a second, and proc_pid_cmdline(5). None if there is no such process any more.
    fn read(number: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = after_name.split(' ').collect();
        let seconds = |field: usize| fields[field - 3].parse::<f64>().unwrap() / 100.0;
        let line = std::fs::read_to_string(format!("/proc/{number}/cmdline")).ok()?;
        let arguments = line.split_terminator('\0').map(str::to_owned).collect();
        Some(Self { parent: fields[1].parse().ok()?, arguments, own: seconds(14) + seconds(15), waited_for: seconds(16) + seconds(17) })
    }
}

/// The samples of one contestant.
#[derive(Default)]
pub(crate) struct ProcessorTimes(Vec<Vec<ProcessorTime>>);

impl ProcessorTimes {
    /// Adds one.
    pub(crate) fn add(&mut self, sample: Vec<ProcessorTime>) {
        self.0.push(sample);
    }

    /// The mean of what the programs that `is_meant` have used.
    fn mean(&self, is_meant: impl Fn(&str) -> bool) -> f64 {
        let meant = self.0.iter().flatten().filter(|time| is_meant(&time.program));
        meant.map(|time| time.seconds).sum::<f64>() / f64::from(u32::try_from(self.0.len()).unwrap())
    }
}

/// A table of processor seconds, in Markdown: means, by program.
pub(crate) fn table(contestants: &[(&str, &ProcessorTimes)]) -> String {
    let mut text = String::from("Processor seconds meanwhile (means)\n\n|");
    for (_, title) in SHOWN {
        // Writing to a string does not fail.
        let _ = write!(text, " | {title}");
    }
    let _ = writeln!(text, " | the rest |\n|---|{}", "---:|".repeat(SHOWN.len() + 1));
    for (name, times) in contestants {
        let _ = write!(text, "| {name}");
        for (program, _) in SHOWN {
            let _ = write!(text, " | {:.1}", times.mean(|used| used == program));
        }
        let rest = times.mean(|used| SHOWN.iter().all(|(program, _)| *program != used));
        let _ = writeln!(text, " | {rest:.1} |");
    }
    text
}

//! The end of a successful run: what there is now, how to get at it, and what to do next.

use std::time::Duration;

use super::step;
use super::text::{self, Line, Look, Paint};
use super::tree::{self, Shown};
use crate::plan::StepId;
use crate::plan::tree::ApplicationTree;

/// What a run of `init` ends with, as plain values.
pub struct Summary<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The commit, in its first digits.
    pub commit: &'a str,
    /// The Applications.
    pub tree: &'a ApplicationTree,
    /// How the tree is shown.
    pub shown: Shown<'a>,
    /// How long each step took, in their order.
    pub steps: &'a [(StepId, Duration)],
    /// How long the whole run took.
    pub took: Duration,
    /// The deploy key.
    pub key: Option<Key<'a>>,
    /// What Argo CD gets in by instead of a deploy key, in words.
    pub app: Option<String>,
    /// How Argo CD is opened.
    pub access: Access<'a>,
    /// How kubectl is called for this cluster, as in `kubectl --context kind-staging`.
    pub kubectl: &'a str,
    /// What to do next: each a command, and what it is for.
    pub next: &'a [(String, String)],
}

/// A deploy key and where it is registered.
pub struct Key<'a> {
    /// Its SHA-256 fingerprint, as ssh-keygen(1) prints it.
    pub fingerprint: String,
    /// The repository at the forge.
    pub repository: &'a str,
    /// Its title and id there; none if a person registered it.
    pub registered: Option<(String, u64)>,
}

/// How Argo CD is opened.
pub enum Access<'a> {
    /// At an address.
    Address(&'a str),
    /// Through the API server.
    PortForward,
}

/// Columns for what a line is about.
const LABEL: usize = 14;

/// The lines of the summary. The admin password is never among them, only the command that reads it.
pub(super) fn summary(summary: &Summary<'_>, look: Look) -> Vec<Line> {
    let number = summary.tree.nodes().len();
    let heading = format!(
        "{} is up: {} Synced and Healthy at {}, in {}",
        summary.cluster,
        if number == 1 { "1 application is".to_owned() } else { format!("{number} applications are") },
        summary.commit,
        text::time(summary.took)
    );
    let mut lines =
        vec![Line::new(), Line::new().with(Paint::Good, look.either("✔ ", "+ ")).with(Paint::Strong, heading).hanging(2), Line::new()];
    lines.extend(tree::tree(summary.tree, summary.shown, look));
    lines.push(Line::new());
    let times = times(summary.steps, look);
    if !times.is_empty() {
        lines.extend(times);
        lines.push(Line::new());
    }
    if let Some(key) = &summary.key {
        lines.push(about("deploy key", &key.fingerprint, look));
        lines.push(about("", &registration(key), look));
    }
    if let Some(app) = &summary.app {
        lines.push(about("opens Git by", app, look));
    }
    lines.extend(argocd(summary, look));
    if !summary.next.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().with(Paint::Strong, "next"));
        for (command, purpose) in summary.next {
            lines.push(Line::new().with(Paint::Faint, format!("  {purpose}")).hanging(2));
            lines.push(Line::new().with(Paint::Busy, format!("    {command}")).whole());
        }
    }
    lines
}

fn about(label: &str, text: &str, look: Look) -> Line {
    step::column(Line::new().with(Paint::Faint, format!("  {label}")).pad(LABEL + 2), text, LABEL + 2, look)
}

fn registration(key: &Key<'_>) -> String {
    match &key.registered {
        Some((title, id)) => format!("read-only on {}, as \"{title}\" (id {id})", key.repository),
        None => format!("registered by hand on {}", key.repository),
    }
}

fn argocd(summary: &Summary<'_>, look: Look) -> Vec<Line> {
    let command = |rest: &str| Line::new().with(Paint::Busy, format!("    {} -n argocd {rest}", summary.kubectl)).whole();
    let mut lines = match summary.access {
        Access::Address(address) => vec![about("Argo CD", &format!("{address}, as `admin`: its API; a sandbox has no web pages"), look)],
        Access::PortForward => vec![
            about("Argo CD", "https://localhost:8080, as `admin`, while this runs:", look),
            command("port-forward service/argocd-server 8080:443"),
        ],
    };
    lines.push(about("its password", "read it with", look));
    lines.push(command("get secret argocd-initial-admin-secret -o go-template='{{.data.password | base64decode}}{{\"\\n\"}}'"));
    lines
}

/// The steps that took longest, in their order, with a bar each.
fn times(steps: &[(StepId, Duration)], look: Look) -> Vec<Line> {
    let worth_a_line = |duration: Duration| duration >= Duration::from_millis(100);
    let longest = steps.iter().map(|(_, duration)| *duration).max().unwrap_or_default();
    if !worth_a_line(longest) {
        return Vec::new();
    }
    let room = look.width.saturating_sub(LABEL + 2 + step::NAME + 12).min(40);
    let mut lines = Vec::new();
    for (step, duration) in steps.iter().filter(|(_, duration)| worth_a_line(*duration)) {
        let share = duration.as_secs_f64() / longest.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the few columns of a screen")]
        let bar = look.either("━", "=").repeat(((share * room as f64).round() as usize).max(1));
        let label = if lines.is_empty() { "  time" } else { "" };
        let line = Line::new().with(Paint::Faint, label).pad(if look.width >= 60 { LABEL + 2 } else { 8 });
        let indent = line.width();
        lines
            .push(line.plain(step.name()).pad(indent + step::NAME).plain(format!("{:>9}  ", text::time(*duration))).with(Paint::Busy, bar));
    }
    let quick: Vec<Duration> = steps.iter().map(|(_, duration)| *duration).filter(|duration| !worth_a_line(*duration)).collect();
    if !quick.is_empty() {
        let together = format!("{} together {}", text::count(quick.len(), "other step"), text::time(quick.iter().sum()));
        lines.push(Line::new().pad(if look.width >= 60 { LABEL + 2 } else { 8 }).with(Paint::Faint, together));
    }
    lines
}

//! What `status` found, as people see it.

mod screen;

use super::step;
use super::text::{self, Line, Look, Paint};
use super::tree::{self, Shown};
use crate::plan::status::Status;

pub use self::screen::Screen;

/// The screen of `status`: the cluster, Argo CD, and the tree.
pub(super) fn status(status: &Status, shown: Shown<'_>, look: Look) -> Vec<Line> {
    let name = status.cluster.as_ref().map_or("this cluster", |cluster| cluster.as_str());
    let mut lines = vec![
        Line::new()
            .with(Paint::Strong, name)
            .with(Paint::Faint, format!("  Kubernetes {} at {}", status.kubernetes, status.server))
            .hanging(2),
        step::fact("context", &status.context),
        step::fact("identity", &status.identity.to_string()),
        argocd(status),
    ];
    if let Some(commit) = &status.commit {
        let of = match &status.bootstrap {
            Some(bootstrap) if bootstrap.served_commit.as_ref() == Some(commit) => {
                format!(", served from a clone of {} at {}", bootstrap.repository, crate::plan::diagnosis::short(&bootstrap.commit))
            }
            Some(bootstrap) => format!(" of {}", bootstrap.repository),
            None => String::new(),
        };
        lines.push(step::fact("commit", &format!("{}{of}", crate::plan::diagnosis::short(commit))));
    }
    if let Some(bootstrap) = &status.bootstrap {
        let then = bootstrap.time.parse().map_or_else(
            |_| bootstrap.time.clone(),
            |then: jiff::Timestamp| format!("{} ago", text::time(shown.now.duration_since(then).try_into().unwrap_or_default())),
        );
        lines.push(step::fact("bootstrapped", &format!("{then}, by gitops-bootstrap {}", bootstrap.tool_version)));
    }
    lines.push(Line::new());
    lines.extend(tree::tree(&status.tree, shown, look));
    if status.converged {
        lines.push(Line::new());
        let number = status.applications.len();
        let are = if number == 1 { "1 application is".to_owned() } else { format!("{number} applications are") };
        let mark = look.either("✔ ", "+ ");
        lines.push(Line::new().with(Paint::Good, mark).with(Paint::Strong, format!("{are} Synced and Healthy")).hanging(2));
    }
    lines
}

fn argocd(status: &Status) -> Line {
    let argocd = &status.argocd;
    let version = argocd.version.as_deref().unwrap_or("of an unknown version");
    let not_ready: Vec<String> =
        argocd.not_ready().map(|workload| format!("{} ({} of {})", workload.name, workload.ready, workload.wanted)).collect();
    let workloads = text::count(argocd.workloads.len(), "workload");
    if not_ready.is_empty() {
        step::fact("Argo CD", &format!("{version}, {workloads} ready"))
    } else {
        let text = format!("not ready: {}", not_ready.join(", "));
        step::fact("Argo CD", &format!("{version}, {workloads}, ")).with(Paint::Bad, text)
    }
}

//! The tree of Applications, as people see it.

use std::collections::BTreeMap;

use super::text::{self, Line, Look, Paint};
use crate::domain::ApplicationRef;
use crate::plan::diagnosis::State;
use crate::plan::tree::{ApplicationTree, Node};

/// A tree with more Applications than this is folded: those that are well into one line for each parent, and under one parent no more than
/// this of the others are shown.
pub const FOLD: usize = 20;

/// What a tree is shown with.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The deepest cause of each Application that is not well, where it is better known than from Argo CD alone.
    pub causes: &'a BTreeMap<ApplicationRef, String>,
    /// The time, for ages.
    pub now: jiff::Timestamp,
    /// How many Applications are shown before the tree is folded, as [`FOLD`]; none where every one is to be shown.
    pub fold: Option<usize>,
}

/// The lines of a tree: one for each Application, and its cause below each that is not well.
pub(super) fn tree(tree: &ApplicationTree, shown: Shown<'_>, look: Look) -> Vec<Line> {
    let branches = Branches::of(look);
    let rows = rows(tree, shown, &branches);
    let columns = Columns::of(&rows, look);
    let mut lines = Vec::new();
    for row in &rows {
        match row {
            Row::Folded { before, text } => lines.push(Line::new().with(Paint::Faint, before).with(Paint::Faint, text)),
            Row::Application { before, below, node } => {
                lines.push(columns.row(before, node, shown.now, look));
                if let Some(cause) = shown.causes.get(&node.application).map(String::as_str).or_else(|| node.state.reason()) {
                    lines.extend(cause_lines(below, cause, node, look));
                }
            }
        }
    }
    lines
}

/// A cause below its Application, with the branches of the tree going on at its left.
fn cause_lines(below: &str, cause: &str, node: &Node, look: Look) -> Vec<Line> {
    let room = look.width.saturating_sub(console::measure_text_width(below)).max(24);
    let text = Line::new().with(paint(&node.state), format!("{}: ", node.state.word())).plain(cause);
    text.rows(room).into_iter().map(|row| Line::new().with(Paint::Faint, below).then(row).whole()).collect()
}

enum Row<'a> {
    Application { before: String, below: String, node: &'a Node },
    Folded { before: String, text: String },
}

/// The pieces that branches are drawn with.
struct Branches {
    fork: &'static str,
    last: &'static str,
    pass: &'static str,
}

impl Branches {
    const fn of(look: Look) -> Self {
        Self { fork: look.either("├─ ", "|- "), last: look.either("└─ ", "`- "), pass: look.either("│  ", "|  ") }
    }
}

/// Walks the tree from top to bottom, without recursion: its depth comes from outside.
fn rows<'a>(tree: &'a ApplicationTree, shown: Shown<'_>, branches: &Branches) -> Vec<Row<'a>> {
    enum Visit<'a> {
        Node { prefix: String, is_last: bool, is_root: bool, node: &'a Node },
        Folded { prefix: String, text: String },
    }
    let mut rows = Vec::new();
    let mut to_visit: Vec<Visit<'_>> =
        tree.roots().map(|node| Visit::Node { prefix: "  ".to_owned(), is_last: true, is_root: true, node }).collect();
    to_visit.reverse();
    while let Some(visit) = to_visit.pop() {
        let (prefix, is_last, is_root, node) = match visit {
            Visit::Folded { prefix, text } => {
                rows.push(Row::Folded { before: format!("{prefix}{}", branches.last), text });
                continue;
            }
            Visit::Node { prefix, is_last, is_root, node } => (prefix, is_last, is_root, node),
        };
        let (branch, pass) = match (is_root, is_last) {
            (true, _) => ("", ""),
            (false, true) => (branches.last, "   "),
            (false, false) => (branches.fork, branches.pass),
        };
        let below = format!("{prefix}{pass}");
        let (children, folded) = fold(tree, node, shown.fold);
        let under = if children.is_empty() && folded.is_none() { "  " } else { branches.pass.trim_end() };
        rows.push(Row::Application { before: format!("{prefix}{branch}"), below: format!("{below}{under:<4}"), node });
        let last = children.len() - usize::from(folded.is_none()).min(children.len());
        to_visit.extend(folded.map(|text| Visit::Folded { prefix: below.clone(), text }));
        to_visit.extend(
            children
                .into_iter()
                .enumerate()
                .map(|(index, node)| Visit::Node { prefix: below.clone(), is_last: index == last, is_root: false, node })
                .rev(),
        );
    }
    rows
}

/// The children that are shown, and a line for the others.
fn fold<'a>(tree: &'a ApplicationTree, node: &'a Node, fold: Option<usize>) -> (Vec<&'a Node>, Option<String>) {
    let children: Vec<&Node> = tree.children(node).collect();
    let Some(most) = fold.filter(|&most| tree.nodes().len() > most) else { return (children, None) };
    let number = children.len();
    // Parents stay, so that each tier is seen, unless there are too many even of them.
    let is_folded = |child: &&Node| child.is_settled() && (number > most || tree.children(child).len() == 0);
    let well = children.iter().filter(|child| child.is_settled()).count();
    let (folded, mut kept): (Vec<&Node>, Vec<&Node>) = children.iter().copied().partition(is_folded);
    if folded.len() < 2 && number <= most {
        return (children, None);
    }
    let hidden = kept.len().saturating_sub(most);
    kept.truncate(most);
    let line = match (hidden, folded.len()) {
        (0, 0) => None,
        (0, _) => Some(format!("{well} of {number} well")),
        (hidden, 0) => Some(format!("+ {hidden} more that are not well")),
        (hidden, _) => Some(format!("+ {hidden} more that are not well; {well} of {number} well")),
    };
    (kept, line)
}

/// How wide the columns are, and which there are.
struct Columns {
    name: usize,
    with_health: bool,
    with_revision: bool,
    with_age: bool,
}

/// Columns for `OutOfSync`, for `Progressing`, for a short commit, and for an age, each with two blanks.
const SYNC: usize = 11;
const HEALTH: usize = 13;
const REVISION: usize = 12;
const AGE: usize = 10;

impl Columns {
    fn of(rows: &[Row<'_>], look: Look) -> Self {
        let widest = rows
            .iter()
            .filter_map(|row| match row {
                Row::Application { before, node, .. } => Some(Line::of(before).plain(node.application.to_string()).width() + 4),
                Row::Folded { .. } => None,
            })
            .max()
            .unwrap_or_default();
        let with_health = look.width >= 60;
        let fixed = if with_health { SYNC + HEALTH } else { SYNC };
        let with_revision = with_health && widest.min(36) + fixed + REVISION <= look.width;
        let with_age = with_revision && widest.min(36) + fixed + REVISION + AGE <= look.width;
        let others = fixed + if with_revision { REVISION } else { 0 } + if with_age { AGE } else { 0 };
        Self { name: widest.min(look.width.saturating_sub(others)).max(12), with_health, with_revision, with_age }
    }

    fn row(&self, before: &str, node: &Node, now: jiff::Timestamp, look: Look) -> Line {
        let (paint, mark) = (paint(&node.state), mark(&node.state, look));
        let room = self.name.saturating_sub(Line::of(before).width() + 4);
        let name = text::cut(&node.application.to_string(), room, look);
        let line = Line::new().with(Paint::Faint, before).with(paint, format!("{mark} ")).with(Paint::Strong, name).pad(self.name);
        let Some((sync, health)) = node.sync.zip(node.health) else {
            return line.with(Paint::Faint, "not made yet").whole();
        };
        if !self.with_health {
            return line.with(paint, if node.state.is_converged() { "healthy" } else { node.state.word() });
        }
        let mut line = line.with(shade(sync == crate::domain::application::SyncStatus::Synced), format!("{sync:?}")).pad(self.name + SYNC);
        line = line.with(shade(health == crate::domain::application::HealthStatus::Healthy), format!("{health:?}"));
        let mut columns = self.name + SYNC + HEALTH;
        if self.with_revision {
            line = line.pad(columns).with(Paint::Faint, text::cut(node.short_revision().unwrap_or_default(), REVISION - 2, look));
            columns += REVISION;
        }
        if self.with_age {
            let age = node.synced_at.map(|then| text::time(now.duration_since(then).try_into().unwrap_or_default())).unwrap_or_default();
            line = line.pad(columns).with(Paint::Faint, format!("{age:>width$}", width = AGE - 2));
        }
        line
    }
}

const fn shade(is_well: bool) -> Paint {
    if is_well { Paint::Good } else { Paint::Caution }
}

const fn paint(state: &State) -> Paint {
    match state {
        State::Converged => Paint::Good,
        State::Progressing { .. } => Paint::Busy,
        State::Waiting { .. } | State::Deleting | State::Unknown => Paint::Caution,
        State::Stalled { .. } | State::Failed { .. } => Paint::Bad,
    }
}

const fn mark(state: &State, look: Look) -> &'static str {
    match state {
        State::Converged => look.either("✔", "+"),
        State::Progressing { .. } => look.either("◌", "~"),
        State::Waiting { .. } => look.either("◇", "="),
        State::Stalled { .. } | State::Failed { .. } => look.either("✘", "x"),
        State::Deleting => look.either("–", "-"),
        State::Unknown => "?",
    }
}

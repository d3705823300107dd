//! A terminal's screen on which how a cluster stands is drawn anew in place.

use std::io::{self, Write as _};

use jiff::Timestamp;

use super::super::text::{Line, Look, Paint};
use super::super::tree::Shown;
use super::super::{FEWEST_COLUMNS, MOST_COLUMNS, Style};
use crate::plan::status::Status;

/// To the alternate screen, which leaves what was on the terminal as it was, without the cursor (xterm's control sequences, DECSET).
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";

/// Back from it.
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";

/// The terminal shows nothing of a picture before it has all of it. Terminals that do not know this ignore it.
const BEGIN: &str = "\u{1b}[?2026h\u{1b}[H";
const END: &str = "\u{1b}[J\u{1b}[?2026l";

/// To the end of a row there is nothing: what is drawn over is not cleared before, which would flicker.
const END_OF_ROW: &str = "\u{1b}[K";

/// A screen that is drawn on; the terminal is as it was when it is dropped.
pub struct Screen {
    look: Look,
    fold: Option<usize>,
    terminal: console::Term,
}

impl Screen {
    /// Takes the terminal that standard output is; none if it is none, or one that cannot move its cursor.
    pub fn open(style: &Style, fold: Option<usize>) -> Option<Self> {
        let terminal = console::Term::stdout();
        style.draws.then(|| {
            write(&format!("{ENTER}{BEGIN}reading how the cluster stands{END}"));
            Self { look: style.stdout, fold, terminal }
        })
    }

    /// Draws a picture of the size that the window has now. `lost` is why there is no connection.
    pub fn draw(&mut self, status: &Status, lost: Option<&str>, now: Timestamp) {
        let (height, width) = self.terminal.size_checked().map_or((24, self.look.width), |(rows, columns)| (rows.into(), columns.into()));
        let look = Look { width: width.clamp(FEWEST_COLUMNS, MOST_COLUMNS), ..self.look };
        let rows = picture(status, lost, now, self.fold, look, height);
        let rows: Vec<String> = rows.iter().map(|row| format!("{}{END_OF_ROW}", console::truncate_str(row, width, ""))).collect();
        write(&format!("{BEGIN}{}{END}", rows.join("\r\n")));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write(LEAVE);
    }
}

fn write(text: &str) {
    let mut out = io::stdout().lock();
    // A terminal that went away takes nothing any more.
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The rows of a picture, at most `height`: the tree is folded until it fits, and cut if that is not enough.
fn picture(status: &Status, lost: Option<&str>, now: Timestamp, fold: Option<usize>, look: Look, height: usize) -> Vec<String> {
    let causes = status.causes();
    let rows = |fold| {
        let shown = Shown { causes: &causes, now, fold };
        let mut lines: Vec<Line> = status.warnings.iter().flat_map(|warning| super::super::step::warning(warning, None)).collect();
        lines.extend(super::status(status, shown, look));
        printed(&lines, look)
    };
    let mut foot = vec![Line::new()];
    foot.extend(lost.map(|why| {
        let lost = Line::new().with(Paint::Bad, "the connection is lost and will be made again: ");
        lost.plain(why).plain("; what is shown is what was known last").hanging(2)
    }));
    foot.push(Line::new().with(Paint::Faint, "watching; Ctrl-C ends"));
    let foot = printed(&foot, look);
    let room = height.saturating_sub(foot.len()).max(1);
    let mut found = rows(fold);
    for tighter in (1..fold.unwrap_or_default()).rev() {
        if found.len() <= room {
            break;
        }
        found = rows(Some(tighter));
    }
    if found.len() > room {
        let hidden = found.len() - room + 1;
        found.truncate(room - 1);
        found.extend(printed(&[Line::new().with(Paint::Caution, format!("  {hidden} more rows: make the window taller"))], look));
    }
    found.extend(foot);
    found.truncate(height.max(1));
    found
}

fn printed(lines: &[Line], look: Look) -> Vec<String> {
    lines.iter().flat_map(|line| line.rows(look.width)).map(|row| row.printed(look.colour)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::Identity;
    use crate::domain::application::samples::{healthy, parent, patched, read};
    use crate::plan::diagnosis::verdict;
    use crate::plan::status::ArgoCd;
    use crate::plan::tree::ApplicationTree;
    use crate::report::FOLD;

    const LOOK: Look = Look { colour: false, unicode: true, width: 60 };

    /// A cluster with 60 services, of which every fourth does not work.
    fn status() -> Status {
        let names: Vec<String> = (0..60).map(|index| format!("app-{index:02}")).collect();
        let mut documents = vec![parent("services", &names.iter().map(String::as_str).collect::<Vec<_>>())];
        let unwell = json!({"status": {"health": {"status": "Degraded"}}});
        let app = |(index, name): (usize, &String)| if index % 4 == 0 { patched(healthy(name), &unwell) } else { healthy(name) };
        documents.extend(names.iter().enumerate().map(app).collect::<Vec<Value>>());
        let judged: Vec<_> = documents.into_iter().map(read).map(|application| (verdict(&application, None), application)).collect();
        let judged: Vec<_> = judged.into_iter().map(|(state, application)| (application, state)).collect();
        let status = Status {
            cluster: None,
            context: "kind-staging".to_owned(),
            server: "https://127.0.0.1:6443".to_owned(),
            identity: Identity { kube_system_uid: "0d9c3a52-7a10-4a3e-9f43-b0c5e2b0a001".to_owned(), ca_sha256: None },
            kubernetes: "v1.36.1".to_owned(),
            argocd: ArgoCd::default(),
            bootstrap: None,
            commit: None,
            converged: false,
            applications: Vec::new(),
            warnings: vec!["nothing is known of the AppProjects".to_owned()],
            tree: ApplicationTree::default(),
        };
        status.with_applications(&judged, &BTreeMap::new())
    }

    fn drawn(lost: Option<&str>, fold: Option<usize>, height: usize) -> Vec<String> {
        picture(&status(), lost, "2026-11-21T10:03:09Z".parse().unwrap(), fold, LOOK, height)
    }

    #[test]
    fn a_picture_is_never_higher_than_the_window() {
        for height in 1..80 {
            for fold in [Some(FOLD), None] {
                assert!(drawn(Some("connection refused"), fold, height).len() <= height, "{height}");
            }
        }
    }

    #[test]
    fn a_tree_is_folded_as_far_as_the_window_needs() {
        let failed = |height| drawn(None, Some(FOLD), height).iter().filter(|row| row.contains("failed: ")).count();
        assert_eq!((failed(60), failed(30), failed(20)), (15, 9, 4));
        insta::assert_snapshot!(drawn(None, Some(FOLD), 20).join("\n"));
    }

    #[test]
    fn a_tree_that_cannot_be_folded_says_how_much_is_hidden() {
        let rows = drawn(None, None, 20);
        assert!(rows.iter().any(|row| row.contains("more rows: make the window taller")), "{rows:#?}");
    }

    #[test]
    fn a_lost_connection_is_seen() {
        let text = drawn(Some("connection refused"), Some(FOLD), 60).join("\n");
        assert!(text.contains("the connection is lost and will be made again: connection"), "{text}");
    }
}

use std::collections::BTreeMap;

use super::*;
use crate::plan::drill::obstacle::Kind;
use crate::plan::drill::{ApplicationTimes, HeldUp, Link, Machine, Obstacle, Phase, StandIn};
use crate::report::text::page;

fn application(name: &str, parent: Option<&str>, [created, began, synced]: [u64; 3], healthy: Option<u64>) -> ApplicationTimes {
    ApplicationTimes {
        name: name.to_owned(),
        project: "services".to_owned(),
        parent: parent.map(str::to_owned),
        created: Some(created),
        sync_began: Some(began),
        last_attempt: Some(began),
        synced: Some(synced),
        healthy,
        state: "converged".to_owned(),
        ..ApplicationTimes::default()
    }
}

/// A drill in which everything came up.
fn recovered() -> Report {
    let link = |subject: &str, what: &str, from, to| Link { subject: subject.to_owned(), what: what.to_owned(), from, to };
    Report {
        version: crate::plan::drill::VERSION,
        tool: "0.1.0".to_owned(),
        cluster: "staging".to_owned(),
        repository: "git@github.com:acme/fleet.git".to_owned(),
        branch: "main".to_owned(),
        commit: "4f2c9d1e0a7b3c5d6e8f90123456789abcdef012".to_owned(),
        time: "2026-11-21T10:00:00Z".parse().ok(),
        recovered: true,
        milliseconds: 27_300,
        sandbox_milliseconds: 5_700,
        machine: Machine { processors: 2, system: "linux x86_64".to_owned() },
        versions: BTreeMap::from([("kubernetes".to_owned(), "v1.36.1".to_owned())]),
        phases: vec![
            Phase { step: "install".to_owned(), from: 0, to: 8_000, done: true },
            Phase { step: "converge".to_owned(), from: 8_000, to: 27_300, done: true },
        ],
        applications: vec![
            application("root", None, [8_000, 8_200, 9_000], Some(27_000)),
            application("web", Some("root"), [9_000, 9_300, 20_000], Some(26_800)),
            application("api", Some("root"), [9_000, 9_300, 10_000], Some(10_500)),
        ],
        critical_path: vec![
            link("install", "step", 0, 8_000),
            link("web", "sync", 9_300, 20_000),
            link("web", "its objects become healthy", 20_000, 26_800),
        ],
        stand_ins: vec![StandIn {
            what: "Certificate of cert-manager.io".to_owned(),
            by: "cert-manager".to_owned(),
            objects: vec!["web/site".to_owned()],
            secrets: vec!["web/site-tls".to_owned()],
        }],
        not_rehearsed: vec!["admission webhooks".to_owned()],
        ..Report::default()
    }
}

/// A drill in which one Application did not come up, later, under names that mean something in Markdown.
fn incomplete() -> Report {
    let mut report = recovered();
    report.recovered = false;
    report.milliseconds = 92_000;
    let web = &mut report.applications[1];
    (web.healthy, web.retries, web.state) = (None, 3, "stalled".to_owned());
    web.reason = Some("Widget web/w: no such kind".to_owned());
    report.obstacles.push(Obstacle {
        kind: Kind::MissingDefinition,
        application: Some("web".to_owned()),
        object: Some("Widget web/w_1".to_owned()),
        file: Some("rendered/staging/services/web/Widget.w.yaml".to_owned()),
        line: Some(2),
        message: "nothing defines <script>|Widget| of @example\u{1b}[31m".to_owned(),
        hint: Some("commit its CustomResourceDefinition".to_owned()),
    });
    report.held_up.push(HeldUp { application: "root".to_owned(), why: "one of its objects is not ready yet".to_owned() });
    report.faults.push("the recovery was killed at `install.sent` and run again".to_owned());
    report.comparison = Some(Comparison::of(&recovered(), &report));
    report
}

fn screen(report: &Report, width: usize) -> String {
    let look = Look { colour: false, unicode: width > 60, width };
    page(&drill(report, &["drills/staging.md".to_owned(), "drills/staging.json".to_owned()], look), look)
}

#[test]
fn a_drill_that_found_nothing_says_how_long_and_why_so_long() {
    insta::assert_snapshot!("drill_recovered_80", screen(&recovered(), 80));
}

#[test]
fn a_drill_that_found_something_says_what_and_where_first() {
    insta::assert_snapshot!("drill_incomplete_100", screen(&incomplete(), 100));
    insta::assert_snapshot!("drill_incomplete_40", screen(&incomplete(), 40));
}

#[test]
fn a_slower_drill_says_what_became_slower() {
    let mut slower = recovered();
    slower.milliseconds = 50_000;
    slower.applications[2].healthy = Some(40_000);
    slower.comparison = Some(Comparison::of(&recovered(), &slower));
    let screen = screen(&slower, 100);
    assert!(screen.contains("27 s → 50 s in all: slower, by more than noise"), "{screen}");
    assert!(screen.contains("api: 1.5 s → 31 s") && !screen.contains("\n    web: "), "{screen}");
    assert!(markdown(&slower).contains("| api | 1.5 s | 31 s | slower ⚠️ |"));
}

#[test]
fn the_markdown_begins_with_what_matters_and_text_from_outside_is_nothing_but_text() {
    let markdown = markdown(&incomplete());
    insta::assert_snapshot!("drill_markdown", markdown);
    for active in ["<script>", "@example", "\u{1b}"] {
        assert!(!markdown.contains(active), "{active:?}");
    }
}

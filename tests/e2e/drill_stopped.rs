//! `drill`, stopped by a person, killed, and killing.

use std::time::Duration;

use serde_json::Value;

use crate::support::cluster::SYNC;
use crate::support::drill::{assert_nothing_left, processes_of};
use crate::support::process::interrupt;
use crate::support::{Fleet, Home, Running, Slots, eventually};

/// How long the processes of a sandbox may take to notice that nobody holds them.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_drill_that_is_stopped_leaves_nothing_and_one_that_is_killed_no_process() {
    let _slots = Slots::take(1);
    let home = Home::new();
    let fleet = Fleet::example(&home, "git@github.com:acme/fleet.git");
    let until = |what: &str, is_it: &dyn Fn(&Value) -> bool| -> Running {
        let mut run = home.cli(&["drill", "staging"]).in_folder(fleet.folder()).start();
        run.until(what, SYNC, is_it);
        run
    };

    let mut run = until("the start of the sandbox", &|event| {
        event["event"] == "work" && event["message"].as_str().unwrap().contains("kube-apiserver")
    });
    interrupt(run.pid());
    run.end().exits(130);
    assert_nothing_left(&home);

    let converges = |event: &Value| event["event"] == "waiting" && event["step"] == "converge";
    let mut run = until("the middle of the recovery", &converges);
    interrupt(run.pid());
    let ran = run.end().exits(130);
    assert!(ran.events().pop().unwrap()["failure"]["message"].as_str().unwrap().contains("interrupted"), "{ran}");
    assert_nothing_left(&home);
    assert!(!fleet.folder().join("drills").exists(), "there is no report of half a drill");

    // Nobody can clean up after a SIGKILL, but the sandbox ends by itself, and the next drill removes its folder.
    drop(until("the middle of the recovery", &converges));
    eventually("the end of the sandbox's processes", SOON, || processes_of(&home).is_empty().then_some(()));
    assert!(home.sandbox_folder("drill-staging").exists());

    let ran = home.cli(&["drill", "staging", "--kill-at", "install.sent", "--output", "json"]).in_folder(fleet.folder()).run().exits(0);
    assert_nothing_left(&home);
    let report = ran.result();
    assert_eq!(report["recovered"], true);
    assert!(report["faults"][0].as_str().unwrap().contains("killed at `install.sent`"), "{report}");
    let phases = report["phases"].as_array().unwrap();
    let installs: Vec<&Value> = phases.iter().filter(|phase| phase["step"] == "install").map(|phase| &phase["done"]).collect();
    assert_eq!(installs, [false, true], "it was begun, killed, and done by the second run");
    assert!(!fleet.folder().join("drills/staging.json").exists(), "a drill with faults is none to measure others by");
}

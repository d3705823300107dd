//! `drill` on the example repository, under an address that it does not have on this machine.

use serde_json::Value;

use crate::support::drill::assert_nothing_left;
use crate::support::{Fleet, Home, Slots, assert_drill};

#[test]
fn the_example_comes_back_is_reported_and_leaves_nothing() {
    let _slots = Slots::take(1);
    let home = Home::new();
    let fleet = Fleet::example(&home, "git@github.com:acme/fleet.git");
    let head = fleet.head();
    let drill = |arguments: &[&str]| home.cli(&[&["drill", "staging", "--output", "json"], arguments].concat()).in_folder(fleet.folder());

    let report = drill(&[]).run().exits(0).result();
    assert_nothing_left(&home);
    assert_eq!((fleet.head(), fleet.git(&["status", "--porcelain"])), (head.clone(), "?? drills/".to_owned()), "the clone is only read");
    assert_eq!((&report["recovered"], &report["commit"], &report["cluster"]), (&true.into(), &head.into(), &"staging".into()));
    assert_eq!(report["repository"], "git@github.com:acme/fleet.git");
    let applications = report["applications"].as_array().unwrap();
    assert_eq!(applications.len(), 7);
    for application in applications {
        let at = |moment: &str| application[moment].as_u64().unwrap_or_else(|| panic!("{moment} of {application}"));
        assert!(at("created") <= at("syncBegan") && at("syncBegan") <= at("synced") && at("synced") <= at("healthy"), "{application}");
        assert!(at("healthy") <= report["milliseconds"].as_u64().unwrap(), "{application}");
    }
    let steps: Vec<&str> = report["phases"].as_array().unwrap().iter().map(|phase| phase["step"].as_str().unwrap()).collect();
    for step in ["preflight", "secret-create", "install", "root-app", "converge"] {
        assert!(steps.contains(&step), "{step} is missing in {steps:?}");
    }
    assert_path_is_whole(&report);
    assert_eq!(report["obstacles"], Value::Array(Vec::new()));
    assert_eq!(serde_json::from_str::<Value>(&fleet.read("drills/staging.json")).unwrap(), report);
    let markdown = fleet.read("drills/staging.md");
    assert!(markdown.starts_with("## ✅ Recovery drill of `staging`\n") && markdown.contains("7 of 7"), "{markdown}");

    // The second one is compared with the first, and takes longer than it may.
    let ran = home.cli(&["drill", "staging", "--max", "1s"]).in_folder(fleet.folder()).run().exits(11);
    assert_nothing_left(&home);
    assert_drill("drill", &ran);
    let second: Value = serde_json::from_str(&fleet.read("drills/staging.json")).unwrap();
    assert_eq!((&second["recovered"], &second["limitMilliseconds"]), (&true.into(), &1000.into()));
    assert_eq!(second["comparison"]["total"]["before"], report["milliseconds"]);
}

/// Checks that the links of the critical path follow each other and are nearly all of the time.
#[track_caller]
fn assert_path_is_whole(report: &Value) {
    let path = report["criticalPath"].as_array().unwrap();
    let time = |link: &Value, end: &str| link[end].as_u64().unwrap();
    assert!(path.windows(2).all(|pair| time(&pair[0], "to") <= time(&pair[1], "from")), "{path:#?}");
    let told: u64 = path.iter().map(|link| time(link, "to") - time(link, "from")).sum();
    let total = report["milliseconds"].as_u64().unwrap();
    assert!(told <= total && told * 10 >= total * 9, "{told} of {total} ms are told: {path:#?}");
    let is_told = |subject: &str| path.iter().any(|link| link["subject"] == subject);
    // The services are held back until the infrastructure is well; the root may have nothing to do with it.
    assert!(is_told("install") && is_told("infrastructure-app-of-apps"), "{path:#?}");
    assert!(is_told("whoami") || is_told("website"), "{path:#?}");
}

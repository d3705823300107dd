//! `lint` from the outside: each rule finds its fault, at its line, once; what is well is left alone; and what people and programs read of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod fleet;

use fleet::{FAULTS, Fleet};
use gitops_bootstrap::domain::{Finding, Rule};

/// The rule, the file, and the text at the line and column of a finding.
fn seen(finding: &Finding, fleet: &Fleet) -> (Rule, String, String) {
    let line = fleet.files[finding.file.as_str()].lines().nth(finding.line as usize - 1).unwrap_or_default();
    (finding.rule, finding.file.to_string(), line.chars().skip(finding.column as usize - 1).collect())
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let report = Fleet::clean().lint();
    assert_eq!(report.findings, []);
    assert!(report.objects > 30, "{}", report.objects);
}

#[test]
fn each_fault_is_found_once_at_its_line_and_nothing_else_is() {
    for (fault, rule) in FAULTS.iter().zip(Rule::ALL) {
        assert_eq!(fault.rule, rule, "the faults are in the order of the rules");
        let mut fleet = Fleet::clean();
        (fault.commit)(&mut fleet);
        let found: Vec<_> = fleet.lint().findings.iter().map(|finding| seen(finding, &fleet)).collect();
        let [(rule, file, text)] = found.as_slice() else { panic!("{rule}: {found:#?}") };
        assert_eq!((*rule, file.as_str()), (fault.rule, fault.file));
        assert!(text.starts_with(fault.at), "{rule}: {text:?} is not at {:?}", fault.at);
    }
}

#[test]
fn all_faults_together_are_found_once_each() {
    let mut fleet = Fleet::clean();
    for fault in &FAULTS {
        (fault.commit)(&mut fleet);
    }
    let mut found: Vec<Rule> = fleet.lint().findings.iter().map(|finding| finding.rule).collect();
    found.sort_unstable();
    assert_eq!(found, Rule::ALL);
}

//! What needs no cluster: completions and manual pages.

use crate::support::{Home, assert_words};

#[test]
fn each_shell_gets_a_completion_script_that_knows_the_verbs() {
    let home = Home::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = home.cli_without_engine(&["completions", shell]).run().exits(0);
        assert!(ran.stdout.contains("sandbox") && ran.stderr.is_empty(), "{shell}\n{ran}");
    }
}

#[test]
fn the_manual_has_a_page_for_each_verb() {
    let home = Home::new();
    let ran = home.cli_without_engine(&["man"]).run().exits(0);
    assert!(ran.stdout.contains(".TH gitops-bootstrap 1") && ran.stderr.is_empty(), "{ran}");
    let folder = home.path().join("work");
    std::fs::create_dir(&folder).unwrap();
    home.cli_without_engine(&["man", "pages"]).in_folder(&folder).run().exits(0);
    for page in ["gitops-bootstrap.1", "gitops-bootstrap-init.1", "gitops-bootstrap-sandbox-up.1"] {
        assert!(folder.join("pages").join(page).exists(), "{page}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = Home::new();
    let mut child = home.cli_without_engine(&["completions", "zsh"]).spawn();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_wrong_verb_or_flag_suggests_the_right_one() {
    let home = Home::new();
    assert_words("wrong_verb", &home.cli_without_engine(&["recove", "staging"]).run().exits(2));
    assert_words("wrong_flag", &home.cli_without_engine(&["init", "staging", "--sandbx"]).run().exits(2));
}

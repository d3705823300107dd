//! What needs no cluster: completions and manual pages.

use crate::support::{Home, assert_words};

/// Completes lines in a bash, by the script that `completions bash` prints; what bash would replace of each line comes after it.
const IN_BASH: &str = r#"
source <("$0" completions bash)
while IFS='|' read -r line replaced; do
  COMP_LINE=$line COMP_POINT=${#line}
  _gitops_bootstrap gitops-bootstrap "$replaced"
  echo "$line: ${COMPREPLY[*]}"
done
"#;

#[test]
fn each_shell_gets_a_script_that_asks_this_program() {
    let home = Home::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = home.cli_without_engine(&["completions", shell]).run().exits(0);
        assert!(ran.stdout.contains("GITOPS_BOOTSTRAP_COMPLETE") && ran.stderr.is_empty(), "{shell}\n{ran}");
    }
}

#[test]
fn bash_completes_the_names_of_clusters_contexts_and_sandboxes() {
    let home = Home::new();
    let fleet = home.path().join("fleet");
    std::fs::create_dir_all(fleet.join("src/services")).unwrap();
    let declaration = "version: 1\nrepository: {url: git@github.com:acme/fleet.git}\nargocd: {version: v3.5.7, sha256: SHA}\n\
                       clusters: {production: {}, staging: {}}\n";
    std::fs::write(fleet.join("gitops.yaml"), declaration.replace("SHA", &"a".repeat(64))).unwrap();
    let names = ["kubernetes-admin@kubernetes", "arn:aws:eks:eu-central-1:1:cluster/staging", "$(touch pwned)", "a\\u001b[31mb"];
    let contexts: String = names.iter().map(|name| format!("- {{name: \"{name}\", context: {{cluster: a, user: a}}}}\n")).collect();
    std::fs::write(home.path().join("config"), format!("apiVersion: v1\nkind: Config\ncontexts:\n{contexts}")).unwrap();
    std::fs::create_dir_all(home.sandbox_folder("second")).unwrap();
    let lines = [
        ("gitops-bootstrap ini", "ini"),
        ("gitops-bootstrap init st", "st"),
        ("gitops-bootstrap init --contex", "--contex"),
        ("gitops-bootstrap init --context k", "k"),
        ("gitops-bootstrap init --context kubernetes-admin@ku", "@ku"),
        ("gitops-bootstrap init --context arn:aws:ek", "ek"),
        ("gitops-bootstrap init --context=arn:", ""),
        ("gitops-bootstrap sandbox down s", "s"),
        ("gitops-bootstrap detach staging --confirm p", "p"),
        ("gitops-bootstrap -C /nowhere render s", "s"),
        ("gitops-bootstrap render --kubeconfig", "--kubeconfig"),
    ];
    let typed: String = lines.iter().map(|(line, replaced)| format!("{line}|{replaced}\n")).collect();
    let environment = [("HOME", home.path()), ("KUBECONFIG", &home.path().join("config"))];
    let mut bash = assert_cmd::Command::new("bash");
    let bash = bash.args(["--norc", "-c", IN_BASH, env!("CARGO_BIN_EXE_gitops-bootstrap")]).env_clear().envs(environment);
    let output = bash.env("PATH", "/usr/bin:/bin").current_dir(fleet.join("src/services")).write_stdin(typed).unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(),
        [
            "gitops-bootstrap ini: init",
            "gitops-bootstrap init st: staging",
            "gitops-bootstrap init --contex: --context",
            "gitops-bootstrap init --context k: kubernetes-admin@kubernetes",
            "gitops-bootstrap init --context kubernetes-admin@ku: @kubernetes",
            "gitops-bootstrap init --context arn:aws:ek: eks:eu-central-1:1:cluster/staging",
            "gitops-bootstrap init --context=arn:: aws:eks:eu-central-1:1:cluster/staging",
            "gitops-bootstrap sandbox down s: second",
            "gitops-bootstrap detach staging --confirm p: production",
            "gitops-bootstrap -C /nowhere render s: ",
            "gitops-bootstrap render --kubeconfig: ",
        ]
    );
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
        let text = std::fs::read_to_string(folder.join("pages").join(page)).unwrap();
        for section in ["SYNOPSIS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"] {
            assert!(text.lines().any(|line| line.starts_with(".SH") && line.contains(section)), "{page} has no {section}\n{text}");
        }
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

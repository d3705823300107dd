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

/// A folder with a fleet in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn of(fleet: &Fleet) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fleet.save(folder.path());
        Self(folder)
    }

    /// A fleet with some faults.
    fn with(rules: &[Rule]) -> Self {
        Self::of(&faulty(rules))
    }

    /// Runs a command in it, and returns the exit status and the two streams.
    fn run(&self, program: &str, arguments: &[&str]) -> (i32, String, String) {
        #[expect(clippy::disallowed_methods, reason = "git is found by the PATH")]
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut command = assert_cmd::Command::new(program);
        let command = command.args(arguments).env_clear().env("PATH", path).env("HOME", self.0.path()).current_dir(self.0.path());
        let output = command.timeout(std::time::Duration::from_secs(120)).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn lint(&self, arguments: &[&str]) -> (i32, String, String) {
        let arguments: Vec<&str> = ["lint", "--no-render"].into_iter().chain(arguments.iter().copied()).collect();
        self.run(env!("CARGO_BIN_EXE_gitops-bootstrap"), &arguments)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.0.path().join(path)).unwrap()
    }
}

fn faulty(rules: &[Rule]) -> Fleet {
    let mut fleet = Fleet::clean();
    for fault in FAULTS.iter().filter(|fault| rules.contains(&fault.rule)) {
        (fault.commit)(&mut fleet);
    }
    fleet
}

/// All faults but the one that only a rendering shows.
fn all() -> Vec<Rule> {
    Rule::ALL.into_iter().filter(|rule| *rule != Rule::StaleRendering).collect()
}

#[test]
fn people_read_file_line_cause_and_remedy() {
    let (status, stdout, stderr) = Folder::with(&all()).lint(&[]);
    insta::assert_snapshot!("text", format!("exit: {status}\n--- stdout\n{stdout}--- stderr\n{stderr}"));
}

#[test]
fn code_hosts_read_sarif() {
    let folder = Folder::with(&all());
    assert_eq!(folder.lint(&["--sarif", "found.sarif"]).0, 11);
    let log: serde_json::Value = serde_json::from_str(&folder.read("found.sarif")).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), all().len());
    for result in results {
        // What GitHub's "SARIF support for code scanning" asks for.
        assert_eq!(rules[result["ruleIndex"].as_u64().unwrap() as usize]["id"], result["ruleId"]);
        assert!(matches!(result["level"].as_str(), Some("error" | "warning")));
        assert!(result["message"]["text"].as_str().unwrap().ends_with('.'));
        let place = &result["locations"][0]["physicalLocation"];
        let base = place["artifactLocation"]["uriBaseId"].as_str().unwrap();
        assert!(run["originalUriBaseIds"].get(base).is_some());
        assert!(folder.0.path().join(place["artifactLocation"]["uri"].as_str().unwrap()).is_file());
        assert!(place["region"]["startLine"].as_u64().unwrap() >= 1 && place["region"]["startColumn"].as_u64().unwrap() >= 1);
    }
    insta::assert_json_snapshot!("sarif", log, {".runs[0].tool.driver.semanticVersion" => "VERSION"});
}

#[test]
fn programs_read_an_event_for_each_finding() {
    let (status, stdout, stderr) = Folder::with(&[Rule::NoPrune, Rule::SecretInClear]).lint(&["staging", "--output", "json"]);
    assert_eq!((status, stderr.as_str()), (11, ""));
    let events: Vec<serde_json::Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["started", "finding", "finding", "finished", "failed"]);
    insta::assert_json_snapshot!("finding", events[1]);
    assert_eq!(events[2]["rule"], "secret-in-clear");
    assert_eq!((events[3]["result"]["errors"].as_u64(), events[3]["result"]["warnings"].as_u64()), (Some(1), Some(1)));
    assert_eq!(events[4]["failure"]["kind"], "found");
}

#[test]
fn a_secret_is_never_repeated() {
    let folder = Folder::with(&[Rule::SecretInClear]);
    let (_, text, _) = folder.lint(&["--sarif", "found.sarif"]);
    let (_, json, _) = folder.lint(&["--output", "json", "-vv"]);
    assert!(text.contains("a token of GitHub"), "{text}");
    for output in [text, json, folder.read("found.sarif")] {
        assert!(!output.contains("ghp_") && !output.contains("a1a1"), "{output}");
    }
}

#[test]
fn a_warning_fails_only_a_strict_check() {
    let folder = Folder::with(&[Rule::NoPrune]);
    let (status, stdout, stderr) = folder.lint(&[]);
    assert!(status == 0 && stdout.contains("[no-prune]") && stderr.contains("no errors, 1 warning"), "{status} {stdout}{stderr}");
    assert_eq!(folder.lint(&["--strict"]).0, 11);
    assert_eq!(Folder::of(&Fleet::clean()).lint(&["--strict"]).0, 0);
}

#[test]
fn what_is_allowed_with_a_reason_is_not_found() {
    let mut fleet = faulty(&[Rule::NoPrune, Rule::MutableImage]);
    let declaration = fleet.files["gitops.yaml"].clone();
    let allow = "lint:\n  allow:\n  - {rule: no-prune, path: '**/Application.hoarder.yaml', reason: it keeps its volumes}\n";
    fleet.write("gitops.yaml", declaration.clone() + allow);
    let image = "rendered/staging/services/web/latest.yaml";
    fleet.replace(
        image,
        "  name: latest\n",
        "  name: latest\n  annotations:\n    gitops-bootstrap.io/allow: |\n      mutable-image: built in the cluster\n",
    );
    let report = fleet.lint();
    assert_eq!(report.findings, []);
    let reasons: Vec<_> = report.allowed.iter().map(|finding| (finding.rule.id(), finding.allowed.as_deref().unwrap())).collect();
    assert_eq!(reasons, [("no-prune", "it keeps its volumes"), ("mutable-image", "built in the cluster")]);

    // Each of them is reported once it is of no use, or has no reason.
    fleet.replace(image, "web:latest", "web:1.2.3");
    let found: Vec<_> = fleet.lint().findings.iter().map(|finding| seen(finding, &fleet)).collect();
    assert_eq!(found, [(Rule::UnusedAllow, image.to_owned(), "gitops-bootstrap.io/allow: |".to_owned())]);
    fleet.replace(image, "web:1.2.3", "web:latest");
    fleet.replace(image, ": built in the cluster", ":");
    let found: Vec<_> = fleet.lint().findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(found, [Rule::UnusedAllow, Rule::MutableImage]);

    // An exception for another cluster is nothing to be said of when this one is checked.
    let mut other = Fleet::clean();
    other.write("gitops.yaml", declaration.clone() + &allow.replace("**", "rendered/production/**"));
    assert_eq!(Folder::of(&other).lint(&["staging", "--strict"]).0, 0);
    assert_eq!(Folder::of(&other).lint(&["--strict"]).0, 11);

    fleet.write("gitops.yaml", declaration + &allow.replace("no-prune", "no-prunes"));
    let (status, _, stderr) = Folder::of(&fleet).lint(&[]);
    assert!(status == 10 && stderr.contains("gitops.yaml:7:12") && stderr.contains("did you mean `no-prune`?"), "{stderr}");
}

#[test]
fn only_the_cluster_that_is_named_is_checked() {
    let folder = Folder::with(&[Rule::MutableImage, Rule::Refused]);
    let (status, stdout, _) = folder.lint(&["production"]);
    assert!(status == 11 && stdout.contains("[refused]") && !stdout.contains("[mutable-image]"), "{stdout}");
    assert_eq!(folder.lint(&["staging"]).0, 0);
    let (status, _, stderr) = folder.lint(&["stagign"]);
    assert!(status == 2 && stderr.contains("did you mean `staging`?"), "{stderr}");
}

#[test]
fn what_git_ignores_is_not_looked_at() {
    let mut fleet = faulty(&[Rule::SecretInClear]);
    let folder = Folder::of(&fleet);
    assert_eq!(folder.run("git", &["init", "--quiet"]).0, 0);
    assert_eq!(folder.lint(&[]).0, 11, "a new file that could be committed counts");
    fleet.write(".gitignore", "/scripts\n");
    fleet.save(folder.0.path());
    let (status, stdout, stderr) = folder.lint(&[]);
    assert_eq!((status, stdout.as_str()), (0, ""), "{stderr}");
    assert_eq!(folder.run("git", &["add", "--force", "scripts"]).0, 0);
    assert_eq!(folder.lint(&[]).0, 11, "a committed file counts, ignored or not");
}

#[cfg(unix)]
#[test]
fn a_link_is_named_and_not_followed() {
    let folder = Folder::of(&Fleet::clean());
    std::os::unix::fs::symlink("/etc/hostname", folder.0.path().join("link")).unwrap();
    let (status, _, stderr) = folder.lint(&[]);
    assert!(status == 0 && stderr.contains("1 file not looked at: `link` is a symbolic link"), "{stderr}");
    std::os::unix::fs::symlink("/etc/hostname", folder.0.path().join("rendered/staging/services/web/link.yaml")).unwrap();
    let (status, stdout, _) = folder.lint(&[]);
    assert!(status == 11 && stdout.contains("is a symbolic link, which a bootstrap refuses [invalid-manifest]"), "{stdout}");
}

#[test]
fn every_rule_has_its_page_and_is_listed() {
    let pages = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lint.md")).unwrap();
    let headings: Vec<&str> = pages.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(headings, Rule::ALL.map(Rule::id));
    let (status, stdout, _) = Folder::of(&Fleet::clean()).run(env!("CARGO_BIN_EXE_gitops-bootstrap"), &["lint", "--rules"]);
    assert_eq!((status, stdout.lines().count()), (0, Rule::ALL.len()));
}

#[test]
fn what_only_looks_like_a_fault_is_none() {
    let mut fleet = Fleet::clean();
    let web = "rendered/staging/services/web";
    for (name, text) in [
        // Made by others than whoever needs them.
        (
            "pods.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: pod}\nspec:\n  containers: [{name: a, image: 'a:1', envFrom: [{secretRef: {name: sealed}}, {secretRef: {name: web-superuser}}, {secretRef: {name: everywhere}}]}]\n",
        ),
        ("sealed.yaml", "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: sealed}\nspec: {encryptedData: {a: b}}\n"),
        (
            "external.yaml",
            "apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: {name: all}\nspec: {externalSecretName: everywhere}\n",
        ),
        ("encrypted.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: encrypted}\ndata: {a: ENC}\nsops: {mac: b}\n"),
        // Named by the API server, and a list of two.
        ("hook.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: migrate-}\nspec: {}\n"),
        (
            "list.yaml",
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}\n",
        ),
        // Of the same name, in another namespace.
        ("other.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: operator}\nspec: {}\n"),
    ] {
        fleet.write(&format!("{web}/{name}"), text);
    }
    let definitions = "rendered/staging/infrastructure/operator";
    for (group, kind, plural) in [("bitnami.com", "SealedSecret", "sealedsecrets"), ("external-secrets.io", "ClusterExternalSecret", "all")]
    {
        fleet.definition(&format!("{definitions}/{plural}.yaml"), group, kind, plural);
    }
    fleet.replace(&format!("{definitions}/sealedsecrets.yaml"), "name: v1,", "name: v1alpha1,");
    // A chart from elsewhere at one version, a repository with a credential, and one that anybody may read; the project permits them.
    fleet.replace(
        "rendered/staging/argocd/argocd/AppProject.services.yaml",
        "  - git@github.com:acme/private.git",
        "  - ssh://git@github.com/Acme/*\n  - https://charts.example.com/\n  - https://github.com/acme/*",
    );
    let elsewhere = [
        (
            "chart",
            "repoURL: git@github.com:acme/fleet.git\n    targetRevision: main\n    path: rendered/staging/services/chart",
            "repoURL: https://charts.example.com\n    chart: redis\n    targetRevision: 1.2.3",
        ),
        (
            "private",
            "repoURL: git@github.com:acme/fleet.git\n    targetRevision: main",
            "repoURL: git@github.com:acme/private.git\n    targetRevision: v1.2.3",
        ),
        (
            "public",
            "repoURL: git@github.com:acme/fleet.git\n    targetRevision: main",
            "repoURL: https://github.com/acme/public.git\n    targetRevision: release-1.2.3",
        ),
        ("patient", "limit: -1", "limit: 30"),
    ];
    for (name, old, new) in elsewhere {
        fleet.service(name, old, new);
    }
    fleet.write(
        "rendered/staging/infrastructure/argocd/credential.yaml",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: private, namespace: argocd}\nspec:\n  encryptedData: {a: b}\n  template: {metadata: {labels: {argocd.argoproj.io/secret-type: repository}}}\n",
    );
    fleet.replace("rendered/staging/argocd/infrastructure/Application.argocd.yaml", "sync-wave: \"-10\"", "sync-wave: \"1\"");
    assert_eq!(fleet.lint().findings, []);
}

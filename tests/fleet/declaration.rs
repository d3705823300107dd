//! How gitops.yaml is read.

use gitops_bootstrap::error::Kind;
use gitops_bootstrap::manifest::declaration;

#[test]
fn a_broken_declaration_is_cited_with_line_and_column() {
    let sound = "\
version: 1
repository:
  url: git@github.com:acme/fleet.git
argocd:
  version: v3.5.7
  sha256: 09bfbb9041b4a8503c6e4fa22cf41c403fa62be17526de353648a4551f5beb77
clusters:
  staging:
";
    assert!(declaration::parse(sound, "gitops.yaml").is_ok());
    let uid = "6f1f0a52-9d30-4c0b-8a0c-000000000001";
    let same = format!("staging: {{identity: {{kubeSystemUid: {uid}}}}}\n  other: {{identity: {{kubeSystemUid: {uid}}}}}");
    for (from, to, expected) in [
        ("version: 1", "version: 2", "1:10: version 2 of this file is not known"),
        ("version: 1", "version: one", "1:10: `version` must be a whole number, and is a text"),
        ("clusters:", "cluster:", "7:1: unknown key `cluster`; did you mean `clusters`?"),
        ("  url:", "  adress: x\n  url:", "3:3: unknown key `adress`"),
        ("  url: git@github.com:acme/fleet.git", "  branch: main", "3:3: `repository.url` is missing"),
        (
            "git@github.com:acme/fleet.git",
            "https://me:hunter2@h/a/b",
            "3:8: `repository.url`: not the address of a Git repository: it has a user name",
        ),
        ("argocd:", "  branch: --upload-pack=x\nargocd:", "4:11: `--upload-pack=x` is not the name of a branch: it starts with `-`"),
        ("argocd:", "  branch: a..b\nargocd:", "4:11: `a..b` is not the name of a branch"),
        ("argocd:", "  branch: yes\nargocd:", "4:11: `repository.branch` must be a text, and is true or false"),
        ("argocd:", "  api: http://github.acme.com\nargocd:", "4:8: `repository.api` must start with `https://`"),
        ("argocd:", "  knownHosts: [rubbish]\nargocd:", "4:16: `rubbish` is not a host key"),
        ("argocd:", "  knownHosts: rubbish\nargocd:", "4:15: `repository.knownHosts` must be a list, and is a text"),
        (
            "argocd:",
            "  source: rendered/src\nargocd:",
            "4:11: the source folder `rendered/src` and the rendered folder `rendered` must not lie in each other",
        ),
        ("argocd:", "  rendered: ../up\nargocd:", "4:13: `repository.rendered`: `../up` is not a path inside the repository"),
        ("v3.5.7", "3.5.7", "5:12: `argocd.version` is not a release of Argo CD"),
        ("v3.5.7", "v2.14.0", "5:12: `argocd.version` is older than v3.2.0"),
        (
            "  sha256:",
            "  flavour: high-availabilty\n  sha256:",
            "6:12: `argocd.flavour` is `standard` or `high-availability`; did you mean `high-availability`?",
        ),
        ("09bf", "09BF", "6:11: `argocd.sha256` is not a SHA-256"),
        ("clusters:\n  staging:", "clusters: {}", "7:11: `clusters` names no cluster"),
        ("  staging:", "  Staging:", "8:3: `Staging` is not a cluster name"),
        ("  staging:", "  staging:\n  staging:", "9:3: "),
        ("  staging:", "  staging: {identity: {kubeSystemUid: x}}", "8:39: `kubeSystemUid` is not a UID"),
        ("staging:", &same, "9:10: `other` and `staging` have the same identity"),
        ("clusters:", "recipients: [AGE-SECRET-KEY-1QQQQ]\nclusters:", "7:14: this is the private half of a key"),
        ("clusters:", "recipients: [me]\nclusters:", "7:14: a recipient is an age public key"),
        ("clusters:", "rootOfTrust: {secret: [a/b]}\nclusters:", "7:15: unknown key `secret`; did you mean `secrets`?"),
        ("clusters:", "rootOfTrust: {secrets: [b]}\nclusters:", "7:25: `rootOfTrust.secrets[0]`: `b` does not name a Secret"),
        ("clusters:", "rootOfTrust: {sopsKeys: [A/b]}\nclusters:", "7:26: `rootOfTrust.sopsKeys[0]`: `A/b` does not name a Secret"),
        ("clusters:", "rootOfTrust: {tls: 1}\nclusters:", "7:20: `rootOfTrust.tls` must be true or false"),
        ("clusters:", "recovery: {gates: [{claims: a, command: [b]}]}\nclusters:", "7:20: a gate is one of"),
        ("clusters:", "recovery: {gates: [{claims: a, timeout: 1m}]}\nclusters:", "7:41: `timeout` belongs to a `command`"),
        ("clusters:", "recovery: {gates: [{command: sleep 1}]}\nclusters:", "7:30: `recovery.gates[0].command` must be a list"),
        ("clusters:", "recovery: {gates: [{command: [a], timeout: soon}]}\nclusters:", "7:44: `soon` is not a duration"),
        ("clusters:", "recovery: {gate: []}\nclusters:", "7:12: unknown key `gate`; did you mean `gates`?"),
        (sound, "", "1:1: the file is empty"),
        (sound, "[1]", "1:1: the file must be a mapping, and is a list"),
    ] {
        let text = sound.replacen(from, to, 1);
        let failure = declaration::parse(&text, "gitops.yaml").expect_err(&text);
        assert_eq!(failure.kind, Kind::InvalidRepository);
        assert!(failure.message.starts_with(&format!("gitops.yaml:{expected}")), "expected {expected}\nfound {failure}");
        assert!(!failure.to_string().contains("hunter2") && !failure.to_string().contains("QQQQ"), "{failure}");
    }
}

#[test]
fn gates_are_read_as_they_are_written() {
    let text = "version: 1\nrepository: {url: 'git@github.com:acme/fleet.git'}\nargocd: {version: v3.5.7, sha256: 09bfbb9041b4a8503c6e4fa22cf41c403fa62be17526de353648a4551f5beb77}\nclusters: {staging: }\nrecovery:\n  gates:\n  - claims: databases\n  - resource: {apiVersion: postgresql.cnpg.io/v1, kind: Cluster, namespace: databases, name: main}\n  - command: [./restored.sh, --all]\n    timeout: 2m\n";
    let gates = declaration::parse(text, "gitops.yaml").unwrap().recovery.gates;
    let gates: Vec<String> = gates.iter().map(ToString::to_string).collect();
    assert_eq!(gates, ["the claims in namespace databases are bound", "Cluster databases/main is Ready", "`./restored.sh --all` succeeds"]);
}

//! `drill` on a repository that this tool has not made: kube-starter-kit's layout, with charts rendered to files. Their custom resources have
//! controllers that cannot run in a sandbox, and their webhooks nobody behind them.

use serde_json::Value;

use crate::support::drill::assert_nothing_left;
use crate::support::{Fleet, Home, Slots};

/// A definition of a kind with any content.
fn definition(group: &str, version: &str, kind: &str, plural: &str, scope: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {plural}.{group}\nspec:\n  group: {group}\n  scope: {scope}\n  names: {{kind: {kind}, plural: {plural}}}\n  versions:\n  - name: {version}\n    served: true\n    storage: true\n    subresources: {{status: {{}}}}\n    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}\n"
    )
}

const WEBHOOK: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata:
  name: cert-manager-webhook
webhooks:
- name: webhook.cert-manager.io
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  clientConfig: {service: {name: cert-manager-webhook, namespace: cert-manager, path: /validate}}
  rules:
  - {apiGroups: [cert-manager.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [\"*/*\"]}
";

const CONTROLLER: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: cert-manager
spec:
  selector: {matchLabels: {app: cert-manager}}
  template:
    metadata: {labels: {app: cert-manager}}
    spec:
      containers:
      - {name: controller, image: \"quay.io/jetstack/cert-manager-controller:v1.20.0\"}
";

const ISSUER: &str = "apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata:
  name: letsencrypt
spec:
  acme: {email: ops@example.org, server: \"https://acme-v02.api.letsencrypt.org/directory\"}
";

const SITE: &str = "apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: site
spec:
  secretName: site-tls
  dnsNames: [site.example.org]
  issuerRef: {name: letsencrypt, kind: ClusterIssuer}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: site
spec:
  secretStoreRef: {name: vault, kind: ClusterSecretStore}
  target: {name: site-password}
  data:
  - {secretKey: password, remoteRef: {key: site}}
";

#[test]
fn charts_rendered_to_files_come_up_with_stand_ins_from_a_shallow_clone() {
    let _slots = Slots::take(1);
    let home = Home::new();
    let fleet = foreign(&home);
    // As CI systems clone.
    let url = format!("file://{}", fleet.folder().display());
    let clone = home.path().join("clone");
    fleet.git(&["clone", "--quiet", "--depth", "1", &url, clone.to_str().unwrap()]);

    let ran = home.cli(&["drill", "staging", "--output", "json"]).in_folder(&clone).run().exits(0);
    assert_nothing_left(&home);
    let report = ran.result();
    assert_eq!((&report["recovered"], &report["repository"]), (&true.into(), &"git@github.com:somebody/kit.git".into()));
    let stood_in: Vec<(&str, &Value)> =
        report["standIns"].as_array().unwrap().iter().map(|stand_in| (stand_in["what"].as_str().unwrap(), &stand_in["objects"])).collect();
    for (what, object) in [
        ("Certificate of cert-manager.io", "site/site"),
        ("ClusterIssuer of cert-manager.io", "letsencrypt"),
        ("ExternalSecret of external-secrets.io", "site/site"),
    ] {
        assert!(stood_in.contains(&(what, &serde_json::json!([object]))), "{what}: {stood_in:#?}");
    }
    let off = report["notRehearsed"].as_array().unwrap();
    assert!(off.iter().any(|what| what == "admission webhooks"), "{off:?}");
    let markdown = std::fs::read_to_string(clone.join("drills/staging.md")).unwrap();
    assert!(markdown.contains("Certificate of cert-manager.io | cert-manager | site/site | site/site-tls |"), "{markdown}");
}

/// The example, moved to kube-starter-kit's layout, with charts beside it and nothing that says that this tool has made it.
fn foreign(home: &Home) -> Fleet {
    const RENDERED: &str = "kubernetes/rendered";
    let fleet = Fleet::example(home, "git@github.com:somebody/kit.git");
    std::fs::create_dir(fleet.folder().join("kubernetes")).unwrap();
    fleet.git(&["mv", "rendered", RENDERED]);
    fleet.git(&["rm", "-r", "--quiet", "gitops.yaml", "src", "mise.toml", ".github"]);
    let applications = fleet.git(&["ls-files", "--", RENDERED]);
    for path in applications.lines().filter(|path| path.contains("/Application.")) {
        fleet.replace(path, "path: rendered/", &format!("path: {RENDERED}/"));
    }
    let definitions = [
        definition("cert-manager.io", "v1", "Certificate", "certificates", "Namespaced"),
        definition("cert-manager.io", "v1", "ClusterIssuer", "clusterissuers", "Cluster"),
    ]
    .join("---\n");
    let cert_manager =
        [("crds.yaml", definitions.as_str()), ("webhook.yaml", WEBHOOK), ("deployment.yaml", CONTROLLER), ("issuer.yaml", ISSUER)];
    fleet.add(RENDERED, "infrastructure", "cert-manager", &cert_manager);
    let secrets = definition("external-secrets.io", "v1", "ExternalSecret", "externalsecrets", "Namespaced");
    fleet.add(RENDERED, "infrastructure", "external-secrets", &[("crds.yaml", &secrets)]);
    fleet.add(RENDERED, "services", "site", &[("site.yaml", SITE)]);
    fleet.commit("As somebody else writes it");
    fleet
}

//! `drill` on a repository that cannot boot from zero.

use std::time::{Duration, Instant};

use crate::support::drill::{assert_nothing_left, obstacle};
use crate::support::{Fleet, Home, Slots};

const WIDGET: &str = "# A widget whose kind nobody defines.\napiVersion: example.org/v1\nkind: Widget\nmetadata:\n  name: early\n";

const CERTIFICATE: &str = "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata:\n  name: site\nspec:\n  secretName: site-tls\n";

const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: certificates.cert-manager.io
spec:
  group: cert-manager.io
  scope: Namespaced
  names: {kind: Certificate, plural: certificates, singular: certificate}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

/// A Deployment with further lines in the specification of its pods.
fn deployment(name: &str, pods: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n{pods}"
    )
}

#[test]
fn what_cannot_boot_is_named_with_file_and_line_in_bounded_time() {
    let _slots = Slots::take(1);
    let home = Home::new();
    let fleet = Fleet::example(&home, "git@github.com:acme/fleet.git");
    fleet.add("rendered", "services", "early", &[("Widget.early.yaml", WIDGET)]);
    fleet.add("rendered", "infrastructure", "certificates", &[("definition.yaml", DEFINITION)]);
    fleet.add("rendered", "services", "site", &[("Certificate.site.yaml", CERTIFICATE)]);
    let thirsty = "      containers:\n      - name: app\n        image: example.org/app:1.0.0\n        envFrom:\n        - secretRef: {name: nobody-makes-this}\n";
    fleet.add("rendered", "services", "thirsty", &[("Deployment.thirsty.yaml", &deployment("thirsty", thirsty))]);
    let homeless = "      nodeSelector: {nobody-has: \"this\"}\n      containers:\n      - {name: app, image: \"example.org/app:1.0.0\"}\n";
    fleet.add("rendered", "services", "homeless", &[("Deployment.homeless.yaml", &deployment("homeless", homeless))]);
    fleet.commit("Things that cannot boot");

    let begin = Instant::now();
    let arguments = ["drill", "staging", "--output", "json", "--patience", "45s", "--no-stand-ins"];
    let ran = home.cli(&arguments).in_folder(fleet.folder()).run().exits(11);
    assert!(begin.elapsed() < Duration::from_secs(240), "{:?}", begin.elapsed());
    assert_nothing_left(&home);
    let events = ran.events();
    let report = &events.iter().find(|event| event["event"] == "finished").unwrap()["result"];
    assert_eq!(report["recovered"], false);

    let early = obstacle(report, "rendered/staging/services/early/Widget.early.yaml");
    assert_eq!(
        (&early["kind"], &early["line"], &early["application"]),
        (&"missing-definition".into(), &2.into(), &"early".into()),
        "{early}"
    );
    assert_eq!(early["message"], "nothing in the repository defines the kind Widget of example.org");
    let site = obstacle(report, "rendered/staging/services/site/Certificate.site.yaml");
    assert_eq!(
        (&site["kind"], &site["line"], &site["object"]),
        (&"nobody-acts".into(), &1.into(), &"Certificate site/site".into()),
        "{site}"
    );
    let homeless = obstacle(report, "rendered/staging/services/homeless/Deployment.homeless.yaml");
    assert_eq!((&homeless["kind"], &homeless["line"]), (&"not-healthy".into(), &1.into()), "{homeless}");
    let thirsty = obstacle(report, "rendered/staging/services/thirsty/Deployment.thirsty.yaml");
    assert_eq!(thirsty["kind"], "missing-secret", "{thirsty}");
    assert!(thirsty["message"].as_str().unwrap().contains("nobody-makes-this"), "{thirsty}");

    // The rest came up, and what only waits for these is told apart.
    let up = |name: &str| {
        report["applications"].as_array().unwrap().iter().any(|application| application["name"] == name && application["healthy"].is_u64())
    };
    assert!(up("whoami") && up("thirsty") && up("certificates") && !up("early") && !up("site") && !up("homeless"), "{report:#}");
    let held: Vec<&str> = report["heldUp"].as_array().unwrap().iter().map(|held| held["application"].as_str().unwrap()).collect();
    assert!(held.contains(&"services-app-of-apps"), "{held:?}");
    let markdown = fleet.read("drills/staging.md");
    assert!(markdown.contains("| `rendered/staging/services/early/Widget.early.yaml:2` | Widget early/early |"), "{markdown}");
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["status"]), (&"failed".into(), &11.into()));
}

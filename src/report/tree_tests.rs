//! The tree and the summary as people see them, at three widths.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::text::{Look, page};
use super::{Access, FOLD, Key, Shown, Summary, summary, tree};
use crate::domain::ApplicationRef;
use crate::domain::application::samples::{self, COMMIT, healthy, parent, patched};
use crate::plan::StepId;
use crate::plan::diagnosis;
use crate::plan::tree::ApplicationTree;

const PLAIN: Look = Look { colour: false, unicode: true, width: 80 };

fn grown(documents: Vec<Value>) -> ApplicationTree {
    let commit = COMMIT.parse().unwrap();
    let applications: Vec<_> = documents
        .into_iter()
        .map(samples::read)
        .map(|application| {
            let state = diagnosis::verdict(&application, Some(&commit));
            (application, state)
        })
        .collect();
    ApplicationTree::grow(&applications)
}

fn well() -> Vec<Value> {
    let mut documents = vec![
        parent("root", &["argocd", "infrastructure", "services"]),
        parent("argocd", &["argo-cd"]),
        parent("infrastructure", &["cert-manager", "external-secrets"]),
        parent("services", &["web", "a-service-with-a-rather-long-name-that-must-be-cut"]),
    ];
    documents
        .extend(["argo-cd", "cert-manager", "external-secrets", "web", "a-service-with-a-rather-long-name-that-must-be-cut"].map(healthy));
    documents
}

fn unwell() -> Vec<Value> {
    let broken = [
        patched(healthy("web"), &json!({"status": {"health": {"status": "Degraded"}}})),
        patched(
            healthy("cert-manager"),
            &json!({"status": {"sync": {"status": "OutOfSync"}, "operationState": {
            "phase": "Running", "retryCount": 2, "message": "one or more objects failed to apply, reason: namespaces \"cert-manager\" not found. Retrying attempt #2 at 10:31AM."}}}),
        ),
        patched(
            healthy("external-secrets"),
            &json!({"spec": {"syncPolicy": {"automated": null}}, "status": {"sync": {"status": "OutOfSync"}}}),
        ),
    ];
    let mut documents: Vec<Value> = well()
        .into_iter()
        .filter(|document| !["web", "cert-manager", "external-secrets"].contains(&document["metadata"]["name"].as_str().unwrap()))
        .collect();
    documents.extend(broken);
    documents.push(parent("stray", &["not-there-yet"]));
    documents
}

fn wide(number: usize) -> Vec<Value> {
    let names: Vec<String> = (0..number).map(|index| format!("app-{index:03}")).collect();
    let mut documents = vec![parent("services", &names.iter().map(String::as_str).collect::<Vec<_>>())];
    documents.extend(names.iter().enumerate().map(|(index, name)| {
        if index % 40 == 3 { patched(healthy(name), &json!({"status": {"health": {"status": "Progressing"}}})) } else { healthy(name) }
    }));
    documents
}

fn causes() -> BTreeMap<ApplicationRef, String> {
    let web = ApplicationRef { namespace: "argocd".to_owned(), name: "web".to_owned() };
    BTreeMap::from([(
        web,
        "Pod web/web-6d9f7c-x2x4q: the image `registry.example.org/acme/web:2.0.1` cannot be pulled: not found".to_owned(),
    )])
}

fn drawn(tree: &ApplicationTree, look: Look, all: bool) -> String {
    let shown = Shown { causes: &causes(), now: "2026-11-21T10:03:09Z".parse().unwrap(), fold: Some(FOLD).filter(|_| !all) };
    page(&tree::tree(tree, shown, look), look)
}

#[test]
fn a_tree_shows_each_application_and_why_it_is_not_well() {
    for width in [40, 80, 120] {
        insta::assert_snapshot!(format!("tree_unwell_{width}"), drawn(&grown(unwell()), Look { width, ..PLAIN }, false));
    }
}

#[test]
fn a_wide_tree_folds_what_is_healthy() {
    insta::assert_snapshot!("tree_folded", drawn(&grown(wide(120)), PLAIN, false));
    let all = drawn(&grown(wide(120)), PLAIN, true);
    assert_eq!(all.lines().filter(|line| line.contains(" app-")).count(), 120);
}

/// Four tiers with 1,000 Applications: one tier is well, and eleven Applications elsewhere are not.
fn thousand() -> Vec<Value> {
    let mut documents = vec![parent("root", &["infrastructure", "jobs", "services", "tenants"])];
    for (tier, number) in [("infrastructure", 45), ("jobs", 1), ("services", 850), ("tenants", 99)] {
        let names: Vec<String> = (0..number).map(|index| format!("{tier}-{index:03}")).collect();
        documents.push(parent(tier, &names.iter().map(String::as_str).collect::<Vec<_>>()));
        documents.extend(names.iter().enumerate().map(|(index, name)| match (tier, index) {
            ("services", index) if index % 90 == 7 => patched(healthy(name), &json!({"status": {"health": {"status": "Degraded"}}})),
            ("tenants", 98) => {
                patched(healthy(name), &json!({"spec": {"syncPolicy": {"automated": null}}, "status": {"sync": {"status": "OutOfSync"}}}))
            }
            _ => healthy(name),
        }));
    }
    documents
}

#[test]
fn a_thousand_applications_stay_readable_at_any_width() {
    let tree = grown(thousand());
    assert_eq!(tree.nodes().len(), 1_000);
    for width in [40, 60, 120] {
        let text = drawn(&tree, Look { width, ..PLAIN }, false);
        assert!(text.lines().count() < 60, "{text}");
        assert!(text.lines().all(|line| console::measure_text_width(line) <= width), "{text}");
        insta::assert_snapshot!(format!("tree_thousand_{width}"), text);
    }
    let ascii = drawn(&tree, Look { width: 60, unicode: false, colour: false }, false);
    assert!(ascii.is_ascii(), "{ascii}");
    // Each state is a word as well as a colour and a mark.
    assert_eq!(ascii.lines().filter(|line| line.trim_start_matches(['|', ' ']).starts_with("failed: ")).count(), 10, "{ascii}");
}

#[test]
fn a_wide_tree_in_ruins_folds_too() {
    let ruins = (0..50).map(|index| patched(healthy(&format!("app-{index:02}")), &json!({"status": null})));
    let names: Vec<String> = (0..50).map(|index| format!("app-{index:02}")).collect();
    let mut documents = vec![parent("services", &names.iter().map(String::as_str).collect::<Vec<_>>())];
    documents.extend(ruins);
    let text = drawn(&grown(documents), PLAIN, false);
    assert!(text.ends_with("  └─ + 30 more that are not well\n"), "{text}");
}

#[test]
fn a_tree_is_ascii_where_the_terminal_is() {
    let text = drawn(&grown(unwell()), Look { unicode: false, ..PLAIN }, false);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("tree_ascii", text);
}

#[test]
fn no_row_is_wider_than_the_screen() {
    for width in [40, 80, 120] {
        let look = Look { width, ..PLAIN };
        let text = drawn(&grown(unwell()), look, false);
        let widest = text.lines().max_by_key(|line| console::measure_text_width(line)).unwrap();
        let words_are_short = !widest.contains("registry.example.org");
        assert!(console::measure_text_width(widest) <= width || !words_are_short, "{width}: {widest}");
    }
}

#[test]
fn a_summary_says_what_there_is_and_what_to_do_next() {
    let tree = grown(well());
    let none = BTreeMap::new();
    let seconds = |seconds| Duration::from_millis((seconds * 1000.0) as u64);
    let end = Summary {
        cluster: "staging",
        commit: "4f2c9d1e0a",
        tree: &tree,
        shown: Shown { causes: &none, now: "2026-11-21T10:03:09Z".parse().unwrap(), fold: Some(FOLD) },
        steps: &[
            (StepId::Ns, seconds(0.01)),
            (StepId::SecretCreate, seconds(0.03)),
            (StepId::KeyRegister, seconds(0.41)),
            (StepId::KeyVerify, seconds(0.52)),
            (StepId::Crds, seconds(1.7)),
            (StepId::Install, seconds(0.6)),
            (StepId::Rollout, seconds(6.2)),
            (StepId::Converge, seconds(21.9)),
            (StepId::Marker, seconds(0.01)),
        ],
        took: seconds(31.6),
        key: Some(Key {
            fingerprint: "SHA256:uNiVztksCsDhcc0u9e8BrCwcCXAyFqtt0S2A2KRHLkE".to_owned(),
            repository: "acme/fleet",
            registered: Some(("gitops-bootstrap staging 5b0b6a5e".to_owned(), 104_233)),
        }),
        app: None,
        access: Access::PortForward,
        kubectl: "kubectl --context kind-staging",
        next: &[
            ("gitops-bootstrap status staging".to_owned(), "look at the cluster again at any time".to_owned()),
            ("gitops-bootstrap render staging && git push".to_owned(), "change something in `src`, then".to_owned()),
        ],
    };
    for width in [40, 80, 120] {
        let look = Look { width, ..PLAIN };
        insta::assert_snapshot!(format!("summary_{width}"), page(&summary::summary(&end, look), look));
    }
    let sandbox = Summary {
        app: None,
        access: Access::Address("https://127.0.0.1:41263"),
        kubectl: "gitops-bootstrap sandbox kubectl --",
        next: &[],
        steps: &[],
        ..end
    };
    insta::assert_snapshot!("summary_sandbox", page(&summary::summary(&sandbox, PLAIN), PLAIN));
}

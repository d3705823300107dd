//! Argo CD gives Applications no health since 1.8, so a wave does not wait for those before it, unless argocd-cm brings the rule back
//! (operator-manual/health, "Argo CD App").

use std::collections::BTreeMap;

use crate::lint::draft::Draft;
use crate::lint::view::Cluster;

/// The key of the rule, and the one of the form before Argo CD 2.0.
const KEY: &str = "resource.customizations.health.argoproj.io_Application";
const OLD_KEY: &str = "resource.customizations";

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let mut waves: BTreeMap<&str, (i64, Vec<_>)> = BTreeMap::new();
    for (document, parent) in cluster.objects().filter(|(document, _)| document.object.kind() == "Application") {
        let is_root = cluster.root().is_some_and(|root| std::ptr::eq(root.document, document));
        if !is_root {
            let (first, apart) = waves.entry(parent.name()).or_insert_with(|| (document.wave(), Vec::new()));
            if document.wave() != *first {
                apart.push(document);
            }
        }
    }
    let Some(apart) = waves.into_values().find_map(|(_, apart)| apart.into_iter().next()) else { return Vec::new() };
    let settings = cluster
        .objects()
        .map(|(document, _)| document)
        .find(|document| document.object.kind() == "ConfigMap" && document.object.name() == "argocd-cm");
    let has_rule = settings.is_some_and(|settings| {
        let text = |key: &str| settings.object.at("/data").and_then(|data| data.get(key)?.as_str()).unwrap_or_default();
        !text(KEY).trim().is_empty() || text(OLD_KEY).contains("argoproj.io/Application")
    });
    if has_rule {
        return Vec::new();
    }
    let hint = format!("add `{KEY}` to argocd-cm, as `gitops-bootstrap new` writes it");
    let message = format!("has no health rule for Applications, so the waves (as in {}) do not wait", apart.cited());
    vec![match settings {
        Some(settings) => settings.draft("/data", message, hint),
        None => {
            apart.draft("/metadata/annotations", "has a wave, and no argocd-cm with a health rule for Applications makes waves wait", hint)
        }
    }]
}

//! An image without a tag, or with `latest`, is whatever its registry has on the day on which the cluster is rebuilt.

use crate::lint::draft::Draft;
use crate::lint::pods;
use crate::lint::view::Cluster;

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    for (document, _) in cluster.objects() {
        for (pointer, container) in pods::containers(&document.object) {
            let Some(image) = container.get("image").and_then(serde_json::Value::as_str) else { continue };
            if let Some(what) = mutable(image) {
                drafts.push(document.draft(
                    format!("{pointer}/image"),
                    format!("the image `{image}` {what}"),
                    "write the tag of a release, or the digest: what runs is then what was tested",
                ));
            }
        }
    }
    drafts
}

/// What makes an image mutable, if anything. An `auto` is filled in by a webhook (Istio).
fn mutable(image: &str) -> Option<&'static str> {
    if image.contains('@') || image == "auto" {
        return None;
    }
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    match name.split_once(':') {
        None => Some("has no tag, which means `latest`"),
        Some((_, "latest")) => Some("has the tag `latest`"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::mutable;

    #[test]
    fn the_port_of_a_registry_is_no_tag() {
        for image in ["nginx", "registry.example:5000/nginx", "nginx:latest", "ghcr.io/acme/web:latest"] {
            assert!(mutable(image).is_some(), "{image}");
        }
        for image in ["nginx:1.27", "registry.example:5000/nginx:1", "nginx@sha256:00", "nginx:latest@sha256:00", "auto"] {
            assert!(mutable(image).is_none(), "{image}");
        }
    }
}

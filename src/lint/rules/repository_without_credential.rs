//! The deploy key of a bootstrap opens the fleet repository, under the address that the root names. Any other repository over SSH needs a
//! credential of its own in the tree; one over HTTPS is taken for public.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;

use crate::domain::repository_url::{RepositoryUrl, Transport};
use crate::lint::draft::Draft;
use crate::lint::parsed::Document;
use crate::lint::view::Cluster;

/// The label that makes a Secret a credential (operator-manual/declarative-setup, "Repositories").
const LABEL: &str = "argocd.argoproj.io/secret-type";

/// A credential that the tree makes.
struct Credential {
    /// The address, or the beginning of those that it opens; none if it is encrypted or fetched.
    url: Option<String>,
    /// Whether it opens all addresses that begin so.
    is_template: bool,
}

pub(super) fn check<'a>(cluster: &Cluster<'a>) -> Vec<Draft<'a>> {
    let Some(tree) = &cluster.url else { return Vec::new() };
    let credentials: Vec<Credential> = cluster.objects().filter_map(|(document, _)| credential(document)).collect();
    let mut drafts: BTreeMap<String, Draft<'a>> = BTreeMap::new();
    for application in &cluster.applications {
        for source in &application.sources {
            let Some(url) = source.url().filter(|url| url.normalised() != tree.normalised()) else { continue };
            let is_public = url.transport() == Transport::Http && !url.is_same_repository(tree);
            if is_public || credentials.iter().any(|credential| credential.opens(&url)) {
                continue;
            }
            let (message, hint) = if url.is_same_repository(tree) {
                (
                    format!(
                        "names {url}, and the root {tree}: Argo CD takes them for two repositories, and the deploy key opens only the second"
                    ),
                    format!("write `repoURL: {tree}`"),
                )
            } else {
                (
                    format!("takes {url}, for which nothing in the tree is a credential"),
                    format!("add one, sealed or fetched, with the label `{LABEL}: repository`; or take a copy into this repository"),
                )
            };
            let pointer = format!("{}/repoURL", source.pointer);
            drafts.entry(url.normalised()).or_insert_with(|| application.document.draft(pointer, message, hint));
        }
    }
    drafts.into_values().collect()
}

impl Credential {
    fn opens(&self, url: &RepositoryUrl) -> bool {
        let Some(written) = &self.url else { return true };
        if self.is_template {
            return url.as_str().to_lowercase().starts_with(&written.to_lowercase());
        }
        written.parse::<RepositoryUrl>().is_ok_and(|written| written.normalised() == url.normalised())
    }
}

/// What a Secret, or an object that becomes one, opens.
fn credential(document: &Document<'_>) -> Option<Credential> {
    let object = &document.object;
    // The Secret itself, or the template in a SealedSecret or an ExternalSecret.
    let (pointer, label) = ["", "/spec/template", "/spec/target/template"].into_iter().find_map(|pointer| {
        let labels = object.at(&format!("{pointer}/metadata/labels"))?;
        Some((pointer, labels.get(LABEL)?.as_str()?))
    })?;
    let is_template = match label {
        "repository" => false,
        "repo-creds" => true,
        _ => return None,
    };
    let plain = ["stringData", "data"].into_iter().find_map(|key| {
        let written = object.at(&format!("{pointer}/{key}/url")).and_then(Value::as_str)?;
        if key == "data" && object.kind() == "Secret" {
            let decoded = base64::engine::general_purpose::STANDARD.decode(written).ok()?;
            return String::from_utf8(decoded).ok();
        }
        Some(written.to_owned())
    });
    Some(Credential { url: plain.filter(|url| !url.contains("{{")), is_template })
}

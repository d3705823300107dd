//! From objects to files: one object a file, named for it, with a line that says where it comes from.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::Sources;
use crate::domain::{Object, RepositoryPath};
use crate::error::{Failure, Result};
use crate::manifest::yaml;

/// The longest name of a file that every file system takes, in bytes.
const LONGEST_NAME: usize = 255;

/// Reads all objects in the manifests of a source folder.
pub(super) fn read(sources: &Sources, folder: &RepositoryPath) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    for path in sources.manifests(folder) {
        let text = sources.text(path)?.unwrap_or_default();
        objects.extend(parse(text, path.as_str())?);
    }
    if objects.is_empty() {
        return Err(Failure::repository(format!("`{folder}` holds no object")));
    }
    Ok(objects)
}

/// The objects in a text.
pub(super) fn parse(text: &str, file: &str) -> Result<Vec<Object>> {
    yaml::parse_documents(text, file)?
        .into_iter()
        .map(|document| {
            let (line, column) = (document.line, document.column);
            Object::new(document.value).map_err(|error| yaml::fault(file, line, column, format_args!("not a Kubernetes object: {error}")))
        })
        .collect()
}

/// The files for the objects of one folder, by name: `Kind.name.yaml`, with group and namespace where that is not enough to tell them apart.
/// `source` is where a person changes them.
pub(super) fn files(objects: Vec<Object>, source: &RepositoryPath) -> Result<BTreeMap<String, String>> {
    let mut by_name: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    for object in objects {
        // Names that differ in case only are one file on some systems.
        by_name.entry(file_name(&[object.kind(), object.name()]).to_lowercase()).or_default().push(object);
    }
    let mut files = BTreeMap::new();
    for alike in by_name.into_values() {
        let alone = alike.len() == 1;
        for object in alike {
            let name = if alone {
                file_name(&[object.kind(), object.name()])
            } else {
                let resource = object.resource();
                let group = Some(resource.group()).filter(|group| !group.is_empty()).unwrap_or("core");
                file_name(&[object.kind(), group, object.namespace().unwrap_or("_"), object.name()])
            };
            let text = format!("# rendered by gitops-bootstrap from {source}: change it there\n{}", yaml::to_text(object.value()));
            if files.insert(name, text).is_some() {
                return Err(Failure::repository(format!("{} is there twice", object.reference())));
            }
        }
    }
    Ok(files)
}

/// The name of a file, from parts that may hold anything: what is not safe in a name becomes `_`, and a long name ends in a digest of the whole.
fn file_name(parts: &[&str]) -> String {
    let joined = parts.join(".");
    let safe = |character: char| if character.is_ascii_alphanumeric() || "._-".contains(character) { character } else { '_' };
    let mut name: String = joined.chars().map(safe).collect();
    let extension = ".yaml";
    if name.len() + extension.len() > LONGEST_NAME {
        let digest: String = Sha256::digest(joined.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        name.truncate(LONGEST_NAME - extension.len() - digest.len() - 1);
        name = format!("{name}.{digest}");
    }
    name + extension
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        files(parse(text, "a.yaml").unwrap(), &"src/a".parse().unwrap()).unwrap().into_keys().collect()
    }

    #[test]
    fn a_file_is_named_for_its_object() {
        assert_eq!(
            names(
                "{apiVersion: v1, kind: Service, metadata: {name: web}}\n---\n{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: 'system:a/b'}}"
            ),
            ["ClusterRole.system_a_b.yaml", "Service.web.yaml"]
        );
    }

    #[test]
    fn objects_that_share_a_name_are_told_apart() {
        assert_eq!(
            names(
                "{apiVersion: a.io/v1, kind: Policy, metadata: {name: x}}\n---\n{apiVersion: v1, kind: Policy, metadata: {name: x, namespace: one}}\n---\n{apiVersion: v1, kind: Policy, metadata: {name: x, namespace: two}}"
            ),
            ["Policy.a.io._.x.yaml", "Policy.core.one.x.yaml", "Policy.core.two.x.yaml"]
        );
    }

    #[test]
    fn the_same_object_twice_is_refused() {
        let object = "{apiVersion: v1, kind: A, metadata: {name: x}}";
        let objects = parse(&format!("{object}\n---\n{object}"), "a.yaml").unwrap();
        assert_eq!(files(objects, &"src/a".parse().unwrap()).unwrap_err().message, "A x is there twice");
    }

    #[test]
    fn the_longest_name_is_still_a_file_name() {
        let long = "a".repeat(253);
        let found = names(&format!("{{apiVersion: v1, kind: CustomResourceDefinition, metadata: {{name: {long}}}}}"));
        assert_eq!(found[0].len(), LONGEST_NAME);
    }
}

//! Finding what must never be committed in clear. Values are never repeated, only where they are.

use super::yaml::Located;
use serde_json::Value;

/// Texts that only private material has.
const MARKS: [(&str, &str); 2] = [("PRIVATE KEY-----", "a private key"), ("AGE-SECRET-KEY-1", "a private age identity")];

/// What in a file is secret and in clear: full sentences that start with `file:line`.
pub fn in_clear(text: &str, file: &str, documents: &[Located<Value>]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (mark, what) in MARKS {
            // Public keys and prose say `-----BEGIN PUBLIC KEY-----` or name the format; only the begin line of a private key counts.
            let is_key = line.contains(mark) && (!mark.ends_with('-') || line.contains("-----BEGIN "));
            if is_key {
                found.push(format!("{file}:{}: {what} is committed in clear", index + 1));
            }
        }
    }
    for document in documents {
        if let Some(what) = plain_secret(&document.value) {
            found.push(format!("{file}:{}: {what} is committed in clear", document.line));
        }
    }
    found
}

/// What a document holds that is secret and not encrypted (SOPS adds a key `sops`), if anything.
fn plain_secret(document: &Value) -> Option<String> {
    let filled = |key: &str| document.get(key).is_some_and(|value| !value.is_null() && value != &Value::Object(serde_json::Map::new()));
    let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
    match document.get("kind").and_then(Value::as_str)? {
        "Secret" if (filled("data") || filled("stringData")) && !filled("sops") => Some(format!("Secret `{name}`")),
        "Config" if filled("users") && filled("clusters") => Some("a kubeconfig".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::yaml::parse_documents;

    fn found(text: &str) -> Vec<String> {
        in_clear(text, "a.yaml", &parse_documents(text, "a.yaml").unwrap())
    }

    #[test]
    fn secrets_are_cited_and_never_repeated() {
        let text = "kind: ConfigMap\n---\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n---\nkind: ConfigMap\ndata:\n  key: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    abc\n";
        assert_eq!(found(text), ["a.yaml:10: a private key is committed in clear", "a.yaml:3: Secret `db` is committed in clear"]);
        assert_eq!(found("kind: Config\nusers: [{}]\nclusters: [{}]\n"), ["a.yaml:1: a kubeconfig is committed in clear"]);
        assert_eq!(found("key: AGE-SECRET-KEY-1ABC\n"), ["a.yaml:1: a private age identity is committed in clear"]);
    }

    #[test]
    fn empty_and_encrypted_secrets_are_fine() {
        assert!(found("kind: Secret\nmetadata: {name: argocd-secret}\ntype: Opaque\n").is_empty());
        assert!(found("kind: Secret\nmetadata: {name: a}\ndata: {x: ENC}\nsops: {mac: x}\n").is_empty());
        assert!(found("kind: SealedSecret\nspec: {encryptedData: {x: y}}\n").is_empty());
    }
}

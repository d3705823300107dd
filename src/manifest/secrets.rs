//! Finding what must never be committed in clear. Values are never repeated, only where they are.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::yaml::{self, Located};

/// Texts that only private material has, and what each is. The forms of tokens are those that their makers document for secret scanning:
/// GitHub ("About authentication to GitHub"), GitLab ("Token prefixes"), Slack ("Token types"), AWS ("IAM identifiers"), age (age-encryption.org/v1).
const MARKS: [(&str, &str); 7] = [
    (r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----", "a private key"),
    (r"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{50,}", "a private age identity"),
    (r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})", "a token of GitHub"),
    (r"\bglpat-[A-Za-z0-9_-]{20,}", "a token of GitLab"),
    (r"\bxox[abeprs]-[A-Za-z0-9-]{20,}", "a token of Slack"),
    (r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b", "an access key of AWS"),
    (r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}", "a token (JWT)"),
];

/// All marks at once, each in a group of its own.
static ANY_MARK: LazyLock<Regex> = LazyLock::new(|| {
    let groups = MARKS.map(|(pattern, _)| format!("({pattern})")).join("|");
    Regex::new(&groups).unwrap_or_else(|error| unreachable!("constants: {error}"))
});

/// Something secret, and where it begins. Lines and columns are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// What it is, as in `a private key`. Never its value.
    pub what: String,
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// What in a file is secret and in clear, whatever kind of file it is.
pub fn find(text: &str, file: &str) -> Vec<Secret> {
    // Most files have neither kind of object, and are not parsed.
    let may_be_one = text.contains("Secret") || (text.contains("Config") && text.contains("users"));
    let is_parsed = may_be_one && [".yaml", ".yml", ".json", "config"].iter().any(|end| file.ends_with(end));
    let documents = if is_parsed { yaml::parse_documents(text, file).unwrap_or_default() } else { Vec::new() };
    let objects: Vec<Secret> = documents.iter().filter_map(|document| object(document, &documents, text, file)).collect();
    let mut found = marks(text, &documents);
    found.extend(objects);
    found.sort_by_key(|secret| (secret.line, secret.column));
    found
}

/// What in a file is secret and in clear: full sentences that start with `file:line`.
pub fn in_clear(text: &str, file: &str, documents: &[Located<Value>]) -> Vec<String> {
    let objects = documents
        .iter()
        .filter_map(|document| Some(Secret { what: plain_secret(&document.value)?.1, line: document.line, column: document.column }));
    let found = marks(text, documents).into_iter().chain(objects);
    found.map(|secret| format!("{file}:{}: {} is committed in clear", secret.line, secret.what)).collect()
}

/// Texts that only private material has, outside of Secrets, which are secret as a whole.
fn marks(text: &str, documents: &[Located<Value>]) -> Vec<Secret> {
    let mut found = Vec::new();
    let mut place = Place { text, offset: 0, line: 1 };
    for captures in ANY_MARK.captures_iter(text) {
        let Some((group, (_, what))) = MARKS.iter().enumerate().find(|(group, _)| captures.get(group + 1).is_some()) else { continue };
        let Some(mark) = captures.get(group + 1).filter(|mark| !mark.as_str().ends_with("EXAMPLE")) else { continue };
        let (line, column) = place.advance(mark.start());
        let around = documents.iter().rfind(|document| document.line <= line);
        if around.is_none_or(|document| plain_secret(&document.value).is_none()) {
            found.push(Secret { what: (*what).to_owned(), line, column });
        }
    }
    found
}

/// A place in a text that only goes forward.
struct Place<'a> {
    text: &'a str,
    offset: usize,
    line: u64,
}

impl Place<'_> {
    /// The line and the column of an offset that is not before the last one.
    fn advance(&mut self, offset: usize) -> (u64, u64) {
        self.line += self.text[self.offset..offset].matches('\n').count() as u64;
        self.offset = offset;
        let start = self.text[..offset].rfind('\n').map_or(0, |end| end + 1);
        (self.line, self.text[start..offset].chars().count() as u64 + 1)
    }
}

/// The Secret or kubeconfig that a document is, at the key that holds what is secret.
fn object(document: &Located<Value>, all: &[Located<Value>], text: &str, file: &str) -> Option<Secret> {
    let (key, what) = plain_secret(&document.value)?;
    let index = all.iter().position(|other| std::ptr::eq(other, document))?;
    let places = yaml::parse_all_located(text, file).unwrap_or_default();
    let place = places.get(index).and_then(|node| node.value.place(&format!("/{key}")));
    let (line, column) = place.unwrap_or((document.line, document.column));
    Some(Secret { what, line, column })
}

/// What a document is that is secret and not encrypted (SOPS adds a key `sops`), if anything, and the key that holds it.
fn plain_secret(document: &Value) -> Option<(&'static str, String)> {
    let filled = |key: &str| document.get(key).is_some_and(|value| !value.is_null() && value != &Value::Object(serde_json::Map::new()));
    let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
    match document.get("kind").and_then(Value::as_str)? {
        "Secret" if !filled("sops") => {
            let key = ["stringData", "data"].into_iter().find(|key| filled(key))?;
            Some((key, format!("Secret `{name}`")))
        }
        "Config" if filled("users") && filled("clusters") => Some(("users", "a kubeconfig".to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::yaml::parse_documents;

    fn in_clear_of(text: &str) -> Vec<String> {
        in_clear(text, "a.yaml", &parse_documents(text, "a.yaml").unwrap())
    }

    fn found(text: &str, file: &str) -> Vec<String> {
        find(text, file).into_iter().map(|secret| format!("{}:{} {}", secret.line, secret.column, secret.what)).collect()
    }

    #[test]
    fn secrets_are_cited_and_never_repeated() {
        let text = "kind: ConfigMap\n---\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n---\nkind: ConfigMap\ndata:\n  key: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    abc\n";
        assert_eq!(in_clear_of(text), ["a.yaml:10: a private key is committed in clear", "a.yaml:3: Secret `db` is committed in clear"]);
        assert_eq!(found(text, "a.yaml"), ["5:1 Secret `db`", "10:5 a private key"]);
        assert_eq!(in_clear_of("kind: Config\nusers: [{}]\nclusters: [{}]\n"), ["a.yaml:1: a kubeconfig is committed in clear"]);
    }

    #[test]
    fn tokens_and_keys_are_found_in_any_text() {
        for (secret, what) in [
            (format!("AGE-SECRET-KEY-1{}", "Q".repeat(58)), "a private age identity"),
            (format!("ghp_{}", "a1".repeat(18)), "a token of GitHub"),
            (format!("github_pat_{}", "a1".repeat(41)), "a token of GitHub"),
            (format!("glpat-{}", "a1".repeat(10)), "a token of GitLab"),
            (format!("xoxb-{}", "1234567890".repeat(3)), "a token of Slack"),
            (format!("AKIA{}", "Z".repeat(16)), "an access key of AWS"),
            (format!("eyJ{0}.eyJ{0}.{0}", "a".repeat(30)), "a token (JWT)"),
            ("-----BEGIN PRIVATE KEY-----".to_owned(), "a private key"),
        ] {
            assert_eq!(found(&format!("é = \"{secret}\"\n"), "script.sh"), [format!("1:6 {what}")], "{secret}");
        }
    }

    #[test]
    fn what_names_a_secret_is_none() {
        for harmless in [
            "-----BEGIN PUBLIC KEY-----",
            "an identity begins with AGE-SECRET-KEY-1",
            "tokens begin with ghp_ or github_pat_",
            "AKIAIOSFODNN7EXAMPLE",
            "kind: Secret\nmetadata: {name: argocd-secret}\ntype: Opaque\n",
            "kind: Secret\nmetadata: {name: a}\ndata: {x: ENC}\nsops: {mac: x}\n",
            "kind: SealedSecret\nspec: {encryptedData: {x: y}}\n",
            "kind: Secret\n{{ template: of a chart\n",
        ] {
            assert_eq!(found(harmless, "a.yaml"), [] as [String; 0], "{harmless}");
        }
    }

    #[test]
    fn a_key_inside_of_a_secret_is_one_finding() {
        let text = "kind: Secret\nmetadata: {name: tls}\nstringData:\n  key: |\n    -----BEGIN PRIVATE KEY-----\n";
        assert_eq!(found(text, "a.yaml"), ["3:1 Secret `tls`"]);
    }
}

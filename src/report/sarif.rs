//! What `lint` found as SARIF, the Static Analysis Results Interchange Format 2.1.0 (OASIS), which code hosts show beside the lines.

use serde_json::{Value, json};

use super::sanitise::sanitise;
use crate::domain::{Finding, Rule, Severity};
use crate::lint::Report;

/// Where the rules are explained.
const RULES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/lint.md");

/// How paths that begin at the top of the repository are marked, as code hosts know it.
const ROOT: &str = "%SRCROOT%";

/// The log of one run. What is allowed is in it, as suppressed.
pub(super) fn log(report: &Report) -> Value {
    let results: Vec<Value> = report.findings.iter().chain(&report.allowed).map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": Rule::ALL.map(rule),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {ROOT: {"description": {"text": "The top of the fleet repository."}}},
            "results": results,
        }],
    })
}

fn rule(rule: Rule) -> Value {
    json!({
        "id": rule.id(),
        "shortDescription": {"text": format!("{}.", rule.title())},
        "helpUri": format!("{RULES}#{}", rule.id()),
        "defaultConfiguration": {"level": level(rule.severity())},
    })
}

fn result(finding: &Finding) -> Value {
    let object = finding.object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default();
    let mut result = json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": finding.rule as usize,
        "level": level(finding.severity),
        "message": {"text": sanitise(&format!("{object}{}. To correct it: {}.", finding.message, finding.hint))},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(finding.file.as_str()), "uriBaseId": ROOT},
            "region": {"startLine": finding.line, "startColumn": finding.column},
        }}],
    });
    if let Some(reason) = &finding.allowed {
        result["suppressions"] = json!([{"kind": "external", "justification": sanitise(reason)}]);
    }
    result
}

/// The level of SARIF's that a severity is (section 3.27.10).
const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A path as a relative reference (RFC 3986): what is not unreserved is escaped, but for `/`.
fn uri(path: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn a_path_is_a_reference_whatever_is_in_it() {
        assert_eq!(uri("rendered/staging/ü #1:2.yaml"), "rendered/staging/%C3%BC%20%231%3A2.yaml");
    }
}

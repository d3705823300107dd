//! What GitHub's answers mean. The facts are from docs.github.com, "Troubleshooting the REST API", "Best practices" and "Rate limits".

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::domain::{Commit, PublicKey};
use crate::ports::forge::{DeployKey, ForgeError, RepositoryFacts};

/// How much of a message is kept.
const QUOTED: usize = 300;

/// The first wait for a limit that comes without a time; it doubles.
const UNKNOWN_WAIT: Duration = Duration::from_secs(60);

/// A token that ends sooner is worth a warning.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An answer of the API.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// How long the forge wants to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) time: Duration,
    /// The same by the forge's clock.
    pub(super) until: Timestamp,
    /// Whether the forge named the time.
    pub(super) named: bool,
}

/// An error's body.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    default_branch: Option<String>,
    permissions: Option<Permissions>,
    #[serde(default)]
    ssh_url: String,
    #[serde(default)]
    html_url: String,
}

#[derive(Deserialize)]
struct Permissions {
    #[serde(default)]
    admin: bool,
}

#[derive(Deserialize)]
struct Key {
    id: u64,
    key: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    read_only: bool,
    /// Missing on older servers, which have no policy that disables keys.
    enabled: Option<bool>,
    created_at: Option<String>,
    last_used: Option<String>,
}

/// A branch (docs.github.com, REST, "Get a branch").
#[derive(Deserialize)]
struct Branch {
    commit: BranchCommit,
}

#[derive(Deserialize)]
struct BranchCommit {
    sha: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    /// When the answer was given, by the forge's clock; ours may be wrong.
    fn date(&self) -> Timestamp {
        let date = self.header("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        date.map_or_else(Timestamp::now, |date| date.timestamp())
    }

    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308)
    }

    /// The JSON of a good answer; none if it is something else, such as a proxy's page.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The repository in the answer, with warnings about the token.
    pub(super) fn repository(&self) -> Option<RepositoryFacts> {
        let repository: Repository = self.json()?;
        Some(RepositoryFacts {
            full_name: repository.full_name,
            default_branch: repository.default_branch.unwrap_or_default(),
            may_administer: repository.permissions.is_some_and(|permissions| permissions.admin),
            deploy_keys_allowed: None,
            ssh_url: repository.ssh_url,
            web_url: repository.html_url,
            warnings: self.warnings(),
        })
    }

    /// The commit of the branch in the answer.
    pub(super) fn branch_head(&self) -> Option<Commit> {
        self.json::<Branch>()?.commit.sha.parse().ok()
    }

    /// The deploy keys in the answer. Keys of a type that is not understood here cannot be ours, and are left out.
    pub(super) fn deploy_keys(&self) -> Option<Vec<DeployKey>> {
        let keys: Vec<Key> = self.json()?;
        Some(keys.into_iter().filter_map(deploy_key).collect())
    }

    pub(super) fn deploy_key(&self) -> Option<DeployKey> {
        self.json().and_then(deploy_key)
    }

    /// The next page of a list (RFC 8288), if there is one.
    pub(super) fn next_page(&self) -> Option<Url> {
        let link = self.headers.get_all("link").iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let next = link.filter_map(|link| link.split_once(';')).find(|(_, parameters)| parameters.contains("rel=\"next\""))?.0;
        Url::parse(next.trim().strip_prefix('<')?.strip_suffix('>')?).ok()
    }

    /// What the forge says of a refusal, in one line.
    pub(super) fn message(&self) -> String {
        let refusal: Refusal = self.json().unwrap_or_default();
        let details = refusal.errors.iter().filter_map(|error| error.get("message").unwrap_or(error).as_str());
        let words: Vec<_> = std::iter::once(refusal.message.as_str()).chain(details).filter(|words| !words.is_empty()).collect();
        if words.is_empty() { self.status.to_string() } else { words.join(": ").chars().take(QUOTED).collect() }
    }

    /// How long to wait if this is a refusal because of too many requests, of which `before` were already waited for.
    pub(super) fn pause(&self, before: u32) -> Option<Pause> {
        let number = |name: &str| self.header(name).and_then(|value| value.parse::<i64>().ok());
        let retry_after = number("retry-after");
        let used_up = number("x-ratelimit-remaining") == Some(0);
        let limited = match self.status.as_u16() {
            429 => true,
            403 => retry_after.is_some() || used_up || self.message().to_lowercase().contains("rate limit"),
            _ => false,
        };
        if !limited {
            return None;
        }
        let now = self.date();
        let named = match (retry_after, used_up.then(|| number("x-ratelimit-reset")).flatten()) {
            (Some(seconds), _) => Some(seconds),
            (None, Some(reset)) => Some(reset - now.as_second()),
            (None, None) => None,
        };
        let time = match named {
            Some(seconds) => Duration::from_secs(seconds.clamp(1, 24 * 60 * 60).unsigned_abs()),
            None => UNKNOWN_WAIT * 2_u32.saturating_pow(before),
        };
        Some(Pause { time, until: now + time, named: named.is_some() })
    }

    /// What a 403 that is no rate limit means.
    pub(super) fn forbidden(&self, forge: &str, repository: &str, web_host: &str) -> ForgeError {
        if let Some(required) = self.header("x-github-sso").filter(|value| value.starts_with("required")) {
            let url = required.split_once("url=").map(|(_, url)| url.trim());
            let own = |url: &&str| Url::parse(url).is_ok_and(|url| url.scheme() == "https" && super::address::web_host(&url) == web_host);
            return ForgeError::SingleSignOn { forge: forge.to_owned(), url: url.filter(own).map(str::to_owned) };
        }
        let message = self.message();
        if message.contains("Deploy keys are disabled") {
            return ForgeError::DeployKeysDisabled(repository.to_owned());
        }
        let needed = self.header("x-accepted-github-permissions").filter(|needed| !needed.is_empty()).map(str::to_owned);
        ForgeError::Forbidden { forge: forge.to_owned(), message, needed }
    }

    /// What any other 4xx means. GitHub answers 422 for different things and tells them apart by the message only.
    pub(super) fn refusal(&self, forge: &str, repository: &str) -> ForgeError {
        let message = self.message();
        match self.status.as_u16() {
            404 => ForgeError::NotFound(repository.to_owned()),
            422 if message.contains("key is already in use") => ForgeError::KeyInUse,
            422 if message.contains("Deploy keys are disabled") => ForgeError::DeployKeysDisabled(repository.to_owned()),
            422 if message.contains("name already exists") => ForgeError::RepositoryExists(repository.to_owned()),
            _ => ForgeError::Invalid { forge: forge.to_owned(), message },
        }
    }

    /// What a person should know of the token, in full sentences.
    fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.breadth().into_iter().collect();
        if let Some(end) = self.expiration()
            && end.duration_since(self.date()) < SOON
        {
            warnings.push(format!(
                "The token expires at {end}. GitHub removes deploy keys together with the token that made them, so check the key after that \
                 time, or use a token that lives longer."
            ));
        }
        warnings
    }

    /// What a person should know of what the token opens, if that is more than is needed: a full sentence.
    pub(super) fn breadth(&self) -> Option<String> {
        const BROAD: [&str; 4] = ["repo", "delete_repo", "workflow", "user"];
        let scopes = self.header("x-oauth-scopes").unwrap_or_default();
        let is_broad = |scope: &str| BROAD.contains(&scope) || scope.starts_with("admin:") || scope.starts_with("write:");
        scopes.split(',').map(str::trim).any(is_broad).then(|| {
            format!(
                "The token is a classic one and opens far more than this repository ({scopes}). A fine-grained token with `Administration: \
                 write` on this repository is enough."
            )
        })
    }

    /// When the token ends, if the forge says so.
    pub(super) fn expiration(&self) -> Option<Timestamp> {
        self.header("github-authentication-token-expiration").and_then(expiration)
    }
}

fn deploy_key(key: Key) -> Option<DeployKey> {
    Some(DeployKey {
        id: key.id,
        title: key.title,
        key: PublicKey::from_openssh(&key.key).ok()?,
        read_only: key.read_only,
        enabled: key.enabled.unwrap_or(true),
        created: key.created_at,
        last_used: key.last_used,
    })
}

/// Reads `2026-12-01 07:00:00 UTC` and `2026-12-01 07:00:00 +0100`, both of which GitHub sends.
fn expiration(text: &str) -> Option<Timestamp> {
    let text = text.replace(" UTC", " +0000");
    jiff::fmt::strtime::parse("%Y-%m-%d %H:%M:%S %z", text).ok()?.to_timestamp().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn the_time_of_a_limit_is_computed_by_the_forges_clock() {
        // An hour off from any clock that this test may run by.
        let date = ("date", "Sat, 21 Nov 2020 11:00:00 GMT");
        let reset = "1605958800"; // 11:40:00 on that day.
        let limited = answer(403, &[date, ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)], "{}");
        let pause = limited.pause(0).unwrap();
        assert_eq!((pause.time, pause.until.to_string().as_str()), (Duration::from_secs(2400), "2020-11-21T11:40:00Z"));
        let after = answer(429, &[date, ("retry-after", "30"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)], "");
        assert_eq!(after.pause(0).unwrap().time, Duration::from_secs(30), "retry-after goes first");
    }

    #[test]
    fn a_limit_without_a_time_is_a_minute_and_doubles() {
        let secondary = answer(403, &[], r#"{"message":"You have exceeded a secondary rate limit."}"#);
        let waits: Vec<_> = (0..3).map(|before| secondary.pause(before).unwrap().time.as_secs()).collect();
        assert_eq!(waits, [60, 120, 240]);
    }

    #[test]
    fn a_403_for_another_reason_is_no_limit() {
        assert_eq!(answer(403, &[("x-ratelimit-remaining", "41")], r#"{"message":"Resource not accessible"}"#).pause(0), None);
        assert_eq!(answer(404, &[("retry-after", "1")], "").pause(0), None);
    }

    #[test]
    fn the_next_page_is_the_one_that_the_forge_names() {
        let link = r#"<https://api.github.com/repositories/1/keys?page=1>; rel="prev", <https://api.github.com/repositories/1/keys?page=3>; rel="next""#;
        assert_eq!(answer(200, &[("link", link)], "").next_page().unwrap().as_str(), "https://api.github.com/repositories/1/keys?page=3");
        assert_eq!(answer(200, &[("link", r#"<https://x/>; rel="last""#)], "").next_page(), None);
    }

    #[test]
    fn broad_scopes_and_a_near_end_are_told_and_a_good_token_is_not_mentioned() {
        let date = ("date", "Sat, 21 Nov 2026 11:00:00 GMT");
        let warnings = |headers: &[(&str, &str)]| answer(200, &[&[date], headers].concat(), "").warnings().len();
        assert_eq!(warnings(&[("x-oauth-scopes", "repo, admin:org")]), 1);
        assert_eq!(warnings(&[("github-authentication-token-expiration", "2026-11-27 11:00:00 UTC")]), 1);
        assert_eq!(warnings(&[("github-authentication-token-expiration", "2026-11-28 03:00:00 -0700")]), 1);
        assert_eq!(warnings(&[("github-authentication-token-expiration", "2026-11-29 11:00:00 UTC"), ("x-oauth-scopes", "")]), 0);
    }

    #[test]
    fn a_page_to_sign_on_is_only_told_if_it_is_the_forges_own() {
        let url = |url: &str| {
            let refused = answer(403, &[("x-github-sso", &format!("required; url={url}"))], "{}");
            match refused.forbidden("github.com", "a/b", "github.com") {
                ForgeError::SingleSignOn { url, .. } => url,
                other => panic!("{other}"),
            }
        };
        let own = "https://github.com/orgs/acme/sso?authorization_request=x";
        assert_eq!(url(own).as_deref(), Some(own));
        for other in ["https://github.com.evil.test/", "http://github.com/", "https://evil.test/github.com", "javascript:alert(1)"] {
            assert_eq!(url(other), None, "{other}");
        }
    }

    #[test]
    fn a_key_that_is_not_understood_is_left_out_and_new_fields_do_no_harm() {
        let good = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        let body = format!(
            r#"[{{"id":9007199254740993,"key":"{good}","title":"t","read_only":true,"future":{{}}}},{{"id":2,"key":"ssh-new AAAA"}}]"#
        );
        let keys = answer(200, &[], &body).deploy_keys().unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].id, keys[0].enabled, keys[0].read_only), (9_007_199_254_740_993, true, true));
        assert_eq!(answer(200, &[], "<html>").deploy_keys(), None);
        assert_eq!(answer(200, &[], r#"[{"key":"x"}]"#).deploy_keys(), None);
    }
}

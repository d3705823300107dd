//! The address at which a forge tells Argo CD of a push.

use std::fmt;
use std::str::FromStr;

use super::loopback::is_loopback;

/// The address of Argo CD's `/api/webhook`, as the forge reaches it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WebhookUrl(String);

/// A text that is no such address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a webhook: it {0}; write it as `https://HOST/api/webhook`")]
pub struct InvalidWebhookUrl(&'static str);

impl WebhookUrl {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebhookUrl {
    type Err = InvalidWebhookUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = url::Url::parse(text.trim()).map_err(|_| InvalidWebhookUrl("is not an address"))?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidWebhookUrl("has more in it than a host and a path"));
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(InvalidWebhookUrl("has no path, and Argo CD listens at `/api/webhook`"));
        }
        if url.host().is_none() {
            return Err(InvalidWebhookUrl("has no host"));
        }
        match url.scheme() {
            "https" => Ok(Self(url.into())),
            "http" if is_loopback(&url) => Ok(Self(url.into())),
            _ => Err(InvalidWebhookUrl("is not https, and what is pushed would be told in clear")),
        }
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_webhook_is_https_and_holds_nothing_secret() {
        for good in ["https://argocd.acme.test/api/webhook", "http://127.0.0.1:8080/api/webhook", "https://acme.test:8443/argo/api/webhook"]
        {
            assert_eq!(good.parse::<WebhookUrl>().unwrap().as_str(), good);
        }
        for bad in ["", "argocd.acme.test/api/webhook", "http://argocd.acme.test/api/webhook", "https://argocd.acme.test", "ftp://h/x"] {
            assert!(bad.parse::<WebhookUrl>().is_err(), "{bad}");
        }
        for secret in ["https://me:hunter2@h/api/webhook", "https://h/api/webhook?token=hunter2"] {
            assert!(!secret.parse::<WebhookUrl>().unwrap_err().to_string().contains("hunter2"));
        }
    }
}

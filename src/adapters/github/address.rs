//! Where the REST API of a forge is, and where its pages are.

use url::Url;

use crate::adapters::connection::is_loopback;
use crate::domain::RepositoryUrl;
use crate::ports::forge::ForgeError;

/// The base address of the API for a repository: `given`, else the one that belongs to the repository's host.
///
/// GitHub.com has its own host for it, GitHub Enterprise Cloud with data residency (`*.ghe.com`) one for each tenant, GitHub Enterprise
/// Server a path (docs.github.com, "Getting started with the REST API").
pub(super) fn api(repository: &RepositoryUrl, given: Option<&str>) -> Result<Url, ForgeError> {
    let host = repository.host().to_ascii_lowercase();
    let address = match given {
        Some(given) => given.to_owned(),
        None if matches!(host.as_str(), "github.com" | "ssh.github.com") => "https://api.github.com".to_owned(),
        None if host.ends_with(".ghe.com") => format!("https://api.{host}"),
        None => format!("https://{host}/api/v3"),
    };
    let invalid = |message: &str| ForgeError::Invalid { forge: shown(&address), message: message.to_owned() };
    let url = Url::parse(&address).map_err(|_| invalid("this is not the address of an API"))?;
    let host = url.host_str().ok_or_else(|| invalid("the address of the API has no host"))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("the address of the API has more in it than a host and a path"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(host) => Ok(url),
        _ => Err(ForgeError::Untrusted {
            forge: host.to_owned(),
            message: "the address of its API is not https, and a token would be sent in clear".to_owned(),
        }),
    }
}

/// The host of the forge's pages, which people know it by.
pub(super) fn web_host(api: &Url) -> String {
    let host = api.host_str().unwrap_or_default();
    let host = host.strip_prefix("api.").filter(|rest| *rest == "github.com" || rest.ends_with(".ghe.com")).unwrap_or(host);
    match api.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The base address of the forge's pages.
pub(super) fn web(api: &Url) -> Url {
    let host = web_host(api);
    Url::parse(&format!("{}://{host}/", api.scheme())).unwrap_or_else(|_| api.clone())
}

/// An address as far as it holds no password.
fn shown(address: &str) -> String {
    address.rsplit('@').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(repository: &str, given: Option<&str>) -> Result<(String, String), ForgeError> {
        let api = api(&repository.parse().unwrap(), given)?;
        Ok((api.as_str().trim_end_matches('/').to_owned(), web_host(&api)))
    }

    #[test]
    fn each_kind_of_github_has_its_api_where_github_says() {
        let pair = |api: &str, web: &str| Ok((api.to_owned(), web.to_owned()));
        assert_eq!(found("git@github.com:a/b.git", None), pair("https://api.github.com", "github.com"));
        assert_eq!(found("ssh://git@ssh.github.com:443/a/b.git", None), pair("https://api.github.com", "github.com"));
        assert_eq!(found("git@acme.ghe.com:a/b.git", None), pair("https://api.acme.ghe.com", "acme.ghe.com"));
        assert_eq!(found("git@git.acme.test:a/b.git", None), pair("https://git.acme.test/api/v3", "git.acme.test"));
        let given = "http://127.0.0.1:8080/api/v3";
        assert_eq!(found("ssh://git@127.0.0.1:2222/a/b", Some(given)), pair(given, "127.0.0.1:8080"));
    }

    #[test]
    fn a_token_is_never_sent_in_clear_to_another_machine() {
        let refused = found("git@github.com:a/b.git", Some("http://api.github.com"));
        assert!(matches!(refused, Err(ForgeError::Untrusted { .. })), "{refused:?}");
    }

    #[test]
    fn an_address_with_more_in_it_is_refused_and_not_repeated() {
        let refused = found("git@github.com:a/b.git", Some("https://me:hunter2@api.github.com")).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
        assert!(found("git@github.com:a/b.git", Some("https://api.github.com?x=1")).is_err());
        assert!(found("git@github.com:a/b.git", Some("github.com")).is_err());
    }
}

//! The proxies that the environment names, as the clients here obey them.

use std::collections::BTreeMap;

use hyper_util::client::proxy::matcher::Matcher;

/// The variables that name proxies, and servers that are reached without one. The first of each pair counts (as in the `hyper-util` crate).
const VARIABLES: [[&str; 2]; 4] =
    [["HTTPS_PROXY", "https_proxy"], ["HTTP_PROXY", "http_proxy"], ["ALL_PROXY", "all_proxy"], ["NO_PROXY", "no_proxy"]];

/// The variables that are set, each with its value without user and password.
pub fn variables(environment: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let set = VARIABLES.iter().flatten().filter_map(|name| Some((*name, value(environment, name)?)));
    set.map(|(name, value)| (name.to_owned(), without_credentials(value))).collect()
}

/// The proxy by which `address` is reached, without user and password; none if it is reached directly.
pub fn towards(address: &str, environment: &BTreeMap<String, String>) -> Option<String> {
    let first = |names: &[&str; 2]| names.iter().find_map(|name| value(environment, name)).unwrap_or_default().to_owned();
    let [https, http, all, no] = VARIABLES.each_ref().map(first);
    let matcher = Matcher::builder().https(https).http(http).all(all).no(no).build();
    let found = matcher.intercept(&address.parse().ok()?)?;
    Some(without_credentials(found.uri().to_string().trim_end_matches('/')))
}

fn value<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// An address, or a list of them, without what comes before `@`.
fn without_credentials(text: &str) -> String {
    let safe = |address: &str| match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => address.to_owned(),
    };
    text.split(',').map(safe).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_way_to_a_server_is_that_of_the_client() {
        let set = environment(&[("HTTPS_PROXY", "http://me:hunter2@proxy.example:3128"), ("NO_PROXY", "localhost,.inside.example")]);
        assert_eq!(towards("https://api.github.com/", &set).as_deref(), Some("http://proxy.example:3128"));
        assert_eq!(towards("https://git.inside.example/api/v3", &set), None);
        assert_eq!(towards("https://api.github.com/", &environment(&[])), None);
        assert_eq!(towards("https://api.github.com/", &environment(&[("https_proxy", "proxy:1")])).as_deref(), Some("http://proxy:1"));
    }

    #[test]
    fn no_password_is_shown() {
        let set = variables(&environment(&[
            ("HTTPS_PROXY", "http://me:hunter2@proxy:1"),
            ("ALL_PROXY", "me:hunter2@other"),
            ("NO_PROXY", "a, b"),
        ]));
        let shown: Vec<String> = set.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown, ["HTTPS_PROXY=http://proxy:1", "ALL_PROXY=other", "NO_PROXY=a, b"]);
    }
}

//! What a person writes into Git while a cluster moves between a deploy key and a GitHub App: the two have different addresses, and the address is in
//! Git. Only what people write is looked at; what is rendered from it follows.

use std::num::NonZeroU64;

use crate::domain::RepositoryUrl;
use crate::domain::repository_url::Transport;

/// A file of the fleet repository as people see it: its path and its text.
pub type Text<'a> = (&'a str, &'a str);

/// A place in Git, and what is to be written there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GitChange {
    /// The file.
    pub file: String,
    /// Its line, from 1; none if it has to be looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What is to be written, in words.
    pub change: String,
}

impl std::fmt::Display for GitChange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.file, self.change),
            None => write!(formatter, "{}: {}", self.file, self.change),
        }
    }
}

/// What the declaration says of the address.
const DECLARATION: &str = "gitops.yaml";

/// The places that name `from`, and what to write so that Argo CD goes to `to`; `app` is the GitHub App by which it gets in there, if it is one.
///
/// An AppProject is to permit both addresses until the move is over: it changes before the Applications that it permits.
pub fn to_write(files: &[Text<'_>], from: &RepositoryUrl, to: &RepositoryUrl, app: Option<NonZeroU64>) -> Vec<GitChange> {
    let mut changes = Vec::new();
    for (file, text) in files {
        for line in lines_that_name(text, from) {
            let change = if *file == DECLARATION {
                match (app, to.transport()) {
                    (Some(id), _) => format!("write `url: {to}`, and `githubApp: {{id: {id}}}` beside it"),
                    (None, Transport::Ssh) => format!("write `url: {to}`, and take out `githubApp`"),
                    (None, _) => format!("write `url: {to}`"),
                }
            } else if !is_project(text) {
                format!("write {to}")
            } else if lines_that_name(text, to).next().is_none() {
                format!("permit {to} too, in `sourceRepos`")
            } else {
                continue;
            };
            changes.push(GitChange { file: (*file).to_owned(), line: Some(line), change });
        }
    }
    changes
}

/// The places of AppProjects that still permit `from`, when nothing goes there any more.
pub fn to_take_out(files: &[Text<'_>], from: &RepositoryUrl) -> Vec<GitChange> {
    let projects = files.iter().filter(|(_, text)| is_project(text));
    projects
        .flat_map(|(file, text)| lines_that_name(text, from).map(move |line| (file, line)))
        .map(|(file, line)| GitChange { file: (*file).to_owned(), line: Some(line), change: format!("take {from} out of `sourceRepos`") })
        .collect()
}

fn is_project(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "kind: AppProject")
}

/// The numbers of the lines that name an address, comments apart.
fn lines_that_name(text: &str, address: &RepositoryUrl) -> impl Iterator<Item = usize> {
    let names = |line: &str| {
        !line.trim_start().starts_with('#')
            && line
                .split(|character: char| character.is_whitespace() || "\"',[]{}".contains(character))
                .any(|word| address.is_written(word))
    };
    text.lines().enumerate().filter(move |(_, line)| names(line)).map(|(number, _)| number + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSH: &str = "git@github.com:acme/fleet.git";
    const HTTPS: &str = "https://github.com/acme/fleet.git";
    const DECLARED: &str =
        "version: 1\nrepository:\n  # Was git@github.com:acme/fleet.git once.\n  url: \"git@github.com:acme/fleet.git\"\n";
    const PROJECT: &str = "kind: AppProject\nspec:\n  sourceRepos: [ssh://git@github.com/acme/fleet, 'https://charts.acme.test']\n";

    fn url(text: &str) -> RepositoryUrl {
        text.parse().unwrap()
    }

    fn said(changes: Vec<GitChange>) -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_place_that_names_the_old_address_is_told_with_its_line_and_projects_permit_both_for_a_while() {
        let files =
            [("gitops.yaml", DECLARED), ("src/argocd/projects/services.yaml", PROJECT), ("src/a.yaml", "repo: git@github.com:acme/fleet")];
        assert_eq!(
            said(to_write(&files, &url(SSH), &url(HTTPS), NonZeroU64::new(12))),
            [
                "gitops.yaml:4: write `url: https://github.com/acme/fleet.git`, and `githubApp: {id: 12}` beside it",
                "src/argocd/projects/services.yaml:3: permit https://github.com/acme/fleet.git too, in `sourceRepos`",
                "src/a.yaml:1: write https://github.com/acme/fleet.git",
            ]
        );
        let both = format!("{PROJECT}  - {HTTPS}\n");
        assert!(to_write(&[("p.yaml", &both)], &url(SSH), &url(HTTPS), None).is_empty(), "both are permitted");
    }

    #[test]
    fn on_the_way_back_the_app_is_taken_out_and_in_the_end_the_projects_forget_the_old_address() {
        let declared = DECLARED.replace(SSH, HTTPS);
        let changes = said(to_write(&[("gitops.yaml", &declared)], &url(HTTPS), &url(SSH), None));
        assert_eq!(changes, ["gitops.yaml:4: write `url: git@github.com:acme/fleet.git`, and take out `githubApp`"]);
        assert_eq!(
            said(to_take_out(&[("gitops.yaml", DECLARED), ("p.yaml", PROJECT)], &url(SSH))),
            ["p.yaml:3: take git@github.com:acme/fleet.git out of `sourceRepos`"]
        );
    }
}

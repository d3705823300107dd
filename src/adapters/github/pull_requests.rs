//! Pull requests (docs.github.com, REST, "Pulls").

use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::exchange::Failed;
use super::{GitHub, MOST_PAGES, WRITE_ATTEMPTS};
use crate::ports::forge::ForgeError;
use crate::ports::pull_requests::{NewPullRequest, PullRequest, PullRequests};

/// What the token may do with the repository.
#[derive(Deserialize)]
struct Permitted {
    permissions: Option<Permissions>,
}

#[derive(Deserialize)]
struct Permissions {
    #[serde(default)]
    push: bool,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "ref")]
    branch: String,
    /// None once a fork is deleted.
    repo: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

impl Pull {
    fn is_of(&self, repository: &str) -> bool {
        self.head.repo.as_ref().is_some_and(|repo| repo.full_name.eq_ignore_ascii_case(repository))
    }
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        Self { number: pull.number, url: pull.html_url, head: pull.head.branch }
    }
}

impl GitHub {
    async fn pull_request_of(&self, new: &NewPullRequest) -> Result<Option<PullRequest>, ForgeError> {
        Ok(self.open_pull_requests(&new.base).await?.into_iter().find(|open| open.head == new.head))
    }
}

#[async_trait]
impl PullRequests for GitHub {
    async fn may_write(&self) -> Result<bool, ForgeError> {
        let answer = self.exchange.read(self.url(&[])).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(&answer).await);
        }
        let permitted = answer.json::<Permitted>().ok_or_else(|| self.exchange.unintelligible(&answer, "repository"))?;
        Ok(permitted.permissions.is_none_or(|permissions| permissions.push))
    }

    async fn open_pull_requests(&self, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let mut url = self.url(&["pulls"]);
        url.query_pairs_mut().append_pair("state", "open").append_pair("base", base).append_pair("per_page", "100");
        let mut found: Vec<PullRequest> = Vec::new();
        for _ in 0..MOST_PAGES {
            let answer = self.exchange.read(url).await?;
            if answer.status != StatusCode::OK {
                return Err(self.refusal(&answer).await);
            }
            let page: Vec<Pull> = answer.json().ok_or_else(|| self.exchange.unintelligible(&answer, "list of pull requests"))?;
            found.extend(page.into_iter().filter(|pull| pull.is_of(self.full_name())).map(PullRequest::from));
            match answer.next_page() {
                Some(next) if self.exchange.is_own(&next) => url = next,
                Some(_) => return Err(self.exchange.unintelligible(&answer, "list whose next page is on the same host")),
                None => break,
            }
        }
        Ok(found)
    }

    async fn open_pull_request(&self, new: &NewPullRequest) -> Result<PullRequest, ForgeError> {
        let body = json!({"title": new.title, "body": new.body, "head": new.head, "base": new.base});
        let mut attempt = 1;
        loop {
            let lost = match self.exchange.write(Method::POST, self.url(&["pulls"]), Some(&body)).await {
                Ok(answer) if answer.status == StatusCode::CREATED => match answer.json::<Pull>() {
                    Some(pull) => return Ok(pull.into()),
                    None => "the pull request that it opened".to_owned(),
                },
                // An earlier attempt may have got through, or somebody else was faster.
                Ok(answer) if answer.status == StatusCode::UNPROCESSABLE_ENTITY => {
                    let refusal = self.refusal(&answer).await;
                    return self.pull_request_of(new).await?.ok_or(refusal);
                }
                Ok(answer) => return Err(self.refusal(&answer).await),
                Err(Failed::Lost(message)) => message,
                Err(refused) => return Err(self.exchange.error(refused)),
            };
            if let Some(open) = self.pull_request_of(new).await? {
                return Ok(open);
            }
            if attempt >= WRITE_ATTEMPTS || !self.exchange.wait(Duration::from_secs(1 << attempt)).await {
                return Err(self.exchange.error(Failed::Lost(lost)));
            }
            attempt += 1;
        }
    }
}

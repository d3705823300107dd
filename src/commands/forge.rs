//! The forge's API, with the token that is found.

use std::sync::Arc;

use super::asked::Asked;
use super::{Context, login};
use crate::adapters::github::{GitHub, GitHubOptions};
use crate::adapters::token::{self, Token, TokenSources};
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::ports::Forge;

/// What the token has to allow. A sandbox's forge has one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// To manage the deploy keys and the webhooks of the repository, and to create it.
    Administration,
    /// To push and to open pull requests.
    Write,
}

impl Rights {
    /// The name of the sandbox's token that has them.
    const fn name(self) -> &'static str {
        match self {
            Self::Administration => "admin",
            Self::Write => "write",
        }
    }
}

/// A forge's API with a token.
pub(super) struct Found {
    /// The API.
    pub(super) github: GitHub,
    /// Where the token was found, for people; none for that of a sandbox.
    pub(super) origin: Option<String>,
}

impl Found {
    /// The API, once it is said where the token was found.
    pub(super) fn told(self, context: &Context) -> GitHub {
        if let Some(text) = self.origin {
            context.events.send(Event::Fact { name: "token", text });
        }
        self.github
    }
}

impl Asked<'_> {
    /// The API with the token that is found, to manage the repository with; none if there is no token. Says where the token was found.
    pub(super) async fn forge(&self, context: &Context) -> Result<Option<Arc<dyn Forge>>> {
        let found = self.find(Rights::Administration, context).await?;
        Ok(found.map(|found| Arc::new(found.told(context)) as Arc<dyn Forge>))
    }

    /// The API with the token that is found; none if there is no token.
    pub(super) async fn find(&self, rights: Rights, context: &Context) -> Result<Option<Found>> {
        let stand_in = self.sandbox.filter(|state| state.forge.stand_in(self.repository).is_some()).map(|state| state.forge.api.as_str());
        let api = stand_in.or_else(|| self.api());
        let (token, origin) = match self.sandbox {
            Some(state) if self.flags.api.token_file.is_none() || stand_in.is_some() => (state.forge.token(rights.name())?, None),
            _ => match self.token(context).await? {
                Some(token) => (token.secret, Some(token.origin)),
                None => return Ok(None),
            },
        };
        let options = GitHubOptions { repository: self.repository.clone(), api: api.map(str::to_owned), token, deadline: self.deadline };
        Ok(Some(Found { github: GitHub::connect(options)?, origin }))
    }

    async fn token(&self, context: &Context) -> Result<Option<Token>> {
        if self.flags.device_flow {
            return login::wanted(self, context).await.map(Some);
        }
        let sources = TokenSources {
            file: self.flags.api.token_file.as_deref(),
            environment: &context.environment.variables,
            host: &GitHub::host(self.repository, self.api())?,
            interactive: context.environment.interactive,
            events: &context.events,
        };
        match token::find(sources).await? {
            Some(token) => Ok(Some(token)),
            None => login::offered(self, context).await,
        }
    }

    /// The failure of a run that needs a token for `what`, and has neither one nor a person to ask.
    pub(super) fn without_token(&self, what: &'static str) -> Failure {
        let host = match GitHub::host(self.repository, self.api()) {
            Ok(host) => host,
            Err(error) => return error.into(),
        };
        Failure::usage(format!("there is no token for {host}"))
            .because(what)
            .hint(token::where_to_put(&host))
            .hint("or name a file with the token: `--token-file FILE`")
    }

    /// The same where it is the deploy key that has to be registered.
    pub(super) fn without_token_for_key(&self) -> Failure {
        self.without_token("the public half of the deploy key is registered by its API")
            .hint("or let somebody register the key by hand: `--paste-key`")
    }
}

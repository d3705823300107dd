//! A login to the forge with a browser, for a person without a token.

use tokio::time::Instant;

use super::Context;
use super::ask::ask;
use super::asked::Asked;
use crate::adapters::github::{DeviceFlow, GitHub};
use crate::adapters::token::Token;
use crate::error::{Failure, Kind, Result};
use crate::event::Event;
use crate::ports::forge::ForgeError;
use crate::steps::world::interrupted;

/// The client id by which people log in, as it was given or declared.
fn client_id<'a>(asked: &Asked<'a>) -> Option<&'a str> {
    let declared = || asked.declared.and_then(|declared| declared.oauth_client_id.as_deref());
    asked.flags.oauth_client_id.as_deref().or_else(declared)
}

/// The token of a person who logs in with a browser, because they asked for it.
///
/// # Errors
/// A client id that was not given, a person who does not log in in time, and the forge's.
pub(super) async fn wanted(asked: &Asked<'_>, context: &Context) -> Result<Token> {
    match client_id(asked) {
        Some(id) => log_in(id, asked, context).await,
        None => Err(Failure::usage("a login with a browser needs the client id of an OAuth app, or of a GitHub App, that allows the device flow")
            .hint("make one in the settings of your account or organisation; then name it: `--oauth-client-id ID`, or `repository.oauthClientId` in gitops.yaml")
            .hint("or use a token: GITHUB_TOKEN, `gh auth login`, `--token-file FILE`")),
    }
}

/// The same, offered to a person who has given no token; none if they would rather not, or if no client id is known.
pub(super) async fn offered(asked: &Asked<'_>, context: &Context) -> Result<Option<Token>> {
    let Some(id) = client_id(asked).filter(|_| context.environment.interactive && !context.global.yes) else {
        return Ok(None);
    };
    let question = format!("Log in to {} with your browser instead?", GitHub::host(asked.repository, asked.api())?);
    if !ask(context, move || dialoguer::Confirm::new().with_prompt(question).default(true).interact()).await? {
        return Ok(None);
    }
    log_in(id, asked, context).await.map(Some)
}

/// The forge does not let people log in that way.
fn unusable(error: ForgeError) -> Failure {
    match error {
        ForgeError::Invalid { .. } => Failure::usage(error.to_string())
            .because("nothing was changed")
            .hint("look at the app in the settings of its owner: its client id, and whether it allows the device flow")
            .hint("or use a token: GITHUB_TOKEN, `gh auth login`, `--token-file FILE`"),
        error => error.into(),
    }
}

async fn log_in(id: &str, asked: &Asked<'_>, context: &Context) -> Result<Token> {
    let host = GitHub::host(asked.repository, asked.api())?;
    let flow = DeviceFlow::begin(asked.repository, asked.api(), id).await.map_err(unusable)?;
    let minutes = flow.expires.saturating_duration_since(Instant::now()).as_secs().div_ceil(60);
    context.events.warn(
        format!("log in at {} with the code {}", flow.page, flow.user_code),
        Some(format!("in any browser, also on another machine; the code is good for {minutes} minutes")),
    );
    let message = format!("waiting for somebody to log in to {host}");
    context.events.send(Event::Work { message, done: 0, total: 0 });
    let token = tokio::select! {
        token = tokio::time::timeout_at(asked.deadline, flow.token()) => token.ok().transpose().map_err(unusable)?.flatten(),
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    let secret = token.ok_or_else(|| {
        Failure::new(Kind::Denied, format!("nobody has logged in to {host}"))
            .because("the code was not typed in in time, or the login was declined")
            .because("nothing was changed")
            .hint("run the same command again: it shows a new code")
    })?;
    Ok(Token { secret, origin: format!("by a login to {host}") })
}

//! From flags, gitops.yaml and the environment to how Argo CD is to get into the fleet repository.

use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;

use super::Context;
use super::asked::Asked;
use crate::adapters::github::{GitHubAppTokens, app_api, check_app_key};
use crate::adapters::secret_file;
use crate::cli::access::{self, CredentialKind};
use crate::domain::RepositoryUrl;
use crate::domain::repository_url::Transport;
use crate::error::{Failure, Result};
use crate::event::Event;
use crate::ports::AppTokens;
use crate::steps::credential::{Access, WantedApp};

/// The variable with the private key of the GitHub App.
const KEY_VARIABLE: &str = "GITOPS_BOOTSTRAP_GITHUB_APP_PRIVATE_KEY";

/// How Argo CD is to get into the repository, and where the tokens of a GitHub App come from. The forge is asked for the App's installation if that is not
/// said.
///
/// # Errors
/// Half an App, a file that is no private key, and an address that an App does not open.
pub(super) async fn access(flags: &access::Access, asked: &Asked<'_>, context: &Context) -> Result<(Access, Arc<dyn AppTokens>)> {
    let apps: Arc<dyn AppTokens> = Arc::new(GitHubAppTokens { api: asked.api().map(str::to_owned), deadline: asked.deadline });
    Ok((wanted(flags, asked, apps.as_ref(), context).await?, apps))
}

async fn wanted(flags: &access::Access, asked: &Asked<'_>, apps: &dyn AppTokens, context: &Context) -> Result<Access> {
    let Asked { declared, repository, sandbox, .. } = *asked;
    // Whoever stands in for the repository's forge knows no App, and takes every password.
    if repository.transport() == Transport::Http && sandbox.is_some_and(|state| state.forge.stand_in(repository).is_some()) {
        return Ok(Access::AnyPassword);
    }
    let declared = declared.and_then(|declared| declared.github_app);
    let is_named = flags.app.github_app_id.is_some() || declared.is_some();
    match flags.credential {
        Some(CredentialKind::DeployKey) => return Ok(Access::DeployKey),
        None if !is_named => return Ok(Access::DeployKey),
        Some(CredentialKind::GitHubApp) | None => {}
    }
    let Some(id) = flags.app.github_app_id.or(declared.map(|declared| declared.id)) else {
        return Err(Failure::usage("which GitHub App is meant is not said")
            .hint("name it by its number: `--github-app-id ID`, or `repository.githubApp.id` in gitops.yaml")
            .hint("the number is on the App's page in the settings of its owner"));
    };
    check_address(repository)?;
    let installation = flags.app.github_app_installation_id;
    let installation = installation.or(declared.filter(|declared| declared.id == id).and_then(|declared| declared.installation));
    let private_key = private_key(flags.app.github_app_private_key_file.as_deref(), context)?;
    let mut app = WantedApp { id, installation, private_key, api: app_api(repository, asked.api())? };
    if let (None, Some(private_key)) = (app.installation, &app.private_key) {
        app.installation = Some(apps.installation(id, private_key, repository).await?);
    }
    let installation = app.installation.map(|installation| format!(", installation {installation}")).unwrap_or_default();
    context.events.send(Event::Fact { name: "GitHub App", text: format!("{id}{installation}") });
    Ok(Access::GitHubApp(app))
}

/// Refuses an address that Argo CD does not open by an App.
fn check_address(repository: &RepositoryUrl) -> Result<()> {
    if repository.transport() == Transport::Http && !repository.is_in_clear() {
        return Ok(());
    }
    Err(Failure::refused(format!("a GitHub App does not open {repository}: it takes an address that begins with https"))
        .because("Argo CD opens what the Applications name, and they name the address of gitops.yaml")
        .because("nothing was changed")
        .hint(format!(
            "write `url: {}` into gitops.yaml under `repository`, and the same into `sourceRepos` in src/argocd/projects",
            repository.https()
        ))
        .hint("then: gitops-bootstrap render; commit and push that, and run the same command again"))
}

/// The private key that was given, if one was.
fn private_key(file: Option<&Path>, context: &Context) -> Result<Option<SecretString>> {
    let (key, origin) = match (file, context.environment.variable(KEY_VARIABLE)) {
        (Some(file), _) => {
            let file = context.environment.folder.join(file);
            let text = secret_file::read(&file, "the private key of the GitHub App")?;
            (SecretString::from(text.as_str()), file.display().to_string())
        }
        (None, Some(text)) => (SecretString::from(text), KEY_VARIABLE.to_owned()),
        (None, None) => return Ok(None),
    };
    check_app_key(&key).map_err(|error| {
        Failure::usage(format!("{origin} is not the private key of a GitHub App"))
            .because(error)
            .hint("make one on the App's page in the settings of its owner: it is downloaded as a file that ends in .pem")
    })?;
    Ok(Some(key))
}

//! How the forge's API is reached.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;

/// Where the forge's API is, and the file with its token.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Api {
    /// File with the forge's token; by default GITHUB_TOKEN, GH_TOKEN or `gh auth token` is used, or it is asked for
    #[arg(long, value_name = "FILE", env = "GITOPS_BOOTSTRAP_TOKEN_FILE", help_heading = "Forge")]
    pub token_file: Option<PathBuf>,
    /// Base address of the forge's REST API, for GitHub Enterprise
    #[arg(long, value_name = "URL", env = "GITOPS_BOOTSTRAP_FORGE_API", value_parser = address, help_heading = "Forge")]
    pub forge_api: Option<String>,
}

impl Api {
    /// The same for whoever does not log in.
    pub fn as_login(&self) -> Login {
        Login { api: self.clone(), ..Login::default() }
    }
}

/// The same for a person who may log in instead.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Login {
    /// Where the API is.
    #[command(flatten)]
    pub api: Api,
    /// Log in to the forge with a browser, anywhere, instead of with a token; needs the client id of an OAuth app
    #[arg(long, env = "GITOPS_BOOTSTRAP_DEVICE_FLOW", value_parser = FalseyValueParser::new(), conflicts_with = "token_file", help_heading = "Forge")]
    pub device_flow: bool,
    /// Client id of the OAuth app, or GitHub App, by which people log in; by default that in gitops.yaml
    #[arg(long, value_name = "ID", env = "GITOPS_BOOTSTRAP_OAUTH_CLIENT_ID", value_parser = client_id, help_heading = "Forge")]
    pub oauth_client_id: Option<String>,
}

fn address(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    crate::domain::declaration::api_fault(text).map_or_else(|| Ok(text.to_owned()), |reason| Err(format!("it {reason}")))
}

fn client_id(text: &str) -> Result<String, String> {
    crate::domain::declaration::client_id_fault(text).map_or_else(|| Ok(text.to_owned()), |reason| Err(format!("it {reason}")))
}

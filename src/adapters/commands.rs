//! The commands of gates: run in the clone's folder, with the environment of the person but without a forge's token.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::process::{Program, TOKEN_VARIABLES};
use crate::ports::Commands;
use crate::ports::commands::Ran;

/// How the variables of this program begin, some of which name secrets.
const OWN_VARIABLES: &str = "GITOPS_BOOTSTRAP_";

/// Runs programs on this machine.
#[derive(Clone, Debug)]
pub struct LocalCommands {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
}

impl LocalCommands {
    /// Runs in `folder` with `environment`. `kubeconfig` are the files by which a program finds the cluster that is recovered.
    pub fn new(folder: PathBuf, environment: &BTreeMap<String, String>, kubeconfig: &[PathBuf]) -> Self {
        let mut environment = environment.clone();
        environment.retain(|name, _| !TOKEN_VARIABLES.contains(&name.as_str()) && !name.starts_with(OWN_VARIABLES));
        if let Some(files) = std::env::join_paths(kubeconfig).ok().and_then(|files: OsString| files.into_string().ok()) {
            environment.insert("KUBECONFIG".to_owned(), files);
        }
        Self { folder, environment }
    }
}

#[async_trait]
impl Commands for LocalCommands {
    async fn run(&self, arguments: &[String], limit: Duration) -> Ran {
        let Some((program, rest)) = arguments.split_first() else { return Ran::Failed("it names no program".to_owned()) };
        // A path with a folder in it is one in the clone.
        let program = if program.contains('/') { self.folder.join(program).into_os_string() } else { program.into() };
        let program = Program::new(program).args(rest).envs(&self.environment).in_folder(&self.folder).within(limit);
        match program.run().await {
            Ok(output) if output.is_success() => Ran::Succeeded,
            Ok(output) => {
                let status = output.status.map_or_else(|| "a signal".to_owned(), |status| format!("exit status {status}"));
                let said = output.stderr.lines().rev().find(|line| !line.trim().is_empty()).map(|line| format!(": {}", line.trim()));
                Ran::Failed(format!("{status}{}", said.unwrap_or_default()))
            }
            Err(error) => Ran::Failed(error.to_string()),
        }
    }
}

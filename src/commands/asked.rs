//! Which forge a verb asks.

use tokio::time::Instant;

use crate::cli::forge::Login;
use crate::domain::RepositoryUrl;
use crate::domain::declaration::Repository;
use crate::sandbox::State;

/// Which forge is asked, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What was typed.
    pub(super) flags: &'a Login,
    /// What gitops.yaml says of the repository.
    pub(super) declared: Option<&'a Repository>,
    /// Where the repository is.
    pub(super) repository: &'a RepositoryUrl,
    /// The sandbox that is worked in: its forge is asked, also in the place of another one.
    pub(super) sandbox: Option<&'a State>,
    /// When it has to have answered.
    pub(super) deadline: Instant,
}

impl Asked<'_> {
    /// The base address of the API, if it was typed or declared.
    pub(super) fn api(&self) -> Option<&str> {
        let declared = || self.declared.and_then(|declared| declared.api.as_deref());
        self.flags.api.forge_api.as_deref().or_else(declared)
    }
}

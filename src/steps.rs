//! The steps: each looks at the world, has the plan decide, and makes the change. Every step may be run twice.

pub mod applications;
pub mod apply;
pub mod census;
pub mod converge;
pub mod credential;
pub mod definitions;
mod deletion;
pub mod failures;
pub mod faults;
pub mod fetch;
pub mod fleet_clone;
pub mod gates;
pub mod infrastructure;
pub mod install;
pub mod inventory;
pub mod key_register;
pub mod key_remove;
pub mod key_verify;
pub mod known_hosts;
pub mod lease;
pub mod leave;
pub mod marker;
pub mod namespace;
pub mod next_key;
pub mod old_key;
pub mod old_secret;
mod preview;
pub mod projects;
pub mod proof;
pub mod prune_keys;
pub mod record;
mod redis_password;
pub mod refresh;
pub mod remove;
pub mod rollout;
pub mod root_app;
pub mod root_of_trust;
pub mod secret_create;
pub mod secret_swap;
pub mod serve_clone;
pub mod stop;
pub mod webhook;
pub mod world;

use std::future::Future;

pub use world::World;

use crate::error::Result;
use crate::plan::preview::Preview;
use crate::plan::{StepId, Verdict};

/// One change that is safe to make twice.
pub trait Step: Send + Sync {
    /// What looking brings.
    type Seen: Send;

    /// Its name.
    fn id(&self) -> StepId;

    /// Reads the world and never changes it.
    fn look(&self, world: &World) -> impl Future<Output = Result<Self::Seen>> + Send;

    /// Compares what was seen with what is wanted. An error stops the run: the step must not be made.
    fn decide(&self, world: &World, seen: &Self::Seen) -> Result<Verdict>;

    /// Says what [`Self::apply`] would do to which objects and deploy keys, as far as that can be known before, and what is as it should be. Changes nothing;
    /// what the API server is sent is a dry run.
    fn preview(&self, _world: &World, _seen: Self::Seen) -> impl Future<Output = Result<Preview>> + Send {
        std::future::ready(Ok(Preview::default()))
    }

    /// Makes the change and waits until it shows. Called only when needed.
    fn apply(&self, world: &World, seen: Self::Seen) -> impl Future<Output = Result<()>> + Send;
}

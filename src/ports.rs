//! What the steps need of the outside world, as small traits; `adapters` has the real ones, `testing` those in memory.

pub mod app_tokens;
pub mod cluster;
pub mod commands;
pub mod forge;
pub mod git;
pub mod key_maker;
pub mod pull_requests;

pub use app_tokens::AppTokens;
pub use cluster::Cluster;
pub use commands::Commands;
pub use forge::Forge;
pub use git::{Packer, Remote, Worktree};
pub use key_maker::KeyMaker;
pub use pull_requests::PullRequests;

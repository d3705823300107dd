//! The adapters against stand-ins on this machine: sealed, without the network.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail like the test")]

#[path = "adapters/git.rs"]
mod git;
#[path = "adapters/github.rs"]
mod github;
#[path = "adapters/kubernetes.rs"]
mod kubernetes;

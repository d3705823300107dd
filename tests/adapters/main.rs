//! The adapters against stand-ins on this machine: sealed, without the network.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail like the test")]

mod age;
mod git;
mod github;
mod github_app;
mod github_device;
mod github_hooks;
mod kubeconfig;
mod kubernetes;
mod pull_requests;
mod served;

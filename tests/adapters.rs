//! The adapters against stand-ins on this machine: sealed, without the network.

#[path = "adapters/git.rs"]
mod git;
#[path = "adapters/kubernetes.rs"]
mod kubernetes;

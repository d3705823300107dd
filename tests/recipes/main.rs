//! Whole recipes on ports in memory: run twice, killed anywhere and run again, raced, and refused.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod detach;
mod fleet;
mod github_app;
mod init;
mod memory;
mod moving;
mod plan;
mod recover;
mod root_of_trust;
mod rotate_key;
mod serve_clone;
mod webhook;

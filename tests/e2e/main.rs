//! End to end: the command line as people run it, on real control planes, real Argo CDs and a real forge.
//!
//! One binary, so that it is linked once; a module for each verb or promise. The first test that needs the engine builds it, if the machine
//! has none yet.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod audit;
mod command_line;
mod demo;
mod detach;
mod doctor;
mod drill_charts;
mod drill_example;
mod drill_faults;
mod drill_stopped;
mod engine_build;
mod engine_hosts;
mod engine_loopback;
mod engine_sealed_secrets;
mod engine_sources;
mod engine_stand_ins;
mod fleet_render;
mod github_app;
mod init_by_flags;
mod init_drift;
mod init_first;
mod init_handover;
mod init_interrupted;
mod init_killed;
mod init_refusals;
mod mistakes;
mod new_published;
mod pack;
mod plan;
mod promote;
mod rbac;
mod recover;
mod recover_first_syncs;
mod recover_killed;
mod recover_refusals;
mod recover_stalls;
mod recover_without_git;
mod rotate_key;
mod sandbox;
mod status;
#[path = "../support/mod.rs"]
mod support;
mod webhook;

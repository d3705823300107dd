//! Takes an empty Kubernetes cluster to a healthy Argo CD app-of-apps, and brings a lost one back from Git.
//!
//! The flow is `cli -> settings -> plan -> engine -> steps -> ports <- adapters`, with `engine -> event -> report` on the side.
//! [`domain`], [`manifest`], [`plan`] and [`lint`] are pure; the outside world is behind [`ports`].

pub mod adapters;
pub mod cli;
pub mod commands;
pub mod context;
pub mod diagnose;
pub mod discover;
pub mod domain;
pub mod engine;
pub mod error;
pub mod event;
pub mod lint;
pub mod manifest;
pub mod plan;
pub mod ports;
pub mod preflight;
pub mod render;
pub mod report;
pub mod sandbox;
pub mod settings;
pub mod steps;

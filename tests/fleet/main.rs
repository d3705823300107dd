//! A fleet repository from the outside: what `new` writes, what `render` makes of it, and what is refused.
//!
//! helm and kustomize are small shell scripts here, so that these tests need nothing but a shell; `fleet_render.rs` has the real ones.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod declaration;
mod fleet;
mod render;
mod scaffold;
mod tree;

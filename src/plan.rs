//! Deciding, apart from doing: what the steps are, in which order, and what each has to do given what was seen. Pure.

pub mod compare;
pub mod managed_fields;
pub mod step;

pub use step::{StepId, Verdict};

//! Deciding, apart from doing: what the steps are, in which order, and what each has to do given what was seen. Pure.

pub mod cause;
pub mod compare;
pub mod diagnosis;
pub mod inventory;
pub mod managed_fields;
pub mod plain_words;
pub mod pod;
pub mod recovery;
pub mod root_of_trust;
pub mod status;
pub mod step;
pub mod tree;

pub use step::{StepId, Verdict};

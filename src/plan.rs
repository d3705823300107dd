//! Deciding, apart from doing: what the steps are, in which order, and what each has to do given what was seen. Pure.

pub mod audit;
pub mod cause;
pub mod checkup;
pub mod compare;
pub mod diagnosis;
pub mod drill;
pub mod first_sync;
pub mod inventory;
pub mod losses;
pub mod managed_fields;
pub mod moving;
pub mod packing;
pub mod plain_words;
pub mod pod;
pub mod preview;
pub mod promotion;
pub mod prospect;
pub mod recovery;
pub mod root_of_trust;
pub mod status;
pub mod step;
pub mod tiers;
pub mod tracking;
pub mod tree;
pub mod trust;
pub mod unified_diff;
mod why;

pub use step::{StepId, Verdict};

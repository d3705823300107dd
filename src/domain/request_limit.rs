//! How many requests a forge takes.

use jiff::Timestamp;

/// How many requests a forge takes from one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimit {
    /// In an hour.
    pub limit: u64,
    /// How many of them are left until [`Self::reset`].
    pub left: u64,
    /// When there are [`Self::limit`] again.
    pub reset: Option<Timestamp>,
}

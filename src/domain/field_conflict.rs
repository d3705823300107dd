//! A field of an object that belongs to somebody else.

/// A field that another manager owns.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldConflict {
    /// The manager, as the server names it.
    pub manager: String,
    /// The field, as in `.spec.replicas`.
    pub field: String,
}

//! Values in, documents out. Reads nothing but what is embedded in the binary. Pure.

pub mod declaration;
pub mod fields;
pub mod projects;
pub mod secrets;
pub mod tree;
pub mod yaml;

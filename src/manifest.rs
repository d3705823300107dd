//! Values in, documents out. Reads nothing but what is embedded in the binary. Pure.

pub mod applications;
pub mod bundle;
pub mod declaration;
pub mod decryptable;
pub mod fields;
pub mod git_server;
pub mod places;
pub mod projects;
pub mod scaffold;
pub mod sealed_secret;
pub mod secrets;
pub mod served;
pub mod sops;
pub mod tree;
pub mod yaml;

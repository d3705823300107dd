//! Values in, documents out. Reads nothing but what is embedded in the binary. Pure.

pub mod applications;
pub mod declaration;
pub mod fields;
pub mod git_server;
pub mod projects;
pub mod scaffold;
pub mod secrets;
pub mod served;
pub mod tree;
pub mod yaml;

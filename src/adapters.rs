//! The only users of the network, of other programs and of the file system: one module for each port, none knowing the others.

pub mod age;
pub mod commands;
pub mod connection;
pub mod executable;
pub mod files;
pub mod git;
pub mod github;
pub mod installed;
pub mod kubernetes;
pub mod process;
pub mod proxy;
pub mod releases;
pub mod secret_file;
pub mod ssh_key;
pub mod survey;
pub mod token;
pub mod tools;

pub use connection::install_tls_provider;

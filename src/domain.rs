//! The words of the trade as types: parsed once, valid from then on. Pure: no clock, no randomness, no input or output.

pub mod application;
pub mod bundle;
pub mod cluster_name;
pub mod commit;
pub mod declaration;
pub mod duration;
pub mod field_conflict;
pub mod gate;
pub mod host_keys;
pub mod identity;
pub mod object;
pub mod public_key;
pub mod repository_path;
pub mod repository_url;
pub mod sandbox_name;
pub mod secret;
pub mod tree;

pub use application::{Application, ApplicationRef};
pub use bundle::Bundle;
pub use cluster_name::ClusterName;
pub use commit::Commit;
pub use declaration::Declaration;
pub use field_conflict::FieldConflict;
pub use gate::Gate;
pub use host_keys::{HostKey, HostKeys};
pub use identity::Identity;
pub use object::{Object, ObjectRef, Resource};
pub use public_key::{Fingerprint, PublicKey};
pub use repository_path::RepositoryPath;
pub use repository_url::RepositoryUrl;
pub use sandbox_name::SandboxName;
pub use secret::Secret;

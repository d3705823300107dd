//! The checks before the first write. All of them only read; a refusal says what was found, and that nothing was changed.

mod cluster;
mod fleet;
mod forge;
mod remote;
mod rights;
mod served;
mod stale_keys;
mod target;

pub use cluster::{check_cluster, check_follows_forge, check_identity, check_root, check_supported, check_trees};
pub use fleet::{Fleet, check_clone, clone_of, load};
pub use forge::{
    check_administrator, check_deploy_keys_allowed, check_forge, check_host_keys, check_name, check_repository, scan_arguments,
};
pub use remote::head_of_remote;
pub use rights::{
    check_recovery_rights, check_restore_rights, check_rights, check_rights_to_detach, check_rights_to_rotate, check_server_rights,
    needed as needed_rights,
};
pub use served::serve;
pub use stale_keys::{check_named, check_old_cluster, stale};
pub use target::{Allowed, Found, check_target};

use crate::error::Failure;

/// The sentence that every refusal ends with.
const UNCHANGED: &str = "nothing was changed";

fn refused(message: impl Into<String>) -> Failure {
    Failure::refused(message.into()).because(UNCHANGED)
}

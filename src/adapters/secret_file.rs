//! Files that hold a secret: closed to others, short, and read into memory that is wiped.

use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Failure, Result};

/// The longest file that is read.
const LONGEST: u64 = 64 * 1024;

/// Reads a file that holds `what`, as in `the identity`.
///
/// # Errors
/// A file that cannot be read, is open to everybody on the machine, or is too long to be one. The content is never quoted.
pub fn read(file: &Path, what: &str) -> Result<Zeroizing<String>> {
    let shown = file.display();
    let unreadable = |error: std::io::Error| Failure::usage(format!("{what} in {shown} cannot be read")).because(error);
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    if !metadata.is_file() && metadata.is_dir() {
        return Err(Failure::usage(format!("{what} in {shown} cannot be read")).because("it is a folder"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.is_file() && metadata.permissions().mode() & 0o007 != 0 {
            return Err(Failure::refused(format!("{what} in {shown} is open to everybody on this machine"))
                .hint(format!("close it with `chmod 600 {shown}`, and make a new one if others may have read it")));
        }
    }
    if metadata.len() > LONGEST {
        return Err(Failure::usage(format!("{shown} does not hold {what}: it has more than {LONGEST} bytes")));
    }
    std::fs::read_to_string(file).map(Zeroizing::new).map_err(unreadable)
}

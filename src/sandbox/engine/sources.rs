//! The sources of the engine, as this binary carries them.

use std::path::Path;
use std::sync::LazyLock;
use std::{fs, io};

use sha2::{Digest as _, Sha256};

/// Names, from the root of the Go module and with slashes, and contents; in the order of the names. Made by `build.rs`.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/engine_sources.rs"));

static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for part in [std::env::consts::OS, std::env::consts::ARCH] {
        add(&mut hash, part.as_bytes());
    }
    for (name, content) in FILES {
        add(&mut hash, name.as_bytes());
        add(&mut hash, content);
    }
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
});

/// With its length before it, so that no two lists of parts look alike.
fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part);
}

/// What tells engines apart: 128 bits of the SHA-256 over the platform and over the names and contents of all sources, in hexadecimal.
pub fn hash() -> &'static str {
    &HASH
}

/// Writes the sources below `folder`.
pub(super) fn unpack(folder: &Path) -> io::Result<()> {
    for (name, content) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
    }
    Ok(())
}

/// The oldest Go that compiles the sources: the line `go` of their `go.mod`.
pub fn oldest_go() -> &'static str {
    let declaration = FILES.iter().find(|(name, _)| *name == "go.mod").and_then(|(_, content)| std::str::from_utf8(content).ok());
    declaration.and_then(|text| text.lines().find_map(|line| line.strip_prefix("go "))).map_or("1.26", str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_whole_and_hold_nothing_that_is_generated() {
        let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert!(names.contains(&"go.mod") && names.contains(&"go.sum"), "{names:?}");
        assert!(names.is_sorted());
        assert!(!names.iter().any(|name| name.starts_with("assets/argocd") || name.ends_with("_test.go")), "{names:?}");
    }

    #[test]
    fn unpacked_sources_are_the_embedded_ones() {
        let folder = tempfile::tempdir().unwrap();
        unpack(folder.path()).unwrap();
        for (name, content) in FILES {
            assert_eq!(fs::read(folder.path().join(name)).unwrap(), *content, "{name}");
        }
    }

    #[test]
    fn the_oldest_go_is_a_version() {
        assert!(oldest_go().split('.').all(|part| part.parse::<u32>().is_ok()), "{}", oldest_go());
    }
}

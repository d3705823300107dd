//! Lists the sources of the sandbox's engine, so that the binary can carry them; `src/sandbox/engine/sources.rs` includes the list.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

/// What `sandbox/cmd/build` makes. It makes it again wherever the engine is built.
const GENERATED: [&str; 5] = ["assets/argocd", "assets/kwok", "assets/sealed-secrets", "generated", "gitops-bootstrap-engine"];

#[expect(clippy::disallowed_methods, reason = "cargo names the output folder of a build script in its environment only")]
fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=sandbox");
    // Cargo runs a build script in the package's folder.
    let mut names = Vec::new();
    list(Path::new("sandbox"), "", &mut names)?;
    names.sort();

    let mut table = String::from("&[\n");
    for name in names {
        // Where the package lies is left to the compiler to say, so that the list is right after it was moved. Writing to a string does not fail.
        let _ = writeln!(table, "    ({name:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?}))),", format!("/sandbox/{name}"));
    }
    table.push(']');
    let folder = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?;
    fs::write(Path::new(&folder).join("engine_sources.rs"), table)
}

/// Adds the names of the files below the folder called `parent`, from the root and with slashes: all but tests and what is generated.
fn list(root: &Path, parent: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(parent))? {
        let entry = entry?;
        let last = entry.file_name().into_string().map_err(|name| io::Error::other(format!("{name:?} is not Unicode")))?;
        let name = if parent.is_empty() { last.clone() } else { format!("{parent}/{last}") };
        if GENERATED.contains(&name.as_str()) || last.starts_with('.') || last == "testdata" || last.ends_with("_test.go") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            list(root, &name, names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

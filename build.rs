//! Lists the sources of the sandbox's engine, so that the binary can carry them; `src/sandbox/engine/sources.rs` includes the list.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What `sandbox/cmd/build` makes. It makes it again wherever the engine is built.
const GENERATED: [&str; 3] = ["assets/argocd", "assets/kwok", "gitops-bootstrap-engine"];

#[expect(clippy::print_stdout, reason = "a build script tells cargo what to do on its standard output")]
#[expect(clippy::disallowed_methods, reason = "cargo names the output folder of a build script in its environment only")]
fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox");
    let mut sources = Sources { root: root.clone(), files: Vec::new(), watched: Vec::new() };
    sources.walk(&root)?;
    sources.files.sort();

    let mut table = String::from("&[\n");
    for name in &sources.files {
        // Writing to a string does not fail.
        let _ = writeln!(table, "    ({name:?}, include_bytes!({:?})),", root.join(name));
    }
    table.push(']');
    let folder = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?;
    fs::write(Path::new(&folder).join("engine_sources.rs"), table)?;

    for path in sources.watched {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    Ok(())
}

struct Sources {
    root: PathBuf,
    /// The names of the files to embed, from the root, with slashes.
    files: Vec<String>,
    /// The paths whose change changes the list or a file of it. Cargo looks into folders, so one that holds generated files is not named itself.
    watched: Vec<PathBuf>,
}

impl Sources {
    /// Adds what is in `folder`, and says whether anything in it is generated.
    fn walk(&mut self, folder: &Path) -> io::Result<bool> {
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut watched = Vec::new();
        let mut has_generated = false;
        for entry in entries {
            let path = entry.path();
            let name = self.name(&path)?;
            let last = entry.file_name();
            if GENERATED.contains(&name.as_str()) {
                has_generated = true;
            } else if entry.file_type()?.is_dir() {
                if last != "testdata" {
                    let before = self.watched.len();
                    if self.walk(&path)? {
                        has_generated = true;
                    } else {
                        self.watched.truncate(before);
                        watched.push(path);
                    }
                }
            } else if !name.ends_with("_test.go") && !last.as_encoded_bytes().starts_with(b".") {
                self.files.push(name);
                watched.push(path);
            }
        }
        self.watched.extend(watched);
        Ok(has_generated)
    }

    fn name(&self, path: &Path) -> io::Result<String> {
        let name = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
        name.map(|name| name.replace('\\', "/")).ok_or_else(|| io::Error::other(format!("{} is not Unicode", path.display())))
    }
}

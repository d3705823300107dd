//! `kubectl`, built plainly from the sources that the engine is made of, so that it pays for nothing but itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support;

/// The file of `kubectl`, built if it is not there yet. It is kept beside the engine.
#[expect(clippy::disallowed_methods, reason = "a benchmark starts programs of its own")]
pub(crate) fn build() -> PathBuf {
    let file = support::engine().with_file_name("kubectl");
    if !file.exists() {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox");
        let unfinished = file.with_extension("unfinished");
        let status = Command::new("go")
            .args(["build", "-trimpath", "-buildvcs=false", "-o"])
            .arg(&unfinished)
            .arg("k8s.io/kubernetes/cmd/kubectl")
            .current_dir(module)
            .env("CGO_ENABLED", "0")
            .status()
            .unwrap();
        assert!(status.success(), "kubectl could not be built");
        std::fs::rename(&unfinished, &file).unwrap();
    }
    file
}

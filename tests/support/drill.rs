//! What drills leave behind, which is to be nothing.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Home;

/// The numbers of the processes that know of a home folder: by their command line or by their environment.
pub(crate) fn processes_of(home: &Home) -> Vec<u32> {
    let needle = home.path().as_os_str().as_encoded_bytes();
    let mentions = |path: &Path| fs::read(path).is_ok_and(|text| text.windows(needle.len()).any(|window| window == needle));
    let numbers = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter(|number| *number != std::process::id())
        .filter(|number| ["cmdline", "environ"].iter().any(|file| mentions(&Path::new("/proc").join(number.to_string()).join(file))))
        .collect()
}

/// Checks that no process and no file of a sandbox is left in a home folder.
#[track_caller]
pub(crate) fn assert_nothing_left(home: &Home) {
    assert_eq!(processes_of(home), [] as [u32; 0], "processes are left");
    assert!(!home.path().join(".local/state/gitops-bootstrap").exists(), "files are left");
}

/// The obstacle at a file, in the report of a drill.
#[track_caller]
pub(crate) fn obstacle<'a>(report: &'a Value, file: &str) -> &'a Value {
    let obstacles = report["obstacles"].as_array().unwrap();
    obstacles.iter().find(|obstacle| obstacle["file"] == file).unwrap_or_else(|| panic!("nothing is said of {file}: {obstacles:#?}"))
}

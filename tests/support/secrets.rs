//! Looking for secrets where none may be.

use std::collections::HashSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// How much of a text is compared at once.
const LENGTH: usize = 16;

/// Traces of secrets: every part of them as it is, in Base64 and in hexadecimal, each cut to [`LENGTH`].
pub(crate) struct Traces(HashSet<[u8; LENGTH]>);

impl Traces {
    /// Those of `secrets`.
    pub(crate) fn of(secrets: &[&[u8]]) -> Self {
        let mut traces = HashSet::new();
        for secret in secrets {
            assert!(secret.len() >= LENGTH, "too short to be told from chance");
            traces.extend(secret.windows(LENGTH).filter_map(cut));
            // Three bytes are four characters: wherever the secret begins in what was encoded, one of its parts is encoded on its own.
            traces.extend(secret.windows(LENGTH / 4 * 3).flat_map(|part| [STANDARD.encode(part), URL_SAFE.encode(part)]).filter_map(cut));
            traces.extend(secret.windows(LENGTH / 2).map(hexadecimal).flat_map(|text| [text.to_uppercase(), text]).filter_map(cut));
        }
        Self(traces)
    }

    /// Whether there is one in `text`.
    pub(crate) fn are_in(&self, text: &[u8]) -> bool {
        text.windows(LENGTH).any(|window| self.0.contains(window))
    }

    /// Fails, without showing the text, if there is one in `text`.
    #[track_caller]
    pub(crate) fn are_not_in(&self, what: &str, text: impl AsRef<[u8]>) {
        assert!(!self.are_in(text.as_ref()), "a secret is in {what}");
    }

    /// Fails if there is one in a file below `folder`, apart from what is below `but`.
    #[track_caller]
    pub(crate) fn are_not_below(&self, folder: &Path, but: &Path) {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().flatten().filter(|entry| entry.path() != but) {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    self.are_not_in(&entry.path().display().to_string(), std::fs::read(entry.path()).unwrap_or_default());
                }
            }
        }
    }
}

fn cut(text: impl AsRef<[u8]>) -> Option<[u8; LENGTH]> {
    text.as_ref().get(..LENGTH)?.try_into().ok()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_secret_is_found_in_whatever_form_it_was_written() {
    let secret = b"github_pat_ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let traces = Traces::of(&[secret]);
    for before in ["", "x", "xy"] {
        let text = [before.as_bytes(), secret, b" and more"].concat();
        for written in
            [text.clone(), STANDARD.encode(&text).into_bytes(), hexadecimal(&text).into_bytes(), text[before.len() + 10..].to_vec()]
        {
            assert!(traces.are_in(&written), "{}", String::from_utf8_lossy(&written));
        }
    }
    assert!(!traces.are_in(b"github_pat_ is how a token begins, and it goes on with other characters"));
}

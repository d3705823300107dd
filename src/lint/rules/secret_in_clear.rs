//! What is committed is on every clone, for ever: a secret that was pushed once has to be replaced.

use crate::lint::Repository;
use crate::lint::draft::Draft;
use crate::manifest::secrets;

/// How many bytes at the beginning of a file show whether it is text, as Git decides it.
const SAMPLE: usize = 8000;

pub(super) fn check<'a>(repository: &Repository<'a>) -> Vec<Draft<'a>> {
    let hint = "take it out, replace the secret itself, and commit it sealed, encrypted with SOPS, or as an ExternalSecret";
    let mut drafts = Vec::new();
    for file in repository.files {
        let is_binary = file.content.iter().take(SAMPLE).any(|&byte| byte == 0);
        let Some(text) = std::str::from_utf8(&file.content).ok().filter(|_| !is_binary) else { continue };
        for secret in secrets::find(text, file.path.as_str()) {
            drafts.push(Draft::at(&file.path, (secret.line, secret.column), format!("{} is committed in clear", secret.what), hint));
        }
    }
    drafts
}

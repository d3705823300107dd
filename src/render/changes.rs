//! What differs between a rendering and the files on disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use similar::TextDiff;

use super::Rendering;
use crate::adapters::files;
use crate::domain::RepositoryPath;
use crate::domain::stale::{Difference, Stale};
use crate::error::Result;

/// What has to change on disk for it to be as the rendering is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    files: BTreeMap<RepositoryPath, Change>,
    folders: Vec<RepositoryPath>,
}

/// A file that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// Its content, if it is there.
    before: Option<Vec<u8>>,
    /// What it should be; none if it should not be there.
    after: Option<String>,
}

impl Rendering {
    /// Compares with the files below the rendered folders of the fleet repository at `fleet`. Everything in these folders is the rendering's.
    pub fn compare(&self, fleet: &Path) -> Result<Changes> {
        let mut changes = BTreeMap::new();
        for (path, text) in &self.files {
            changes.insert(path.clone(), Change { before: None, after: Some(text.clone()) });
        }
        for folder in &self.folders {
            for file in files::read_folder(fleet, folder)? {
                let change = changes.entry(file.path).or_insert(Change { before: None, after: None });
                change.before = Some(file.content);
            }
        }
        changes.retain(|_, change| change.before.as_deref() != change.after.as_ref().map(String::as_bytes));
        Ok(Changes { files: changes, folders: self.folders.clone() })
    }
}

impl Changes {
    /// Whether everything is as it should be.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files that are not as they should be.
    pub fn paths(&self) -> impl Iterator<Item = &RepositoryPath> {
        self.files.keys()
    }

    /// The files that are not as they should be, each with the first line that differs.
    pub fn stale(&self) -> Vec<Stale> {
        let stale = self.files.iter().map(|(path, change)| {
            let (difference, line) = match (&change.before, &change.after) {
                (None, _) => (Difference::Missing, 1),
                (Some(_), None) => (Difference::Extra, 1),
                (Some(before), Some(after)) => (Difference::Changed, first_difference(before, after.as_bytes())),
            };
            Stale { file: path.clone(), line, difference }
        });
        stale.collect()
    }

    /// How many files would be made, changed and removed.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: &dyn Fn(&Change) -> bool| self.files.values().filter(|change| wanted(change)).count();
        (
            count(&|change| change.before.is_none()),
            count(&|change| change.before.is_some() && change.after.is_some()),
            count(&|change| change.after.is_none()),
        )
    }

    /// A unified diff from what is there to what should be.
    pub fn diff(&self) -> String {
        let mut text = String::new();
        for (path, change) in &self.files {
            let before = change.before.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let after = change.after.as_deref().unwrap_or_default();
            let old = if change.before.is_some() { format!("a/{path}") } else { "/dev/null".to_owned() };
            let new = if change.after.is_some() { format!("b/{path}") } else { "/dev/null".to_owned() };
            let diff = TextDiff::from_lines(before.as_ref(), after);
            // Writing to a text cannot fail.
            let _ = write!(text, "{}", diff.unified_diff().context_radius(3).header(&old, &new));
        }
        text
    }

    /// Makes it so: each file whole or not at all, and nothing outside of the rendered folders.
    pub fn apply(&self, fleet: &Path) -> Result<()> {
        for (path, change) in &self.files {
            match &change.after {
                Some(text) => {
                    files::write_generated_file(fleet, path, text.as_bytes())?;
                }
                None => {
                    if let Some(folder) = self.folders.iter().find(|folder| path.is_within(folder)) {
                        files::remove_file(fleet, path, folder)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The first line that differs, from 1.
fn first_difference(before: &[u8], after: &[u8]) -> u64 {
    let is_end = |byte: &u8| *byte == b'\n';
    let same = before.split(is_end).zip(after.split(is_end)).take_while(|(before, after)| before == after).count();
    same as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendering(files: &[(&str, &str)]) -> Rendering {
        Rendering {
            folders: vec!["rendered/staging".parse().unwrap()],
            files: files.iter().map(|(path, text)| (path.parse().unwrap(), (*text).to_owned())).collect(),
            apps: 0,
        }
    }

    #[test]
    fn applying_leaves_nothing_to_do_and_nothing_stale() {
        let fleet = tempfile::tempdir().unwrap();
        let other: RepositoryPath = "rendered/production/a.yaml".parse().unwrap();
        files::write_file(fleet.path(), &other, b"kept").unwrap();
        let first = rendering(&[("rendered/staging/a/x.yaml", "one\n"), ("rendered/staging/b/y.yaml", "two\n")]);
        first.compare(fleet.path()).unwrap().apply(fleet.path()).unwrap();
        assert!(first.compare(fleet.path()).unwrap().is_empty());

        let second = rendering(&[("rendered/staging/a/x.yaml", "three\n"), ("rendered/staging/c/z.yaml", "four\n")]);
        let changes = second.compare(fleet.path()).unwrap();
        assert_eq!(changes.counts(), (1, 1, 1));
        let stale: Vec<_> = changes.stale().into_iter().map(|stale| (stale.line, stale.difference)).collect();
        assert_eq!(stale, [(1, Difference::Changed), (1, Difference::Extra), (1, Difference::Missing)]);
        insta::assert_snapshot!(changes.diff(), @r"
        --- a/rendered/staging/a/x.yaml
        +++ b/rendered/staging/a/x.yaml
        @@ -1 +1 @@
        -one
        +three
        --- a/rendered/staging/b/y.yaml
        +++ /dev/null
        @@ -1 +0,0 @@
        -two
        --- /dev/null
        +++ b/rendered/staging/c/z.yaml
        @@ -0,0 +1 @@
        +four
        ");
        changes.apply(fleet.path()).unwrap();
        assert!(second.compare(fleet.path()).unwrap().is_empty());
        assert!(!fleet.path().join("rendered/staging/b").exists(), "a folder that is empty is removed");
        assert_eq!(files::read_file(fleet.path(), &other).unwrap().unwrap(), b"kept");
    }
}

//! Patterns with `*`, as people write them for files and as Argo CD takes them for names.

use regex::Regex;

/// Whether `path` fits `pattern`: `?` is one character, `*` any number, neither of them `/`; `**` is any number of any characters.
pub(super) fn path_fits(pattern: &str, path: &str) -> bool {
    fits(pattern, path, true)
}

/// Whether a name fits a pattern of an AppProject, in which `*` stands for anything (Argo CD's util/glob, which sets no separator here).
pub(super) fn name_fits(pattern: &str, name: &str) -> bool {
    fits(pattern, name, false)
}

fn fits(pattern: &str, text: &str, has_folders: bool) -> bool {
    if !pattern.contains(['*', '?']) {
        return pattern == text;
    }
    let (any, one) = if has_folders { ("[^/]*", "[^/]") } else { (".*", ".") };
    let regex = regex::escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*\*", ".*").replace(r"\*", any).replace(r"\?", one);
    Regex::new(&format!("^{regex}$")).is_ok_and(|regex| regex.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_folder_and_two_do_not() {
        for (pattern, path) in [
            ("a/*.yaml", "a/b.yaml"),
            ("a/**", "a/b/c.yaml"),
            ("**/c.yaml", "c.yaml"),
            ("**/c.yaml", "a/b/c.yaml"),
            ("a/?.yaml", "a/b.yaml"),
            ("a.b", "a.b"),
        ] {
            assert!(path_fits(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [("a/*.yaml", "a/b/c.yaml"), ("a", "a/b"), ("a.?", "abc"), ("*.yaml", "a/b.yaml"), ("**/c", "a/bc")] {
            assert!(!path_fits(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn names_have_no_folders() {
        assert!(name_fits("https://github.com/*", "https://github.com/acme/fleet"));
        assert!(name_fits("kube-*", "kube-system") && !name_fits("kube-*", "kubes"));
    }
}

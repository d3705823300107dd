//! Patterns with `*` and `?`, as Argo CD reads them (its util/glob, by github.com/gobwas/glob) and as people write them for files.

use regex::Regex;

/// Whether a name fits a pattern: `?` is one character, `*` any number of any. So Argo CD reads namespaces, names of Applications and clusters.
pub fn name_fits(pattern: &str, name: &str) -> bool {
    fits(pattern, name, ".")
}

/// Whether a path fits a pattern: as a name, but neither `?` nor `*` is `/`; `**` is any number of any characters, and `**/` also none. So Argo CD reads
/// addresses of repositories, and people the paths of files.
pub fn path_fits(pattern: &str, path: &str) -> bool {
    fits(pattern, path, "[^/]")
}

/// `one` is the expression of what `?` stands for.
fn fits(pattern: &str, text: &str, one: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return pattern == text;
    }
    let expression =
        regex::escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*\*", ".*").replace(r"\*", &format!("{one}*")).replace(r"\?", one);
    Regex::new(&format!("(?s)^{expression}$")).is_ok_and(|expression| expression.is_match(text))
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
        for (pattern, name, fits) in [
            ("*", "", true),
            ("*", "a/b", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("a?c", "aéc", true),
            ("", "a", false),
            ("*-prod", "web-prod", true),
            ("kube-*", "kubes", false),
        ] {
            assert_eq!(name_fits(pattern, name), fits, "{pattern} {name}");
        }
    }
}

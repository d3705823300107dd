//! Makes text from outside safe to print: no byte of it can move a cursor, change a title, or show other words than it holds.

use std::borrow::Cow;

/// The longest text that is printed for people, in characters. Longer ones are cut, and say so.
pub(super) const LONGEST_TEXT: usize = 4_000;

/// Whether a character would act on a terminal, or hide or reorder the text around it: C0 controls but the newline, DEL, C1 controls
/// (ECMA-48), the directional formatting characters (Unicode UAX #9), and characters without width.
pub(super) const fn is_unsafe(character: char) -> bool {
    matches!(character,
        '\0'..='\u{9}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns `text` as it may be printed for people. Newlines stay, tabs become blanks, and what is unsafe is shown as `\u{1b}`.
pub(super) fn sanitise(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_TEXT && !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len().min(LONGEST_TEXT * 2));
    let mut characters = text.chars();
    for _ in 0..LONGEST_TEXT {
        match characters.next() {
            None => return Cow::Owned(safe),
            Some('\t') => safe.push_str("    "),
            Some('\r') if characters.as_str().starts_with('\n') => {}
            Some(character) if is_unsafe(character) => safe.extend(character.escape_unicode()),
            Some(character) => safe.push(character),
        }
    }
    let rest = characters.count();
    if rest > 0 {
        safe.push_str(&format!(" (and {rest} more characters)"));
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_and_no_bidi_character_passes() {
        let bidi = (0x202a..=0x202e).chain(0x2066..=0x2069).chain([0x200e, 0x200f, 0x61c]);
        let without_width = (0x200b..=0x200d).chain([0x2060, 0xfeff, 0xad, 0x2028, 0x2029, 0xe0041]);
        let controls = (0..0x20).chain(0x7f..=0x9f);
        for character in controls.chain(bidi).chain(without_width).filter_map(char::from_u32).filter(|&character| character != '\n') {
            let dirty = format!("a{character}b");
            let clean = sanitise(&dirty);
            assert!(!clean.contains(character), "{character:?} came through as {clean:?}");
            assert!(clean.starts_with('a') && clean.ends_with('b'), "{clean:?}");
        }
    }

    #[test]
    fn what_people_write_is_left_as_it_is() {
        for text in ["plain", "two\nlines", "Grüße, 日本語, عربى, 👍", "`kubectl -n argocd get pods`"] {
            assert_eq!(sanitise(text), text);
        }
        assert_eq!(sanitise("a\tb\r\nc"), "a    b\nc");
    }

    #[test]
    fn an_escape_sequence_is_shown_and_not_obeyed() {
        assert_eq!(sanitise("\u{1b}]52;c;aGk=\u{7}"), "\\u{1b}]52;c;aGk=\\u{7}");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let cut = sanitise(&"é".repeat(LONGEST_TEXT + 5)).into_owned();
        assert!(cut.ends_with(" (and 5 more characters)"), "{cut}");
        assert_eq!(sanitise(&"é".repeat(LONGEST_TEXT)).chars().count(), LONGEST_TEXT);
    }
}

//! Events as JSON, one a line: what `--output json` writes.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::sanitise::is_unsafe;
use crate::event::{Event, Reporter};

/// The longest string in an event, in bytes of UTF-8. Longer ones are cut, and end in `...`.
pub const LONGEST_STRING: usize = 64 * 1024;

/// Writes each event as one line and flushes it.
pub(super) struct Json<W> {
    out: W,
}

impl<W: Write> Json<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write + Send> Reporter for Json<W> {
    fn on(&mut self, event: &Event) {
        let mut line = Vec::new();
        if event.serialize(&mut Serializer::with_formatter(&mut line, Safe::default())).is_ok() {
            line.push(b'\n');
            // A reader that went away is no reason to stop a bootstrap half-way.
            let _gone = self.out.write_all(&line).and_then(|()| self.out.flush());
        }
    }
}

/// Compact JSON in which no unsafe character stands as itself. JSON escapes the C0 controls (RFC 8259, section 7); this escapes the others too.
#[derive(Default)]
struct Safe {
    written: usize,
}

impl Formatter for Safe {
    fn begin_string<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.written = 0;
        CompactFormatter.begin_string(writer)
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let room = LONGEST_STRING.saturating_sub(self.written);
        let end = (0..=room.min(fragment.len())).rev().find(|&end| fragment.is_char_boundary(end)).unwrap_or(0);
        let kept = &fragment[..end];
        self.written += fragment.len();
        let mut safe_from = 0;
        for (at, character) in kept.char_indices().filter(|&(_, character)| is_unsafe(character)) {
            writer.write_all(&kept.as_bytes()[safe_from..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            safe_from = at + character.len_utf8();
        }
        writer.write_all(&kept.as_bytes()[safe_from..])?;
        if kept.len() < fragment.len() && room > 0 { writer.write_all(b"...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> String {
        let mut out = Vec::new();
        Json::new(&mut out).on(&Event::Warning { message: message.to_owned(), hint: None });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn unsafe_characters_are_escaped_and_read_back_the_same() {
        let message: String = (0..0x2100).chain([0xfeff, 0xe0041, 0x1f44d]).filter_map(char::from_u32).collect();
        let line = line(&message);
        assert!(!line.trim_end_matches('\n').chars().any(|character| is_unsafe(character) || character == '\n'), "{line:?}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], message);
    }

    #[test]
    fn a_long_string_is_cut_between_characters() {
        let line = line(&"é".repeat(LONGEST_STRING));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"].as_str().unwrap(), "é".repeat(LONGEST_STRING / 2) + "...");
    }
}

//! A place in a text, for messages about it.

use std::ops::Range;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line itself; `None` when it is too long to show.
    pub excerpt: Option<String>,
    /// What is meant, in octets of the line.
    pub highlight: Range<usize>,
}

impl Location {
    /// The place `highlight` (octets of `text`) in line number `line`; what lies beyond the line is cut.
    pub fn in_line(line: usize, text: &str, highlight: Range<usize>) -> Self {
        let text = text.trim_end_matches(['\r', '\n']);
        let start = text.floor_char_boundary(highlight.start);
        let end = text.ceil_char_boundary(highlight.end.min(text.len())).max(start);
        let excerpt = (text.len() <= MAX_EXCERPT).then(|| text.to_owned());
        Self { line, column: text[..start].chars().count() + 1, excerpt, highlight: start..end }
    }
}

/// Longest line that is shown under a message, in octets.
const MAX_EXCERPT: usize = 4096;

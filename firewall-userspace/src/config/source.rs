//! A text file as it was read, and places in it. The texts of a configuration and of the files that it includes stand one behind the
//! other, so that one number says in which of them something is and where.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use super::diagnostic::Diagnostic;
use crate::{
    files::{self, NotRegular},
    text::{
        location::Location,
        shown::{grouped, shown_path},
    },
};

/// The text of a configuration, or of a file that it includes.
pub struct Source {
    /// How messages call the file.
    pub name: PathBuf,
    /// Folder that its paths are relative to.
    pub folder: PathBuf,
    /// Its content without a byte order mark.
    pub text: String,
    /// Where it begins among all texts.
    base: usize,
    /// Offset of the first octet of each line.
    line_starts: Vec<usize>,
}

impl Source {
    /// Keeps `text`, which is the first, and notes its lines; its paths are relative to `folder`.
    pub fn new(name: &Path, text: &str, folder: &Path) -> Self {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).to_owned();
        let after_newlines = text.match_indices('\n').map(|(offset, _)| offset + 1);
        let line_starts = std::iter::once(0).chain(after_newlines).collect();
        Self { name: name.to_owned(), folder: folder.to_owned(), text, base: 0, line_starts }
    }

    /// The same behind all texts up to `before`.
    pub fn behind(self, before: &Self) -> Self {
        // The end of one text is not the beginning of the next.
        Self { base: before.base + before.text.len() + 1, ..self }
    }

    /// Where it begins among all texts.
    pub fn base(&self) -> usize {
        self.base
    }

    /// What stands at `span`, counted over all texts.
    pub fn at(&self, span: &Range<usize>) -> &str {
        self.text.get(self.own(span)).unwrap_or_default()
    }

    /// Where `span`, counted over all texts, begins; only its first line is kept. The end of the file is the end of its last line.
    pub fn locate(&self, span: &Range<usize>) -> Location {
        let span = self.own(span);
        let mut start = span.start.min(self.text.len());
        if start == self.text.len() {
            start = self.text.trim_end_matches(['\r', '\n']).len();
        }
        let line = self.line(start);
        let from = self.line_starts[line - 1];
        let to = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        Location::in_line(line, &self.text[from..to], start - from..span.end.saturating_sub(from).max(start - from))
    }

    /// `span` in this text.
    fn own(&self, span: &Range<usize>) -> Range<usize> {
        span.start.saturating_sub(self.base)..span.end.saturating_sub(self.base)
    }

    /// Line number, from 1, of the octet at `offset` of this text.
    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }
}

/// What may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Openness {
    /// Whatever has a name, pipes too: for a command whose user can end it.
    Any,
    /// Regular files: for a daemon, which must not wait for whoever holds the other end of a pipe.
    RegularOnly,
}

impl Openness {
    fn open(self, path: &Path) -> io::Result<File> {
        match self {
            Self::Any => File::open(path),
            Self::RegularOnly => files::open_regular(path),
        }
    }
}

/// Reads all of `path` as UTF-8.
///
/// # Errors
/// A [`Diagnostic`] at `key` when the file cannot be read, is longer than `limit` octets or is not UTF-8.
pub fn read(path: &Path, key: &str, limit: u64, openness: Openness) -> Result<String, Box<Diagnostic>> {
    let octets = openness.open(path).and_then(|file| read_up_to(file, limit));
    let octets = octets.map_err(|error| {
        let mut problem = Diagnostic::of_file(path, key, format!("cannot read {}: {error}", shown_path(path)));
        problem.hint = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Some(format!("run as root, or let the user that reads it (uid {}) read the file", geteuid()))
            }
            io::ErrorKind::NotFound if !key.is_empty() => {
                Some("paths are relative to the folder of the file that names them".to_owned())
            }
            _ if NotRegular::is_why(&error) => Some(
                "write what it gives to a file: a daemon reads regular files only, which do not keep it waiting"
                    .to_owned(),
            ),
            _ => None,
        };
        Box::new(problem)
    })?;
    decode(path, key, octets, limit)
}

/// Reads up to one octet more than `limit`, so that too long an input is noticed and an endless one ends.
pub fn read_up_to(input: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    input.take(limit + 1).read_to_end(&mut octets)?;
    Ok(octets)
}

/// What [`read_up_to`] has read as UTF-8.
///
/// # Errors
/// A [`Diagnostic`] at `key` when it is longer than `limit` octets or not UTF-8.
pub fn decode(name: &Path, key: &str, octets: Vec<u8>, limit: u64) -> Result<String, Box<Diagnostic>> {
    if octets.len() as u64 > limit {
        let limit = grouped(usize::try_from(limit).unwrap_or(usize::MAX));
        let message = format!("{} is longer than {limit} octets", shown_path(name));
        return Err(Box::new(Diagnostic::of_file(name, key, message)));
    }
    String::from_utf8(octets).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let octets = error.as_bytes();
        let before = &octets[..valid];
        let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
        let from = before.iter().rposition(|octet| *octet == b'\n').map_or(0, |newline| newline + 1);
        let to = octets[valid..].iter().position(|octet| *octet == b'\n').map_or(octets.len(), |end| valid + end);
        let start = String::from_utf8_lossy(&octets[from..valid]).len();
        let text = String::from_utf8_lossy(&octets[from..to]);
        let message = format!("{} is not UTF-8: octet 0x{:02x}", shown_path(name), octets[valid]);
        let mut problem = Diagnostic::of_file(name, key, message);
        let width = char::REPLACEMENT_CHARACTER.len_utf8();
        problem.location = Some(Location::in_line(line, &text, start..start + width));
        problem.hint = Some("save the file as UTF-8".to_owned());
        Box::new(problem)
    })
}

/// What some editors put at the start of a file.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, span: Range<usize>) -> (usize, usize, String) {
        let location = Source::new(Path::new("x"), text, Path::new("")).locate(&span);
        let line = location.excerpt.unwrap_or_default();
        (location.line, location.column, line[location.highlight].to_owned())
    }

    #[test]
    fn a_span_is_found_in_its_line() {
        assert_eq!(place("ab\r\ncd = 1\n", 4..6), (2, 1, "cd".into()));
        assert_eq!(place("ab\ncd = [\n1]\n", 8..12), (2, 6, "[".into()));
        assert_eq!(place("ä = 1\n", 5..6), (1, 5, "1".into()));
    }

    #[test]
    fn texts_that_stand_behind_each_other_keep_their_own_lines() {
        let first = Source::new(Path::new("a"), "ab\ncd", Path::new(""));
        let second = Source::new(Path::new("b"), "\u{feff}ef\ngh\n", Path::new("")).behind(&first);
        assert_eq!(second.base(), 6);
        let (end, place) = (first.locate(&(5..5)), second.locate(&(9..11)));
        assert_eq!((end.line, end.column, place.line, place.column), (2, 3, 2, 1));
        assert_eq!((first.at(&(3..5)), second.at(&(9..11)), second.at(&(6..8))), ("cd", "gh", "ef"));
    }

    #[test]
    fn the_end_of_the_file_is_the_end_of_its_last_line() {
        assert_eq!(place("ab\ncd\n\n", 7..7), (2, 3, String::new()));
        assert_eq!(place("", 0..0), (1, 1, String::new()));
        assert_eq!(place("ab", 99..120), (1, 3, String::new()));
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        assert_eq!(place("\u{feff}ab", 0..2), (1, 1, "ab".into()));
    }

    #[test]
    fn the_first_octet_that_is_not_utf8_is_named_with_its_place() {
        let problem = decode(Path::new("l"), "k", b"1.2.3.4\n# caf\xe9 x\n".to_vec(), 100).unwrap_err();
        assert_eq!(problem.message, "l is not UTF-8: octet 0xe9");
        assert_eq!(problem.position(), Some((2, 6)));
    }

    #[test]
    fn too_long_a_file_is_refused_before_all_of_it_is_read() {
        let problem = decode(Path::new("l"), "", read_up_to(io::repeat(b' '), 1000).unwrap(), 1000).unwrap_err();
        assert_eq!(problem.message, "l is longer than 1,000 octets");
        assert!(decode(Path::new("l"), "", vec![b' '; 1000], 1000).is_ok());
    }
}

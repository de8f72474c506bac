//! Files with one prefix a line: list files of a configuration and what the command line pushes.

use std::path::Path;

use crate::{
    config::{
        diagnostic::{Diagnostic, Report},
        source::{self, Openness},
    },
    policy::{Prefix, PrefixError},
    text::{
        location::Location,
        shown::{counted, shown},
    },
};

/// The prefixes of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileEntries {
    /// Sorted, each once.
    pub prefixes: Vec<Prefix>,
    /// Lines that repeat an earlier one.
    pub repeated_lines: usize,
    /// Where the first of them is.
    pub first_repetition: Option<Location>,
}

/// Largest file in octets: two million IPv6 prefixes of the longest form.
pub const MAX_FILE_OCTETS: u64 = 128 << 20;

/// Longest line in octets, its comment included.
const MAX_LINE: usize = 4096;

/// Longest text that can be a prefix: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128` has 49 octets.
const MAX_PREFIX: usize = 64;

/// Errors of one file that are described; the rest is counted.
const MAX_ERRORS: usize = 100;

/// Reads a file with one prefix a line; see [`parse_entries_file`].
///
/// # Errors
/// A report when the file cannot be read, or of all its bad lines.
pub fn read_entries_file(file: &Path) -> Result<FileEntries, Report> {
    let text =
        source::read(file, "", MAX_FILE_OCTETS, Openness::Any).map_err(|problem| Report::new(vec![*problem], &[]))?;
    parse_entries_file(file, &text)
}

/// Reads `text` with one prefix a line.
///
/// `#` starts a comment, empty lines and blanks around a prefix do not matter, lines may end in CRLF. `file` is only
/// what messages call it.
///
/// # Errors
/// A report of every line that is no prefix (of the first hundred, with the number of the others).
pub fn parse_entries_file(file: &Path, text: &str) -> Result<FileEntries, Report> {
    parse_at(file, "", text).map_err(|problems| Report::new(problems, &[]))
}

/// [`parse_entries_file`] for the file that the configuration names at `key`.
pub(super) fn parse_at(file: &Path, key: &str, text: &str) -> Result<FileEntries, Vec<Diagnostic>> {
    let mut prefixes = Vec::new();
    let mut problems = Vec::new();
    let mut others: Option<(Location, usize)> = None;
    for line in lines(text) {
        match line.prefix() {
            Ok(Some(prefix)) => prefixes.push(prefix),
            Ok(None) => {}
            Err(_) if problems.len() == MAX_ERRORS => {
                others.get_or_insert_with(|| (line.location(), 0)).1 += 1;
            }
            Err(message) => {
                let mut problem = Diagnostic::of_file(file, key, message);
                problem.location = Some(line.location());
                problems.push(problem);
            }
        }
    }
    if let Some((first, count)) = others {
        let message = format!("from here on, {} cannot be read as prefixes", counted(count, "more line"));
        let mut problem = Diagnostic::of_file(file, key, message);
        problem.location = Some(first);
        problems.push(problem);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let lines_read = prefixes.len();
    prefixes.sort_unstable();
    let repeated = repetitions(&prefixes);
    prefixes.dedup();
    let first_repetition = if repeated.is_empty() { None } else { locate_repetition(text, &repeated) };
    Ok(FileEntries { repeated_lines: lines_read - prefixes.len(), prefixes, first_repetition })
}

/// Reads one prefix; what is too long to be one is cut in the error.
pub(super) fn parse_prefix(text: &str) -> Result<Prefix, PrefixError> {
    if text.len() > MAX_PREFIX || text.contains(char::is_control) {
        return Err(PrefixError::Syntax { text: shown(text) });
    }
    text.parse()
}

/// One line of the file.
struct FileLine<'t> {
    number: usize,
    text: &'t str,
}

fn lines(text: &str) -> impl Iterator<Item = FileLine<'_>> {
    let text = text.strip_prefix(source::BYTE_ORDER_MARK).unwrap_or(text);
    text.split('\n').zip(1..).map(|(text, number)| FileLine { number, text })
}

impl<'t> FileLine<'t> {
    /// The line without comment and blanks.
    fn entry(&self) -> &'t str {
        self.text.split('#').next().unwrap_or_default().trim()
    }

    /// The prefix of the line, if it has one.
    fn prefix(&self) -> Result<Option<Prefix>, String> {
        if self.text.len() > MAX_LINE {
            return Err(format!("the line is longer than {MAX_LINE} octets"));
        }
        match self.entry() {
            "" => Ok(None),
            entry => parse_prefix(entry).map(Some).map_err(|error| error.to_string()),
        }
    }

    fn location(&self) -> Location {
        let entry = self.entry();
        // `trim_start` leaves the tail of the line, so the difference of lengths is the blanks before the entry.
        let start = self.text.len() - self.text.trim_start().len();
        Location::in_line(self.number, self.text, start..start + entry.len())
    }
}

/// The prefixes that stand in `sorted` more than once, sorted.
fn repetitions(sorted: &[Prefix]) -> Vec<Prefix> {
    let mut repeated: Vec<Prefix> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    repeated.dedup();
    repeated
}

/// The first line whose prefix stands in an earlier line too.
fn locate_repetition(text: &str, repeated: &[Prefix]) -> Option<Location> {
    let mut seen = vec![false; repeated.len()];
    lines(text).find_map(|line| {
        let prefix = line.prefix().ok().flatten()?;
        let index = repeated.binary_search(&prefix).ok()?;
        std::mem::replace(seen.get_mut(index)?, true).then(|| line.location())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, Vec<(usize, usize, String)>> {
        match parse_entries_file(Path::new("l.txt"), text) {
            Ok(entries) => Ok(entries.prefixes.iter().map(Prefix::to_string).collect()),
            Err(report) => Err(report
                .errors()
                .map(|error| {
                    let (line, column) = error.position().unwrap_or_default();
                    (line, column, error.message.clone())
                })
                .collect()),
        }
    }

    #[test]
    fn comments_blanks_and_line_ends_do_not_matter() {
        let text = "\u{feff}# head\r\n\r\n  203.0.113.0/24  # office\r\n\t2001:db8::/32#x\n\n10.0.0.1";
        assert_eq!(parse(text), Ok(vec!["10.0.0.1/32".into(), "203.0.113.0/24".into(), "2001:db8::/32".into()]));
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn every_bad_line_is_reported_with_its_place() {
        let text = "10.0.0.0/8\n  10.0.0.7/24 # x\nä\n::ffff:1.2.3.4\n";
        assert_eq!(
            parse(text),
            Err(vec![
                (2, 3, "`10.0.0.7/24` has host bits set; write `10.0.0.0/24` or `10.0.0.7/32`".into()),
                (3, 1, "`ä` is not a prefix; write an address (`192.0.2.1`, `2001:db8::1`) or a prefix (`192.0.2.0/24`, `2001:db8::/32`)".into()),
                (4, 1, "`::ffff:1.2.3.4` is an IPv4-mapped address, which no packet carries; write `1.2.3.4/32`".into()),
            ])
        );
    }

    #[test]
    fn an_endless_line_is_refused() {
        let text = format!("10.0.0.0/8 # {}\n", "x".repeat(5000));
        assert_eq!(parse(&text), Err(vec![(1, 1, "the line is longer than 4096 octets".into())]));
        let text = format!("10.0.0.0/8 # {}\n", "x".repeat(4000));
        assert_eq!(parse(&text), Ok(vec!["10.0.0.0/8".into()]));
    }

    #[test]
    fn a_file_of_something_else_gives_a_hundred_errors_and_a_count() {
        let errors = parse(&"not a prefix\n".repeat(1234)).unwrap_err();
        assert_eq!(errors.len(), 101);
        assert_eq!(errors[100], (101, 1, "from here on, 1,134 more lines cannot be read as prefixes".into()));
    }

    #[test]
    fn repeated_lines_are_kept_once_and_the_first_is_found() {
        let text = "10.0.0.1\n9.0.0.0/8\n10.0.0.1/32 # again\n9.0.0.0/8\n9.0.0.0/8\n";
        let entries = parse_entries_file(Path::new("l"), text).unwrap();
        assert_eq!(entries.prefixes.len(), 2);
        assert_eq!(entries.repeated_lines, 3);
        assert_eq!(entries.first_repetition.map(|place| (place.line, place.column)), Some((3, 1)));
    }
}

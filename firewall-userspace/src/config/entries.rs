//! List files of a configuration: one prefix a line.

use std::{fmt, path::Path};

use crate::{
    config::{
        diagnostic::{Diagnostic, Report},
        source,
    },
    policy::{Prefix, PrefixError},
    text::{few::Few, location::Location},
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

/// Mistakes after which nobody finds out what else a line is.
pub const EXPLAINED: usize = 1000;

/// What those are called.
pub const UNEXPLAINED: &str = "entries that are no prefixes either";

/// Longest line in octets, its comment included.
const MAX_LINE: usize = 4096;

/// Reads `text` with one prefix a line.
///
/// `#` starts a comment, empty lines and blanks around a prefix do not matter, lines may end in CRLF. `file` is only
/// what messages call it.
///
/// # Errors
/// A report of the lines that are no prefix: ten of a kind, then their number.
pub fn parse_entries_file(file: &Path, text: &str) -> Result<FileEntries, Report> {
    parse_at(file, "", text).map_err(|problems| Report::new(problems, &[]))
}

/// [`parse_entries_file`] for the file that the configuration names at `key`.
pub(super) fn parse_at(file: &Path, key: &str, text: &str) -> Result<FileEntries, Vec<Diagnostic>> {
    let mut prefixes = Vec::new();
    let mut problems = Few::default();
    for line in lines(text) {
        let error = match line.prefix(problems.len() < EXPLAINED) {
            Ok(prefix) => {
                prefixes.extend(prefix);
                continue;
            }
            Err(error) => error,
        };
        let problem =
            || Diagnostic { location: Some(line.location()), ..Diagnostic::of_file(file, key, error.to_string()) };
        match error {
            LineError::Other => problems.count(UNEXPLAINED, problem),
            _ => problems.add(error.kind(), problem),
        }
    }
    if !problems.is_empty() {
        let more = problems.more().map(|(next, message)| Diagnostic { message, ..next.clone() });
        return Err(problems.first().iter().cloned().chain(more).collect());
    }
    let lines_read = prefixes.len();
    prefixes.sort_unstable();
    let repeated = repetitions(&prefixes);
    prefixes.dedup();
    let first_repetition = if repeated.is_empty() { None } else { locate_repetition(text, &repeated) };
    Ok(FileEntries { repeated_lines: lines_read - prefixes.len(), prefixes, first_repetition })
}

/// One line of the file.
struct FileLine<'t> {
    number: usize,
    text: &'t str,
}

/// Why a line is no entry.
#[derive(Debug)]
enum LineError {
    TooLong,
    Prefix(PrefixError),
    /// Nobody asked what it is.
    Other,
}

impl LineError {
    fn kind(&self) -> &'static str {
        match self {
            Self::TooLong => "lines that are too long",
            Self::Prefix(error) => error.kind(),
            Self::Other => UNEXPLAINED,
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the line is longer than {MAX_LINE} octets"),
            Self::Prefix(error) => error.fmt(f),
            Self::Other => f.write_str("this is not a prefix either"),
        }
    }
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

    /// The prefix of the line, if it has one, or the kind of its mistake and what to say of it.
    fn prefix(&self, explains: bool) -> Result<Option<Prefix>, LineError> {
        if self.text.len() > MAX_LINE {
            return Err(LineError::TooLong);
        }
        match self.entry() {
            "" => Ok(None),
            entry if explains => entry.parse().map(Some).map_err(LineError::Prefix),
            entry => Prefix::parse_plainly(entry).map(Some).ok_or(LineError::Other),
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
        let prefix = line.prefix(false).ok().flatten()?;
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
    fn ten_mistakes_of_a_kind_are_told_and_the_others_counted() {
        let text = format!("{}{}", "not a prefix\n".repeat(15), "198.51.100.0/24;\n".repeat(70_000));
        let errors = parse(&text).unwrap_err();
        let counts = errors.iter().map(|(line, _, words)| (*line, &**words));
        let counts: Vec<_> = counts.filter(|(_, words)| words.contains("more: ")).collect();
        let more = [
            (11, "from here on, 5 more: prefixes that cannot be read"),
            (26, "from here on, 975 more: comments that do not begin with `#`"),
            (1001, "from here on, 69,015 more: entries that are no prefixes either"),
        ];
        assert_eq!(errors.len(), 23);
        assert_eq!(counts, more);
    }

    /// `../shared/field`, the forms of lists that others publish: each is named for what it is.
    #[test]
    fn lists_of_others_are_named_for_what_they_are() {
        for (text, wanted) in [
            ("; Example DROP list\n198.51.100.0/24 ; SBL000001\n", ["comment", "comment"]),
            ("{\"cidr\":\"198.51.100.0/24\"}\n{\"type\":\"metadata\"}\n", ["JSON", "JSON"]),
            ("create blk hash:net\nadd blk 203.0.113.9 timeout 76\n", ["ipset save", "ipset save"]),
            ("198.51.100.4-198.51.100.9\n198.51.100.20 - 198.51.100.30\n", ["range", "range"]),
            ("198.51.100.0 255.255.255.0\n198.51.100.0/255.255.255.0\n", ["netmask", "netmask"]),
            ("198.51.100.1:443\n[2001:db8::1]:443\n", ["port", "port"]),
            ("api.example.com\n198.51.100.1,198.51.100.2\n", ["host name", "more than one prefix"]),
        ] {
            let errors = parse(text).unwrap_err();
            assert_eq!(errors.len(), 2, "{errors:?}");
            for ((_, _, message), wanted) in errors.iter().zip(wanted) {
                assert!(message.contains(wanted), "{message}");
            }
        }
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

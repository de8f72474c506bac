//! Lengths of time as operators write them: `500ms`, `1s`, `1h30m`.

use std::{fmt, time::Duration};

use super::shown::shown;

/// Why a string is no length of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// Nothing was written.
    Empty,
    /// A number stands without a unit.
    NoUnit {
        /// What was written.
        text: String,
    },
    /// A unit nobody knows.
    UnknownUnit {
        /// What was written.
        text: String,
        /// Its unit.
        unit: String,
    },
    /// A minus sign.
    Negative {
        /// What was written.
        text: String,
    },
    /// A minus sign in a time to live.
    NoEnd {
        /// What was written.
        text: String,
    },
    /// A decimal fraction.
    Fraction {
        /// What was written.
        text: String,
    },
    /// A unit repeats, or a larger one follows a smaller one.
    Order {
        /// What was written.
        text: String,
    },
    /// No number before a unit, blanks, or other things that are no length of time.
    Syntax {
        /// What was written.
        text: String,
    },
    /// No time at all.
    Zero {
        /// What was written.
        text: String,
    },
    /// More than [`MAX`].
    TooLong {
        /// What was written.
        text: String,
    },
}

/// Longest length of time: 36,525 days, a century.
pub const MAX: Duration = Duration::from_secs(36_525 * 24 * 60 * 60);

/// Units from the longest to the shortest, with their nanoseconds.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 60 * 60 * 1_000_000_000),
    ("d", 24 * 60 * 60 * 1_000_000_000),
    ("h", 60 * 60 * 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// Reads one or more of `<number><unit>` without blanks, units (`w`, `d`, `h`, `m`, `s`, `ms`) from long to short.
///
/// The result is positive and at most [`MAX`].
///
/// # Errors
/// See [`DurationError`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    parse_terms(text, false)
}

/// The same for a time to live, in the forms that other tools print too: `3600` is in seconds (ipset), and the last number may have a
/// fraction, as in `3h59m57.9s` (CrowdSec).
///
/// # Errors
/// See [`DurationError`]. `-1`, with which others mean that there is no end, is [`DurationError::NoEnd`].
pub fn parse_ttl(text: &str) -> Result<Duration, DurationError> {
    if text.starts_with('-') {
        return Err(DurationError::NoEnd { text: shown(text) });
    }
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    if is_number { parse_terms(&format!("{text}s"), true) } else { parse_terms(text, true) }
}

fn parse_terms(text: &str, has_fraction: bool) -> Result<Duration, DurationError> {
    let written = || shown(text);
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text.starts_with('-') {
        return Err(DurationError::Negative { text: written() });
    }
    let mut rest = text;
    let mut total_ns: u128 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let (fraction, tail) = if has_fraction { fraction(tail) } else { ("", tail) };
        let letters = tail.find(|symbol: char| symbol.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        if unit.starts_with(['.', ',']) && !number.is_empty() {
            return Err(DurationError::Fraction { text: written() });
        }
        if number.is_empty() || (!fraction.is_empty() && !tail.is_empty()) {
            return Err(DurationError::Syntax { text: written() });
        }
        if unit.is_empty() {
            return Err(DurationError::NoUnit { text: written() });
        }
        let Some(index) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(DurationError::UnknownUnit { text: written(), unit: shown(unit.trim()) });
        };
        if index < next_unit {
            return Err(DurationError::Order { text: written() });
        }
        let number: u64 = number.parse().map_err(|_| DurationError::TooLong { text: written() })?;
        // Below 2^64 * 2^50 for each of at most six terms.
        total_ns += u128::from(number) * u128::from(UNITS[index].1) + fraction_ns(fraction, UNITS[index].1);
        next_unit = index + 1;
        rest = tail;
    }
    if total_ns == 0 {
        return Err(DurationError::Zero { text: written() });
    }
    if total_ns > MAX.as_nanos() {
        return Err(DurationError::TooLong { text: written() });
    }
    u64::try_from(total_ns).map(Duration::from_nanos).map_err(|_| DurationError::TooLong { text: written() })
}

/// The digits behind a point, if there is one with digits, and the rest.
fn fraction(text: &str) -> (&str, &str) {
    let Some(behind) = text.strip_prefix('.') else { return ("", text) };
    let digits = behind.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(behind.len());
    if digits == 0 { ("", text) } else { behind.split_at(digits) }
}

/// The share of a unit that the digits behind a point are; digits behind the ninth do not count.
fn fraction_ns(digits: &str, unit_ns: u64) -> u128 {
    let digits = digits.get(..9).unwrap_or(digits);
    let scale = 10_u128.pow(digits.len() as u32);
    digits.parse::<u128>().map_or(0, |value| value * u128::from(unit_ns) / scale)
}

/// `duration` as [`parse`] reads it, in the longest units up to days; what is below a millisecond is cut.
pub fn show(duration: Duration) -> String {
    let mut left_ns = duration.as_nanos();
    let mut text = String::new();
    for (name, unit_ns) in UNITS.into_iter().skip_while(|(name, _)| *name != "d") {
        let count = left_ns / u128::from(unit_ns);
        left_ns %= u128::from(unit_ns);
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
        }
    }
    if text.is_empty() { "0ms".to_owned() } else { text }
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a length of time is missing; write for example \"1s\""),
            Self::NoUnit { text } => write!(f, "`{text}` has no unit; use w, d, h, m, s or ms, for example \"1h30m\""),
            Self::UnknownUnit { text, unit } => {
                write!(f, "`{text}` has the unknown unit `{unit}`; use w, d, h, m, s or ms, for example \"1h30m\"")
            }
            Self::Negative { text } => write!(f, "`{text}` is negative; time only goes forward"),
            Self::NoEnd { text } => {
                write!(f, "`{text}` is negative; leave the time out for an entry that stays until it is removed")
            }
            Self::Fraction { text } => {
                write!(f, "`{text}` has a fraction; write a smaller unit, for example \"1500ms\" for 1.5 s")
            }
            Self::Order { text } => {
                write!(f, "`{text}` has its units out of order; write each once, from long to short, as in \"1h30m\"")
            }
            Self::Syntax { text } => {
                write!(f, "`{text}` is not a length of time; write for example \"1s\" or \"1h30m\"")
            }
            Self::Zero { text } => write!(f, "`{text}` is no time at all; write for example \"1s\""),
            Self::TooLong { text } => write!(f, "`{text}` is longer than a century (36525d)"),
        }
    }
}

impl std::error::Error for DurationError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for text in ["1ms", "1s", "1m30s", "1d2h3m4s5ms", "36525d"] {
            assert_eq!(parse(text).map(show), Ok(text.to_owned()));
        }
        assert_eq!(show(Duration::from_secs(90 * 60)), "1h30m");
    }

    #[test]
    fn numbers_with_units_add_up() {
        for (text, ms) in [
            ("1s", 1_000),
            ("500ms", 500),
            ("1m", 60_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1w", 604_800_000),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("90s", 90_000),
            ("007s", 7_000),
            ("0h1s", 1_000),
            ("36525d", 36_525 * 86_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_time_to_live_is_read_as_other_tools_print_it() {
        for (text, ms) in [
            ("3600", 3_600_000),
            ("1w", 604_800_000),
            ("1w2d", 777_600_000),
            ("3h59m57.9s", 14_397_900),
            ("167h59m59.123456789s", 604_799_123),
            ("1h0m0s", 3_600_000),
            ("1.5h", 5_400_000),
            ("0.5", 0),
            ("90s", 90_000),
        ] {
            let read = parse_ttl(text).map(|ttl| ttl.as_millis());
            assert_eq!(read.ok(), (ms > 0).then_some(ms), "{text}");
        }
        for (text, message) in [
            ("-1", "`-1` is negative; leave the time out for an entry that stays until it is removed"),
            ("-3m", "`-3m` is negative; leave the time out for an entry that stays until it is removed"),
            ("0", "`0s` is no time at all; write for example \"1s\""),
            ("1.5h3m", "`1.5h3m` is not a length of time; write for example \"1s\" or \"1h30m\""),
            ("1.s", "`1.s` has a fraction; write a smaller unit, for example \"1500ms\" for 1.5 s"),
            ("forever", "`forever` is not a length of time; write for example \"1s\" or \"1h30m\""),
        ] {
            assert_eq!(parse_ttl(text).map_err(|error| error.to_string()), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused_with_its_reason() {
        for (text, message) in [
            ("", "a length of time is missing; write for example \"1s\""),
            ("10", "`10` has no unit; use w, d, h, m, s or ms, for example \"1h30m\""),
            ("1h30", "`1h30` has no unit; use w, d, h, m, s or ms, for example \"1h30m\""),
            (
                "1 fortnight",
                "`1 fortnight` has the unknown unit `fortnight`; use w, d, h, m, s or ms, for example \"1h30m\"",
            ),
            ("1S", "`1S` has the unknown unit `S`; use w, d, h, m, s or ms, for example \"1h30m\""),
            ("1us", "`1us` has the unknown unit `us`; use w, d, h, m, s or ms, for example \"1h30m\""),
            ("-1s", "`-1s` is negative; time only goes forward"),
            ("1.5h", "`1.5h` has a fraction; write a smaller unit, for example \"1500ms\" for 1.5 s"),
            ("30m1h", "`30m1h` has its units out of order; write each once, from long to short, as in \"1h30m\""),
            ("1s1s", "`1s1s` has its units out of order; write each once, from long to short, as in \"1h30m\""),
            ("soon", "`soon` is not a length of time; write for example \"1s\" or \"1h30m\""),
            (" 1s", "` 1s` is not a length of time; write for example \"1s\" or \"1h30m\""),
            ("+1s", "`+1s` is not a length of time; write for example \"1s\" or \"1h30m\""),
            ("0s", "`0s` is no time at all; write for example \"1s\""),
            ("36526d", "`36526d` is longer than a century (36525d)"),
            ("99999999999999999999s", "`99999999999999999999s` is longer than a century (36525d)"),
        ] {
            assert_eq!(parse(text).map_err(|error| error.to_string()), Err(message.to_owned()), "{text}");
        }
    }
}

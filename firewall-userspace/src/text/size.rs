//! Numbers of bytes as operators write them: `20MB`, `512KiB`.

use std::fmt;

use super::shown::shown;

/// Why a string is no number of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SizeError {
    /// Not `<number><unit>`.
    Syntax {
        /// What was written.
        text: String,
    },
    /// A number in quotes without a unit.
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
    /// Blanks between number and unit.
    Blank {
        /// What was written.
        text: String,
        /// The same without blanks.
        joined: String,
    },
    /// A decimal fraction.
    Fraction {
        /// What was written.
        text: String,
    },
    /// More than 64 bits hold.
    TooLarge {
        /// What was written.
        text: String,
    },
}

/// Units with their bytes: powers of 1000, and of 1024 with an `i`.
const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads `<number><unit>` without blanks; units are `B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`.
///
/// # Errors
/// See [`SizeError`].
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let written = || shown(text);
    let digits = text.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(SizeError::Syntax { text: written() });
    }
    if unit.is_empty() {
        return Err(SizeError::NoUnit { text: written() });
    }
    if unit.starts_with(['.', ',']) {
        return Err(SizeError::Fraction { text: written() });
    }
    if unit.starts_with(' ') {
        let joined = format!("{}{}", shown(number), shown(unit.trim()));
        return Err(SizeError::Blank { text: written(), joined });
    }
    let Some((_, bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(SizeError::UnknownUnit { text: written(), unit: shown(unit) });
    };
    let number: Option<u64> = number.parse().ok();
    number.and_then(|number| number.checked_mul(*bytes)).ok_or_else(|| SizeError::TooLarge { text: written() })
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { text } => {
                write!(f, "`{text}` is not a number of bytes; write for example \"20MB\", \"512KiB\" or 1500")
            }
            Self::NoUnit { text } => write!(f, "`{text}` has no unit; write {text} without quotes, or \"{text}B\""),
            Self::UnknownUnit { text, unit } => write!(
                f,
                "`{text}` has the unknown unit `{unit}`; use B, kB, MB, GB (powers of 1000), KiB, MiB or GiB (of 1024)"
            ),
            Self::Blank { text, joined } => write!(f, "`{text}` has a blank before its unit; write \"{joined}\""),
            Self::Fraction { text } => {
                write!(f, "`{text}` has a fraction; write a smaller unit, for example \"1500kB\" for 1.5 MB")
            }
            Self::TooLarge { text } => write!(f, "`{text}` is more bytes than 64 bits hold"),
        }
    }
}

impl std::error::Error for SizeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1000_and_with_an_i_of_1024() {
        for (text, bytes) in [
            ("0B", 0),
            ("1514B", 1_514),
            ("20kB", 20_000),
            ("20MB", 20_000_000),
            ("3GB", 3_000_000_000),
            ("1KiB", 1_024),
            ("20MiB", 20_971_520),
            ("1GiB", 1_073_741_824),
            ("18446744073709551615B", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_of_bytes_is_refused_with_its_reason() {
        let units = "use B, kB, MB, GB (powers of 1000), KiB, MiB or GiB (of 1024)";
        for (text, message) in [
            ("", "`` is not a number of bytes; write for example \"20MB\", \"512KiB\" or 1500".to_owned()),
            ("MB", "`MB` is not a number of bytes; write for example \"20MB\", \"512KiB\" or 1500".to_owned()),
            ("-1MB", "`-1MB` is not a number of bytes; write for example \"20MB\", \"512KiB\" or 1500".to_owned()),
            ("20", "`20` has no unit; write 20 without quotes, or \"20B\"".to_owned()),
            ("20KB", format!("`20KB` has the unknown unit `KB`; {units}")),
            ("20 MB", "`20 MB` has a blank before its unit; write \"20MB\"".to_owned()),
            ("20Mbit", format!("`20Mbit` has the unknown unit `Mbit`; {units}")),
            ("1.5MB", "`1.5MB` has a fraction; write a smaller unit, for example \"1500kB\" for 1.5 MB".to_owned()),
            ("18446744073709551616B", "`18446744073709551616B` is more bytes than 64 bits hold".to_owned()),
            ("18446744073709552kB", "`18446744073709552kB` is more bytes than 64 bits hold".to_owned()),
        ] {
            assert_eq!(parse(text).map_err(|error| error.to_string()), Err(message), "{text}");
        }
    }
}

//! Ports as operators write them: `443`, `8443-8445`.

use std::{fmt, ops::RangeInclusive};

use super::shown::shown;

/// Why a value is no range of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortsError {
    /// Neither a number nor `low-high`.
    Syntax {
        /// What was written.
        text: String,
    },
    /// A number above 65535.
    TooLarge {
        /// The number.
        number: String,
    },
    /// The range ends before it begins.
    Inverted {
        /// Its first number.
        from: u16,
        /// Its second number.
        to: u16,
    },
}

/// The single port `number`.
///
/// # Errors
/// When it is above 65535.
pub fn single(number: u64) -> Result<RangeInclusive<u16>, PortsError> {
    let port = u16::try_from(number).map_err(|_| PortsError::TooLarge { number: number.to_string() })?;
    Ok(port..=port)
}

/// Reads `443` or `8443-8445`; both ends may be equal, and 0 is a port.
///
/// # Errors
/// See [`PortsError`].
pub fn parse(text: &str) -> Result<RangeInclusive<u16>, PortsError> {
    let port = |number: &str| {
        if number.is_empty() || !number.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(PortsError::Syntax { text: shown(text) });
        }
        number.parse::<u16>().map_err(|_| PortsError::TooLarge { number: shown(number) })
    };
    let Some((from, to)) = text.split_once('-') else {
        return port(text).map(|port| port..=port);
    };
    let (from, to) = (port(from)?, port(to)?);
    if from <= to { Ok(from..=to) } else { Err(PortsError::Inverted { from, to }) }
}

/// `443` or `8443-8445`.
pub fn show(range: &RangeInclusive<u16>) -> String {
    let (from, to) = (range.start(), range.end());
    if from == to { from.to_string() } else { format!("{from}-{to}") }
}

/// Sorts `ranges` and joins what overlaps or touches.
pub fn merge(mut ranges: Vec<RangeInclusive<u16>>) -> Vec<RangeInclusive<u16>> {
    ranges.sort_unstable_by_key(|range| (*range.start(), *range.end()));
    let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

impl fmt::Display for PortsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { text } => {
                write!(f, "`{text}` is not a port; write for example 443, \"443\" or \"8443-8445\"")
            }
            Self::TooLarge { number } => write!(f, "{number} is not a port; ports end at 65535"),
            Self::Inverted { from, to } => write!(f, "`{from}-{to}` ends before it begins; write \"{to}-{from}\""),
        }
    }
}

impl std::error::Error for PortsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_and_ranges() {
        for (text, range) in
            [("0", 0..=0), ("443", 443..=443), ("8443-8445", 8443..=8445), ("7-7", 7..=7), ("0-65535", 0..=65535)]
        {
            assert_eq!(parse(text), Ok(range), "{text}");
        }
        assert_eq!(single(0), Ok(0..=0));
    }

    #[test]
    fn what_is_no_port_is_refused_with_its_reason() {
        let syntax = "is not a port; write for example 443, \"443\" or \"8443-8445\"";
        for (text, message) in [
            ("65536", "65536 is not a port; ports end at 65535".to_owned()),
            ("1-99999999999", "99999999999 is not a port; ports end at 65535".to_owned()),
            ("9-8", "`9-8` ends before it begins; write \"8-9\"".to_owned()),
            ("", format!("`` {syntax}")),
            ("http", format!("`http` {syntax}")),
            ("80-", format!("`80-` {syntax}")),
            ("-80", format!("`-80` {syntax}")),
            ("80 - 90", format!("`80 - 90` {syntax}")),
            ("1-2-3", format!("`1-2-3` {syntax}")),
            ("+80", format!("`+80` {syntax}")),
        ] {
            assert_eq!(parse(text).map_err(|error| error.to_string()), Err(message), "{text}");
        }
        assert_eq!(
            single(70_000).map_err(|error| error.to_string()),
            Err("70000 is not a port; ports end at 65535".into())
        );
    }

    #[test]
    fn merged_ranges_are_sorted_and_apart() {
        assert_eq!(merge(vec![9..=9, 1..=3, 2..=5, 6..=6, 65535..=65535, 8..=9]), [1..=6, 8..=9, 65535..=65535]);
        assert_eq!(merge(vec![0..=65535, 3..=4]), [0..=65535]);
        assert_eq!(merge(vec![]), []);
    }
}

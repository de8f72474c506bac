//! Names of lists, limits and services.

use std::{fmt, ops::Deref, sync::Arc};

/// A name of the form `[a-z0-9][a-z0-9_-]{0,31}`. A clone shares it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Why a string is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    /// The string.
    pub text: String,
}

/// Longest name in octets.
const MAX_LENGTH: usize = 32;

impl Name {
    /// Checks and keeps `text`.
    ///
    /// # Errors
    /// When `text` does not match `[a-z0-9][a-z0-9_-]{0,31}`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let is_word = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
        let fits = text.len() <= MAX_LENGTH
            && text.bytes().next().is_some_and(is_word)
            && text.bytes().all(|octet| is_word(octet) || octet == b'_' || octet == b'-');
        if fits { Ok(Self(text.into())) } else { Err(NameError { text: text.to_owned() }) }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a name; use 1 to {MAX_LENGTH} of a-z, 0-9, `_` and `-`, starting with a letter or digit",
            self.text
        )
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_documented_form() {
        for good in ["a", "0", "web-1_b", &"x".repeat(32)] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a b", "ä", &"x".repeat(33)] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }
}

//! How a value from a file or a request is shown to a person.

use std::{borrow::Cow, path::Path};

/// Most characters of a value in a message.
const MAX_SHOWN: usize = 64;

/// `text` without control characters, cut when it is long.
pub fn shown(text: &str) -> String {
    cut(text, MAX_SHOWN)
}

/// `text` without control characters, of at most `most` characters.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => escaped(&text[..end]).into_owned() + "…",
        None => escaped(text).into_owned(),
    }
}

/// A path without control characters.
pub fn shown_path(path: &Path) -> String {
    escaped(&path.to_string_lossy()).into_owned()
}

/// `text` with what a terminal would act on written out.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for symbol in text.chars() {
        if is_hidden(symbol) {
            out.extend(symbol.escape_default());
        } else {
            out.push(symbol);
        }
    }
    out.into()
}

/// Whether a terminal would act on `symbol` instead of showing it: controls and bidirectional overrides.
fn is_hidden(symbol: char) -> bool {
    symbol.is_control()
        || matches!(symbol, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `count thing`, with an `s` unless it is one, thousands separated.
pub fn counted(count: usize, thing: &str) -> String {
    let plural = match (count, thing.strip_suffix('y')) {
        (1, _) => thing.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{thing}s"),
    };
    format!("{} {plural}", grouped(count))
}

/// `a, b and 3 more`: the first `most` of `all`, and how many there are besides.
pub fn few(all: &[impl AsRef<str>], most: usize) -> String {
    let shown = all.iter().take(most).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `number` in groups of three digits.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_acted_on() {
        assert_eq!(shown("a\u{1b}[31mb\n\u{202e}c"), "a\\u{1b}[31mb\\n\\u{202e}c");
        assert_eq!(shown("grüße"), "grüße");
    }

    #[test]
    fn a_long_value_is_cut() {
        let long = "ä".repeat(100);
        assert_eq!(shown(&long).chars().count(), MAX_SHOWN + 1);
        assert!(shown(&long).ends_with('…'));
    }

    #[test]
    fn a_line_names_a_few_of_many() {
        let many: Vec<String> = (1..=9).map(|number| number.to_string()).collect();
        assert_eq!(few(&many, 6), "1, 2, 3, 4, 5, 6 and 3 more");
        assert_eq!(few(&many, 9), "1, 2, 3, 4, 5, 6, 7, 8, 9");
        assert_eq!(few(&[""; 0], 6), "");
    }

    #[test]
    fn counts_read_as_english() {
        assert_eq!(counted(1, "entry"), "1 entry");
        assert_eq!(counted(0, "list"), "0 lists");
        assert_eq!(counted(1_234_567, "entry"), "1,234,567 entries");
        assert_eq!(counted(100, "line"), "100 lines");
    }
}

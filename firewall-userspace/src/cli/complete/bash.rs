//! What bash is told, which inserts candidates as they are and cuts words at equals signs and colons.

use std::{ffi::OsString, io, path::Path};

use clap_complete::{
    engine,
    env::{Bash, EnvCompleter},
};

/// Bash, without candidates that it would take for more than a word.
pub struct SafeBash;

impl EnvCompleter for SafeBash {
    fn name(&self) -> &'static str {
        Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        Bash.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn io::Write,
    ) -> io::Result<()> {
        Bash.write_registration(var, name, bin, completer, buf)
    }

    fn write_complete(
        &self,
        command: &mut clap::Command,
        words: Vec<OsString>,
        folder: Option<&Path>,
        buf: &mut dyn io::Write,
    ) -> io::Result<()> {
        // As the script of `Bash` has them.
        let variable = |name| std::env::var(name).ok();
        let index = variable("_CLAP_COMPLETE_INDEX").and_then(|index| index.parse().ok()).unwrap_or_default();
        let between = variable("_CLAP_IFS").unwrap_or_else(|| "\n".to_owned());
        let (words, index, typed) = joined(words, index);
        let candidates = engine::complete(command, words, index, folder)?;
        let values = candidates.iter().map(|one| one.get_value().to_string_lossy());
        let values: Vec<String> = values.filter(|value| is_word(value)).map(|value| without(&value, &typed)).collect();
        write!(buf, "{}", values.join(&between))
    }
}

/// Words with those made whole again that bash has cut at `=`, or a URL at `:`; the place of the one that is completed, and what of it stands before
/// the part that bash replaces.
fn joined(words: Vec<OsString>, index: usize) -> (Vec<OsString>, usize, String) {
    let mut whole: Vec<OsString> = Vec::new();
    let (mut place, mut typed, mut is_open) = (index, String::new(), false);
    for (at, word) in words.into_iter().enumerate() {
        let follows = match word.as_encoded_bytes() {
            b"=" => whole.last().is_some_and(|last| last.to_string_lossy().starts_with("--")),
            // `https`, `:`, `//fw1`.
            colons => !colons.is_empty() && colons.iter().all(|octet| *octet == b':') && is_url(&whole),
        };
        match whole.last_mut() {
            Some(last) if follows || std::mem::take(&mut is_open) => {
                if at == index && !follows {
                    typed = last.to_string_lossy().into_owned();
                }
                last.push(&word);
                is_open = follows;
            }
            _ => whole.push(word),
        }
        if at == index {
            place = whole.len() - 1;
        }
    }
    (whole, place, typed)
}

/// Whether the last of `words` is a URL, or the beginning of one.
fn is_url(words: &[OsString]) -> bool {
    match words {
        [.., last] if last.to_string_lossy().starts_with("--url=") => true,
        [.., option, _] => option == "--url",
        _ => false,
    }
}

fn without(value: &str, typed: &str) -> String {
    value.strip_prefix(typed).unwrap_or(value).to_owned()
}

/// Whether bash takes it for one word and nothing else. Other file names are left to bash itself, which quotes them.
fn is_word(value: &str) -> bool {
    value.chars().all(|symbol| symbol.is_alphanumeric() || "._@+-/=,:%".contains(symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(words: &[&str], index: usize) -> (Vec<String>, usize, String) {
        let (words, index, typed) = joined(words.iter().map(Into::into).collect(), index);
        (words.into_iter().map(|word| word.into_string().unwrap()).collect(), index, typed)
    }

    #[test]
    fn what_bash_cuts_at_an_equals_sign_is_one_word_again() {
        let whole = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let (words, index, typed) = cut(&["p", "--socket", "=", "/s", "allow", ""], 5);
        assert_eq!((words, index, &*typed), (whole(&["p", "--socket=/s", "allow", ""]), 3, ""));
        let (words, index, typed) = cut(&["p", "reload", "--force", "=", "sh"], 4);
        assert_eq!((words, index, &*typed), (whole(&["p", "reload", "--force=sh"]), 2, "--force="));
        let (words, index, _) = cut(&["p", "a", "=", "b"], 3);
        assert_eq!((words.len(), index), (4, 3), "only options have values that way");
    }

    #[test]
    fn a_url_that_bash_cuts_at_its_colons_is_one_word_again() {
        let whole = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let (words, index, _) = cut(&["p", "--url", "https", ":", "//[", "::", "1]", ":", "8443", "allow", ""], 10);
        assert_eq!((words, index), (whole(&["p", "--url", "https://[::1]:8443", "allow", ""]), 4));
        let (words, index, _) = cut(&["p", "--url", "=", "https", ":", "//fw1", "allow", ""], 7);
        assert_eq!((words, index), (whole(&["p", "--url=https://fw1", "allow", ""]), 3));
        let (words, ..) = cut(&["p", "allow", "add", "x", "2001", ":", "db8"], 6);
        assert_eq!(words.len(), 7, "a prefix is none");
    }

    #[test]
    fn a_file_that_would_be_a_command_is_no_candidate() {
        for odd in ["$(reboot)", "a b", "a;b", "`a`", "a\u{b}b", "*", "~root", "a'b", "a\nb"] {
            assert!(!is_word(odd), "{odd}");
        }
        assert!(is_word("lists/partners.txt") && is_word("--force=shrink,empty"));
    }
}

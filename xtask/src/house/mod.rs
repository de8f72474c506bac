//! `cargo xtask house`: holds the sources against the rules of docs/architecture.md and CONTRIBUTING.md. What comes in
//! is the text of the files, read and parsed once by [`source`]; what goes out is a list of [`Violation`]s. Each rule
//! has a file, and none knows of another.

mod attributes;
mod circles;
mod clocks;
mod facts;
mod fields;
mod floors;
mod folders;
mod heads;
mod lengths;
mod modules;
mod names;
mod paths;
mod source;
mod table;

use std::path::Path;

use anyhow::{Result, bail};

use self::source::Sources;

/// What the sources are held against.
struct Rule {
    name: &'static str,
    /// What mends most violations.
    hint: &'static str,
    check: fn(&Sources) -> Vec<Violation>,
}

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    file: String,
    line: usize,
    what: String,
}

const RULES: [Rule; 8] =
    [floors::RULE, circles::RULE, names::RULE, folders::RULE, lengths::RULE, fields::RULE, heads::RULE, clocks::RULE];

/// How many violations are shown unless all are asked for.
const SHOWN: usize = 40;

/// Tells on standard error where a rule is broken; an error when one is. `all`, or as many as fit on a screen.
pub fn house(root: &Path, all: bool) -> Result<()> {
    let sources = Sources::read(root)?;
    let found: Vec<_> = RULES.iter().map(|rule| (rule, sorted((rule.check)(&sources)))).collect();
    let lines = found.iter().flat_map(|(rule, violations)| violations.iter().map(|one| one.show(rule)));
    lines.take(if all { usize::MAX } else { SHOWN }).for_each(|line| eprintln!("{line}"));
    let broken = found.iter().filter(|(_, violations)| !violations.is_empty());
    broken.for_each(|(rule, violations)| eprintln!("{}: {}\nhint: {}", rule.name, violations.len(), rule.hint));
    match found.iter().map(|(_, violations)| violations.len()).sum::<usize>() {
        0 => eprintln!("  house: {} files keep {} rules", sources.files().count(), RULES.len()),
        count => bail!("the sources break rules of the house in {count} places"),
    }
    Ok(())
}

impl Violation {
    fn new(file: &str, line: usize, what: String) -> Self {
        Self { file: file.to_owned(), line, what }
    }

    fn show(&self, rule: &Rule) -> String {
        format!("{}:{}: {}: {}", self.file, self.line, rule.name, self.what)
    }
}

fn sorted(mut violations: Vec<Violation>) -> Vec<Violation> {
    violations.sort();
    violations.dedup();
    violations
}

#[cfg(test)]
mod tests {
    use super::{source::Crate, *};

    impl Sources {
        /// One crate of files that are given by path and text.
        pub(super) fn of(folder: &str, files: &[(&str, &str)]) -> Self {
            let texts = files.iter().map(|(path, text)| (format!("{folder}/{path}"), (*text).to_owned())).collect();
            Self { crates: vec![Crate::parse(folder, texts, false).unwrap()], architecture: String::new() }
        }
    }

    /// Where a rule is broken, as `file:line`.
    pub(super) fn places(rule: &Rule, sources: &Sources) -> Vec<String> {
        sorted((rule.check)(sources)).iter().map(|one| format!("{}:{}", one.file, one.line)).collect()
    }
}

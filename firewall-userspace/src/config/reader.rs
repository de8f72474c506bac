//! Collects every problem of a configuration, with its key path and place.
//!
//! A place is counted over all texts of the configuration ([`Source`]): its own and those of the files that it includes.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    diagnostic::{Diagnostic, Severity},
    merge,
    source::Source,
};
use crate::text::{
    location::Location,
    shown::{shown, shown_path},
};

/// A key path and its place in the configuration.
#[derive(Clone, Debug)]
pub struct At {
    /// Key path such as `services.api.ports[0]`.
    pub path: String,
    /// Octets, counted over all texts.
    pub span: Range<usize>,
}

/// Collects problems.
#[derive(Default)]
pub struct Reader<'s> {
    /// What is read, in the order of its places.
    sources: Vec<&'s Source>,
    diagnostics: Vec<Diagnostic>,
    damage: Damage,
}

/// What syntax errors have made unreliable. Problems that may only follow from them are not reported.
#[derive(Default)]
struct Damage {
    /// Lines with a syntax error, and the positions of their texts.
    lines: BTreeSet<(usize, usize)>,
    /// A broken header may have put keys into the wrong table.
    headers: bool,
}

impl<'s> Reader<'s> {
    /// The document in `source`, which stands behind everything that was parsed before; its syntax errors are reported, one a line.
    pub fn parse(&mut self, source: &'s Source) -> DeTable<'s> {
        let number = self.sources.len();
        self.sources.push(source);
        let (document, syntax_errors) = DeTable::parse_recoverable(&source.text);
        let base = source.base();
        let place = |span: Range<usize>| At { path: String::new(), span: span.start + base..span.end + base };
        let mut errors: Vec<(At, &str)> =
            syntax_errors.iter().map(|error| (place(error.span().unwrap_or_default()), error.message())).collect();
        errors.sort_by_key(|(at, _)| at.span.start);
        for (at, message) in errors {
            let place = source.locate(&at.span);
            if self.damage.lines.contains(&(number, place.line)) {
                continue;
            }
            let is_header = place.excerpt.is_some_and(|line| line.trim_start().starts_with('['));
            let (message, hint) = explain(message, source.at(&at.span));
            self.report(Severity::Error, &at, message, hint);
            self.damage.headers |= is_header;
            self.damage.lines.insert((number, place.line));
        }
        merge::moved(document.into_inner(), base)
    }

    /// What is written at `at`.
    pub fn text(&self, at: &At) -> &'s str {
        self.source(at).map_or("", |(_, source)| source.at(&at.span))
    }

    /// The file and the place in it.
    pub fn place(&self, at: &At) -> (PathBuf, Location) {
        match self.source(at) {
            Some((_, source)) => (source.name.clone(), source.locate(&at.span)),
            None => (PathBuf::new(), Location::in_line(1, "", 0..0)),
        }
    }

    /// Folder that paths at `at` are relative to.
    pub fn folder(&self, at: &At) -> &'s Path {
        self.source(at).map_or(Path::new(""), |(_, source)| &source.folder)
    }

    /// Where `other` is, in a message about `at`: `line 3`, or `conf.d/a.toml:3:1` when that is another file.
    pub fn told(&self, other: &At, at: &At) -> String {
        let position = |at| self.source(at).map(|(number, _)| number);
        let (file, Location { line, column, .. }) = self.place(other);
        if position(other) == position(at) {
            format!("line {line}")
        } else {
            format!("{}:{line}:{column}", shown_path(&file))
        }
    }

    /// Whether nothing has been refused.
    pub fn is_clean(&self) -> bool {
        self.diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error)
    }

    /// What was found.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    /// Whether keys may stand in the wrong table because a header is broken.
    pub fn has_broken_headers(&self) -> bool {
        self.damage.headers
    }

    /// Something is wrong at `at`.
    pub fn error(&mut self, at: &At, message: impl Into<String>) {
        self.report(Severity::Error, at, message.into(), None);
    }

    /// Something is wrong at `at`, and one action fixes most cases.
    pub fn error_with_hint(&mut self, at: &At, message: impl Into<String>, hint: impl Into<String>) {
        self.report(Severity::Error, at, message.into(), Some(hint.into()));
    }

    /// Something is not there, or a name has no definition: a syntax error elsewhere may have hidden it.
    pub fn missing(&mut self, at: &At, message: impl Into<String>, hint: Option<String>) {
        if self.damage.lines.is_empty() {
            self.report(Severity::Error, at, message.into(), hint);
        }
    }

    /// Something at `at` may not be what was meant.
    pub fn warning(&mut self, at: &At, message: impl Into<String>, hint: Option<String>) {
        self.report(Severity::Warning, at, message.into(), hint);
    }

    /// A problem of the file that is named at `at`: shown in that file, or where it is named when the file as a whole is wrong.
    pub fn error_about_file(&mut self, at: &At, problem: Diagnostic) {
        match problem.location {
            Some(_) => self.push(problem),
            None => self.report(Severity::Error, at, problem.message, problem.hint),
        }
    }

    /// Something that belongs to no table of the configuration is not there.
    pub fn missing_in_file(&mut self, severity: Severity, path: &str, message: &str, hint: &str) {
        if self.damage.lines.is_empty() {
            let name = self.sources.first().map_or(Path::new(""), |source| &source.name);
            self.diagnostics.push(Diagnostic {
                severity,
                hint: Some(hint.to_owned()),
                ..Diagnostic::of_file(name, path, message.to_owned())
            });
        }
    }

    /// A problem in another file, or of the whole configuration.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn report(&mut self, severity: Severity, at: &At, message: String, hint: Option<String>) {
        let number = self.source(at).map_or(0, |(number, _)| number);
        let (file, location) = self.place(at);
        if self.damage.lines.contains(&(number, location.line)) {
            return;
        }
        self.diagnostics.push(Diagnostic {
            severity,
            path: at.path.clone(),
            message,
            file,
            location: Some(location),
            hint,
        });
    }

    /// The text that `at` is in, and its position.
    fn source(&self, at: &At) -> Option<(usize, &'s Source)> {
        let behind = self.sources.partition_point(|source| source.base() <= at.span.start);
        let number = behind.checked_sub(1)?;
        self.sources.get(number).map(|source| (number, *source))
    }
}

/// A syntax error about `text` in words that tell what to do, and a hint.
fn explain(message: &str, text: &str) -> (String, Option<String>) {
    let is_word = !text.is_empty() && text.chars().all(|symbol| symbol.is_alphanumeric() || "-_./:".contains(symbol));
    match message {
        "duplicate key" => (format!("the key `{}` is written twice", shown(text)), None),
        "string values must be quoted, expected literal string" if text.is_empty() => {
            ("a value is missing".into(), None)
        }
        _ if is_word && (message.starts_with("string values must") || message.starts_with("invalid boolean")) => {
            (format!("`{}` is not a value", shown(text)), Some(format!("strings stand in quotes: \"{}\"", shown(text))))
        }
        _ => (message.to_owned(), None),
    }
}

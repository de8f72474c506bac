//! Collects every problem of a configuration, with its key path and place.

use std::{collections::BTreeSet, ops::Range};

use super::{
    diagnostic::{Diagnostic, Severity},
    source::Source,
};
use crate::text::shown::shown;

/// A key path and its place in the configuration.
#[derive(Clone, Debug)]
pub struct At {
    /// Key path such as `services.api.ports[0]`.
    pub path: String,
    /// Octets of the configuration.
    pub span: Range<usize>,
}

/// Collects problems.
pub struct Reader<'s> {
    source: &'s Source,
    diagnostics: Vec<Diagnostic>,
    damage: Damage,
}

/// What syntax errors have made unreliable. Problems that may only follow from them are not reported.
#[derive(Default)]
struct Damage {
    /// Lines with a syntax error.
    lines: BTreeSet<usize>,
    /// A broken header may have put keys into the wrong table.
    headers: bool,
}

impl<'s> Reader<'s> {
    /// Reports the syntax errors of the document, one a line; the walk can begin.
    pub fn new(source: &'s Source, syntax_errors: &[toml::de::Error]) -> Self {
        let mut reader = Self { source, diagnostics: Vec::new(), damage: Damage::default() };
        let mut errors: Vec<(At, &str)> = syntax_errors
            .iter()
            .map(|error| (At { path: String::new(), span: error.span().unwrap_or_default() }, error.message()))
            .collect();
        errors.sort_by_key(|(at, _)| at.span.start);
        for (at, message) in errors {
            let place = source.locate(&at.span);
            if reader.damage.lines.contains(&place.line) {
                continue;
            }
            let is_header = place.excerpt.is_some_and(|line| line.trim_start().starts_with('['));
            let (message, hint) = explain(message, source.text.get(at.span.clone()).unwrap_or_default());
            reader.report(Severity::Error, &at, message, hint);
            reader.damage.headers |= is_header;
            reader.damage.lines.insert(place.line);
        }
        reader
    }

    /// The configuration that is read.
    pub fn source(&self) -> &'s Source {
        self.source
    }

    /// Line number of a place, for messages about two places.
    pub fn line(&self, at: &At) -> usize {
        self.source.line(at.span.start)
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

    /// A problem of the file that is named at `at`.
    pub fn error_about_file(&mut self, at: &At, problem: Diagnostic) {
        self.report(Severity::Error, at, problem.message, problem.hint);
    }

    /// Something that belongs to no table of the file is not there.
    pub fn missing_in_file(&mut self, severity: Severity, path: &str, message: &str, hint: &str) {
        if self.damage.lines.is_empty() {
            self.diagnostics.push(Diagnostic {
                severity,
                hint: Some(hint.to_owned()),
                ..Diagnostic::of_file(&self.source.name, path, message.to_owned())
            });
        }
    }

    /// A problem in another file, or of the whole configuration.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn report(&mut self, severity: Severity, at: &At, message: String, hint: Option<String>) {
        let location = self.source.locate(&at.span);
        if self.damage.lines.contains(&location.line) {
            return;
        }
        self.diagnostics.push(Diagnostic {
            severity,
            path: at.path.clone(),
            message,
            file: self.source.name.clone(),
            location: Some(location),
            hint,
        });
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

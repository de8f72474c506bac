//! What is wrong with a configuration, and where.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::render;
use crate::text::{
    location::Location,
    shown::{counted, shown_path},
};

/// Whether a problem stops the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It can be used, but perhaps does not do what was meant.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Key path such as `lists.partners.entries[3]`; empty when the problem has no key.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// File it is in.
    pub file: PathBuf,
    /// Place in the file; `None` when the problem is the whole file.
    pub location: Option<Location>,
    /// The one action that fixes most cases.
    pub hint: Option<String>,
}

/// Everything found out about a configuration, in the order of its files and lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

/// Problems of a short report.
const SHORT: usize = 100;

/// Octets after which a short report ends.
const SHORT_OCTETS: usize = 64 << 10;

impl Diagnostic {
    /// An error of a whole file.
    pub(crate) fn of_file(file: &Path, path: &str, message: String) -> Self {
        Self {
            severity: Severity::Error,
            path: path.to_owned(),
            message,
            file: file.to_owned(),
            location: None,
            hint: None,
        }
    }

    /// Line and column, from 1.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.location.as_ref().map(|location| (location.line, location.column))
    }

    /// Key path and message, as they are shown.
    pub fn title(&self) -> String {
        if self.path.is_empty() { self.message.clone() } else { format!("{}: {}", self.path, self.message) }
    }
}

impl Report {
    /// The problems of one configuration. `files` says in which order its files were read.
    pub(crate) fn new(mut diagnostics: Vec<Diagnostic>, files: &[PathBuf]) -> Self {
        diagnostics.sort_by_cached_key(|diagnostic| {
            let file = files.iter().position(|file| *file == diagnostic.file);
            (file.unwrap_or(files.len()), diagnostic.position())
        });
        Self { diagnostics }
    }

    /// Every problem.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// What stops the configuration from being used.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.of(Severity::Error)
    }

    /// What may not have been meant.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.of(Severity::Warning)
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// All problems with their source lines; with terminal colours when `coloured`.
    pub fn render(&self, coloured: bool) -> String {
        self.diagnostics.iter().map(|diagnostic| render::diagnostic(diagnostic, coloured)).collect()
    }

    /// The same without colours for an answer or a log, which are short: the first hundred, then how many more there are.
    pub fn render_short(&self) -> String {
        let mut text = String::new();
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index == SHORT || text.len() > SHORT_OCTETS {
                let more = counted(self.diagnostics.len() - index, "more problem");
                text.push_str(&format!("{more}\nhint: `portcullis check` tells all of them\n\n"));
                break;
            }
            let rendered = render::diagnostic(diagnostic, false);
            // A key may be as long as the file.
            let end = rendered.floor_char_boundary(SHORT_OCTETS);
            text.push_str(rendered.get(..end).unwrap_or_default());
        }
        text
    }

    /// The schema `portcullis.check/v1`; `file` is the configuration that was checked.
    pub fn to_json(&self, file: &Path) -> impl Serialize {
        let rows = |severity| self.of(severity).map(Row::from).collect();
        ReportDocument {
            schema: "portcullis.check/v1",
            file: file.to_string_lossy().into_owned(),
            errors: rows(Severity::Error),
            warnings: rows(Severity::Warning),
        }
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(move |diagnostic| diagnostic.severity == severity)
    }
}

/// A report in JSON.
#[derive(Serialize)]
struct ReportDocument<'d> {
    schema: &'static str,
    file: String,
    errors: Vec<Row<'d>>,
    warnings: Vec<Row<'d>>,
}

/// A diagnostic in JSON.
#[derive(Serialize)]
struct Row<'d> {
    path: &'d str,
    message: &'d str,
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    hint: Option<&'d str>,
}

impl<'d> From<&'d Diagnostic> for Row<'d> {
    fn from(diagnostic: &'d Diagnostic) -> Self {
        Self {
            path: &diagnostic.path,
            message: &diagnostic.message,
            file: diagnostic.file.to_string_lossy().into_owned(),
            line: diagnostic.position().map(|(line, _)| line),
            column: diagnostic.position().map(|(_, column)| column),
            hint: diagnostic.hint.as_deref(),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One line, for a log: `file:line:column: path: message`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_path(&self.file))?;
        if let Some((line, column)) = self.position() {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.title())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

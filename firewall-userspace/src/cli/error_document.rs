//! A failure as data, for `-o json`.

use serde_json::{Map, Value, json};

use super::output::{self, Output};
use crate::{config::Report, exit::Exit};

/// Why a command failed: the schema `portcullis.error/v1`. What the daemon itself refuses is told by its own document instead,
/// which has the members `code`, `detail` and `errors` too.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorDocument(Map<String, Value>);

impl ErrorDocument {
    /// What `words`, which standard error gets, say: a line `error: ...`, perhaps with more lines, and perhaps `hint: ...`.
    pub fn new(code: &str, exit: Exit, words: &str) -> Self {
        let is_error = |line: &&str| line.starts_with("error: ");
        let lines: Vec<&str> = words.lines().collect();
        let begin = lines.iter().position(is_error).unwrap_or(0);
        let last = lines.iter().rposition(is_error).unwrap_or(0);
        let text = lines.get(last..).unwrap_or_default();
        let end = text.iter().position(|line| line.starts_with("hint: ")).unwrap_or(text.len());
        let (detail, hint) = text.split_at(end);
        let errors = lines.get(begin..last).unwrap_or_default().iter().filter(|line| is_error(line));
        let without = |line: &str, label: &str| line.strip_prefix(label).unwrap_or(line).to_owned();
        let detail = without(&detail.join("\n"), "error: ");
        let hint = (!hint.is_empty()).then(|| without(&hint.join("\n"), "hint: "));
        let errors: Vec<Value> =
            errors.map(|line| json!({ "pointer": "", "detail": without(line, "error: ") })).collect();
        let mut members = Map::new();
        members.insert("schema".into(), "portcullis.error/v1".into());
        members.insert("code".into(), code.into());
        members.insert("exit_code".into(), exit.code().into());
        members.insert("detail".into(), detail.into());
        members.extend(hint.map(|hint| ("hint".to_owned(), hint.into())));
        if !errors.is_empty() {
            members.insert("errors".into(), errors.into());
        }
        Self(members)
    }

    /// The same with a member `name`.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    /// The same with all problems of a configuration: `check`, in the schema `portcullis.check/v1`.
    #[must_use]
    pub fn with_report(self, file: &std::path::Path, report: &Report) -> Self {
        // Strings and numbers can always be written as JSON.
        let report = serde_json::to_value(report.to_json(file)).unwrap_or_default();
        self.with("check", report)
    }

    /// Writes it to standard output, when that is what `output` asks for and nothing else is there yet. The words and the exit code
    /// are there even when nobody reads it.
    pub fn print(&self, output: Output) {
        if output == Output::Json && !output::has_begun() {
            let _ = output::data(Value::Object(self.0.clone()).to_string().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_members() {
        let document = |words| Value::Object(ErrorDocument::new("x", Exit::Unreachable, words).0);
        assert_eq!(
            document("error: cannot reach it: gone\nhint: is it there?"),
            json!({
                "schema": "portcullis.error/v1", "code": "x", "exit_code": 3, "detail": "cannot reach it: gone",
                "hint": "is it there?",
            })
        );
        let many = document("--> x.toml:1:2\nerror: one\nerror: two\nerror: 2 things\nand more");
        assert_eq!(many["detail"], "2 things\nand more");
        assert_eq!(many["errors"], json!([{ "pointer": "", "detail": "one" }, { "pointer": "", "detail": "two" }]));
        assert_eq!((&many["hint"], &document("")["detail"]), (&Value::Null, &"".into()));
    }
}

//! Problems as text, in the manner of rustc: message, place, source line, carets, hint.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Severity};
use crate::text::shown::{escaped, shown_path};

/// One problem, ending in an empty line. Control characters of the file are shown, not sent to the terminal.
pub fn diagnostic(diagnostic: &Diagnostic, coloured: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let file = shown_path(&diagnostic.file);
    let title = diagnostic.title();
    let title = level.primary_title(escaped(&title));
    let place = match &diagnostic.location {
        None => title.element(Origin::path(file)),
        Some(location) => match &location.excerpt {
            None => title.element(Origin::path(file).line(location.line).char_column(location.column)),
            Some(line) => title.element(
                Snippet::source(line.as_str())
                    .line_start(location.line)
                    .path(file)
                    .annotation(AnnotationKind::Primary.span(location.highlight.clone())),
            ),
        },
    };
    let mut groups = vec![place];
    if let Some(hint) = &diagnostic.hint {
        groups.push(Group::with_title(Level::HELP.with_name("hint").secondary_title(escaped(hint))));
    }
    let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.render(&groups);
    text.push_str("\n\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::location::Location;

    fn warning(location: Option<Location>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            path: "a.b".into(),
            message: "is odd".into(),
            file: "x.toml".into(),
            location,
            hint: None,
        }
    }

    #[test]
    fn the_caret_stands_under_the_value_and_the_column_counts_characters() {
        let line = "\tports = [\"ä\", \"漢字\", 70000]\r\n";
        let start = line.find("70000").expect("the line has it");
        let location = Location::in_line(42, line, start..start + 5);
        assert_eq!((location.line, location.column), (42, 22));
        let mut problem = warning(Some(location));
        problem.hint = Some("do this".into());
        let wanted = "\
warning: a.b: is odd
  --> x.toml:42:22
   |
42 |     ports = [\"ä\", \"漢字\", 70000]
   |                           ^^^^^
   |
hint: do this

";
        assert_eq!(diagnostic(&problem, false), wanted);
    }

    #[test]
    fn an_escape_sequence_of_the_file_does_not_reach_the_terminal() {
        let mut problem = warning(Some(Location::in_line(1, "a = \"\u{1b}[31m\"", 4..10)));
        problem.message = "\u{1b}[2J".into();
        problem.hint = Some("\u{1b}c".into());
        problem.file = "x\u{1b}".into();
        assert!(!diagnostic(&problem, false).contains('\u{1b}'));
    }

    #[test]
    fn a_problem_of_the_whole_file_and_one_in_an_endless_line_have_no_source_line() {
        assert_eq!(diagnostic(&warning(None), false), "warning: a.b: is odd\n--> x.toml\n\n");
        let endless = Location::in_line(3, &"x".repeat(100_000), 50_000..50_001);
        assert_eq!(diagnostic(&warning(Some(endless)), false), "warning: a.b: is odd\n--> x.toml:3:50001\n\n");
    }
}

//! One mistake at a time: every message with its place, and nothing besides.

mod api;
mod interfaces;
mod limits;
mod lists;
mod packet_tests;
mod policy;
mod services;
mod short_sections;
mod syntax;

use std::path::Path;

use firewall_userspace::config::{Diagnostic, Report, Severity, load_text};

/// A configuration without mistakes and without warnings.
const GOOD: &str = r#"[[interface]]
name = "eth0"
[policy]
management = ["198.51.100.1"]
[lists.a]
entries = ["192.0.2.0/24"]
[limits.l]
packets = { rate = 5 }
[services.s]
protocol = "tcp"
ports = [443]
allow = ["a"]
limit = "l"
"#;

/// What is said about `text`, one line a problem.
fn said(text: &str) -> Vec<String> {
    let report = match load_text(Path::new("x.toml"), text, Path::new("tests/data")) {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.errors().count(), 0, "a configuration with errors was accepted");
            loaded.warnings
        }
        Err(report) => {
            assert_ne!(report.errors().count(), 0, "a configuration without errors was refused");
            report
        }
    };
    assert!(report.is_empty() || !report.render(true).is_empty());
    lines(&report)
}

fn lines(report: &Report) -> Vec<String> {
    let line = |diagnostic: &Diagnostic| {
        let place = diagnostic.position().map_or(String::new(), |(line, column)| format!("{line}:{column} "));
        let mark = if diagnostic.severity == Severity::Warning { "(warning) " } else { "" };
        format!("{place}{mark}{}", diagnostic.title())
    };
    report.diagnostics().iter().map(line).collect()
}

/// Replaces `from`, which stands in [`GOOD`] once, by `to` and compares all that is said.
fn check(from: &str, to: &str, wanted: &[&str]) {
    assert_eq!(GOOD.matches(from).count(), 1, "`{from}` must stand in the good file once");
    let text = GOOD.replace(from, to);
    assert_eq!(said(&text), wanted, "in this file:\n{text}");
}

/// Appends `more` (which begins in line 14) to [`GOOD`] and compares all that is said.
fn check_more(more: &str, wanted: &[&str]) {
    let text = format!("{GOOD}{more}");
    assert_eq!(said(&text), wanted, "in this file:\n{text}");
}

#[test]
fn nothing_is_said_about_a_good_file() {
    check_more("", &[]);
    assert_eq!(said(&format!("\u{feff}{}", GOOD.replace('\n', "\r\n"))), [""; 0]);
}

//! `portcullis check`: whether a configuration can be used, without root and without a kernel.

use std::{
    env,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde::Serialize;

use super::output::Output;
use crate::{
    config::{self, Loaded, Report},
    preview::packet_tests::{self, Outcome},
    text::shown::counted,
};

/// Arguments of `portcullis check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Configuration to check, `-` for standard input.
    #[arg(value_name = "FILE", default_value = config::DEFAULT_PATH)]
    pub file: PathBuf,
    /// Refuse a configuration with warnings too.
    #[arg(long)]
    pub strict: bool,
    /// Run its `[[test]]` tables too; exit code 1 when one of them fails.
    ///
    /// They are judged on this machine by the compiled policy, without pushed entries and without limits.
    #[arg(long)]
    pub tests: bool,
}

/// Exit code of a configuration that is refused.
const INVALID: u8 = 5;

/// Exit code when a test fails.
const TEST_FAILED: u8 = 1;

/// Exit code when the answer could not be written.
const NOT_WRITTEN: u8 = 1;

/// Checks `args.file` and prints the result: problems as text on standard error, or everything as JSON (schema
/// `portcullis.check/v1`) on standard output.
pub fn run(args: &CheckArgs, output: Output) -> ExitCode {
    let is_stdin = args.file == Path::new("-");
    let result = if is_stdin { config::load_stdin(io::stdin().lock()) } else { config::load(&args.file) };
    let name = if is_stdin { Path::new(config::STDIN) } else { &args.file };
    let outcomes = match &result {
        Ok(loaded) if args.tests => Some(packet_tests::run(loaded)),
        _ => None,
    };
    let written = match output {
        Output::Table => print_table(name, &result, outcomes.as_deref(), args.strict),
        Output::Json => print_json(name, &result, outcomes.as_deref()),
    };
    match written {
        // Whoever read the answer has stopped reading (`| head`): the verdict stands.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!("error: cannot write the answer: {error}\n"));
            ExitCode::from(NOT_WRITTEN)
        }
        _ if is_refused(&result, args.strict) => ExitCode::from(INVALID),
        _ if outcomes.iter().flatten().any(|outcome| !outcome.passed()) => ExitCode::from(TEST_FAILED),
        _ => ExitCode::SUCCESS,
    }
}

fn is_refused(result: &Result<Loaded, Report>, is_strict: bool) -> bool {
    result.as_ref().map_or(true, |loaded| is_strict && !loaded.warnings.is_empty())
}

fn print_table(
    name: &Path,
    result: &Result<Loaded, Report>,
    outcomes: Option<&[Outcome<'_>]>,
    is_strict: bool,
) -> io::Result<()> {
    let report = report_of(result);
    let warnings = report.warnings().count();
    let and_warnings = if warnings == 0 { String::new() } else { format!(", {}", counted(warnings, "warning")) };
    let name = name.display();
    say(&report.render(stderr_is_coloured()));
    match result {
        Ok(loaded) if !is_refused(result, is_strict) => {
            let tests = outcomes.unwrap_or_default();
            let failed = packet_tests::report(tests, loaded);
            if !failed.is_empty() {
                say(&failed.render(stderr_is_coloured()));
                let (failed, all) = (failed.errors().count(), counted(tests.len(), "test"));
                say(&format!("error: {name}: {failed} of {all} failed\n"));
                return Ok(());
            }
            let and_tests =
                outcomes.map_or(String::new(), |tests| format!(", {} passed", counted(tests.len(), "test")));
            return writeln!(io::stdout(), "{name}: ok: {loaded}{and_warnings}{and_tests}");
        }
        Ok(_) => say(&format!("error: {name} is refused: {}, fatal with --strict\n", counted(warnings, "warning"))),
        Err(_) => {
            let errors = counted(report.errors().count(), "error");
            say(&format!("error: {name} is refused: {errors}{and_warnings}\n"));
        }
    }
    Ok(())
}

/// Writes to standard error. When it is closed there is nobody to tell; the exit code still tells a script.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn print_json(name: &Path, result: &Result<Loaded, Report>, outcomes: Option<&[Outcome<'_>]>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let tests = outcomes.map(|outcomes| outcomes.iter().map(TestRow::from).collect());
    let document = WithTests { report: report_of(result).to_json(name), tests };
    serde_json::to_writer_pretty(&mut stdout, &document)?;
    writeln!(stdout)
}

/// The answer in JSON: `tests` is there when they were run.
#[derive(Serialize)]
struct WithTests<'t, R> {
    #[serde(flatten)]
    report: R,
    #[serde(skip_serializing_if = "Option::is_none")]
    tests: Option<Vec<TestRow<'t>>>,
}

/// A test in JSON.
#[derive(Serialize)]
struct TestRow<'t> {
    name: &'t str,
    passed: bool,
    expected: String,
    expected_service: Option<&'t str>,
    verdict: &'static str,
    service: Option<&'t str>,
    line: usize,
    column: usize,
}

impl<'t> From<&'t Outcome<'t>> for TestRow<'t> {
    fn from(outcome: &'t Outcome<'t>) -> Self {
        let Outcome { test, judged } = outcome;
        Self {
            name: &test.name,
            passed: outcome.passed(),
            expected: test.expect.to_string(),
            expected_service: test.service.as_deref(),
            verdict: judged.verdict.label(),
            service: judged.service.as_deref(),
            line: test.place.location.line,
            column: test.place.location.column,
        }
    }
}

fn report_of(result: &Result<Loaded, Report>) -> &Report {
    match result {
        Ok(loaded) => &loaded.warnings,
        Err(report) => report,
    }
}

/// Whether a person with a terminal that knows colours reads standard error (<https://no-color.org>).
fn stderr_is_coloured() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

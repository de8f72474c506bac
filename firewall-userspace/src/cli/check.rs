//! `portcullis check`: whether a configuration can be used, without root and without a kernel; with `--host` also on this host.

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
    doctor::on_host::{self, HostFacts, HostFinding, Weight},
    exit::Exit,
    preview::packet_tests::{self, Outcome},
    text::shown::{counted, escaped},
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
    /// Look at the interfaces and sockets of this host too, without root.
    ///
    /// It is refused when `portcullis run` could not filter one of its interfaces here.
    #[arg(long)]
    pub host: bool,
}

/// Checks `args.file` and prints the result: problems as text on standard error, or everything as JSON (schema
/// `portcullis.check/v1`) on standard output.
pub fn run(args: &CheckArgs, output: Output) -> ExitCode {
    let is_stdin = args.file == Path::new("-");
    let facts = args.host.then(HostFacts::read);
    let ports = facts.as_ref().map(|facts| facts.given.clone()).unwrap_or_default();
    let result = match is_stdin {
        true => config::load_stdin(io::stdin().lock(), &ports),
        false => config::load_for(&args.file, &ports),
    };
    let name = if is_stdin { Path::new(config::STDIN) } else { &args.file };
    let outcomes = match &result {
        Ok(loaded) if args.tests => Some(packet_tests::run(loaded)),
        _ => None,
    };
    let findings = match (&result, &facts) {
        (Ok(loaded), Some(facts)) => Some(on_host::findings(&loaded.policy, facts)),
        _ => None,
    };
    let answer = WholeAnswer { name, result: &result, outcomes: outcomes.as_deref(), findings: findings.as_deref() };
    let written = match output {
        Output::Table => answer.print_table(args.strict),
        Output::Json => answer.print_json(),
    };
    match written {
        // Whoever read the answer has stopped reading (`| head`): the verdict stands.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!("error: cannot write the answer: {error}\n"));
            Exit::Negative.into()
        }
        _ if answer.is_refused(args.strict) => Exit::Invalid.into(),
        _ if outcomes.iter().flatten().any(|outcome| !outcome.passed()) => Exit::Negative.into(),
        _ => ExitCode::SUCCESS,
    }
}

/// Everything that was found out.
struct WholeAnswer<'a> {
    name: &'a Path,
    result: &'a Result<Loaded, Report>,
    /// Of its tests, when they were run.
    outcomes: Option<&'a [Outcome<'a>]>,
    /// Of this host, when it was looked at.
    findings: Option<&'a [HostFinding]>,
}

impl WholeAnswer<'_> {
    fn is_refused(&self, is_strict: bool) -> bool {
        let worst = self.findings.unwrap_or_default().iter().map(|finding| finding.level).max();
        let fatal = if is_strict { Weight::Warning } else { Weight::Error };
        let is_bad = self.result.as_ref().map_or(true, |loaded| is_strict && !loaded.warnings.is_empty());
        is_bad || worst.is_some_and(|worst| worst >= fatal)
    }

    /// How many things of this weight were found, in the configuration and on the host.
    fn count(&self, weight: Weight) -> usize {
        let report = report_of(self.result);
        let said = match weight {
            Weight::Error => report.errors().count(),
            Weight::Warning => report.warnings().count(),
            Weight::Note => 0,
        };
        said + self.findings.unwrap_or_default().iter().filter(|finding| finding.level == weight).count()
    }

    fn print_table(&self, is_strict: bool) -> io::Result<()> {
        let [errors, warnings, notes] = [Weight::Error, Weight::Warning, Weight::Note].map(|weight| self.count(weight));
        let and = |count: usize, thing: &str| {
            if count == 0 { String::new() } else { format!(", {}", counted(count, thing)) }
        };
        let also = and(warnings, "warning") + &and(notes, "note");
        let name = self.name.display();
        say(&report_of(self.result).render(stderr_is_coloured()));
        self.findings.into_iter().flatten().for_each(say_finding);
        match self.result {
            Ok(loaded) if !self.is_refused(is_strict) => {
                let tests = self.outcomes.unwrap_or_default();
                let failed = packet_tests::report(tests, loaded);
                if !failed.is_empty() {
                    say(&failed.render(stderr_is_coloured()));
                    let (failed, all) = (failed.errors().count(), counted(tests.len(), "test"));
                    say(&format!("error: {name}: {failed} of {all} failed\n"));
                    return Ok(());
                }
                let and_tests =
                    self.outcomes.map_or(String::new(), |tests| format!(", {} passed", counted(tests.len(), "test")));
                return writeln!(io::stdout(), "{name}: ok: {loaded}{also}{and_tests}");
            }
            _ if errors == 0 => {
                say(&format!("error: {name} is refused: {}, fatal with --strict\n", counted(warnings, "warning")));
            }
            Ok(_) => say(&format!("error: {name} is refused on this host: {}{also}\n", counted(errors, "error"))),
            Err(_) => say(&format!("error: {name} is refused: {}{also}\n", counted(errors, "error"))),
        }
        Ok(())
    }

    fn print_json(&self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let tests = self.outcomes.map(|outcomes| outcomes.iter().map(TestRow::from).collect());
        let document = WithMore { report: report_of(self.result).to_json(self.name), tests, host: self.findings };
        serde_json::to_writer_pretty(&mut stdout, &document)?;
        writeln!(stdout)
    }
}

fn say_finding(finding: &HostFinding) {
    let HostFinding { level, subject, message, hint, .. } = finding;
    say(&escaped(&format!("{}: {subject}: {message}", level.label())));
    say("\n");
    if let Some(hint) = hint {
        say(&escaped(&format!("  hint: {hint}")));
        say("\n");
    }
}

/// Writes to standard error. When it is closed there is nobody to tell; the exit code still tells a script.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The answer in JSON: `tests` is there when they were run, `host` when it was looked at.
#[derive(Serialize)]
struct WithMore<'t, R> {
    #[serde(flatten)]
    report: R,
    #[serde(skip_serializing_if = "Option::is_none")]
    tests: Option<Vec<TestRow<'t>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'t [HostFinding]>,
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
    file: String,
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
            file: test.place.file.to_string_lossy().into_owned(),
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

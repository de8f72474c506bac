//! `portcullis doctor`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    failure::{self, Failure},
    output::{self, Output},
};
use crate::{
    config,
    doctor::{self, Findings, Level},
    exit::Exit,
    text::shown::escaped,
};

/// Arguments of `portcullis doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Interface to look at; without it, those of the configuration, and those it forgot.
    #[arg(value_name = "INTERFACE")]
    interface: Option<String>,
    /// Configuration that names the interfaces.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
}

/// Looks; exit code 1 when something fails.
pub fn run(args: &DoctorArgs, output: Output) -> ExitCode {
    let findings = match doctor::examine(args.interface.as_deref(), &args.config) {
        Ok(findings) => findings,
        Err(error) => {
            return failure::refuse(output, "refused", Exit::Refused, &format!("error: {error}"));
        }
    };
    let written = match output {
        Output::Table => output::data(table(&findings).as_bytes()),
        Output::Json => serde_json::to_vec_pretty(&findings)
            .map_err(|error| Failure::Write(error.into()))
            .and_then(|json| output::data(&json)),
    };
    match written {
        Err(failure) => failure.report(output),
        Ok(()) if findings.worst() == Level::Fail => Exit::Negative.into(),
        Ok(()) => ExitCode::SUCCESS,
    }
}

/// A line for each check, and one for what mends it.
pub fn table(findings: &Findings) -> String {
    let widest = |width: &dyn Fn(&doctor::Check) -> usize| findings.checks.iter().map(width).max().unwrap_or(0);
    let (subject, check) = (widest(&|one| one.subject.chars().count()), widest(&|one| one.check.chars().count()));
    let mut text = String::new();
    for one in &findings.checks {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<4}  {:<subject$}  {:<check$}  {}",
            one.level.label(),
            escaped(&one.subject),
            one.check,
            escaped(&one.found)
        );
        if let Some(fix) = &one.fix {
            let _ = writeln!(text, "{:indent$}fix: {}", "", escaped(fix), indent = subject + check + 10);
        }
    }
    text
}

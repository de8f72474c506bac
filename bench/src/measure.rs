//! The part that needs root: everything that was asked for, one after the other.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    cases::Case,
    interrupt,
    machine::Machine,
    packets,
    results::{Effort, Results, SCHEMA},
    subject::reference_object,
};

/// What is measured.
#[derive(Args, Debug)]
pub struct Options {
    /// Object of the reference program
    #[arg(long)]
    reference: PathBuf,
    /// The binary whose start is timed
    #[arg(long)]
    portcullis: PathBuf,
    /// Few rounds and no long list
    #[arg(long)]
    quick: bool,
    /// Only what has this in its name
    #[arg(long)]
    only: Vec<String>,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }
}

/// Measures. What is under way is told on standard error.
///
/// # Errors
/// When this is not root, the kernel refuses something, or a filter does not do its job.
pub fn measure(options: &Options) -> Result<Results> {
    interrupt::notice()?;
    let effort = if options.quick { Effort::QUICK } else { Effort::WHOLE };
    let reference = reference_object(&options.reference)?;
    let mut results = Results { schema: SCHEMA.to_owned(), machine: Machine::here(), effort, packets: Vec::new() };
    let cases = Case::all().into_iter();
    for case in cases.filter(|case| case.prefixes <= effort.longest && options.wants(&case.to_string())) {
        interrupt::check()?;
        let measured = packets::measure(case, effort, &reference).with_context(|| format!("cannot measure {case}"))?;
        eprintln!("{measured}");
        results.packets.push(measured);
    }
    Ok(results)
}

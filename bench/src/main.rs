//! Measures Portcullis against its reference program and the filters of the kernel: `cargo xtask bench`.
//!
//! `measure` needs root and prints JSON; `report` makes tables, the document and its plot of it.

mod bpf;
mod cases;
mod frame;
mod interrupt;
mod machine;
mod measure;
mod packets;
mod prefixes;
mod report;
mod results;
mod rounds;
mod scrambler;
mod subject;

use std::{io, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(about = "Measure Portcullis; run by `cargo xtask bench`")]
enum Task {
    /// Measure, as root, and print JSON
    Measure(measure::Options),
    /// Show results
    Report {
        /// What `measure` printed
        results: PathBuf,
        /// Show what changed since these results
        #[arg(long)]
        compare: Option<PathBuf>,
        /// Print the results as they are
        #[arg(long)]
        json: bool,
        /// Folder to write performance.md and performance.svg into
        #[arg(long)]
        write: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Measure(options) => {
            let results = measure::measure(&options)?;
            serde_json::to_writer_pretty(io::stdout().lock(), &results)?;
            println!();
            Ok(())
        }
        Task::Report { results, compare, json, write } => {
            report::report(&results, compare.as_deref(), json, write.as_deref())
        }
    }
}

//! Measures Portcullis against its reference program and the filters of the kernel: `cargo xtask bench`.
//!
//! `measure` needs root and prints JSON; `report` makes tables, the document and its plot of it.

mod bpf;
mod cases;
mod counters;
mod effort;
mod frame;
mod interrupt;
mod kept;
mod load;
mod machine;
mod measure;
mod memory;
mod netfilter;
mod packets;
mod prefixes;
mod push;
mod readers;
mod report;
mod results;
mod rounds;
mod scrambler;
mod sizes;
mod subject;
mod targets;
mod wire;

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsFd as _,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser;
use nix::unistd::dup2_stdout;

#[derive(Parser)]
#[command(about = "Measure Portcullis; run by `cargo xtask bench`")]
enum Task {
    /// Measure, as root, and print JSON
    Measure(measure::Options),
    /// Hold connections, for `measure`
    #[command(hide = true)]
    Hold(sizes::Held),
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
            let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            // What is on the way printed by namespaces and daemons is for people.
            dup2_stdout(io::stderr())?;
            let results = measure::measure(&options)?;
            serde_json::to_writer_pretty(&output, &results)?;
            writeln!(&output)?;
            Ok(())
        }
        Task::Hold(held) => sizes::hold(&held),
        Task::Report { results, compare, json, write } => {
            report::report(&results, compare.as_deref(), json, write.as_deref())
        }
    }
}

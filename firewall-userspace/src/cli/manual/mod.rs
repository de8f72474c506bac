//! `portcullis manual`: the manual pages, for whoever makes a package.
//!
//! In: what clap knows of every command, and the sample configuration, which explains every key. Out: pages in man(7), portcullis(8) and
//! one for each command, and portcullis.toml(5). Nobody owns anything here: both sources are what users meet, so that no page lags behind.

mod keys;
mod roff;
mod verb;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Command};

use super::{
    failure,
    output::{self, Output},
};
use crate::{
    exit::Exit,
    text::shown::{counted, shown_path},
};

/// Arguments of `portcullis manual`.
#[derive(Args, Clone, Debug)]
pub struct ManualArgs {
    /// Folder to write the pages to; it is made when it is not there.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes the pages of `command`; the same ones at each time and on each machine.
pub fn run(args: &ManualArgs, command: Command, output: Output) -> ExitCode {
    let pages = pages(command);
    if let Err((path, error)) = write(&args.directory, &pages) {
        let words = format!("error: cannot write the manual to {}: {error}", shown_path(&path));
        return failure::refuse(output, "refused", Exit::Refused, &words);
    }
    let names: Vec<&String> = pages.iter().map(|(name, _)| name).collect();
    let text = match output {
        Output::Table => format!("{} in {}", counted(pages.len(), "page"), shown_path(&args.directory)),
        Output::Json => serde_json::json!({ "schema": "portcullis.manual/v1", "pages": names }).to_string(),
    };
    output::data(text.as_bytes()).map_or_else(|failure| failure.report(output), |()| ExitCode::SUCCESS)
}

/// Every page, with the name of its file.
fn pages(mut command: Command) -> Vec<(String, String)> {
    command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    verb::add(&command, &[], &mut pages);
    pages.push(("portcullis.toml.5".to_owned(), keys::page()));
    pages
}

fn write(directory: &Path, pages: &[(String, String)]) -> Result<(), (PathBuf, std::io::Error)> {
    fs::create_dir_all(directory).map_err(|error| (directory.to_owned(), error))?;
    for (name, text) in pages {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| (path, error))?;
    }
    Ok(())
}

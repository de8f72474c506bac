//! `portcullis restore`: entries as `allow list --export` and `deny list --export` have written them.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

use clap::Args;

use super::{client::Client, failure::Failure, lists, output::Output, sync, terms::TermsArgs};
use crate::{
    control::{Sync, SyncLine},
    lists::entry::Layer,
};

/// Arguments of `restore`.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// What an export has written; `-` for standard input.
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    terms: TermsArgs,
}

/// Does it.
pub fn run(client: &Client, output: Output, args: RestoreArgs) -> Result<(), Failure> {
    let RestoreArgs { file, terms } = args;
    let failed = |source: io::Error| Failure::Input { file: file.clone(), source };
    let input: Box<dyn BufRead + Send> = if file == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(&file).map_err(failed)?))
    };
    let mut lines = Vec::new();
    for (line, number) in input.lines().zip(1..) {
        let line = line.map_err(failed)?;
        // The first line says what it is.
        if line.trim().is_empty() || number == 1 && line.contains(lists::EXPORT) {
            continue;
        }
        let entry = serde_json::from_str::<SyncLine<'_>>(&line).map_err(|error| {
            let why = format!("line {number} is no entry of an export: {error}");
            failed(io::Error::new(io::ErrorKind::InvalidData, why))
        })?;
        lines.push(owned(entry));
    }
    let control = terms.asked();
    let sync = Sync {
        verb: None,
        layer: Layer::Runtime,
        replace: Vec::new(),
        remove_of: None,
        remove_all: false,
        restore: true,
        person: None,
        dry_run: false,
        force: crate::control::Force::Nothing,
        confirm: None,
        caller: None,
    };
    let answer = sync::push(client, &sync.on(control), lines.into_iter())?;
    lists::tell_pushed(output, &answer)
}

fn owned(line: SyncLine<'_>) -> SyncLine<'static> {
    let SyncLine { list, prefix, remove, ttl, comment, layer, owner, person, created, expires } = line;
    let (list, prefix) = (list.into_owned().into(), prefix.into_owned().into());
    SyncLine { list, prefix, remove, ttl, comment, layer, owner, person, created, expires }
}

//! `portcullis restore`: entries as `allow list --export` and `deny list --export` have written them.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

use clap::{Args, error::ErrorKind};
use serde::Deserialize;

use super::{client::Client, failure::Failure, lists, output::Output, sync, terms::TermsArgs};
use crate::{
    control::{Sync, SyncLine},
    lists::entry::Layer,
    serve::http::problem::codes,
    text::problem::Problem,
};

/// Arguments of `restore`.
#[derive(Args, Clone, Debug)]
#[command(mut_arg("confirm", |confirm| confirm.hide(true)))]
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
    if terms.confirm.is_some() {
        super::refuse_usage(
            ErrorKind::ArgumentConflict,
            "`restore` waits for no confirmation: `--dry-run` says what it would change, `undo` takes it back",
        );
    }
    let failed = |source: io::Error| Failure::Input { file: file.clone(), source };
    let input: Box<dyn BufRead + Send> = if file == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(&file).map_err(failed)?))
    };
    let mut lines = Vec::new();
    let mut numbers: Vec<usize> = Vec::new();
    for (line, number) in input.lines().zip(1..) {
        let line = line.map_err(failed)?;
        // The first line says what it is; several exports, one behind the other, are one too.
        if line.trim().is_empty() || is_header(&line) {
            continue;
        }
        let entry = serde_json::from_str::<SyncLine<'_>>(&line).map_err(|error| {
            let error = error.to_string();
            // There is one line, as far as it knows.
            let why = error.split(" at line ").next().unwrap_or(&error);
            let why = format!(
                "line {number} is no entry of an export: {why}\nhint: `portcullis allow list --export` and `deny list --export` write \
                 what is restored"
            );
            failed(io::Error::new(io::ErrorKind::InvalidData, why))
        })?;
        lines.push(owned(entry));
        numbers.push(number);
    }
    let sync = Sync { restore: true, person: lists::person(), ..Sync::of(Layer::Runtime) }.on(terms.asked(client));
    let name = if file == "-" { "<stdin>" } else { &file };
    let answer = sync::push(client, &sync, lines.into_iter());
    let answer = answer.map_err(|failure| {
        let hint = "nothing was changed; correct the lines and restore all of them again";
        failure.told_by(|problem| tell(problem, name, &numbers)).with_hint(codes::INVALID, hint)
    })?;
    lists::tell_pushed(client, output, &answer, false)
}

/// Whether a line says that an export begins.
fn is_header(line: &str) -> bool {
    #[derive(Deserialize)]
    struct Header {
        schema: String,
    }
    line.contains(lists::EXPORT)
        && serde_json::from_str::<Header>(line).is_ok_and(|header| header.schema == lists::EXPORT)
}

/// A problem with the line that it is about, of a file whose entries stand in lines of these `numbers`.
fn tell(Problem { pointer, detail }: &Problem, file: &str, numbers: &[usize]) -> String {
    let index = pointer.split('/').nth(2).and_then(|index| index.parse::<usize>().ok());
    match index.and_then(|index| numbers.get(index)) {
        Some(number) => format!("{file}:{number}: {detail}"),
        None if pointer == "/confirm" => format!("--confirm: {detail}"),
        None => detail.clone(),
    }
}

fn owned(line: SyncLine<'_>) -> SyncLine<'static> {
    let SyncLine { list, prefix, remove, ttl, comment, layer, owner, person, created, expires } = line;
    let (list, prefix) = (list.into_owned().into(), prefix.into_owned().into());
    SyncLine { list, prefix, remove, ttl, comment, layer, owner, person, created, expires }
}

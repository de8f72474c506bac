//! `portcullis detach`: stop filtering, which nothing else does.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::{
    exit::Exit,
    output::{self, Output},
};
use crate::{
    datapath::{DatapathError, PinFolder, Pinned},
    policy::{AttachMode, attach_label},
    text::shown::counted,
};

/// Arguments of `portcullis detach`.
#[derive(Args, Clone, Debug)]
pub struct DetachArgs {
    /// Folder on a BPF file system that keeps what outlived the daemon.
    #[arg(
        long,
        value_name = "DIR",
        env = "PORTCULLIS_PIN_DIRECTORY",
        hide_env_values = true,
        default_value = super::run::DEFAULT_PINS
    )]
    pin_directory: PathBuf,
    /// Say what would be detached, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Removes every pinned link and map, of every ABI version, and says what it was.
pub fn run(args: &DetachArgs, output: Output) -> ExitCode {
    match detach(args) {
        Ok(pinned) => {
            let text = match output {
                Output::Table => lines(&pinned, args.dry_run),
                Output::Json => document(&pinned, args.dry_run).to_string(),
            };
            match output::data(text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => {
                    output::words(&failure.to_string());
                    failure.exit().into()
                }
            }
        }
        Err(error) => {
            output::words(&format!("error: {error}"));
            Exit::Refused.into()
        }
    }
}

fn detach(args: &DetachArgs) -> Result<Vec<Pinned>, DatapathError> {
    if args.dry_run {
        PinFolder::look(&args.pin_directory)
    } else {
        PinFolder::open_replacing(&args.pin_directory)?.clear()
    }
}

/// For people: the interfaces first.
fn lines(pinned: &[Pinned], dry_run: bool) -> String {
    let all: Vec<String> = pinned.iter().flat_map(|one| &one.links).map(|(interface, _)| interface.clone()).collect();
    let done = if dry_run { "dry run: would detach from" } else { "detached from" };
    let mut lines = vec![match all.join(", ") {
        none if none.is_empty() => "nothing was attached".to_owned(),
        interfaces => format!("{done} {interfaces}"),
    }];
    for Pinned { version, links, maps } in pinned {
        let link = |(interface, mode): &(String, AttachMode)| format!("{interface} ({})", attach_label(*mode));
        let links: Vec<String> = links.iter().map(link).collect();
        let done = if dry_run { "would remove" } else { "removed" };
        let part = |what: &str, names: &[String]| match names.len() {
            0 => format!("no {what}s"),
            count => format!("{}: {}", counted(count, what), names.join(", ")),
        };
        lines.push(format!("{done} of ABI version {version} {}; {}", part("link", &links), part("map", maps)));
    }
    lines.join("\n")
}

fn document(pinned: &[Pinned], dry_run: bool) -> serde_json::Value {
    let interfaces: Vec<&String> = pinned.iter().flat_map(|one| &one.links).map(|(interface, _)| interface).collect();
    let link =
        |(interface, mode): &(String, AttachMode)| json!({ "interface": interface, "mode": attach_label(*mode) });
    let one = |Pinned { version, links, maps }: &Pinned| json!({ "abi_version": version, "links": links.iter().map(link).collect::<Vec<_>>(), "maps": maps });
    let removed: Vec<_> = pinned.iter().map(one).collect();
    let mut document = json!({ "schema": "portcullis.detach/v1", "interfaces": interfaces, "removed": removed });
    if dry_run {
        document["dry_run"] = true.into();
    }
    document
}

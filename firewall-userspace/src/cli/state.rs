//! `portcullis state`: the folder of pushed entries, while no daemon uses it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use nix::unistd::{Gid, Uid, geteuid, setegid, seteuid};

use super::{
    failure,
    output::{self, Output},
};
use crate::{
    config,
    exit::Exit,
    files::{SERVICE_USER, service_user},
    state::{
        disk::Folder,
        error::StoreError,
        history,
        journal::{Repaired, salvage},
    },
    text::shown::counted,
};

/// What to do with a state folder.
#[derive(Clone, Debug, Subcommand)]
pub enum StateCommand {
    /// Keep all that can be read of a damaged state folder, while its daemon is stopped.
    ///
    /// Says what is lost. Files that were there are kept under names that end in `.damaged`. Nothing changes when nothing is
    /// damaged. An entry whose removal is lost is back: look at `portcullis allow list` afterwards.
    Repair(RepairArgs),
}

/// Arguments of `repair`.
#[derive(Args, Clone, Debug)]
pub struct RepairArgs {
    /// The `directory` of [state] in the configuration.
    #[arg(value_name = "DIR", default_value = config::DEFAULT_STATE_DIRECTORY)]
    directory: PathBuf,
}

/// Does it.
pub fn run(command: &StateCommand, output: Output) -> ExitCode {
    let StateCommand::Repair(RepairArgs { directory }) = command;
    match repair(directory) {
        Ok(repaired) => {
            let Repaired { entries, notes, set_aside } = repaired;
            for note in &notes {
                output::words(&format!("note: {note}"));
            }
            let written = match output {
                Output::Json => {
                    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
                    let schema = "portcullis.repair/v1";
                    let json = serde_json::json!({ "schema": schema, "entries": entries, "set_aside": set_aside, "notes": notes });
                    output::data(json.to_string().as_bytes())
                }
                Output::Table if set_aside.is_empty() => {
                    output::data(format!("nothing to repair: {} kept", counted(entries, "entry")).as_bytes())
                }
                Output::Table => {
                    let aside = set_aside.join(", ");
                    output::data(format!("{} kept; set aside {aside}", counted(entries, "entry")).as_bytes())
                }
            };
            written.map_or_else(|failure| failure.report(output), |()| ExitCode::SUCCESS)
        }
        Err(error) => failure::refuse(output, "refused", Exit::Refused, &format!("error: {error}")),
    }
}

fn repair(directory: &Path) -> Result<Repaired, String> {
    if !directory.is_dir() {
        let source = std::io::ErrorKind::NotFound.into();
        let error = StoreError::Folder { path: directory.to_owned(), attempt: "open", source };
        return Err(error.to_string());
    }
    become_service(directory)?;
    let folder = Folder::open(directory).map_err(|error| error.to_string())?;
    let mut repaired = salvage(&folder, Timestamp::now()).map_err(|error| error.to_string())?;
    repaired.set_aside.extend(history::repair(&folder).map_err(|error| error.to_string())?);
    Ok(repaired)
}

/// Root becomes the user of the service where the folder is that user's: what is written has to be its own, or the service could not
/// use it afterwards.
fn become_service(directory: &Path) -> Result<(), String> {
    let owner = fs::metadata(directory).ok().map(|facts| (facts.uid(), facts.gid()));
    let Some((user, group)) = owner.filter(|(user, _)| geteuid().is_root() && service_user() == Some(*user)) else {
        return Ok(());
    };
    let changed = setegid(Gid::from_raw(group)).and_then(|()| seteuid(Uid::from_raw(user)));
    changed.map_err(|error| format!("cannot repair {} as {SERVICE_USER}, whose it is: {error}", directory.display()))
}

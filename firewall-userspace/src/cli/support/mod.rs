//! `portcullis support`: one archive with what somebody needs who helps from afar.
//!
//! In: what the daemon, the host and the configuration say of themselves, each with a time and a size. Out: a new file that only its
//! owner can read, a list of what is in it, and in it the reasons for what is missing. Nobody owns anything here: nothing changes.

mod archive;
mod journal;
mod parts;
mod secrets;

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;
use jiff::Timestamp;
use nix::sys::utsname::uname;
use serde_json::json;

use self::{archive::Packed, parts::SupportPart, secrets::Secrets};
use super::{
    client::Client,
    failure::{self, Failure},
    output::{self, Output},
    pins::PinsArgs,
};
use crate::{
    config,
    exit::Exit,
    text::shown::{counted, escaped, grouped, shown_path},
};

/// Most octets of one part; what is longer is cut, and said to be.
const MOST: usize = 16 << 20;

/// Arguments of `portcullis support`.
#[derive(Args, Clone, Debug)]
pub struct SupportArgs {
    /// File to write, which must not be there yet; by default portcullis-support-HOST-TIME.tar.gz in the current folder.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Configuration to look at.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// Unit of the daemon, whose last 1,000 lines of the journal are taken.
    #[arg(long, value_name = "UNIT", default_value = "portcullis.service")]
    unit: String,
    #[command(flatten)]
    pins: PinsArgs,
}

/// A part that is in the archive.
struct Taken {
    part: SupportPart,
    octets: Vec<u8>,
}

/// What could not be had, and why.
type Missing = Vec<(&'static str, String)>;

/// Writes it; what cannot be had is named in it, and is no failure.
pub fn run(client: &Client, output: Output, args: &SupportArgs) -> ExitCode {
    let now = Timestamp::now();
    let name = format!("portcullis-support-{}-{}", host(), now.strftime("%Y%m%dT%H%M%SZ"));
    let file = args.file.clone().unwrap_or_else(|| format!("{name}.tar.gz").into());
    let (taken, missing) = gather(client, args);
    let packed = match archive::write(&file, &name, &entries(&taken, &missing), now) {
        Ok(packed) => packed,
        Err(error) => {
            let words = format!(
                "error: cannot write {}: {error}\nhint: `--file` names another place; no file is overwritten",
                shown_path(&file)
            );
            return failure::refuse(output, "refused", Exit::Refused, &words);
        }
    };
    let text = match output {
        Output::Table => table(&file, &packed, &taken, &missing),
        Output::Json => {
            let part =
                |one: &Taken| json!({ "name": one.part.name, "what": one.part.what, "octets": one.octets.len() });
            let lost = |(name, why): &(&str, String)| json!({ "name": name, "why": why });
            json!({
                "schema": "portcullis.support/v1",
                "file": file,
                "octets": packed.octets,
                "parts": taken.iter().map(part).collect::<Vec<_>>(),
                "missing": missing.iter().map(lost).collect::<Vec<_>>(),
            })
            .to_string()
        }
    };
    output::data(text.as_bytes()).map_or_else(|failure: Failure| failure.report(output), |()| ExitCode::SUCCESS)
}

/// Asks for every part. Secrets of the configuration are looked for in all others too.
fn gather(client: &Client, args: &SupportArgs) -> (Vec<Taken>, Missing) {
    let (mut taken, mut missing) = (Vec::new(), Vec::new());
    let mut secrets = Secrets::default();
    for (part, read) in parts::all() {
        match read(client, args) {
            Ok(found) => {
                let mut octets = secrets.without(&found, part.is_json()).into_bytes();
                if octets.len() > MOST {
                    missing.push((part.name, format!("cut: it has more than {} octets", grouped(MOST))));
                    octets.truncate(MOST);
                }
                taken.push(Taken { part, octets });
            }
            Err(why) => missing.push((part.name, secrets.without(&why, false))),
        }
    }
    (taken, missing)
}

/// Files of the archive: the list of them first.
fn entries(taken: &[Taken], missing: &Missing) -> Vec<(&'static str, Vec<u8>)> {
    let mut entries = vec![("contents.txt", contents(taken).into_bytes())];
    entries.extend(taken.iter().map(|one| (one.part.name, one.octets.clone())));
    let errors: String = missing.iter().map(|(name, why)| format!("{name}: {why}\n")).collect();
    entries.push(("errors.txt", errors.into_bytes()));
    entries
}

fn contents(taken: &[Taken]) -> String {
    let mut text = String::new();
    for Taken { part, octets } in taken {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<18} {:>9}  {}", part.name, grouped(octets.len()), part.what);
    }
    text
}

fn table(file: &std::path::Path, packed: &Packed, taken: &[Taken], missing: &Missing) -> String {
    let mut text = format!("{}: {} octets, readable by you only\n", shown_path(file), grouped(packed.octets));
    contents(taken).lines().for_each(|line| text.push_str(&format!("  {line}\n")));
    if !missing.is_empty() {
        text.push_str(&format!("errors.txt says why {} could not be had:\n", counted(missing.len(), "part")));
        for (name, why) in missing {
            let first = why.lines().next().unwrap_or_default();
            text.push_str(&format!("  {name}: {}\n", escaped(first)));
        }
    }
    text.push_str(
        "what looks like a password, token or private key is replaced by [removed]; addresses, names and comments are in it: \
         look before you pass it on\n",
    );
    text
}

/// The name of this host, as far as it can stand in a file name.
fn host() -> String {
    let name = uname().map_or_else(|_| String::new(), |name| name.nodename().to_string_lossy().into_owned());
    let is_plain = |symbol: &char| symbol.is_ascii_alphanumeric() || "-.".contains(*symbol);
    let name: String = name.chars().filter(is_plain).take(64).collect();
    if name.is_empty() { "host".to_owned() } else { name }
}

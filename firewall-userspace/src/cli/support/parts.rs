//! What goes into the archive: a name, what it is, and how it is had.

use std::{fs, io::Read as _, path::Path, time::Duration};

use nix::sys::utsname::uname;
use serde::Serialize;
use serde_json::Value;

use super::{MOST, SupportArgs, journal};
use crate::{
    cli::{client::Client, version},
    config,
    control::Status,
    doctor, files,
    text::shown::shown_path,
};

/// How long the daemon may take for each part.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most pins that are listed.
const PINS: usize = 10_000;

/// Levels of folders below the pin folder.
const DEEPEST: usize = 4;

/// A part.
#[derive(Clone, Copy, Debug)]
pub struct SupportPart {
    /// Its file.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
}

impl SupportPart {
    /// Whether it is a JSON document.
    pub fn is_json(self) -> bool {
        self.name.ends_with(".json")
    }
}

/// How a part is had: its text, or why there is none.
type Read = fn(&Client, &SupportArgs) -> Result<String, String>;

/// Every part. The configuration comes first, so that its secrets are known to the others.
pub fn all() -> [(SupportPart, Read); 10] {
    let part = |name, what| SupportPart { name, what };
    [
        (part("portcullis.toml", "the configuration file"), |_, args| text_of(&args.config)),
        (part("included.toml", "the files that it includes"), |_, args| included(&args.config)),
        (part("check.json", "what `portcullis check` says of it"), |_, args| check(&args.config)),
        (part("version.json", "versions of this command and of the daemon"), |client, _| {
            pretty(&version::document(client))
        }),
        (part("status.json", "what the daemon does"), |client, _| asked(client, "/v1/status")),
        (part("history.json", "generations of the policy"), |client, _| asked(client, "/v1/history")),
        (part("metrics.txt", "its metrics"), |client, _| metrics(client)),
        (part("doctor.json", "this host and its interfaces"), |_, args| doctor(&args.config)),
        (part("system.txt", "kernel, and what is pinned"), |_, args| system(&args.pins.pin_directory)),
        (part("journal.txt", "the last 1,000 lines of the daemon's log"), |_, args| journal::read(&args.unit)),
    ]
}

/// A regular file, up to a size.
fn text_of(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", shown_path(path));
    let mut octets = Vec::new();
    let file = files::open_regular(path).map_err(failed)?;
    file.take(MOST as u64 + 1).read_to_end(&mut octets).map_err(failed)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// The files that the configuration includes, one behind the other, each below its path.
fn included(path: &Path) -> Result<String, String> {
    let bundle = config::texts_regular(path).map_err(|report| report.render_short())?;
    let shown = bundle.included.iter().map(|file| format!("# {}\n{}\n", shown_path(Path::new(&file.path)), file.text));
    Ok(shown.collect())
}

fn check(path: &Path) -> Result<String, String> {
    match config::load_regular(path) {
        Ok(loaded) => pretty(&loaded.warnings.to_json(path)),
        Err(report) => pretty(&report.to_json(path)),
    }
}

fn asked(client: &Client, path: &str) -> Result<String, String> {
    let answer = client.get_within::<Value>(path, PATIENCE).map_err(|failure| failure.brief())?;
    pretty(&answer.value)
}

fn metrics(client: &Client) -> Result<String, String> {
    let status = client.get_within::<Status>("/v1/status", PATIENCE).map_err(|failure| failure.brief())?;
    client.scrape(status.value.admin_listen, PATIENCE).map_err(|failure| failure.brief())
}

fn doctor(config: &Path) -> Result<String, String> {
    pretty(&doctor::examine(None, config).map_err(|error| error.to_string())?)
}

/// The kernel and the pins.
fn system(pins: &Path) -> Result<String, String> {
    let name = uname().map_err(|error| format!("cannot ask the kernel for its name: {error}"))?;
    let part = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
    let kernel = [name.sysname(), name.release(), name.version(), name.machine()].map(part).join(" ");
    let mut lines = vec![kernel, String::new(), format!("below {}:", shown_path(pins))];
    let before = lines.len();
    list(pins, DEEPEST, &mut lines);
    if lines.len() == before {
        lines.push("nothing that this user can see".to_owned());
    }
    Ok(lines.join("\n") + "\n")
}

/// The paths below `folder`, in their order.
fn list(folder: &Path, depth: usize, lines: &mut Vec<String>) {
    let mut paths: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|one| one.path()).collect();
    paths.sort();
    for path in paths {
        if lines.len() >= PINS {
            return;
        }
        lines.push(shown_path(&path));
        // A link leads elsewhere.
        if depth > 1 && fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_dir()) {
            list(&path, depth - 1, lines);
        }
    }
}

fn pretty(thing: &impl Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(thing).map_err(|error| format!("cannot be written as JSON: {error}"))
}

//! From a configuration file to a validated [`Policy`], with every problem reported at once.
//!
//! ```text
//! texts --include.rs, merge.rs--> document --document.rs, one file a section--> drafts --overlap.rs--> Policy --advice.rs--> warnings
//!                                  reader.rs collects the problems of all of them
//! ```

mod advice;
mod basics;
mod bundle;
mod choices;
mod diagnostic;
mod document;
mod entries;
mod include;
pub(crate) mod keys;
mod merge;
mod reader;
mod render;
mod replies;
mod schema;
mod sections;
mod source;

#[cfg(test)]
mod tests;

use std::{
    cell::OnceCell,
    fmt, io,
    path::{Path, PathBuf},
};

use firewall_common::abi::{MAX_LIMITS, MAX_LISTS, MAX_SERVICES};

pub use basics::Basics;
pub use bundle::{Bundle, BundledFile};
pub use diagnostic::{Diagnostic, Report, Severity};
pub use entries::{EXPLAINED, FileEntries, UNEXPLAINED, parse_entries_file};
pub use schema::schema;
pub use sections::settings::is_interface_name;
pub use sections::state::DEFAULT_DIRECTORY as DEFAULT_STATE_DIRECTORY;

use self::{
    bundle::{Files, FilesFrom},
    document::TomlTable,
    reader::Reader,
    sections::{
        drift, guard, limits, log,
        named::Items,
        overlap, packet_tests, prefixes,
        services::{self, Definitions},
        settings, state,
    },
    source::{Openness, Source},
};
use crate::{
    policy::{Policy, ephemeral::EphemeralPorts, packet_test::PolicyTest},
    text::shown::counted,
};

/// Where the configuration of a host is unless said otherwise.
pub const DEFAULT_PATH: &str = "/etc/portcullis/portcullis.toml";

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it means.
    pub policy: Policy,
    /// Packets and what it is to say about them.
    pub tests: Vec<PolicyTest>,
    /// What in it may not have been meant.
    pub warnings: Report,
    /// The configuration, the files that it includes, then the list files they name, as they were opened.
    pub files: Vec<PathBuf>,
    /// The texts of all of them.
    pub bundle: Bundle,
}

/// Largest configuration in octets, what it includes and no list files; long lists belong into those.
const MAX_CONFIG_OCTETS: u64 = 16 << 20;

/// How messages call a configuration that comes from a pipe.
pub(crate) const STDIN: &str = "<stdin>";

/// Reads the configuration at `path`, the files that it includes and the list files that they name. Only the configuration itself may
/// be a pipe.
///
/// # Errors
/// A report of everything that is wrong in all of them.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    load_for(path, &EphemeralPorts::default())
}

/// The same for a host that gives `ports` to its own connections.
///
/// # Errors
/// As for [`load`].
pub fn load_for(path: &Path, ports: &EphemeralPorts) -> Result<Loaded, Report> {
    load_from(path, Openness::Any, ports)
}

/// The same for a daemon, which must not wait for a pipe: all of them have to be regular files.
///
/// # Errors
/// As for [`load`].
pub fn load_regular(path: &Path) -> Result<Loaded, Report> {
    load_from(path, Openness::RegularOnly, &EphemeralPorts::default())
}

/// The texts of the configuration at `path` and of the files that it includes, unchecked, without list files. All have to be regular
/// files; of those that are included, what cannot be read is left out.
///
/// # Errors
/// When the configuration cannot be read, in words.
pub fn texts_regular(path: &Path) -> Result<Bundle, Report> {
    let text = read_main(path, Openness::RegularOnly)?;
    let (main, included) = (Source::new(path, &text, path.parent().unwrap_or(Path::new(""))), OnceCell::new());
    let mut files = Files::new(path, FilesFrom::Disk);
    include::document(&mut Reader::default(), &main, &included, &mut files);
    Ok(files.into_parts(path, &text).1)
}

fn load_from(path: &Path, openness: Openness, ports: &EphemeralPorts) -> Result<Loaded, Report> {
    let text = read_main(path, openness)?;
    read_text((path, &text), path.parent().unwrap_or(Path::new("")), FilesFrom::Disk, ports)
}

fn read_main(path: &Path, openness: Openness) -> Result<String, Report> {
    source::read(path, "", MAX_CONFIG_OCTETS, openness).map_err(|problem| Report::new(vec![*problem], &[]))
}

/// Reads a configuration from `input`, for a host that gives `ports` to its own connections; other files are relative to the current
/// folder.
///
/// # Errors
/// A report of everything that is wrong.
pub fn load_stdin(input: impl io::Read, ports: &EphemeralPorts) -> Result<Loaded, Report> {
    let name = Path::new(STDIN);
    let refuse = |problem: Box<Diagnostic>| Report::new(vec![*problem], &[]);
    let octets = source::read_up_to(input, MAX_CONFIG_OCTETS)
        .map_err(|error| refuse(Box::new(Diagnostic::of_file(name, "", format!("cannot read the input: {error}")))))?;
    let text = source::decode(name, "", octets, MAX_CONFIG_OCTETS).map_err(refuse)?;
    read_text((name, &text), Path::new(""), FilesFrom::Disk, ports)
}

/// Reads the configuration `text`, which messages call `name`; other files are relative to `folder`.
///
/// # Errors
/// A report of everything that is wrong.
pub fn load_text(name: &Path, text: &str, folder: &Path) -> Result<Loaded, Report> {
    read_text((name, text), folder, FilesFrom::Disk, &EphemeralPorts::default())
}

/// Reads the configuration of `bundle`; no file is opened.
///
/// # Errors
/// A report of everything that is wrong.
pub fn load_bundle(bundle: &Bundle) -> Result<Loaded, Report> {
    let name = Path::new(&bundle.name);
    let folder = name.parent().unwrap_or(Path::new(""));
    read_text((name, &bundle.config), folder, FilesFrom::Bundle(bundle), &EphemeralPorts::default())
}

fn read_text(
    (name, text): (&Path, &str),
    folder: &Path,
    from: FilesFrom<'_>,
    ports: &EphemeralPorts,
) -> Result<Loaded, Report> {
    let (main, included) = (Source::new(name, text, folder), OnceCell::new());
    let (mut reader, mut files) = (Reader::default(), Files::new(name, from));
    let document = include::document(&mut reader, &main, &included, &mut files);
    let policy = read_policy(&mut reader, &TomlTable::document(&document), (&mut files, ports));
    let is_clean = reader.is_clean();
    let (files, bundle) = files.into_parts(name, text);
    let report = Report::new(reader.into_diagnostics(), &files);
    match policy {
        Some((policy, tests)) if is_clean => Ok(Loaded { policy, tests, warnings: report, files, bundle }),
        _ => Err(report),
    }
}

/// The policy of `document` and its tests; `None`, or not to be used, after an error.
fn read_policy(
    reader: &mut Reader<'_>,
    document: &TomlTable<'_>,
    (files, ports): (&mut Files<'_>, &EphemeralPorts),
) -> Option<(Policy, Vec<PolicyTest>)> {
    reader.check_keys(document, keys::ROOT);
    let interfaces = settings::interfaces(reader, document);
    let general = settings::general(reader, document);
    let lists = Items::read(reader, document, "lists", "list", MAX_LISTS);
    let limits = Items::read(reader, document, "limits", "limit", MAX_LIMITS);
    let services = Items::read(reader, document, "services", "service", MAX_SERVICES);
    let read_lists: Option<Vec<_>> = all(lists.as_slice(), |item| prefixes::list(reader, item, files));
    let read_limits: Option<Vec<_>> = all(limits.as_slice(), |item| limits::limit(reader, item));
    let definitions = Definitions { lists: &lists, limits: &limits };
    let drafts: Vec<_> =
        services.as_slice().iter().filter_map(|item| services::service(reader, item, &definitions)).collect();
    overlap::refuse(reader, &drafts);
    overlap::refuse_too_many_addresses(reader, &drafts);
    let essentials = limits::essentials(reader, document.node("essentials"));
    let guard = guard::guard(reader, document);
    let admin_listen = settings::admin_listen(reader, document);
    let api = sections::api::api(reader, document);
    let state = state::state(reader, document);
    let drift_interval = drift::interval(reader, document);
    let log = log::log(reader, document);
    let tests = packet_tests::tests(reader, document, &services);
    if !reader.is_clean() {
        return None;
    }
    let general = general?;
    let policy = Policy {
        interfaces,
        mode: general.mode,
        host_default: general.host_default,
        fragments: general.fragments,
        management: general.management,
        lists: read_lists?,
        limits: read_limits?,
        services: drafts.into_iter().map(|draft| draft.service).collect::<Option<_>>()?,
        essentials: essentials?,
        guard: guard?,
        admin_listen: admin_listen?,
        api: api?,
        state: state?,
        drift_interval: drift_interval?,
        log: log?,
    };
    let places = advice::KeyPlaces { lists: &lists, limits: &limits, services: &services, document };
    advice::advise(reader, &policy, &places);
    replies::warn(reader, &policy, &services, ports);
    Some((policy, tests))
}

/// Reads every item, also after one that could not be read.
fn all<I, T>(items: &[I], mut read: impl FnMut(&I) -> Option<T>) -> Option<Vec<T>> {
    let mut complete = Some(Vec::new());
    for item in items {
        match (read(item), &mut complete) {
            (Some(value), Some(values)) => values.push(value),
            _ => complete = None,
        }
    }
    complete
}

/// What it has, in one line: `1 interface, 2 lists (3 entries), 1 limit, 1 service`.
impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = &self.policy;
        let entries = policy.lists.iter().map(|list| list.entries.len()).sum();
        write!(
            f,
            "{}, {} ({}), {}, {}",
            counted(policy.interfaces.len(), "interface"),
            counted(policy.lists.len(), "list"),
            counted(entries, "entry"),
            counted(policy.limits.len(), "limit"),
            counted(policy.services.len(), "service"),
        )
    }
}

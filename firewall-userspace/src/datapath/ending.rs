//! `portcullis detach`: what filters is taken off, and what filters on all the same is told.
//!
//! In: a pin folder. Out: what was pinned there, once no packet meets it any more, and the programs of ours that are left on
//! this network namespace, with who holds them.

use std::{path::Path, thread, time::Duration};

use nix::net::if_::if_nameindex;

use super::{
    DatapathError, ForeignProgram, Origin, PinFolder, Pinned, foreign,
    link::{self, LinkFacts},
};
use crate::host::devices::{self, AttachedProgram};

/// What became of the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What was removed, or would be, by ABI version.
    pub removed: Vec<Pinned>,
    /// Programs that are ours, or may be, and filter on: with their interfaces.
    pub remaining: Vec<(String, ForeignProgram)>,
}

/// How often it is looked whether a program is off, and the time between; the kernel takes up to half a second when it frees a
/// link by itself.
const LOOKS: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);

/// Takes everything that is pinned under `base` off; with `dry_run`, says what would be taken off.
///
/// # Errors
/// When a daemon has the folder, another user could change it, or a pin cannot be removed.
pub fn end(base: &Path, dry_run: bool) -> Result<Ending, DatapathError> {
    if dry_run {
        let removed = PinFolder::look(base)?;
        let going: Vec<u32> = facts(base).into_iter().map(|(_, link)| link.program).collect();
        let remaining = ours_here(base, |attached| !going.contains(&attached.id));
        return Ok(Ending { removed, remaining });
    }
    let pins = PinFolder::open_replacing(base)?;
    let links = facts(base);
    let removed = pins.clear()?;
    drop(pins);
    wait_until_off(&links);
    Ok(Ending { removed, remaining: ours_here(base, |_| true) })
}

/// The links that attach something.
fn facts(base: &Path) -> Vec<(String, LinkFacts)> {
    let links = PinFolder::links(base).into_iter();
    links.filter_map(|(interface, path)| Some((interface, link::read(&path).ok()?))).collect()
}

/// Waits until none of these programs is where its link was; a while at most.
fn wait_until_off(links: &[(String, LinkFacts)]) {
    let is_on = |(_, link): &(String, LinkFacts)| {
        let attached = devices::attached_to(link.ifindex).unwrap_or_default();
        link.ifindex != 0 && attached.iter().any(|one| one.id == link.program)
    };
    for _ in 0..LOOKS {
        if !links.iter().any(is_on) {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// Programs on the interfaces of this network namespace that are ours, or that this user cannot tell from ours.
fn ours_here(base: &Path, counts: impl Fn(&AttachedProgram) -> bool) -> Vec<(String, ForeignProgram)> {
    let mut found = Vec::new();
    let Ok(interfaces) = if_nameindex() else { return found };
    for interface in &interfaces {
        let name = interface.name().to_string_lossy();
        let attached = devices::attached_to(interface.index()).unwrap_or_default();
        let programs = attached.into_iter().filter(&counts).map(|one| foreign::describe(one, Some(base)));
        let ours = programs.filter(|program| program.origin != Origin::Others);
        found.extend(ours.map(|program| (name.clone().into_owned(), program)));
    }
    found
}

//! `portcullis detach`: what filters is taken off, and what filters on all the same is told.
//!
//! In: a pin folder. Out: what was pinned there, once no packet meets it any more, and the programs of ours that are left on
//! this network namespace, with who holds them. And what filters while no daemon runs.

use std::path::Path;

use nix::net::if_::if_nameindex;

use super::{
    DatapathError, ForeignProgram, Origin, PinFolder, Pinned, PinnedLink, foreign, link::Link, link_path::parse_link,
    object,
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

/// Takes everything that is pinned under `base` off; with `dry_run`, says what would be taken off.
///
/// # Errors
/// When a daemon has the folder, another user could change it, or a pin cannot be removed.
pub fn end(base: &Path, dry_run: bool) -> Result<Ending, DatapathError> {
    if dry_run {
        let removed = PinFolder::look(base)?;
        let going: Vec<u32> = PinFolder::links(base).iter().filter_map(|path| object::program_of(path).ok()).collect();
        let remaining = ours_here(base, |attached| !going.contains(&attached.id));
        return Ok(Ending { removed, remaining });
    }
    let pins = PinFolder::open_replacing(base)?;
    let removed = pins.clear()?;
    drop(pins);
    Ok(Ending { removed, remaining: ours_here(base, |_| true) })
}

/// What filters without a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftFilter {
    /// Pinned links that attach the filter to an interface, in whichever network namespace.
    pub attached: Vec<PinnedLink>,
    /// Other programs that are ours, or may be, on the interfaces of this network namespace.
    pub others: Vec<(String, ForeignProgram)>,
}

/// What filters by what is pinned under `base`, and besides; nothing is changed.
///
/// # Errors
/// When a daemon has the folder, or this user may not look into it.
pub fn left(base: &Path) -> Result<LeftFilter, DatapathError> {
    PinFolder::look(base)?;
    let (mut attached, mut programs) = (Vec::new(), Vec::new());
    for path in PinFolder::links(base) {
        let Some(pinned) = path.file_name().and_then(|name| parse_link(name.to_str()?)) else { continue };
        // One that is severed attaches nothing any more: its interface is gone, or somebody detached it.
        if let Ok(facts) = Link::open(&path).and_then(|link| link.facts())
            && facts.ifindex != 0
        {
            attached.push(pinned);
            programs.push(facts.program);
        }
    }
    Ok(LeftFilter { attached, others: ours_here(base, |one| !programs.contains(&one.id)) })
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

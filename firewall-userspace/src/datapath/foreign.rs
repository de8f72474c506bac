//! XDP programs that this process has not attached: those of others, which are named and never replaced, and our own that
//! another daemon attached or that lost its pin.
//!
//! In: what netlink says of an interface. Out: each program with its name, who attached it and who holds it, as far as this
//! user may know.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use aya::{
    maps::loaded_maps,
    programs::{links::LinkType, loaded_links, loaded_programs},
};

use super::{
    Holder, holder,
    link_path::base_of_link,
    object,
    own::{self, Origin, Traits},
};
use crate::host::devices::{self, AttachedProgram};

/// A program on an interface that this process has not attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignProgram {
    /// Its identifier.
    pub id: u32,
    /// Whose it is.
    pub origin: Origin,
    /// Its name, which may be empty, or which this user may not read.
    pub name: String,
    /// The hash of its instructions, as `bpftool` shows it.
    pub tag: String,
    /// Whether it runs in the stack and not in the driver.
    pub is_generic: bool,
    /// Links that attach it; none when this user may not know.
    pub links: Vec<u32>,
    /// Where it or one of its links is pinned.
    pub pins: Vec<PathBuf>,
    /// Processes that hold it or one of its links.
    pub holders: Vec<Holder>,
}

/// Where BPF objects are pinned by most.
const BPFFS: &str = "/sys/fs/bpf";
/// Most files that are looked at for a pin, and how deep they may lie.
const MOST_FILES: usize = 4096;
const DEPTH: u32 = 6;

/// The programs on an interface; none when the kernel does not tell.
pub(super) fn programs_on(ifindex: u32) -> Vec<ForeignProgram> {
    devices::attached_to(ifindex).unwrap_or_default().into_iter().map(|one| describe(one, None)).collect()
}

/// Identifiers of the programs on an interface, in the order of [`programs_on`].
pub(super) fn ids_on(ifindex: u32) -> Vec<u32> {
    devices::attached_to(ifindex).unwrap_or_default().iter().map(|one| one.id).collect()
}

/// Everything that this user may know of a program; `pins` is one more folder where it may be pinned.
pub(super) fn describe(AttachedProgram { id, is_generic }: AttachedProgram, pins: Option<&Path>) -> ForeignProgram {
    let info = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id);
    let is_its = |link: &aya::programs::links::LinkInfo| {
        link.program_id() == id && link.link_type().is_ok_and(|kind| kind == LinkType::Xdp)
    };
    let links: Vec<u32> = loaded_links().filter_map(Result::ok).filter(is_its).map(|link| link.id()).collect();
    let pins = pins_of(id, pins);
    let seen = holder::of_program(id);
    let tag = info.as_ref().map(|info| info.tag()).or(seen.tag);
    let traits = Traits {
        name: info.as_ref().map(|info| info.name_as_str().unwrap_or_default().to_owned()),
        tag,
        maps: info.as_ref().and_then(|info| info.map_ids().ok()?).map_or_else(Vec::new, |ids| names_of_maps(&ids)),
        is_pinned_as_ours: pins.iter().any(|path| base_of_link(path).is_some()),
    };
    ForeignProgram {
        id,
        origin: Origin::of(&traits, own::tags()),
        name: traits.name.unwrap_or_default(),
        tag: tag.map_or_else(String::new, |tag| format!("{tag:016x}")),
        is_generic,
        links,
        pins,
        holders: seen.holders,
    }
}

fn names_of_maps(ids: &[u32]) -> Vec<String> {
    let maps = loaded_maps().filter_map(Result::ok).filter(|map| ids.contains(&map.id()));
    maps.filter_map(|map| map.name_as_str().map(str::to_owned)).collect()
}

/// Where a program or a link of it is pinned.
fn pins_of(program: u32, more: Option<&Path>) -> Vec<PathBuf> {
    let mut files = MOST_FILES;
    let mut pins = Vec::new();
    for folder in std::iter::once(Path::new(BPFFS)).chain(more) {
        find_pins(folder, DEPTH, &mut files, &mut |path, pinned| {
            if pinned == program && !pins.iter().any(|one| one == path) {
                pins.push(path.to_owned());
            }
        });
    }
    pins
}

fn find_pins(folder: &Path, depth: u32, files: &mut usize, found: &mut impl FnMut(&Path, u32)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(left) = files.checked_sub(1) else { return };
        *files = left;
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => find_pins(&path, depth - 1, files, found),
            Ok(kind) if kind.is_file() => {
                if let Ok(program) = object::program_of(&path) {
                    found(&path, program);
                }
            }
            _ => {}
        }
    }
}

impl ForeignProgram {
    /// What it is, before its description.
    pub const fn kind(&self) -> &'static str {
        match self.origin {
            Origin::ThisBuild => "a program of Portcullis",
            Origin::OtherBuild => "a program of another build of Portcullis",
            Origin::Others => "another XDP program",
            Origin::Unknown => "an XDP program whose name this user may not read",
        }
    }

    /// What an operator does about it, where it is in the way on `interface`.
    pub fn way_on(&self, interface: &str) -> String {
        let folder = self.pins.iter().find_map(|path| base_of_link(path));
        let at = folder.map_or_else(String::new, |folder| format!(" --pin-directory {}", folder.display()));
        let stop: Vec<String> = self.holders.iter().map(|holder| format!("`kill {}`", holder.process)).collect();
        let is_held_here = self.holders.iter().any(|holder| holder.process == std::process::id());
        match (self.origin, &*stop.join(", "), &*at) {
            _ if is_held_here && self.origin.is_ours() => {
                "this daemon holds it itself; `portcullis status` tells for which interface".into()
            }
            (Origin::Others, ..) => {
                format!("portcullis replaces no program of others; `{}` takes it off", self.removal(interface))
            }
            (Origin::Unknown, ..) => {
                format!("`sudo portcullis doctor {interface}` says whose it is: only CAP_SYS_ADMIN may read its name")
            }
            (_, "", "") => {
                format!("neither a process nor a pin is seen to hold it; `{}` takes it off", self.removal(interface))
            }
            (_, "", at) => {
                format!("`portcullis run{at}` takes over from it without a gap, `portcullis detach{at}` ends it")
            }
            (_, stop, "") => format!("{stop} ends the daemon that holds it, and with it the filter: it has no pin"),
            (_, stop, at) => format!(
                "{stop} ends the daemon that holds it; then `portcullis run{at}` takes over without a gap, or `portcullis detach{at}` ends the filter"
            ),
        }
    }

    /// What takes it off `interface`.
    pub fn removal(&self, interface: &str) -> String {
        match self.links.first() {
            Some(link) => format!("bpftool link detach id {link}"),
            None => {
                let mode = if self.is_generic { "xdpgeneric" } else { "xdpdrv" };
                format!("ip link set dev {interface} {mode} off")
            }
        }
    }
}

impl fmt::Display for ForeignProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, origin, name, tag, is_generic, links, pins, holders } = self;
        let mode = if *is_generic { "generic" } else { "native" };
        if name.is_empty() {
            write!(f, "program {id} (")?;
        } else {
            write!(f, "`{name}` (program {id}, ")?;
        }
        if !tag.is_empty() {
            write!(f, "tag {tag}, ")?;
        }
        write!(f, "{mode}")?;
        match links.as_slice() {
            // Who may not read its name may not read its links.
            [] if *origin == Origin::Unknown || name.is_empty() && tag.is_empty() => {}
            [] => f.write_str(", attached without a link")?,
            links => links.iter().try_for_each(|link| write!(f, ", link {link}"))?,
        }
        pins.iter().try_for_each(|pin| write!(f, ", pinned at {}", pin.display()))?;
        holders.iter().try_for_each(|holder| write!(f, ", held by {holder}"))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_program_is_named_with_what_removes_it() {
        let mut program = ForeignProgram {
            id: 7,
            origin: Origin::Others,
            name: "xdp_pass".into(),
            tag: "3b185187f1855c4c".into(),
            is_generic: false,
            links: vec![4],
            pins: vec!["/sys/fs/bpf/x".into()],
            holders: vec![],
        };
        assert_eq!(
            program.to_string(),
            "`xdp_pass` (program 7, tag 3b185187f1855c4c, native, link 4, pinned at /sys/fs/bpf/x)"
        );
        assert_eq!(program.removal("eth0"), "bpftool link detach id 4");
        program = ForeignProgram { name: String::new(), is_generic: true, links: vec![], pins: vec![], ..program };
        assert_eq!(program.to_string(), "program 7 (tag 3b185187f1855c4c, generic, attached without a link)");
        assert_eq!(program.removal("eth0"), "ip link set dev eth0 xdpgeneric off");
    }

    #[test]
    fn our_own_program_is_never_another_one_and_has_a_way_on() {
        let mut program = ForeignProgram {
            id: 7,
            origin: Origin::ThisBuild,
            name: "firewall".into(),
            tag: "3b185187f1855c4c".into(),
            is_generic: false,
            links: vec![4],
            pins: vec!["/sys/fs/bpf/x/v2/links/eth0@native".into()],
            holders: vec![Holder { process: 4711, name: "portcullis".into(), user: Some(0) }],
        };
        assert_eq!(program.kind(), "a program of Portcullis");
        assert!(program.to_string().ends_with(", held by process 4711 (portcullis))"), "{program}");
        let held = "`kill 4711` ends the daemon that holds it; then `portcullis run --pin-directory /sys/fs/bpf/x` takes over without a gap, or `portcullis detach --pin-directory /sys/fs/bpf/x` ends the filter";
        assert_eq!(program.way_on("eth0"), held);
        program.holders[0].process = std::process::id();
        assert!(program.way_on("eth0").starts_with("this daemon holds it itself"));
        program.holders.clear();
        assert!(program.way_on("eth0").starts_with("`portcullis run --pin-directory /sys/fs/bpf/x` takes over"));
        program.pins.clear();
        assert!(program.way_on("eth0").ends_with("`bpftool link detach id 4` takes it off"));
        let unknown = ForeignProgram { origin: Origin::Unknown, name: String::new(), links: vec![], ..program };
        assert_eq!(unknown.to_string(), "program 7 (tag 3b185187f1855c4c, native)");
        assert!(unknown.way_on("eth0").contains("`sudo portcullis doctor eth0`"));
    }
}

//! XDP programs of others: named, never replaced.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use aya::programs::{links::LinkType, loaded_links, loaded_programs};

use super::link;
use crate::host::devices::{self, AttachedProgram};

/// A program on an interface that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignProgram {
    /// Its identifier.
    pub id: u32,
    /// Its name, which may be empty.
    pub name: String,
    /// The hash of its instructions, as `bpftool` shows it.
    pub tag: String,
    /// Whether it runs in the stack and not in the driver.
    pub is_generic: bool,
    /// Links that attach it.
    pub links: Vec<u32>,
    /// Where it or one of its links is pinned.
    pub pins: Vec<PathBuf>,
}

/// Where BPF objects are pinned by most.
const BPFFS: &str = "/sys/fs/bpf";
/// Most files that are looked at for a pin, and how deep they may lie.
const MOST_FILES: usize = 4096;
const DEPTH: u32 = 6;

/// The programs on an interface; none when the kernel does not tell.
pub(super) fn programs_on(ifindex: u32) -> Vec<ForeignProgram> {
    devices::attached_to(ifindex).unwrap_or_default().into_iter().map(describe).collect()
}

fn describe(AttachedProgram { id, is_generic }: AttachedProgram) -> ForeignProgram {
    let info = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id);
    let is_its = |link: &aya::programs::links::LinkInfo| {
        link.program_id() == id && link.link_type().is_ok_and(|kind| kind == LinkType::Xdp)
    };
    let links: Vec<u32> = loaded_links().filter_map(Result::ok).filter(is_its).map(|link| link.id()).collect();
    let mut pins = Vec::new();
    let mut files = MOST_FILES;
    find_pins(Path::new(BPFFS), DEPTH, &mut files, &mut |path, kind, found| {
        if kind == "bpf-prog" && found == id || kind == "bpf-link" && links.contains(&found) {
            pins.push(path.to_owned());
        }
    });
    ForeignProgram {
        id,
        name: info.as_ref().and_then(|info| info.name_as_str()).unwrap_or_default().to_owned(),
        tag: info.map_or_else(String::new, |info| format!("{:016x}", info.tag())),
        is_generic,
        links,
        pins,
    }
}

fn find_pins(folder: &Path, depth: u32, files: &mut usize, found: &mut impl FnMut(&Path, &str, u32)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(left) = files.checked_sub(1) else { return };
        *files = left;
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => find_pins(&path, depth - 1, files, found),
            Ok(kind) if kind.is_file() => {
                if let Ok((kind, id)) = link::identify(&path) {
                    found(&path, &kind, id);
                }
            }
            _ => {}
        }
    }
}

impl ForeignProgram {
    /// What takes it off `interface`.
    pub(super) fn removal(&self, interface: &str) -> String {
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
        let Self { id, name, tag, is_generic, links, pins } = self;
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
            [] => write!(f, ", attached without a link")?,
            links => links.iter().try_for_each(|link| write!(f, ", link {link}"))?,
        }
        pins.iter().try_for_each(|pin| write!(f, ", pinned at {}", pin.display()))?;
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
            name: "xdp_pass".into(),
            tag: "3b185187f1855c4c".into(),
            is_generic: false,
            links: vec![4],
            pins: vec!["/sys/fs/bpf/x".into()],
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
}

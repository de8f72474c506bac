//! Where the link of an interface is pinned, in a folder of one ABI version: `links/<interface>@<mode>`, and
//! `links/<interface>:<index>@<mode>` where that name is another device's.
//!
//! In: interface and mode. Out: a path, and from a path back again, because the kernel does not report the mode of a link.
//! Names on a BPF file system have no dots, those of interfaces may.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::policy::{AttachMode, attach_label};

/// Before an index; no name of an interface has a colon (net/core/dev.c `dev_valid_name`).
const INDEX: char = ':';

/// Modes in which something can be attached.
const MODES: [AttachMode; 2] = [AttachMode::Native, AttachMode::Generic];

/// What the pin of a link tells by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinnedLink {
    /// The interface that is filtered: its name in the policy.
    pub interface: String,
    /// The index of the device, where that name is another device's.
    pub index: Option<u32>,
    /// The mode in which it is attached.
    pub mode: AttachMode,
}

impl PinnedLink {
    /// Where it is in the folder of an ABI version.
    pub(super) fn path_in(&self, folder: &Path) -> PathBuf {
        let mut name = escape(&self.interface);
        if let Some(index) = self.index {
            name.push(INDEX);
            name.push_str(&index.to_string());
        }
        folder.join("links").join(format!("{name}@{}", attach_label(self.mode)))
    }
}

/// `eth0`; `eth0 (index 7)` where another device has that name.
impl fmt::Display for PinnedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.interface)?;
        self.index.map_or(Ok(()), |index| write!(f, " (index {index})"))
    }
}

/// What a pin of this name is; `None` when it is none of a link of ours.
pub(super) fn parse_link(name: &str) -> Option<PinnedLink> {
    let (device, label) = name.rsplit_once('@')?;
    let mode = MODES.into_iter().find(|mode| attach_label(*mode) == label)?;
    let (interface, index) = match device.split_once(INDEX) {
        Some((interface, index)) => (interface, Some(index.parse().ok()?)),
        None => (device, None),
    };
    Some(PinnedLink { interface: unescape(interface), index, mode })
}

/// The pin folder that a link is in, if it is where links of ours are: `DIR/v<ABI>/links/<interface>@<mode>`.
pub(super) fn base_of_link(path: &Path) -> Option<&Path> {
    parse_link(path.file_name()?.to_str()?)?;
    let links = path.parent().filter(|folder| folder.ends_with("links"))?;
    let version = links.parent()?;
    version.file_name()?.to_str()?.strip_prefix('v')?.parse::<u32>().ok()?;
    version.parent()
}

fn escape(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

fn unescape(name: &str) -> String {
    name.replace("%2e", ".").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_link_tells_interface_and_mode() {
        for (interface, index, mode) in [
            ("eth0", None, AttachMode::Native),
            ("eth0.7", None, AttachMode::Generic),
            ("a@b%2e", None, MODES[0]),
            ("eth0", Some(7), MODES[0]),
            ("eth0.5", Some(12), MODES[1]),
        ] {
            let link = PinnedLink { interface: interface.to_owned(), index, mode };
            let path = link.path_in(Path::new("/v2"));
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(!name.contains('.'), "{name}");
            assert_eq!(parse_link(&name), Some(link));
        }
        assert_eq!(parse_link("eth0:7@native").unwrap().to_string(), "eth0 (index 7)");
        assert_eq!(base_of_link(Path::new("/x/v3/links/eth0@native")), Some(Path::new("/x")));
        assert_eq!(base_of_link(Path::new("/x/v3/links/eth0:7@native")), Some(Path::new("/x")));
        assert_eq!(base_of_link(Path::new("/x/links/eth0@native")), None);
        assert_eq!(parse_link("eth0"), None);
        assert_eq!(parse_link("eth0@offload"), None);
        assert_eq!(parse_link("eth0:x@native"), None);
    }
}

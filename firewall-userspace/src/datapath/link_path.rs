//! Where the link of an interface is pinned, in a folder of one ABI version: `links/<interface>@<mode>`.
//!
//! In: interface and mode. Out: a path, and from a path back again, because the kernel does not report the mode of a link.
//! Names on a BPF file system have no dots, those of interfaces may.

use std::path::{Path, PathBuf};

use crate::policy::{AttachMode, attach_label};

/// Modes in which something can be attached.
pub(super) const MODES: [AttachMode; 2] = [AttachMode::Native, AttachMode::Generic];

/// The link of an interface in the folder of an ABI version.
pub(super) fn link_in(folder: &Path, interface: &str, mode: AttachMode) -> PathBuf {
    folder.join("links").join(format!("{}@{}", escape(interface), attach_label(mode)))
}

/// Interface and mode of a link.
pub(super) fn parse_link(name: &str) -> Option<(String, AttachMode)> {
    let (interface, label) = name.rsplit_once('@')?;
    let mode = MODES.into_iter().find(|mode| attach_label(*mode) == label)?;
    Some((unescape(interface), mode))
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
        for (interface, mode) in [("eth0", AttachMode::Native), ("eth0.7", AttachMode::Generic), ("a@b%2e", MODES[0])] {
            let path = link_in(Path::new("/v2"), interface, mode);
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(!name.contains('.'), "{name}");
            assert_eq!(parse_link(&name), Some((interface.to_owned(), mode)));
        }
        assert_eq!(base_of_link(&link_in(Path::new("/x/v3"), "eth0", MODES[0])), Some(Path::new("/x")));
        assert_eq!(base_of_link(Path::new("/x/links/eth0@native")), None);
        assert_eq!(parse_link("eth0"), None);
        assert_eq!(parse_link("eth0@offload"), None);
    }
}

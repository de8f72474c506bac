//! The ports that this host gives to sockets which ask for none, as procfs has them.

use std::{fs, ops::RangeInclusive, path::Path};

use crate::{policy::ephemeral::EphemeralPorts, text::ports};

/// Where the kernel has them, of the network namespace of the reader.
const FOLDER: &str = "/proc/sys/net/ipv4";

/// Those of the network namespace of this thread; the kernel's defaults where it does not tell.
pub fn read() -> EphemeralPorts {
    read_from(Path::new(FOLDER))
}

fn read_from(folder: &Path) -> EphemeralPorts {
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let range = text("ip_local_port_range");
    let mut numbers = range.split_whitespace().map(str::parse);
    let (Some(Ok(first)), Some(Ok(last))) = (numbers.next(), numbers.next()) else { return EphemeralPorts::default() };
    let reserved = text("ip_local_reserved_ports");
    let reserved: Vec<RangeInclusive<u16>> =
        reserved.trim().split(',').filter_map(|range| ports::parse(range).ok()).collect();
    EphemeralPorts::of_host(first..=last, reserved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::TestFolder;

    #[test]
    fn both_variables_are_read_and_without_them_it_is_the_default() {
        let folder = TestFolder::new("ephemeral");
        assert_eq!(read_from(folder.path()), EphemeralPorts::default());
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("ip_local_port_range", "1024\t5000\n");
        write("ip_local_reserved_ports", "\n");
        assert_eq!(read_from(folder.path()), EphemeralPorts::of_host(1024..=5000, Vec::new()));
        write("ip_local_reserved_ports", "1026-1030,2000\n");
        assert_eq!(read_from(folder.path()), EphemeralPorts::of_host(1024..=5000, vec![1026..=1030, 2000..=2000]));
    }
}

//! What of the package is on the machine: files, user, group, pins, links.

use anyhow::Result;

use crate::service::{Bench, machine::Machine};

/// One look at it; each part is sorted lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    pub files: String,
    pub names: String,
    pub pins: String,
}

impl Left {
    /// Looks.
    pub fn look(machine: &Machine) -> Result<Self> {
        // Caches and logs of dpkg, links that systemctl leaves for a unit that is masked, and the PrivateTmp= that systemd did not remove
        // when the power was cut, are not the package's.
        let files = "find / -xdev -iname '*portcullis*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/log/*' -not -path '/mnt/*' -not -path '/var/tmp/systemd-private-*' \
                     -not -path '/var/lib/dpkg/*' 2>/dev/null; find /run -iname '*portcullis*' 2>/dev/null";
        Ok(Self {
            files: machine.ask(&format!("({files}) | sort"))?,
            names: machine.ask("getent passwd portcullis; getent group portcullis; true")?,
            pins: machine.ask("find /sys/fs/bpf -mindepth 1 -not -name '*.debug' | sort")?,
        })
    }
}

impl Bench {
    pub(super) fn left(&self) -> Result<Left> {
        Left::look(&self.machine)
    }
}

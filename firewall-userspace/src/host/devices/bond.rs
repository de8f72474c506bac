//! How a bond chooses its ports, and what that means for XDP.

use crate::host::raw::attribute;

// include/uapi/linux/if_link.h
const IFLA_BOND_MODE: u16 = 1;
const IFLA_BOND_XMIT_HASH_POLICY: u16 = 14;

/// Modes by their number (include/uapi/linux/if_bonding.h), in the words of `ip link`.
const MODES: [&str; 7] =
    ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

/// `BOND_XMIT_POLICY_VLAN_SRCMAC` there.
const VLAN_SRCMAC: u8 = 5;

/// How a bond chooses its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bond {
    /// Number of its mode.
    pub mode: u8,
    /// Number of the policy by which it spreads what it sends; 255 when it has none.
    pub hash_policy: u8,
}

impl Bond {
    /// What the kernel tells of a bond.
    pub(super) fn read(data: &[u8]) -> Self {
        let of = |kind| attribute(data, kind).and_then(|value| value.first()).copied().unwrap_or(u8::MAX);
        Self { mode: of(IFLA_BOND_MODE), hash_policy: of(IFLA_BOND_XMIT_HASH_POLICY) }
    }

    /// Why it has no native XDP (drivers/net/bonding/bond_main.c `bond_xdp_check`).
    pub fn refuses_native(self) -> Option<String> {
        let mode = MODES.get(usize::from(self.mode)).copied().unwrap_or("unknown");
        match mode {
            "balance-rr" | "active-backup" => None,
            "balance-xor" | "802.3ad" if self.hash_policy != VLAN_SRCMAC => None,
            "balance-xor" | "802.3ad" => Some(format!("a bond in mode {mode} that hashes by vlan+srcmac")),
            _ => Some(format!("a bond in mode {mode}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_xdp_depends_on_the_mode_of_the_bond() {
        let refuses = |mode, hash_policy| Bond { mode, hash_policy }.refuses_native();
        for good in [0, 1, 2, 4] {
            assert_eq!(refuses(good, 0), None, "{good}");
        }
        for (bad, name) in [(3, "broadcast"), (5, "balance-tlb"), (6, "balance-alb"), (77, "unknown")] {
            assert_eq!(refuses(bad, 0), Some(format!("a bond in mode {name}")));
        }
        assert_eq!(refuses(4, 5).as_deref(), Some("a bond in mode 802.3ad that hashes by vlan+srcmac"));
        assert_eq!(refuses(2, 5).as_deref(), Some("a bond in mode balance-xor that hashes by vlan+srcmac"));
        assert_eq!(refuses(1, 5), None);
    }
}

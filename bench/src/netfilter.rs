//! Rules for the filters of the kernel: drop what is not in a set, and count it.

use anyhow::{Context as _, Result};

use crate::prefixes::Prefixes;

/// Lists the table, whose one rule counts.
pub const IPTABLES_ASK: [&str; 7] = ["iptables-legacy", "-t", "raw", "-nvxL", "PREROUTING", "--line-numbers", "-w"];

/// A file for `nft -f`.
pub fn nftables_rules(prefixes: &Prefixes, interface: &str) -> String {
    let family = prefixes.family();
    format!(
        "table netdev bench {{\n\
         set members {{ type {kind}; flags interval; auto-merge; elements = {{ {elements} }} }}\n\
         chain ingress {{\n\
         type filter hook ingress device \"{interface}\" priority -500; policy accept;\n\
         {packet} saddr != @members counter drop\n\
         }}\n}}\n",
        kind = family.nftables_type(),
        packet = family.nftables_packet(),
        elements = prefixes.text_with("", ", ").trim_end_matches(", "),
    )
}

/// A file for `ipset restore`.
pub fn ipset_commands(prefixes: &Prefixes) -> String {
    let most = 2 * prefixes.len().next_power_of_two();
    format!("create members hash:net maxelem {most}\n{}", prefixes.text_with("add members ", "\n"))
}

/// Arguments of `iptables-legacy`.
pub fn iptables_rule(interface: &str) -> [&str; 14] {
    ["-t", "raw", "-A", "PREROUTING", "-i", interface, "-m", "set", "!", "--match-set", "members", "src", "-j", "DROP"]
}

/// Packets that the rule of [`iptables_rule`] dropped: `1  7  420 DROP ...`.
///
/// # Errors
/// When it counts nothing.
pub fn iptables_dropped(said: &str) -> Result<u64> {
    let line = said.lines().find(|line| line.split_whitespace().nth(3) == Some("DROP"));
    let count = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    count.context("iptables-legacy tells of no counter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_in_what_iptables_prints() {
        let iptables = "Chain PREROUTING (policy ACCEPT 0 packets, 0 bytes)\nnum      pkts      bytes target     prot\n\
            1          12      720 DROP       all  --  eth0";
        assert_eq!(iptables_dropped(iptables).unwrap(), 12);
        assert!(iptables_dropped("").is_err());
    }
}

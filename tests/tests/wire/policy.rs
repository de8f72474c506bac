//! The policy of most tests, and frames that meet it.

use std::fmt::Write as _;

use firewall_tests::{
    lab::{HOST_MAC, HOST4, HOST6, PEER_MAC},
    packet::Packet,
};

/// The UDP service.
pub const DATA: u16 = 9000;

/// Friends may, foes may not, strangers are not known, and managers always may.
pub const POLICY: &str = r#"
[policy]
management = ["192.0.2.4", "2001:db8:1::4"]

[lists.friends]
entries = ["192.0.2.2", "2001:db8:1::2"]

[lists.foes]
entries = ["192.0.2.66", "2001:db8:1::66"]

[services.data]
protocol = "udp"
ports = [9000]
allow = ["friends"]
deny = ["foes"]

[services.web]
protocol = "tcp"
ports = [80]
allow = ["friends"]
deny = ["foes"]
"#;

/// [`POLICY`] and a service that admits only an office that is empty.
pub fn with_ssh() -> String {
    format!("{POLICY}\n[lists.office]\n[services.ssh]\nprotocol = \"tcp\"\nports = [22]\nallow = [\"office\"]\n")
}

/// So many addresses from 10.0.0.0 on, one a line.
pub fn addresses(count: usize) -> String {
    let mut text = String::new();
    (0..count).for_each(|n| {
        writeln!(text, "10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255).expect("a string takes all");
    });
    text
}

/// A datagram from this source to a port of the host, as the peer sends it.
pub fn datagram(source: &str, port: u16) -> Packet {
    let packet = if source.contains(':') { Packet::v6(source, HOST6) } else { Packet::v4(source, HOST4) };
    packet.macs(HOST_MAC, PEER_MAC).udp(40_000, port).payload(32)
}

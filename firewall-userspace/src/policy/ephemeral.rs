//! Ports that the kernel gives to sockets which ask for none: replies to what a host asks of others come there.

use std::{fmt, ops::RangeInclusive};

use crate::text::ports;

/// Ports that the kernel gives to sockets which ask for none, of TCP and UDP, of IPv4 and IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EphemeralPorts {
    /// `net.ipv4.ip_local_port_range`.
    range: RangeInclusive<u16>,
    /// `net.ipv4.ip_local_reserved_ports`, which are not given.
    reserved: Vec<RangeInclusive<u16>>,
    /// Whether a host said so.
    is_of_host: bool,
}

/// What the kernel begins with (net/ipv4/af_inet.c `inet_init_net`).
impl Default for EphemeralPorts {
    fn default() -> Self {
        Self { range: 32_768..=60_999, reserved: Vec::new(), is_of_host: false }
    }
}

impl EphemeralPorts {
    /// Those of a host, as both variables have it.
    pub fn of_host(range: RangeInclusive<u16>, reserved: Vec<RangeInclusive<u16>>) -> Self {
        Self { range, reserved, is_of_host: true }
    }

    /// Whether a socket may get this port.
    pub fn contains(&self, port: u16) -> bool {
        self.range.contains(&port) && !self.reserved.iter().any(|reserved| reserved.contains(&port))
    }

    /// From the first to the last port of `ports` that a socket may get; `None` without one.
    pub fn within(&self, ports: &RangeInclusive<u16>) -> Option<RangeInclusive<u16>> {
        let mut given = ports.clone().filter(|port| self.contains(*port));
        let first = given.next()?;
        Some(first..=given.next_back().unwrap_or(first))
    }
}

/// `net.ipv4.ip_local_port_range is 32768-60999 by default`.
impl fmt::Display for EphemeralPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.is_of_host { "on this host" } else { "by default" };
        write!(f, "net.ipv4.ip_local_port_range is {} {whose}", ports::show(&self.range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_given_to_nobody() {
        let ports = EphemeralPorts::of_host(1024..=5000, vec![1024..=1029, 4000..=5000]);
        assert_eq!(ports.within(&(0..=65_535)), Some(1030..=3999));
        assert_eq!(ports.within(&(1025..=1030)), Some(1030..=1030));
        assert_eq!(ports.within(&(4000..=5000)), None);
        assert_eq!(ports.within(&(5001..=65_535)), None);
        assert_eq!(EphemeralPorts::default().within(&(0..=65_535)), Some(32_768..=60_999));
    }
}

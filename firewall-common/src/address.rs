//! Addresses and address families as the packet stages see them.

/// Address family of a frame, also the `family` label of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Family {
    /// Neither IPv4 nor IPv6, or too short to tell.
    Other = 0,
    /// EtherType 0x0800.
    Ipv4 = 1,
    /// EtherType 0x86dd.
    Ipv6 = 2,
}

impl Family {
    /// Every family, in the order of the counters.
    pub const ALL: [Self; 3] = [Self::Other, Self::Ipv4, Self::Ipv6];

    /// Value of the metric label `family`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// An IPv4 or IPv6 address in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The address; an IPv4 address is the first four octets, the rest is zero.
    pub octets: [u8; 16],
    /// `Ipv4` or `Ipv6`.
    pub family: Family,
}

impl Address {
    /// An IPv4 address.
    #[inline(always)]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self { octets: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], family: Family::Ipv4 }
    }

    /// An IPv6 address.
    #[inline(always)]
    pub const fn v6(octets: [u8; 16]) -> Self {
        Self { octets, family: Family::Ipv6 }
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        matches!(self.family, Family::Ipv4)
    }

    /// The four octets of an IPv4 address (the first four of an IPv6 one).
    #[inline(always)]
    pub const fn v4_octets(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.octets;
        [a, b, c, d]
    }

    /// The first `N` octets are all zero.
    #[inline(always)]
    pub(crate) fn starts_with_zeroes<const N: usize>(&self) -> bool {
        let mut seen = 0;
        let mut octets = self.octets.iter();
        for _ in 0..N {
            if let Some(octet) = octets.next() {
                seen |= *octet;
            }
        }
        seen == 0
    }

    /// Inside fe80::/10 (RFC 4291 section 2.5.6).
    #[inline(always)]
    pub(crate) fn is_v6_link_local(&self) -> bool {
        let [a, b, ..] = self.octets;
        a == 0xfe && b & 0xc0 == 0x80
    }
}

#[cfg(not(target_arch = "bpf"))]
impl From<core::net::IpAddr> for Address {
    fn from(address: core::net::IpAddr) -> Self {
        match address {
            core::net::IpAddr::V4(v4) => Self::v4(v4.octets()),
            core::net::IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

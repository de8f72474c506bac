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

/// An IPv4 or IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The first 64 bits, the very first highest. An IPv4 address is the upper half, the rest is zero.
    pub high: u64,
    /// The last 64 bits.
    pub low: u64,
    /// `Ipv4` or `Ipv6`.
    pub family: Family,
}

impl Address {
    /// An IPv4 address, in network byte order.
    #[inline(always)]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self { high: (u32::from_be_bytes(octets) as u64) << 32, low: 0, family: Family::Ipv4 }
    }

    /// An IPv6 address, in network byte order.
    #[inline(always)]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self {
            high: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            low: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
            family: Family::Ipv6,
        }
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        matches!(self.family, Family::Ipv4)
    }

    /// The first 32 bits: all of an IPv4 address.
    #[inline(always)]
    pub const fn first_32(&self) -> u32 {
        (self.high >> 32) as u32
    }

    /// `::`, or 0.0.0.0.
    #[inline(always)]
    pub(crate) const fn is_unspecified(&self) -> bool {
        self.high | self.low == 0
    }

    /// Inside fe80::/10 (RFC 4291 section 2.5.6).
    #[inline(always)]
    pub(crate) const fn is_v6_link_local(&self) -> bool {
        self.high >> 54 == 0xfe80 >> 6
    }
}

#[cfg(not(target_arch = "bpf"))]
impl Address {
    /// The address as the standard library has it.
    pub fn to_ip(self) -> core::net::IpAddr {
        match self.family {
            Family::Ipv4 => core::net::Ipv4Addr::from_bits(self.first_32()).into(),
            _ => core::net::Ipv6Addr::from_bits(u128::from(self.high) << 64 | u128::from(self.low)).into(),
        }
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

//! Prefixes as operators write them: canonical or refused.

use std::{
    cmp::Ordering,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::wrong_form::WrongForm;
use crate::text::shown::shown;

/// An IPv4 or IPv6 prefix without host bits.
///
/// Ordered by family, address, then length, so that a prefix comes right before what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(IpNet);

/// Why a string is no [`Prefix`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// Neither an address nor `address/length`.
    Syntax {
        /// What was written.
        text: String,
    },
    /// Address bits are set behind the prefix length.
    HostBits {
        /// What was written.
        text: String,
        /// The prefix that covers it.
        network: IpNet,
        /// The address alone.
        address: IpAddr,
    },
    /// An IPv4 address written as `::ffff:a.b.c.d`, which no packet carries.
    V4Mapped {
        /// What was written.
        text: String,
        /// The IPv4 prefix.
        meant: Ipv4Net,
    },
    /// Something else that is known.
    Form(WrongForm),
}

impl Prefix {
    /// All of IPv4.
    pub const ALL_V4: Self = Self(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)));
    /// All of IPv6.
    pub const ALL_V6: Self = Self(IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)));

    /// The prefix of `address` with the given length.
    ///
    /// # Errors
    /// When the length is too long for the family, host bits are set or the address is IPv4-mapped.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let text = format!("{address}/{length}");
        let net = IpNet::new(address, length).map_err(|_| PrefixError::Syntax { text: text.clone() })?;
        Self::canonical(net, &text)
    }

    /// Whether it holds one address only.
    pub fn is_host(self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// The prefix that holds only `address`.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }

    /// A part of the address space, whether or not a policy may name it.
    pub(crate) fn part(address: IpAddr, length: u8) -> Option<Self> {
        IpNet::new(address, length).ok().map(|net| Self(net.trunc()))
    }

    /// Network address.
    pub fn address(self) -> IpAddr {
        self.0.addr()
    }

    /// Length in bits.
    pub fn length(self) -> u8 {
        self.0.prefix_len()
    }

    /// Last address inside.
    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    /// Whether `address` is inside.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether `other` is the same or more specific.
    pub fn covers(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }

    /// The prefix one bit shorter; `None` for length 0.
    pub fn parent(self) -> Option<Self> {
        self.0.supernet().map(Self)
    }

    /// Every prefix that covers all of this one, itself first, then shorter and shorter ones.
    pub fn covering(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |prefix| prefix.parent())
    }

    fn canonical(net: IpNet, text: &str) -> Result<Self, PrefixError> {
        if let IpNet::V6(v6) = net
            && v6.prefix_len() >= 96
            && let Some(address) = v6.addr().to_ipv4_mapped()
            && let Ok(meant) = Ipv4Net::new(address, v6.prefix_len() - 96)
        {
            return Err(PrefixError::V4Mapped { text: text.to_owned(), meant: meant.trunc() });
        }
        if net.addr() == net.network() {
            Ok(Self(net))
        } else {
            Err(PrefixError::HostBits { text: text.to_owned(), network: net.trunc(), address: net.addr() })
        }
    }
}

impl Ord for Prefix {
    // As numbers, not octet by octet: all that lists do compares prefixes.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (IpNet::V4(one), IpNet::V4(other)) => {
                let key = |net: Ipv4Net| u64::from(net.addr().to_bits()) << 8 | u64::from(net.prefix_len());
                key(one).cmp(&key(other))
            }
            (IpNet::V6(one), IpNet::V6(other)) => {
                let key = |net: Ipv6Net| (net.addr().to_bits(), net.prefix_len());
                key(one).cmp(&key(other))
            }
            (IpNet::V4(_), IpNet::V6(_)) => Ordering::Less,
            (IpNet::V6(_), IpNet::V4(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Prefix {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        Self::parse(text, || {
            WrongForm::recognize(text).map_or_else(|| PrefixError::Syntax { text: shown(text) }, PrefixError::Form)
        })
    }
}

impl Prefix {
    /// The prefix that is written, without a word on what else it may be: for the thousandth mistake of a batch.
    pub fn parse_plainly(text: &str) -> Option<Self> {
        Self::parse(text, || PrefixError::Syntax { text: String::new() }).ok()
    }

    fn parse(text: &str, syntax: impl Fn() -> PrefixError) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => {
                // `+8`, `08` and the empty string are not lengths.
                let plain =
                    length.bytes().all(|octet| octet.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
                let length = length.parse::<u8>().ok().filter(|_| plain).ok_or_else(&syntax)?;
                (address, Some(length))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| syntax())?;
        let full = if address.is_ipv4() { 32 } else { 128 };
        let net = IpNet::new(address, length.unwrap_or(full)).map_err(|_| syntax())?;
        Self::canonical(net, text)
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PrefixError {
    /// What this kind of mistake is called, in the plural.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "prefixes that cannot be read",
            Self::HostBits { .. } => "prefixes with host bits set",
            Self::V4Mapped { .. } => "IPv4-mapped addresses",
            Self::Form(wrong) => wrong.form.kind(),
        }
    }
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { text } => write!(
                f,
                "`{text}` is not a prefix; write an address (`192.0.2.1`, `2001:db8::1`) or a prefix (`192.0.2.0/24`, `2001:db8::/32`)"
            ),
            Self::HostBits { text, network, address } => {
                write!(f, "`{text}` has host bits set; write `{network}` or `{}`", IpNet::from(*address))
            }
            Self::V4Mapped { text, meant } => {
                write!(f, "`{text}` is an IPv4-mapped address, which no packet carries; write `{meant}`")
            }
            Self::Form(wrong) => wrong.fmt(f),
        }
    }
}

impl std::error::Error for PrefixError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        text.parse::<Prefix>().map(|prefix| prefix.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn prefixes_are_in_order_of_family_address_and_length() {
        let in_order = [
            "0.0.0.0/0",
            "10.0.0.0/7",
            "10.0.0.0/8",
            "10.0.0.0/24",
            "10.0.0.0/32",
            "10.0.0.1/32",
            "128.0.0.0/1",
            "255.255.255.255/32",
            "::/0",
            "::/128",
            "::1/128",
            "2001:db8::/32",
            "2001:db8::/127",
            "2001:db8::1/128",
            "2001:db8:0:1::/64",
            "8000::/1",
            "ffff::/16",
        ];
        let prefixes: Vec<Prefix> = in_order.iter().map(|text| text.parse().unwrap()).collect();
        for (index, one) in prefixes.iter().enumerate() {
            for (other_index, other) in prefixes.iter().enumerate() {
                assert_eq!(one.cmp(other), index.cmp(&other_index), "{one} and {other}");
            }
        }
    }

    #[test]
    fn bare_addresses_are_host_prefixes() {
        assert_eq!(parse("192.0.2.1"), Ok("192.0.2.1/32".into()));
        assert_eq!(parse("2001:DB8::1"), Ok("2001:db8::1/128".into()));
        assert_eq!(parse("0.0.0.0/0"), Ok("0.0.0.0/0".into()));
        assert_eq!(parse("::/0"), Ok("::/0".into()));
    }

    #[test]
    fn host_bits_are_refused_with_both_ways_out() {
        assert_eq!(
            parse("10.0.0.7/24"),
            Err("`10.0.0.7/24` has host bits set; write `10.0.0.0/24` or `10.0.0.7/32`".into())
        );
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for bad in [
            "",
            "x",
            "1.2.3",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/+8",
            "1.2.3.4/08",
            " 1.2.3.4",
            "1.2.3.4 ",
            "::/129",
            "::ffff:1.2.3.4",
            "::ffff:0:0/96",
            "1.2.3.4/8/8",
            "fe80::1%eth0",
            "01.2.3.4",
            "[::1]",
            "1.2.3.4/255.0.0.0",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_sorts_before_what_it_covers() {
        let mut prefixes: Vec<Prefix> = ["10.0.0.1", "10.0.0.0/8", "::/0", "10.0.0.0", "9.0.0.0/8"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        prefixes.sort();
        let sorted: Vec<String> = prefixes.iter().map(Prefix::to_string).collect();
        assert_eq!(sorted, ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/32", "10.0.0.1/32", "::/0"]);
    }
}

//! What people write in place of a prefix, and what to write instead.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Subnets};

use super::{Prefix, PrefixError};
use crate::text::shown::shown;

/// A text that is no prefix, in a form that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongForm {
    /// What was written.
    pub text: String,
    /// What it is.
    pub form: Form,
    /// Prefixes that may have been meant, the first few of them.
    pub meant: Vec<IpNet>,
    /// How many more there are.
    pub more: usize,
}

/// What stands in place of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// `192.0.2.4-192.0.2.9`.
    Range,
    /// A range whose end is before its start.
    BackwardRange,
    /// `192.0.2.0/255.255.255.0`, `192.0.2.0 255.255.255.0`.
    Netmask,
    /// `192.0.2.0 0.0.0.255`, as routers write it.
    WildcardMask,
    /// `192.0.2.1:443`, `[2001:db8::1]:443`.
    Port,
    /// `[2001:db8::1]`.
    Brackets,
    /// `fe80::1%eth0`.
    Zone,
    /// `192.000.002.001`, `10.0.0.0/08`.
    LeadingZeros,
    /// `192.0.2`, `192.0.2.`, `10/8`.
    Short,
    /// `192.0.2.*`.
    Wildcard,
    /// A length that the family does not have.
    Length,
    /// A comment that does not begin with `#`.
    Comment,
    /// Several prefixes.
    Several,
    /// A prefix in the first column of a table.
    Columns,
    /// A line of `ipset save`.
    IpsetSave,
    /// JSON, or a line of it.
    Json,
    /// `https://example.com`.
    Url,
    /// `api.example.com`.
    HostName,
}

/// Octets of a text that are looked at.
const LOOKED_AT: usize = 512;

/// Prefixes that are named.
const NAMED: usize = 4;

impl WrongForm {
    /// What `text`, which is no prefix, looks like.
    pub(super) fn recognize(text: &str) -> Option<Self> {
        let head = text.get(..text.floor_char_boundary(LOOKED_AT))?.trim();
        let (form, mut meant) = FORMS.iter().find_map(|recognize| recognize(head))?;
        meant.iter_mut().for_each(|net| *net = unmapped(*net));
        let more = meant.len().saturating_sub(NAMED);
        meant.truncate(NAMED);
        Some(Self { text: shown(text), form, meant, more })
    }
}

type Recognized = Option<(Form, Vec<IpNet>)>;

/// The first that knows a text says what it is.
const FORMS: [fn(&str) -> Recognized; 14] = [
    json, ipset_save, comment, url, range, masked, bracketed, with_port, zone, columns, wildcard, dotted, length,
    host_name,
];

fn json(text: &str) -> Recognized {
    let is_element = text.starts_with('"') && text.ends_with(['"', ',', '{', '[', '}', ']', ':']);
    let is_nested = text.starts_with('[') && (text == "[" || text.contains(['"', '{']));
    if !(text.starts_with(['{', '}', ']']) || is_element || is_nested) {
        return None;
    }
    let meant = text.split('"').filter_map(network).collect();
    Some((Form::Json, meant))
}

fn ipset_save(text: &str) -> Recognized {
    let mut words = text.split_ascii_whitespace();
    match (words.next()?, words.next()?) {
        ("create", _) => Some((Form::IpsetSave, Vec::new())),
        ("add", _) => Some((Form::IpsetSave, words.next().and_then(network).into_iter().collect())),
        _ => None,
    }
}

fn comment(text: &str) -> Recognized {
    let mark = [";", "//"].iter().filter_map(|mark| text.find(mark)).min()?;
    let before = text.get(..mark)?.trim();
    let is_comment = before.is_empty() || network(before).is_some();
    is_comment.then(|| (Form::Comment, network(before).into_iter().collect()))
}

fn url(text: &str) -> Recognized {
    text.contains("://").then(|| (Form::Url, Vec::new()))
}

fn range(text: &str) -> Recognized {
    let (start, end) = text.split_once('-')?;
    let start: IpAddr = start.trim_end().parse().ok()?;
    let end = end.trim_start();
    let end = match (start, end.parse::<IpAddr>(), end.parse::<u8>()) {
        (_, Ok(end), _) => end,
        // As nmap writes it.
        (IpAddr::V4(start), _, Ok(last)) => {
            let [first, second, third, _] = start.octets();
            IpAddr::V4(Ipv4Addr::new(first, second, third, last))
        }
        _ => return None,
    };
    match (start, end) {
        (start, end) if start.is_ipv4() == end.is_ipv4() && end < start => Some((Form::BackwardRange, Vec::new())),
        (IpAddr::V4(start), IpAddr::V4(end)) => {
            Some((Form::Range, Ipv4Subnets::new(start, end, 0).map(IpNet::V4).collect()))
        }
        (IpAddr::V6(start), IpAddr::V6(end)) => {
            Some((Form::Range, Ipv6Subnets::new(start, end, 0).map(IpNet::V6).collect()))
        }
        _ => None,
    }
}

fn masked(text: &str) -> Recognized {
    let (address, mask) = text.split_once(['/', ' ', '\t'])?;
    let (address, mask): (Ipv4Addr, Ipv4Addr) = (address.parse().ok()?, mask.trim_start().parse().ok()?);
    if mask.is_unspecified() && !address.is_unspecified() {
        // One host, as routers write it.
        return Some((Form::WildcardMask, vec![IpNet::from(IpAddr::V4(address))]));
    }
    let of = |mask| Ipv4Net::with_netmask(address, mask).ok().map(|net| vec![IpNet::V4(net.trunc())]);
    let of_mask = of(mask).map(|meant| (Form::Netmask, meant));
    of_mask.or_else(|| of(!mask).map(|meant| (Form::WildcardMask, meant)))
}

fn bracketed(text: &str) -> Recognized {
    let (inside, behind) = text.strip_prefix('[')?.split_once(']')?;
    let address: Ipv6Addr = inside.parse().ok()?;
    let alone = IpNet::from(IpAddr::V6(address).to_canonical());
    match behind.strip_prefix(':') {
        Some(port) => port.parse::<u16>().ok().map(|_| (Form::Port, vec![alone])),
        None => Some((Form::Brackets, vec![network(&format!("{address}{behind}")).unwrap_or(alone)])),
    }
}

fn with_port(text: &str) -> Recognized {
    let (address, port) = text.split_once(':')?;
    port.parse::<u16>().ok()?;
    Some((Form::Port, vec![IpNet::from(IpAddr::V4(address.parse().ok()?))]))
}

fn zone(text: &str) -> Recognized {
    let (address, _) = text.split_once('%')?;
    Some((Form::Zone, vec![IpNet::from(IpAddr::V6(address.parse().ok()?))]))
}

fn columns(text: &str) -> Recognized {
    let mut columns = text.split([',', ';', '|', ' ', '\t']).filter(|column| !column.is_empty());
    let first = network(columns.next()?)?;
    let mut meant = vec![first];
    let mut are_all = true;
    for column in columns {
        match network(column) {
            Some(net) if are_all => meant.push(net),
            _ => are_all = false,
        }
    }
    match (are_all, meant.len()) {
        // A comma behind it, or something that is a prefix by itself.
        (true, 1) if network(text).is_some() => None,
        (true, 2..) => Some((Form::Several, meant)),
        _ => Some((Form::Columns, vec![first])),
    }
}

fn wildcard(text: &str) -> Recognized {
    let fixed = text.trim_end_matches(".*");
    let wild = text.len().checked_sub(fixed.len()).filter(|wild| *wild > 0)? / 2;
    let (net, given) = numbers(fixed, None)?;
    (given + wild <= 4).then(|| (Form::Wildcard, vec![net]))
}

/// IPv4 with leading zeros, or fewer than four numbers.
fn dotted(text: &str) -> Recognized {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(number(length).filter(|length| *length <= 32)?)),
        None => (text, None),
    };
    let (net, given) = numbers(address.strip_suffix('.').unwrap_or(address), length)?;
    let is_alone = given == 1 && length.is_none();
    match given {
        4 => Some((Form::LeadingZeros, vec![net])),
        // A number alone is anything.
        _ if is_alone => None,
        _ => Some((Form::Short, vec![net])),
    }
}

/// The network that begins with these numbers, of `length` bits or of all that are given, and how many those are.
fn numbers(text: &str, length: Option<u8>) -> Option<(IpNet, usize)> {
    let mut octets = [0; 4];
    let mut given = 0;
    for part in text.split('.') {
        *octets.get_mut(given)? = number(part)?;
        given += 1;
    }
    let length = length.or_else(|| u8::try_from(given * 8).ok())?;
    let net = Ipv4Net::new(Ipv4Addr::from(octets), length).ok()?;
    Some((IpNet::V4(net.trunc()), given))
}

/// Decimal digits, at most three.
fn number(text: &str) -> Option<u8> {
    let is_number = (1..=3).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn length(text: &str) -> Recognized {
    let (address, length) = text.split_once('/')?;
    let is_number = !length.is_empty() && length.bytes().all(|octet| octet.is_ascii_digit());
    address.parse::<IpAddr>().ok().filter(|_| is_number)?;
    Some((Form::Length, Vec::new()))
}

fn host_name(text: &str) -> Recognized {
    let of_label = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
    let mut labels = text.strip_suffix('.').unwrap_or(text).rsplit('.');
    let is_domain = |label: &str| label.bytes().any(|octet| octet.is_ascii_alphabetic());
    let is_name = labels.next().is_some_and(is_domain)
        && text.contains('.')
        && text.split('.').all(|label| label.len() < 64 && label.bytes().all(of_label))
        && labels.all(|label| !label.is_empty());
    is_name.then(|| (Form::HostName, Vec::new()))
}

/// An IPv4-mapped network as what it is: an IPv4 network.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(net, IpNet::V4)
}

/// The network of a prefix as it may be written in a table, host bits cut off.
fn network(text: &str) -> Option<IpNet> {
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)))?;
    match Prefix::new(net.network(), net.prefix_len()) {
        Ok(_) => Some(net.trunc()),
        Err(PrefixError::V4Mapped { meant, .. }) => Some(IpNet::V4(meant)),
        Err(_) => None,
    }
}

impl fmt::Display for WrongForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, form, meant, more } = self;
        write!(f, "`{text}` {}", form.words())?;
        if !meant.is_empty() {
            let meant: Vec<String> = meant.iter().map(|net| format!("`{net}`")).collect();
            write!(f, "{}{}", form.before_meant(), meant.join(", "))?;
        }
        if *more > 0 {
            write!(f, " and {more} more")?;
        }
        Ok(())
    }
}

impl Form {
    /// What it is.
    const fn words(self) -> &'static str {
        match self {
            Self::Range => "is a range, and a list has prefixes",
            Self::BackwardRange => "is a range that ends before it begins",
            Self::Netmask => "has a netmask in place of a length",
            Self::WildcardMask => "has a wildcard mask in place of a length",
            Self::Port => "has a port, and a list is of addresses: the ports are those of the service that uses it",
            Self::Brackets => "stands in brackets",
            Self::Zone => "has a zone, which no packet carries",
            Self::LeadingZeros => "has leading zeros, which some programs read as octal",
            Self::Short => "has fewer than four numbers",
            Self::Wildcard => "has a `*`",
            Self::Length => "has a length that no prefix of its family has: IPv4 has at most 32, IPv6 at most 128",
            Self::Comment => "has a comment, which begins with `#` here",
            Self::Several => "is more than one prefix; write each in a line of its own, or as an argument of its own",
            Self::Columns => "has more than one column; write the prefix alone",
            Self::IpsetSave => "is a line of `ipset save`; write the prefixes alone, one a line",
            Self::Json => "is JSON; write the prefixes alone, one a line, as `jq -r` prints strings",
            Self::Url => "is a URL; write the addresses that it has, one a line",
            Self::HostName => "is a host name; write the addresses that it has, as `getent ahosts` prints them",
        }
    }

    /// What it is called, in the plural.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Range => "ranges",
            Self::BackwardRange => "ranges that end before they begin",
            Self::Netmask => "netmasks",
            Self::WildcardMask => "wildcard masks",
            Self::Port => "addresses with ports",
            Self::Brackets => "addresses in brackets",
            Self::Zone => "addresses with zones",
            Self::LeadingZeros => "numbers with leading zeros",
            Self::Short => "addresses of fewer than four numbers",
            Self::Wildcard => "addresses with a `*`",
            Self::Length => "lengths that no prefix has",
            Self::Comment => "comments that do not begin with `#`",
            Self::Several => "lines with more than one prefix",
            Self::Columns => "lines with more than one column",
            Self::IpsetSave => "lines of `ipset save`",
            Self::Json => "lines of JSON",
            Self::Url => "URLs",
            Self::HostName => "host names",
        }
    }

    /// What stands before the prefixes that were meant.
    const fn before_meant(self) -> &'static str {
        match self {
            Self::Several | Self::Columns | Self::IpsetSave | Self::Json => ": ",
            _ => "; write ",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::policy::{Prefix, PrefixError};

    const TEXTS: &str = "[0-9a-f:.%/*,; \\[\\]{}\"-]{0,40}|(25[0-5]|[0-9]{1,3})(\\.[0-9*]{1,3}){0,4}([-/: ,][0-9.]{1,15})?|\\[?::ffff:192\\.0\\.2\\.[0-9]{1,2}[]%:/-]?(::ffff:192\\.0\\.2\\.99|[0-9:]{0,4})|.{0,2000}";

    fn told(text: &str) -> String {
        text.parse::<Prefix>().unwrap_err().to_string()
    }

    #[test]
    fn each_form_is_named_with_what_to_write() {
        for (text, wanted) in [
            (
                "198.51.100.4-198.51.100.9",
                "is a range, and a list has prefixes; write `198.51.100.4/30`, `198.51.100.8/31`",
            ),
            (
                "198.51.100.20 - 198.51.100.30",
                "is a range, and a list has prefixes; write `198.51.100.20/30`, `198.51.100.24/30`, `198.51.100.28/31`, `198.51.100.30/32`",
            ),
            (
                "198.51.100.1-254",
                "is a range, and a list has prefixes; write `198.51.100.1/32`, `198.51.100.2/31`, `198.51.100.4/30`, `198.51.100.8/29` and 10 more",
            ),
            ("2001:db8::-2001:db8::ff", "is a range, and a list has prefixes; write `2001:db8::/120`"),
            ("198.51.100.9-198.51.100.4", "is a range that ends before it begins"),
            ("198.51.100.0 255.255.255.0", "has a netmask in place of a length; write `198.51.100.0/24`"),
            ("198.51.100.0/255.255.255.0", "has a netmask in place of a length; write `198.51.100.0/24`"),
            ("198.51.100.7/255.255.255.0", "has a netmask in place of a length; write `198.51.100.0/24`"),
            ("198.51.100.0 0.0.0.255", "has a wildcard mask in place of a length; write `198.51.100.0/24`"),
            (
                "198.51.100.1:443",
                "has a port, and a list is of addresses: the ports are those of the service that uses it; write `198.51.100.1/32`",
            ),
            (
                "[2001:db8::1]:443",
                "has a port, and a list is of addresses: the ports are those of the service that uses it; write `2001:db8::1/128`",
            ),
            ("[2001:db8::1]", "stands in brackets; write `2001:db8::1/128`"),
            ("[2001:db8::]/32", "stands in brackets; write `2001:db8::/32`"),
            ("[::ffff:192.0.2.0]/120", "stands in brackets; write `192.0.2.0/24`"),
            ("[::ffff:192.0.2.1]", "stands in brackets; write `192.0.2.1/32`"),
            ("fe80::1%eth0", "has a zone, which no packet carries; write `fe80::1/128`"),
            ("198.051.100.001", "has leading zeros, which some programs read as octal; write `198.51.100.1/32`"),
            ("10.0.0.0/08", "has leading zeros, which some programs read as octal; write `10.0.0.0/8`"),
            ("192.0.2", "has fewer than four numbers; write `192.0.2.0/24`"),
            ("192.0.2.", "has fewer than four numbers; write `192.0.2.0/24`"),
            ("10/8", "has fewer than four numbers; write `10.0.0.0/8`"),
            ("192.0.2.*", "has a `*`; write `192.0.2.0/24`"),
            ("192.0.*.*", "has a `*`; write `192.0.0.0/16`"),
            ("192.0.2.0/33", "has a length that no prefix of its family has: IPv4 has at most 32, IPv6 at most 128"),
            ("192.0.2.1 0.0.0.0", "has a wildcard mask in place of a length; write `192.0.2.1/32`"),
            ("0.0.0.0 0.0.0.0", "has a netmask in place of a length; write `0.0.0.0/0`"),
            (
                "[::ffff:192.0.2.1]:443",
                "has a port, and a list is of addresses: the ports are those of the service that uses it; write `192.0.2.1/32`",
            ),
            ("[::ffff:192.0.2.1]", "stands in brackets; write `192.0.2.1/32`"),
            ("::ffff:192.0.2.1%eth0", "has a zone, which no packet carries; write `192.0.2.1/32`"),
            ("::ffff:192.0.2.4-::ffff:192.0.2.7", "is a range, and a list has prefixes; write `192.0.2.4/30`"),
            ("; Example DROP list", "has a comment, which begins with `#` here"),
            ("198.51.100.0/24 ; SBL000001", "has a comment, which begins with `#` here; write `198.51.100.0/24`"),
            ("198.51.100.1 // office", "has a comment, which begins with `#` here; write `198.51.100.1/32`"),
            (
                "198.51.100.1,198.51.100.2",
                "is more than one prefix; write each in a line of its own, or as an argument of its own: `198.51.100.1/32`, `198.51.100.2/32`",
            ),
            (
                "198.51.100.3 198.51.100.4",
                "is more than one prefix; write each in a line of its own, or as an argument of its own: `198.51.100.3/32`, `198.51.100.4/32`",
            ),
            ("198.51.100.0/24|DE|2026", "has more than one column; write the prefix alone: `198.51.100.0/24`"),
            ("198.51.100.1,", "has more than one column; write the prefix alone: `198.51.100.1/32`"),
            (
                "{\"cidr\":\"198.51.100.0/24\",\"rir\":\"apnic\"}",
                "is JSON; write the prefixes alone, one a line, as `jq -r` prints strings: `198.51.100.0/24`",
            ),
            (
                "[\"198.51.100.0/24\"]",
                "is JSON; write the prefixes alone, one a line, as `jq -r` prints strings: `198.51.100.0/24`",
            ),
            (
                "\"198.51.100.0/24\",",
                "is JSON; write the prefixes alone, one a line, as `jq -r` prints strings: `198.51.100.0/24`",
            ),
            (
                "add blk 203.0.113.9 timeout 76",
                "is a line of `ipset save`; write the prefixes alone, one a line: `203.0.113.9/32`",
            ),
            ("create blk hash:net family inet", "is a line of `ipset save`; write the prefixes alone, one a line"),
            ("https://example.com/list", "is a URL; write the addresses that it has, one a line"),
            ("api.example.com", "is a host name; write the addresses that it has, as `getent ahosts` prints them"),
            ("::ffff:198.51.100.1", "is an IPv4-mapped address, which no packet carries; write `198.51.100.1/32`"),
            ("::ffff:198.51.100.0/120", "is an IPv4-mapped address, which no packet carries; write `198.51.100.0/24`"),
        ] {
            assert_eq!(told(text), format!("`{text}` {wanted}"), "{text}");
        }
    }

    #[test]
    fn what_looks_like_nothing_is_told_what_a_prefix_is() {
        for text in [
            "",
            "x",
            "10",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "1.2.3.4/8/8",
            "256.1.1.1",
            ".",
            "-",
            "/",
            "*",
            "%",
            "[]",
            "a b",
            "00:1b:44:11:3a:b7",
        ] {
            assert!(told(text).starts_with(&format!("`{text}` is not a prefix; write ")), "{text}: {}", told(text));
        }
    }

    proptest! {
        #[test]
        fn what_is_named_as_meant_is_a_prefix_and_no_text_makes_a_long_answer(text in TEXTS) {
            let Err(error) = text.parse::<Prefix>() else { return Ok(()) };
            if let PrefixError::Form(wrong) = &error {
                for net in &wrong.meant {
                    prop_assert!(net.to_string().parse::<Prefix>().is_ok(), "{net} for {text:?}");
                }
            }
            prop_assert!(error.to_string().chars().count() < 400, "{error}");
        }
    }
}

//! The frame of a question.

use std::{fmt, net::IpAddr};

use super::{AskedProtocol, Chosen, DestinationBy, Destinations, Question};
use crate::{
    policy::{
        Protocol,
        packet::{ACK, Packet, SYN, Transport},
    },
    text::problem::{Problem, Problems},
};

/// First of the ports that hosts send from (RFC 6335 section 6).
const SOURCE_PORT: u16 = 49152;

const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;

/// Why text is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HexError {
    /// There is something else than hexadecimal digits.
    Digit {
        /// Where, in characters from 0.
        at: usize,
    },
    /// Half an octet is missing.
    Odd,
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digit { at } => write!(f, "character {} is no hexadecimal digit", at + 1),
            Self::Odd => f.write_str("an odd number of hexadecimal digits"),
        }
    }
}

/// The octets that `text` spells, two digits each.
///
/// # Errors
/// See [`HexError`].
pub fn from_hex(text: &str) -> Result<Vec<u8>, HexError> {
    let digit = |(at, digit): (usize, char)| digit.to_digit(16).map(|digit| digit as u8).ok_or(HexError::Digit { at });
    let digits = text.chars().enumerate().map(digit).collect::<Result<Vec<u8>, _>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(HexError::Odd);
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// The same the other way round.
pub fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The packet that `question` describes by its fields, and who chose its destination if the question did not. `here` gives what there is
/// to choose from for a source.
///
/// # Errors
/// Every field that is missing or does not fit.
pub fn packet<'a>(
    question: &Question,
    here: impl FnOnce(IpAddr) -> Destinations<'a>,
) -> Result<(Packet, Option<DestinationBy>), Problems> {
    let mut problems = Problems::default();
    let mut wrong = |pointer: &str, detail: &str| {
        problems.add("fields", || Problem { pointer: pointer.into(), detail: detail.into() });
    };
    let has_ports = question.protocol != AskedProtocol::Icmp;
    if question.source.is_none() {
        wrong("/source", "a source or a frame is needed");
    }
    match (has_ports, question.port, question.source_port) {
        (true, None, _) => wrong("/port", "TCP and UDP have a destination port"),
        (false, Some(_), _) => wrong("/port", "ICMP has no ports"),
        (false, _, Some(_)) => wrong("/source_port", "ICMP has no ports"),
        _ => {}
    }
    if question.syn && question.protocol != AskedProtocol::Tcp {
        wrong("/syn", "only TCP opens connections");
    }
    if let (Some(source), Some(destination)) = (question.source, question.destination)
        && source.is_ipv4() != destination.is_ipv4()
    {
        wrong("/destination", "source and destination are of different families");
    }
    let (Some(source), true) = (question.source, problems.is_empty()) else { return Err(problems) };
    let (port, source_port) = (question.port.unwrap_or(0), question.source_port.unwrap_or(SOURCE_PORT));
    let transport = match question.protocol {
        AskedProtocol::Tcp => Transport::Tcp { source_port, port, flags: if question.syn { SYN } else { ACK } },
        AskedProtocol::Udp => Transport::Udp { source_port, port },
        AskedProtocol::Icmp if source.is_ipv4() => Transport::Icmp { kind: ECHO_REQUEST_V4, code: 0 },
        AskedProtocol::Icmp => Transport::Icmp { kind: ECHO_REQUEST_V6, code: 0 },
    };
    let packet = |destination| Packet { source, destination, transport, is_later_fragment: false };
    if let Some(destination) = question.destination {
        return Ok((packet(destination), None));
    }
    let Chosen { address, by, .. } = here(source).of_port(question.protocol.of_services(), port);
    Ok((packet(address), Some(by)))
}

/// A packet that opens a connection to `chosen`, or is the first of it: what a source sends that comes anew.
pub fn opening(source: IpAddr, source_port: Option<u16>, protocol: Protocol, chosen: Chosen) -> Packet {
    let source_port = source_port.unwrap_or(SOURCE_PORT);
    let transport = match protocol {
        Protocol::Tcp => Transport::Tcp { source_port, port: chosen.port, flags: SYN },
        Protocol::Udp => Transport::Udp { source_port, port: chosen.port },
    };
    Packet { source, destination: chosen.address, transport, is_later_fragment: false }
}

impl AskedProtocol {
    /// The protocol of services that it is; `None` for one that no service has.
    pub fn of_services(self) -> Option<Protocol> {
        match self {
            Self::Tcp => Some(Protocol::Tcp),
            Self::Udp => Some(Protocol::Udp),
            Self::Icmp => None,
        }
    }
}

impl From<Protocol> for AskedProtocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        config,
        policy::{Policy, Prefix},
    };

    fn policy() -> Policy {
        let text = r#"
[[interface]]
name = "eth0"
[services.web]
protocol = "tcp"
ports = [443]
[services.named]
protocol = "tcp"
ports = [8443]
addresses = ["192.0.2.20"]
"#;
        config::load_text(Path::new("x.toml"), text, Path::new("")).unwrap().policy
    }

    fn ask(question: &Question) -> Result<Packet, Vec<String>> {
        let (policy, own) =
            (policy(), ["192.0.2.10", "2001:db8::10"].map(|text| text.parse::<Prefix>().unwrap()).into());
        let (policy, own) = (&policy, &own);
        packet(question, |source| Destinations { policy, own, source, route: None })
            .map(|(packet, _)| packet)
            .map_err(|problems| problems.told().into_iter().map(|problem| problem.pointer).collect())
    }

    #[test]
    fn a_destination_is_chosen_where_the_port_is_served() {
        let to = |source: &str, port| {
            let question = Question { source: Some(source.parse().unwrap()), port: Some(port), ..Question::default() };
            ask(&question).unwrap().destination.to_string()
        };
        assert_eq!(to("203.0.113.7", 443), "192.0.2.10");
        assert_eq!(to("203.0.113.7", 8443), "192.0.2.20");
        assert_eq!(to("2001:db8::7", 8443), "2001:db8::10");
        assert_eq!(to("203.0.113.7", 1), "192.0.2.10");
    }

    #[test]
    fn every_field_that_does_not_fit_is_named() {
        assert_eq!(ask(&Question::default()), Err(vec!["/source".into(), "/port".into()]));
        let icmp = Question {
            source: Some("203.0.113.7".parse().unwrap()),
            destination: Some("2001:db8::1".parse().unwrap()),
            protocol: AskedProtocol::Icmp,
            port: Some(1),
            syn: true,
            ..Question::default()
        };
        assert_eq!(ask(&icmp), Err(vec!["/port".into(), "/syn".into(), "/destination".into()]));
    }

    #[test]
    fn hexadecimal_digits_are_read_or_refused_with_their_place() {
        assert_eq!(from_hex("00fF1a"), Ok(vec![0, 0xff, 0x1a]));
        assert_eq!(from_hex(&to_hex(&[1, 254])), Ok(vec![1, 254]));
        assert_eq!(from_hex("0"), Err(HexError::Odd));
        assert_eq!(from_hex("0ä"), Err(HexError::Digit { at: 1 }));
    }
}

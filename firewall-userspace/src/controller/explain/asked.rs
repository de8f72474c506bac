//! From a question to frames.

use std::net::IpAddr;

use super::{Core, facts::AskedFacts};
use crate::{
    control::Refusal,
    datapath::Filter,
    policy::Service,
    preview::explain::{
        self, AskedPacket, Chosen, DestinationBy, Destinations, LONGEST_FRAME, MOST_FRAMES, Question, Questions,
        SHORTEST_FRAME,
    },
    state::disk::Disk,
    text::{
        problem::{Problem, Problems},
        shown::{counted, grouped},
    },
};

/// A frame that is asked about.
pub(super) struct AskedFrame {
    pub(super) frame: Vec<u8>,
    /// Who chose its destination, when the question left that open.
    pub(super) chosen_by: Option<DestinationBy>,
    /// Which packet it is, when the question left that open.
    pub(super) packet: Option<AskedPacket>,
    /// What there is to say before it is judged.
    pub(super) notes: Vec<String>,
}

impl<F: Filter, D: Disk> Core<F, D> {
    /// The frame of a question about one packet.
    pub(super) fn packet(&self, question: &Question, facts: &mut AskedFacts<'_>) -> Result<AskedFrame, Refusal> {
        let Some(digits) = &question.frame else {
            let here = |source| self.destinations(source, facts);
            let (packet, chosen_by) = explain::packet(question, here).map_err(Refusal::Invalid)?;
            let frame = packet.frame().ok_or_else(|| wrong("/destination", OTHER_FAMILY))?;
            let notes = chosen_by.and_then(|by| facts.note_on_choice(packet.source, by));
            return Ok(AskedFrame { frame, chosen_by, packet: None, notes: notes.into_iter().collect() });
        };
        if (Question { frame: None, ..question.clone() }) != Question::default() {
            return Err(wrong("/frame", "a frame says everything itself; nothing else may be given"));
        }
        frame_of(digits).map_err(|why| wrong("/frame", why))
    }

    /// The frames of a question about several packets, each or why there is none.
    pub(super) fn packets(
        &self,
        questions: &Questions,
        facts: &mut AskedFacts<'_>,
    ) -> Result<Vec<Result<AskedFrame, String>>, Refusal> {
        let Questions { source, destination, protocol, source_port, frames } = questions;
        if frames.len() > MOST_FRAMES {
            let count = grouped(frames.len());
            return Err(wrong("/frames", format!("there are {count}; at most {MOST_FRAMES} are judged at once")));
        }
        if !frames.is_empty() {
            if (Questions { frames: Vec::new(), ..questions.clone() }) != Questions::default() {
                return Err(wrong("/frames", "frames say everything themselves; nothing else may be given"));
            }
            return Ok(frames.iter().map(|digits| frame_of(digits)).collect());
        }
        let Some(source) = *source else { return Err(wrong("/source", "a source or frames are needed")) };
        if destination.is_some_and(|destination| destination.is_ipv4() != source.is_ipv4()) {
            return Err(wrong("/destination", "source and destination are of different families"));
        }
        let wanted = match protocol.map(|protocol| (protocol, protocol.of_services())) {
            None => None,
            Some((_, Some(protocol))) => Some(protocol),
            Some((_, None)) => return Err(wrong("/protocol", "no service has ICMP; ask about one packet")),
        };
        let here = self.destinations(source, facts);
        let services = self.in_force.policy.services.iter();
        let services = services.filter(|service| wanted.is_none_or(|wanted| wanted == service.protocol));
        let asked = services.map(|service| {
            let ask = ServiceQuestion { source, source_port: *source_port, destination: *destination, here };
            ask.about(service, facts)
        });
        asked.collect::<Result<Vec<_>, _>>().map(|asked| asked.into_iter().map(Ok).collect())
    }

    /// Where packets of `source` can go to on this host.
    fn destinations(&self, source: IpAddr, facts: &mut AskedFacts<'_>) -> Destinations<'_> {
        let route = facts.reached_from(source);
        Destinations { policy: &self.in_force.policy, own: self.lists.own(), source, route }
    }
}

/// What is asked about every service.
struct ServiceQuestion<'a> {
    source: IpAddr,
    source_port: Option<u16>,
    destination: Option<IpAddr>,
    here: Destinations<'a>,
}

impl ServiceQuestion<'_> {
    /// The packet that opens a connection to `service`, or is the first of it.
    fn about(&self, service: &Service, facts: &mut AskedFacts<'_>) -> Result<AskedFrame, Refusal> {
        let first = service.ports.first().map_or(0, |range| *range.start());
        let served = self.here.of_service(service);
        let chosen = match (self.destination, served) {
            (Some(address), _) => Chosen { address, port: first, by: DestinationBy::Route },
            (None, Some(served)) => served,
            (None, None) => self.here.general(first),
        };
        let packet = explain::opening(self.source, self.source_port, service.protocol, chosen);
        let mut notes = Vec::new();
        if self.destination.is_none() && served.is_none() {
            let family = if self.source.is_ipv4() { "IPv4" } else { "IPv6" };
            notes.push(format!(
                "no packet of this source is for `{}`: it is not served at an {family} address",
                service.name
            ));
        }
        let chosen_by = self.destination.is_none().then_some(chosen.by);
        notes.extend(chosen_by.and_then(|by| facts.note_on_choice(self.source, by)));
        let syn = service.protocol == crate::policy::Protocol::Tcp;
        let (name, protocol) = (service.name.to_string(), service.protocol.into());
        let asked = AskedPacket { service: name, protocol, port: chosen.port, syn };
        let frame = packet.frame().ok_or_else(|| wrong("/destination", OTHER_FAMILY))?;
        Ok(AskedFrame { frame, chosen_by, packet: Some(asked), notes })
    }
}

const OTHER_FAMILY: &str = "source and destination are of different families";

fn wrong(pointer: &str, detail: impl Into<String>) -> Refusal {
    let mut problems = Problems::default();
    problems.add("fields", || Problem { pointer: pointer.into(), detail: detail.into() });
    Refusal::Invalid(problems)
}

/// The frame that `digits` spell; words when they spell none.
fn frame_of(digits: &str) -> Result<AskedFrame, String> {
    let frame = explain::from_hex(digits).map_err(|error| error.to_string())?;
    if !(SHORTEST_FRAME..=LONGEST_FRAME).contains(&frame.len()) {
        let length = frame.len();
        return Err(format!("it has {}; frames have {SHORTEST_FRAME} to {LONGEST_FRAME}", counted(length, "octet")));
    }
    Ok(AskedFrame { frame, chosen_by: None, packet: None, notes: Vec::new() })
}

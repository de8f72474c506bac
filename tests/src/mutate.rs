//! Frames that nobody wrote: those of the table, bent and broken, and packets put together at random.

use std::ops::Range;

use firewall_common::Address;
use firewall_userspace::policy::{Policy, Prefix};

use crate::{
    cases::scenarios,
    packet::{Packet, ether_type, number},
    peek::ip_header,
    random::Random,
};

/// Where a policy changes its mind: the first and last addresses and ports of whatever it names, and their neighbours.
pub struct Boundaries {
    v4: Vec<[u8; 4]>,
    v6: Vec<[u8; 16]>,
    ports: Vec<u16>,
}

/// Makes frames for one policy.
pub struct Frames {
    seeds: Vec<Vec<u8>>,
    boundaries: Boundaries,
}

/// Most octets a frame grows to: well below the 73,000 or so that a test run takes.
const LONGEST: usize = 20_000;

/// Most octets of a frame that is about as long as the kernel merges: what a test run takes.
const LONGEST_MERGED: usize = 72_000;

/// Shortest frame that the kernel runs a program on.
const SHORTEST: usize = 14;

impl Frames {
    /// Frames for `policy` on a host with the addresses `own`.
    pub fn new(policy: &Policy, own: &[Prefix]) -> Self {
        let scenarios = scenarios();
        let seeds = scenarios.iter().flat_map(|scenario| &scenario.cases).map(|case| case.frame.clone());
        let seeds = seeds.filter(|frame| !frame.is_empty() && frame.len() <= LONGEST).collect();
        Self { seeds, boundaries: Boundaries::of(policy, own) }
    }

    /// The next frame, of at least `shortest` octets.
    pub fn next(&self, random: &mut Random, shortest: usize) -> Vec<u8> {
        let mut frame = if random.once_in(3) { self.generated(random) } else { self.seed(random) };
        for _ in 0..random.below(4) * random.below(2) {
            self.mutate(&mut frame, random);
        }
        if !random.once_in(4) {
            mend_length(&mut frame, 0);
        }
        frame.truncate(LONGEST);
        // As the kernel hands on what the host sent to itself.
        if random.once_in(40) && frame.len() > 34 {
            frame.drain(..14);
        }
        if frame.len() < shortest {
            frame.resize(shortest, random.octet());
        }
        frame
    }

    /// TCP as the kernel merges it, about as long as it takes, bent now and then.
    pub fn merged(&self, random: &mut Random) -> Vec<u8> {
        let is_v6 = random.once_in(2);
        let about = *random.pick(&[0usize, 0, 1, 1, 2, 8, 20, 28, 40, 4000]);
        let payload = 65_536 - 48 + about;
        let packet = if is_v6 {
            let (source, destination) = (*random.pick(&self.boundaries.v6), *random.pick(&self.boundaries.v6));
            let packet = Packet::between(source.into(), destination.into());
            let header = if random.once_in(8) { 16 } else { 8 };
            let packet = if random.once_in(4) {
                packet
            } else {
                let off = *random.pick(&[0i32, 0, 0, 0, -1, 1]);
                packet.jumbo_option((header + 20 + payload as i32 + off).unsigned_abs())
            };
            let packet = if header == 16 { packet.destination_options() } else { packet };
            if random.once_in(12) { packet.fragment(*random.pick(&OFFSETS), random.once_in(2)) } else { packet }
        } else {
            let (source, destination) = (*random.pick(&self.boundaries.v4), *random.pick(&self.boundaries.v4));
            let packet = Packet::between(source.into(), destination.into()).ip_options(random.below(3) * 4);
            if random.once_in(12) { packet.ip_fragment(*random.pick(&OFFSETS), random.once_in(2)) } else { packet }
        };
        let port = *random.pick(&self.boundaries.ports);
        let packet = if random.once_in(12) { packet.udp(1, port) } else { packet.tcp(1, port) };
        let packet = packet.payload(payload).claims_length(0);
        let packet = if random.once_in(4) { packet.tag(ether_type::VLAN) } else { packet };
        let mut frame = packet.build();
        if random.once_in(3) {
            self.mutate(&mut frame, random);
        }
        frame.truncate(LONGEST_MERGED);
        frame.resize(frame.len().max(SHORTEST), 0);
        frame
    }

    /// A frame of the table between addresses of the policy's boundaries.
    fn seed(&self, random: &mut Random) -> Vec<u8> {
        let mut frame = random.pick(&self.seeds).clone();
        if !random.once_in(4) {
            self.set_address(&mut frame, random, Side::Source);
        }
        if random.once_in(2) {
            self.set_address(&mut frame, random, Side::Destination);
        }
        if random.once_in(2) {
            self.set_port(&mut frame, random);
        }
        frame
    }

    /// A packet with a chain of headers put together at random.
    fn generated(&self, random: &mut Random) -> Vec<u8> {
        let is_v6 = random.once_in(2);
        let mut packet = if is_v6 {
            let (source, destination) = (*random.pick(&self.boundaries.v6), *random.pick(&self.boundaries.v6));
            chain(Packet::between(source.into(), destination.into()), random)
        } else {
            let (source, destination) = (*random.pick(&self.boundaries.v4), *random.pick(&self.boundaries.v4));
            let mut packet = Packet::between(source.into(), destination.into());
            if random.once_in(3) {
                packet = packet.ip_options(random.below(11) * 4);
            }
            if random.once_in(3) {
                packet = packet.ip_fragment(*random.pick(&OFFSETS), random.once_in(2));
            }
            if random.once_in(6) { packet.authentication().with_length_field(random.below(6) as u8) } else { packet }
        };
        packet = packet.hop_limit(*random.pick(&[0, 1, 2, 64, 254, 255]));
        packet = self.transport(packet, is_v6, random);
        for _ in 0..random.below(4) * usize::from(random.once_in(3)) {
            packet = packet.tag(*random.pick(&[ether_type::VLAN, ether_type::SERVICE_VLAN, ether_type::OLD_VLAN]));
        }
        if random.once_in(4) {
            packet = packet.padding(random.below(64));
        }
        if random.once_in(8) {
            packet = packet.cut(random.below(120));
        }
        packet.build()
    }

    fn transport(&self, packet: Packet, is_v6: bool, random: &mut Random) -> Packet {
        let ports = (*random.pick(&self.boundaries.ports), *random.pick(&self.boundaries.ports));
        let payload = if random.once_in(2) { random.below(8) * 8 } else { random.below(70) };
        match random.below(8) {
            0..=2 => {
                let letters: String = "FSRPAUEC".chars().filter(|_| random.once_in(3)).collect();
                let letters =
                    if random.once_in(2) { random.pick(&["S", "A", "SA", "PA", "FA", "R"]) } else { &*letters };
                let tcp = packet.tcp(ports.0, ports.1).flags(letters);
                let tcp = if random.once_in(4) { tcp.tcp_options(random.below(11) * 4) } else { tcp };
                let tcp = if random.once_in(6) { tcp.claims_data_offset(random.below(16) as u8) } else { tcp };
                tcp.payload(payload)
            }
            3 | 4 => {
                let udp = packet.udp(ports.0, ports.1).payload(payload);
                let wrong = [0, 7, 8, 9, payload + 7, payload + 8, payload + 9, 4000];
                if random.once_in(4) { udp.claims_udp_length(*random.pick(&wrong) as u16) } else { udp }
            }
            5 | 6 => {
                let kind = *random.pick(if is_v6 { &ICMPV6_TYPES } else { &ICMP_TYPES });
                packet.icmp(kind, random.below(3) as u8 * random.below(2) as u8).payload(payload)
            }
            _ => packet.other(*random.pick(&NUMBERS), random.below(50)),
        }
    }

    fn mutate(&self, frame: &mut Vec<u8>, random: &mut Random) {
        match random.below(14) {
            0 | 1 => {
                for _ in 0..=random.below(8) {
                    let bit = random.below(8);
                    change(frame, random, |octet, _| *octet ^= 1 << bit);
                }
            }
            2 => change(frame, random, |octet, random| *octet = *random.pick(&OCTETS)),
            3 => {
                let value = random.pick(&WORDS).to_be_bytes();
                let at = random.below(frame.len().min(HEADERS)) & !1;
                put(frame, at, value);
            }
            4 => {
                let length = random.below(frame.len() + 1);
                frame.truncate(length);
            }
            5 => {
                let more = if random.once_in(20) { random.below(6000) } else { random.below(64) };
                frame.extend((0..more).map(|_| random.octet()));
            }
            6 => {
                let range = some_range(frame, random);
                frame.drain(range);
            }
            7 => {
                let at = random.below(frame.len() + 1);
                let octets: Vec<u8> = (0..random.below(24)).map(|_| random.octet()).collect();
                frame.splice(at..at, octets);
            }
            8 => {
                let copied = frame.get(some_range(frame, random)).unwrap_or_default().to_vec();
                let at = random.below(frame.len() + 1);
                frame.splice(at..at, copied);
            }
            9 => {
                let tail = random.pick(&self.seeds);
                let from = random.below(tail.len());
                let keep = random.below(frame.len() + 1);
                frame.truncate(keep);
                frame.extend_from_slice(tail.get(from..).unwrap_or_default());
            }
            10 => mend_length(frame, *random.pick(&[-8, -1, 0, 1, 8])),
            11 => self.set_address(frame, random, Side::Source),
            12 => self.set_protocol(frame, random),
            _ => self.set_port(frame, random),
        }
    }

    fn set_address(&self, frame: &mut [u8], random: &mut Random, side: Side) {
        match (ip_header(frame), side) {
            (Some((at, true)), Side::Source) => put(frame, at + 12, random.pick(&self.boundaries.v4)),
            (Some((at, true)), Side::Destination) => put(frame, at + 16, random.pick(&self.boundaries.v4)),
            (Some((at, false)), Side::Source) => put(frame, at + 8, random.pick(&self.boundaries.v6)),
            (Some((at, false)), Side::Destination) => put(frame, at + 24, random.pick(&self.boundaries.v6)),
            (None, _) => {}
        }
    }

    /// Sets the destination port where it is in a packet without options and extension headers.
    fn set_port(&self, frame: &mut [u8], random: &mut Random) {
        if let Some((at, is_v4)) = ip_header(frame) {
            let port = random.pick(&self.boundaries.ports).to_be_bytes();
            put(frame, at + if is_v4 { 20 } else { 40 } + 2, port);
        }
    }

    fn set_protocol(&self, frame: &mut [u8], random: &mut Random) {
        if let Some((at, is_v4)) = ip_header(frame) {
            put(frame, at + if is_v4 { 9 } else { 6 }, [*random.pick(&NUMBERS)]);
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}

impl Boundaries {
    fn of(policy: &Policy, own: &[Prefix]) -> Self {
        let lists = policy.lists.iter().flat_map(|list| &list.entries);
        let mut all = Self { v4: Vec::new(), v6: Vec::new(), ports: vec![0, 1, 53, 67, 68, 546, 547, 65_535] };
        for prefix in lists.chain(&policy.management).chain(own) {
            // More often than what every policy has in common.
            (0..3).for_each(|_| all.note(*prefix));
        }
        for service in &policy.services {
            service.addresses.iter().for_each(|address| all.note(Prefix::host(*address)));
            for range in &service.ports {
                all.ports.extend([*range.start(), *range.end()]);
                all.ports.extend([range.start().wrapping_sub(1), range.end().wrapping_add(1)]);
            }
        }
        for text in NOTABLE {
            all.note(text.parse().expect("a notable prefix is one"));
        }
        all
    }

    fn note(&mut self, prefix: Prefix) {
        let first = Address::from(prefix.address());
        let last = Address::from(prefix.last());
        if first.is_v4() {
            let [first, last] = [first, last].map(|address| address.first_32());
            self.v4.extend([first, last, first.wrapping_sub(1), last.wrapping_add(1)].map(u32::to_be_bytes));
        } else {
            let [first, last] = [first, last].map(|address| u128::from(address.high) << 64 | u128::from(address.low));
            self.v6.extend([first, last, first.wrapping_sub(1), last.wrapping_add(1)].map(u128::to_be_bytes));
        }
    }
}

/// Extension headers in some order.
fn chain(mut packet: Packet, random: &mut Random) -> Packet {
    for _ in 0..random.below(5) * random.below(2) {
        packet = match random.below(8) {
            0 => packet.hop_by_hop(),
            1 | 2 => packet.destination_options(),
            3 => packet.routing(random.below(5) as u8, u8::from(random.once_in(4))),
            4 | 5 => packet.fragment(*random.pick(&OFFSETS), random.once_in(2)),
            6 => packet.authentication().with_length_field(random.below(6) as u8),
            _ => packet.extension(*random.pick(&NUMBERS)),
        };
        if random.once_in(6) {
            packet = packet.with_length_field(random.below(4) as u8);
        }
        if random.once_in(10) {
            packet = packet.claims_length_field(random.octet());
        }
    }
    packet
}

/// Makes the length in the IP header that of the frame, off by `off`.
fn mend_length(frame: &mut [u8], off: i32) {
    if let Some((at, is_v4)) = ip_header(frame) {
        let header = if is_v4 { 0 } else { 40 };
        let length = (frame.len().saturating_sub(at + header) as i32 + off) as u16;
        put(frame, at + if is_v4 { 2 } else { 4 }, length.to_be_bytes());
    }
}

/// Changes one octet, most often of the headers.
fn change(frame: &mut [u8], random: &mut Random, change: impl Fn(&mut u8, &mut Random)) {
    let length = if random.once_in(8) { frame.len() } else { frame.len().min(HEADERS) };
    let at = random.below(length);
    if let Some(octet) = frame.get_mut(at) {
        change(octet, random);
    }
}

/// Writes `octets` where there is room for them.
fn put(frame: &mut [u8], at: usize, octets: impl AsRef<[u8]>) {
    let octets = octets.as_ref();
    if let Some(place) = frame.get_mut(at..at + octets.len()) {
        place.copy_from_slice(octets);
    }
}

fn some_range(frame: &[u8], random: &mut Random) -> Range<usize> {
    let start = random.below(frame.len() + 1);
    start..(start + random.below(24)).min(frame.len())
}

/// Headers are in the first octets of a frame.
const HEADERS: usize = 100;

const OFFSETS: [u16; 8] = [0, 0, 0, 1, 2, 185, 8190, 8191];
const OCTETS: [u8; 24] =
    [0, 1, 2, 3, 4, 5, 6, 8, 17, 43, 44, 50, 51, 58, 59, 60, 0x40, 0x45, 0x46, 0x60, 0x7f, 0x80, 0xfe, 0xff];
const WORDS: [u16; 18] =
    [0, 1, 7, 8, 20, 28, 40, 0x0800, 0x0806, 0x1fff, 0x2000, 0x2001, 0x4000, 0x7fff, 0x8100, 0x86dd, 0x88a8, 0xffff];
const NUMBERS: [u8; 20] = [
    number::HOP_BY_HOP,
    number::ICMP,
    4,
    number::TCP,
    number::UDP,
    41,
    number::ROUTING,
    number::FRAGMENT,
    number::GRE,
    number::ESP,
    number::AUTHENTICATION,
    number::ICMPV6,
    number::NO_NEXT_HEADER,
    number::DESTINATION_OPTIONS,
    number::SCTP,
    number::MOBILITY,
    number::HIP,
    number::SHIM6,
    number::EXPERIMENT_1,
    number::EXPERIMENT_2,
];
const ICMP_TYPES: [u8; 6] = [0, 3, 3, 5, 8, 11];
const ICMPV6_TYPES: [u8; 14] = [0, 1, 2, 4, 5, 128, 130, 132, 133, 134, 135, 136, 137, 143];
const NOTABLE: [&str; 18] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "198.18.0.0/15",
    "10.0.0.0/8",
    "::/128",
    "::1/128",
    "::/96",
    "fe80::/10",
    "fe80::1/128",
    "fe80::2/128",
    "ff00::/8",
    "ff02::1/128",
    "2000::/3",
    "2001:db8::/32",
    "2001:db8:ffff::/48",
    "64:ff9b::/96",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Draft;

    #[test]
    fn frames_are_long_enough_and_not_too_long() {
        let frames = Frames::new(&Draft::new().policy(), &[]);
        let mut random = Random::new(3);
        for _ in 0..10_000 {
            let frame = frames.next(&mut random, 14);
            assert!((14..=LONGEST).contains(&frame.len()));
        }
    }

    #[test]
    fn a_mended_length_is_that_of_the_frame() {
        for frame in [Packet::v4("192.0.2.1", "192.0.2.2").udp(1, 2), Packet::v6("::1", "::2").udp(1, 2)] {
            let whole = frame.clone().payload(9).build();
            let mut broken = frame.claims_length(3).payload(9).build();
            mend_length(&mut broken, 0);
            assert_eq!(broken[14..20], whole[14..20]);
        }
    }
}

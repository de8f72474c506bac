//! Frames of a capture file, as they come.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
};

use pcap_parser::{Block, LegacyPcapReader, PcapBlockOwned, PcapError, PcapNGReader, traits::PcapReaderIterator};

use super::{
    failure::Failure,
    link_types::{self, ETHERNET},
};
use crate::preview::explain::{LONGEST_FRAME, SHORTEST_FRAME};

/// Octets read at once.
const BUFFER: usize = 1 << 20;

/// Octets of the longest block that is waited for: more than any that a capture of Ethernet has.
const LONGEST_BLOCK: usize = 1 << 24;

/// Octets of frames that are given out at once.
const OCTETS: usize = 1 << 21;

/// Octets of the header of a pcap file.
const PCAP_HEADER: usize = 24;

/// Type of the packet blocks of old pcapng files (draft-ietf-opsawg-pcapng, appendix A).
const OLD_PACKET_BLOCK: [u32; 2] = [2, 2_u32.swap_bytes()];

/// A capture that is read.
pub struct Capture {
    file: PathBuf,
    reader: Box<dyn PcapReaderIterator>,
    section: CaptureSection,
    /// Octets that the reader can hold.
    room: usize,
    /// Frames so far.
    count: u64,
    end: Option<CaptureEnd>,
}

/// How a capture ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CaptureEnd {
    /// In order.
    Whole,
    /// Before its end: why.
    Early(String),
}

/// A frame of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedFrame {
    /// Which one it is, from 1 on.
    pub number: u64,
    /// Octets that it had on the wire.
    pub octets: u64,
    /// The frame, or why it cannot be judged.
    pub frame: Result<Vec<u8>, Unjudged>,
}

/// Why a frame cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unjudged {
    /// The snapshot length was too short.
    Cut {
        /// Octets that are there.
        captured: u64,
    },
    /// It does not begin with an Ethernet header.
    LinkType {
        /// What it begins with.
        link_type: u32,
    },
    /// It is on an interface that the capture does not describe.
    NoInterface,
    /// There is less than an Ethernet header.
    Short,
    /// It is longer than any frame.
    Long,
    /// The daemon cannot say anything about it: why.
    Refused(String),
}

/// What the frames of a section of a capture are.
#[derive(Default)]
struct CaptureSection {
    is_big_endian: bool,
    interfaces: Vec<CaptureInterface>,
}

struct CaptureInterface {
    link_type: u32,
    /// Octets kept of a frame; 0 for all.
    snapshot: u32,
}

/// What a block says of its frame.
struct RawFrame<'a> {
    interface: usize,
    captured: u32,
    original: u32,
    data: &'a [u8],
}

impl Capture {
    /// Opens the capture at `path`, `-` for standard input.
    ///
    /// # Errors
    /// When it cannot be read or is no capture.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let input: io::Result<Box<dyn Read>> = match path.to_str() {
            Some("-") => Ok(Box::new(io::stdin())),
            _ => File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
        };
        let wrong = |why: String| Failure::Capture { file: path.to_owned(), why };
        let mut input = input.map_err(|error| wrong(error.to_string()))?;
        let first = Self::beginning(&mut input).map_err(wrong)?;
        let is_pcapng = first.starts_with(&PCAPNG);
        let whole = Cursor::new(first).chain(input);
        let reader: Result<Box<dyn PcapReaderIterator>, _> = match is_pcapng {
            true => PcapNGReader::new(BUFFER, whole).map(|reader| Box::new(reader) as Box<dyn PcapReaderIterator>),
            false => LegacyPcapReader::new(BUFFER, whole).map(|reader| Box::new(reader) as Box<dyn PcapReaderIterator>),
        };
        let reader = reader.map_err(|error| wrong(format!("it is no capture: {error}")))?;
        Ok(Self {
            file: path.to_owned(),
            reader,
            section: CaptureSection::default(),
            room: BUFFER,
            count: 0,
            end: None,
        })
    }

    /// The header of the file: readers want all of it at once, which a pipe may not give.
    fn beginning(input: &mut impl Read) -> Result<Vec<u8>, String> {
        let mut first = Vec::new();
        let mut more = |octets: usize, first: &mut Vec<u8>| {
            let mut part = input.by_ref().take(octets as u64);
            part.read_to_end(first).map_err(|error| format!("it cannot be read: {error}"))
        };
        more(4, &mut first)?;
        if first.is_empty() {
            return Err("it is empty".into());
        }
        if let Some((_, tool)) = COMPRESSED.iter().find(|(magic, _)| first.starts_with(magic)) {
            return Err(format!("it is compressed; `{tool} FILE | portcullis explain --frame - ...` reads it"));
        }
        if first.starts_with(&PCAPNG) {
            more(8, &mut first)?;
            let length = first.get(4..8).and_then(|octets| octets.try_into().ok()).unwrap_or([0; 4]);
            let is_little = first.get(8..12) == Some(&0x1a2b_3c4d_u32.to_le_bytes());
            let length = if is_little { u32::from_le_bytes(length) } else { u32::from_be_bytes(length) };
            if !(28..=BUFFER / 2).contains(&(length as usize)) {
                return Err("it is no capture: its section header is damaged".into());
            }
            more(length as usize - first.len(), &mut first)?;
        } else if PCAP
            .iter()
            .any(|magic| first.starts_with(&magic.to_le_bytes()) || first.starts_with(&magic.to_be_bytes()))
        {
            more(PCAP_HEADER - first.len(), &mut first)?;
            if first.len() < PCAP_HEADER {
                return Err("it is no capture: it ends in its header".into());
            }
        } else {
            return Err("it is no capture: it begins like neither pcap nor pcapng".into());
        }
        Ok(first)
    }

    /// The next frames: at most `most`, and fewer when the others have not come yet. None at the end.
    ///
    /// # Errors
    /// When reading fails.
    pub fn next(&mut self, most: usize) -> Result<Vec<CapturedFrame>, Failure> {
        let mut records = Vec::new();
        let mut octets = 0;
        while self.end.is_none() && records.len() < most && octets < OCTETS {
            let stop = match self.reader.next() {
                Ok((used, block)) => {
                    let record = self.section.read(&block).map(|(octets, frame)| {
                        self.count += 1;
                        CapturedFrame { number: self.count, octets, frame }
                    });
                    self.reader.consume(used);
                    octets += record.iter().flat_map(|record| &record.frame).map(Vec::len).sum::<usize>();
                    records.extend(record);
                    continue;
                }
                Err(PcapError::Incomplete(_)) if !records.is_empty() => break,
                Err(PcapError::Incomplete(_)) => ReadStop::Wants,
                Err(PcapError::BufferTooSmall) => ReadStop::Grows,
                Err(PcapError::Eof) => ReadStop::Ends(CaptureEnd::Whole),
                Err(PcapError::UnexpectedEof) => {
                    ReadStop::Ends(CaptureEnd::Early("it ends in the middle of a frame".into()))
                }
                Err(error) => ReadStop::Ends(CaptureEnd::Early(format!("it is damaged: {}", kind_of(&error)))),
            };
            self.go_on(stop)?;
        }
        Ok(records)
    }

    /// Reads more, or notes the end.
    fn go_on(&mut self, stop: ReadStop) -> Result<(), Failure> {
        match stop {
            ReadStop::Wants => {
                let is_read = self.reader.refill().is_ok();
                if !is_read {
                    self.end = Some(CaptureEnd::Early("the rest of it cannot be read".into()));
                }
            }
            ReadStop::Grows => {
                self.room *= 2;
                if self.room > LONGEST_BLOCK || !self.reader.grow(self.room) {
                    self.end = Some(CaptureEnd::Early("it is damaged: a block is longer than any frame".into()));
                }
            }
            ReadStop::Ends(_) if self.reader.data().is_empty() => self.end = Some(CaptureEnd::Whole),
            ReadStop::Ends(end) => self.end = Some(end),
        }
        match &self.end {
            Some(CaptureEnd::Whole) if self.count == 0 => Err(self.wrong("it has no frame")),
            Some(CaptureEnd::Early(why)) if self.count == 0 => Err(self.wrong(why)),
            _ => Ok(()),
        }
    }

    /// The same capture cannot be used, and why.
    pub fn wrong(&self, why: impl Into<String>) -> Failure {
        Failure::Capture { file: self.file.clone(), why: why.into() }
    }

    /// Whether there is nothing more.
    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Why it ended before its end, if it did.
    pub fn cut(&self) -> Option<&str> {
        match self.end.as_ref()? {
            CaptureEnd::Whole => None,
            CaptureEnd::Early(why) => Some(why),
        }
    }
}

/// Why there is no block now.
enum ReadStop {
    Wants,
    Grows,
    Ends(CaptureEnd),
}

/// Block type of a section header, in both byte orders.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Magic numbers of pcap: times in microseconds, in nanoseconds, and with the longer headers of old Linux.
const PCAP: [u32; 3] = [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34];

/// How compressed files begin, and what reads them.
const COMPRESSED: [(&[u8], &str); 4] = [
    (&[0x1f, 0x8b], "zcat"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstdcat"),
    (&[0xfd, b'7', b'z', b'X'], "xzcat"),
    (b"BZh", "bzcat"),
];

fn kind_of(error: &PcapError<&[u8]>) -> String {
    match error {
        PcapError::NomError(..) | PcapError::OwnedNomError(..) => "a block cannot be read".into(),
        other => other.to_string(),
    }
}

impl CaptureSection {
    /// The frame of a block that has one, with its octets on the wire; notes what the frames of an interface are.
    fn read(&mut self, block: &PcapBlockOwned<'_>) -> Option<(u64, Result<Vec<u8>, Unjudged>)> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                // The upper half has flags and the length of a frame check sequence (draft-ietf-opsawg-pcap section 4).
                let link_type = header.network.0 as u32 & 0xffff;
                self.interfaces.push(CaptureInterface { link_type, snapshot: 0 });
            }
            PcapBlockOwned::NG(Block::SectionHeader(header)) => {
                *self = Self { is_big_endian: header.big_endian(), interfaces: Vec::new() };
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                let link_type = interface.linktype.0 as u32 & 0xffff;
                self.interfaces.push(CaptureInterface { link_type, snapshot: interface.snaplen });
            }
            _ => {}
        }
        let raw = self.raw(block)?;
        let captured = raw.data.get(..raw.captured as usize).unwrap_or(raw.data);
        // Some writers tell a frame shorter than what they have of it.
        let octets = u64::from(raw.original).max(captured.len() as u64);
        let frame = match self.interfaces.get(raw.interface).map(|interface| interface.link_type) {
            None => Err(Unjudged::NoInterface),
            Some(link_type) if link_type != ETHERNET => Err(Unjudged::LinkType { link_type }),
            Some(_) if (captured.len() as u64) < octets => Err(Unjudged::Cut { captured: captured.len() as u64 }),
            Some(_) if captured.len() < SHORTEST_FRAME => Err(Unjudged::Short),
            Some(_) if captured.len() > LONGEST_FRAME => Err(Unjudged::Long),
            Some(_) => Ok(captured.to_vec()),
        };
        Some((octets, frame))
    }

    fn raw<'b>(&self, block: &'b PcapBlockOwned<'_>) -> Option<RawFrame<'b>> {
        Some(match block {
            PcapBlockOwned::Legacy(packet) => {
                RawFrame { interface: 0, captured: packet.caplen, original: packet.origlen, data: packet.data }
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => RawFrame {
                interface: packet.if_id as usize,
                captured: packet.caplen,
                original: packet.origlen,
                data: packet.data,
            },
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                // What is kept follows from the snapshot length; the data has padding behind it.
                let snapshot = self.interfaces.first().map_or(0, |interface| interface.snapshot);
                let most = if snapshot == 0 { u32::MAX } else { snapshot };
                RawFrame {
                    interface: 0,
                    captured: packet.origlen.min(most),
                    original: packet.origlen,
                    data: packet.data,
                }
            }
            PcapBlockOwned::NG(Block::Unknown(block)) if OLD_PACKET_BLOCK.contains(&block.block_type) => {
                let (head, data) = block.data.split_at_checked(20)?;
                let word = |at: usize| {
                    let octets = head.get(at..at + 4)?.try_into().ok()?;
                    Some(if self.is_big_endian { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) })
                };
                // Two octets of interface, two of drops.
                let interface = if self.is_big_endian { word(0)? >> 16 } else { word(0)? & 0xffff };
                RawFrame { interface: interface as usize, captured: word(12)?, original: word(16)?, data }
            }
            _ => return None,
        })
    }
}

impl Unjudged {
    /// Its kind, for a summary.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Cut { .. } => "cut",
            Self::LinkType { .. } => "not_ethernet",
            Self::NoInterface => "no_interface",
            Self::Short => "too_short",
            Self::Long => "too_long",
            Self::Refused(_) => "refused",
        }
    }

    /// Why, in words, of a frame that had so many octets on the wire.
    pub fn why(&self, octets: u64) -> String {
        match self {
            Self::Cut { captured } => {
                format!(
                    "captured {captured} of {octets} octets: the snapshot length was too short (`tcpdump -s 0` takes all)"
                )
            }
            Self::LinkType { link_type } => format!("no Ethernet frame: {}", link_types::name(*link_type)),
            Self::NoInterface => "its interface is not described before it".into(),
            Self::Short if octets == 1 => format!("1 octet is less than an Ethernet header of {SHORTEST_FRAME}"),
            Self::Short => format!("{octets} octets are less than an Ethernet header of {SHORTEST_FRAME}"),
            Self::Long => format!("{octets} octets are more than any frame that the program sees has: {LONGEST_FRAME}"),
            Self::Refused(why) => why.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    /// A whole frame of so many octets.
    fn ok(octets: u8) -> Result<Vec<u8>, Unjudged> {
        Ok(vec![octets; octets.into()])
    }

    fn of(name: &str, octets: &[u8]) -> (Vec<CapturedFrame>, Option<String>) {
        let file = env::temp_dir().join(format!("portcullis-{name}-{}.pcap", process::id()));
        fs::write(&file, octets).unwrap();
        let mut capture = Capture::open(&file).unwrap();
        let mut records = Vec::new();
        while !capture.is_over() {
            records.extend(capture.next(3).unwrap());
        }
        fs::remove_file(&file).unwrap();
        (records, capture.cut().map(str::to_owned))
    }

    fn frames(name: &str, octets: &[u8]) -> Vec<Result<Vec<u8>, Unjudged>> {
        let (records, cut) = of(name, octets);
        assert_eq!(cut, None);
        assert!(records.iter().enumerate().all(|(index, record)| record.number == index as u64 + 1));
        records.into_iter().map(|record| record.frame).collect()
    }

    /// Words in one byte order.
    fn words(is_big: bool, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| if is_big { word.to_be_bytes() } else { word.to_le_bytes() }).collect()
    }

    fn pcap(is_big: bool, magic: u32, link_type: u32, frames: &[(u8, u32)]) -> Vec<u8> {
        let version = if is_big { 2 << 16 | 4 } else { 4 << 16 | 2 };
        let mut octets = words(is_big, &[magic, version, 0, 0, 262_144, link_type]);
        for (frame, original) in frames {
            octets.extend(words(is_big, &[1, 2, u32::from(*frame), *original]));
            octets.extend(vec![*frame; usize::from(*frame)]);
        }
        octets
    }

    /// A block of pcapng.
    fn block(is_big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
        let length = (12 + body.len().next_multiple_of(4)) as u32;
        let mut octets = words(is_big, &[kind, length]);
        octets.extend_from_slice(body);
        octets.resize(length as usize - 4, 0);
        octets.extend(words(is_big, &[length]));
        octets
    }

    /// Interface descriptions with a link type and a snapshot length each, behind a section header.
    fn section(is_big: bool, interfaces: &[(u16, u32)]) -> Vec<u8> {
        let version = if is_big { 1 << 16 } else { 1 };
        let mut octets = block(is_big, 0x0a0d_0d0a, &words(is_big, &[0x1a2b_3c4d, version, u32::MAX, u32::MAX]));
        for (link_type, snapshot) in interfaces {
            let link_type = u32::from(*link_type) << if is_big { 16 } else { 0 };
            octets.extend(block(is_big, 1, &words(is_big, &[link_type, *snapshot])));
        }
        octets
    }

    /// An enhanced packet block.
    fn enhanced(is_big: bool, interface: u32, frame: u8, original: u32) -> Vec<u8> {
        let mut body = words(is_big, &[interface, 0, 0, frame.into(), original]);
        body.extend(vec![frame; usize::from(frame)]);
        block(is_big, 6, &body)
    }

    #[test]
    fn pcap_is_read_in_both_byte_orders_and_with_nanoseconds() {
        for is_big in [false, true] {
            for magic in [0xa1b2_c3d4, 0xa1b2_3c4d] {
                let capture = pcap(is_big, magic, 1, &[(60, 60), (61, 1500), (14, 14), (13, 13), (20, 0)]);
                let wanted = [ok(60), Err(Unjudged::Cut { captured: 61 }), ok(14), Err(Unjudged::Short), ok(20)];
                assert_eq!(frames("orders", &capture), wanted, "{is_big} {magic:x}");
            }
        }
        // The upper half of the link type says that there is a frame check sequence.
        assert_eq!(frames("fcs", &pcap(false, 0xa1b2_c3d4, 0x5400_0001, &[(60, 60)])), [ok(60)]);
        assert_eq!(
            frames("raw", &pcap(false, 0xa1b2_c3d4, 101, &[(60, 60)])),
            [Err(Unjudged::LinkType { link_type: 101 })]
        );
    }

    #[test]
    fn pcapng_is_read_with_all_its_interfaces_sections_and_kinds_of_packets() {
        for is_big in [false, true] {
            let mut capture = section(is_big, &[(1, 0), (113, 0)]);
            capture.extend(enhanced(is_big, 0, 61, 61));
            capture.extend(enhanced(is_big, 1, 62, 62));
            capture.extend(enhanced(is_big, 0, 63, 64));
            capture.extend(enhanced(is_big, 2, 64, 64));
            // A name resolution block, and one that nobody knows.
            capture.extend(block(is_big, 4, &words(is_big, &[0])));
            capture.extend(block(is_big, 0x7777, &[1; 16]));
            // A packet block of old: the interface and the drops share a word.
            let interface = if is_big { 7 } else { 7 << 16 };
            let mut old = words(is_big, &[interface, 0, 0, 33, 33]);
            old.extend([33; 33]);
            capture.extend(block(is_big, 2, &old));
            // Another section in the other byte order, whose frames are kept up to 40 octets.
            capture.extend(section(!is_big, &[(1, 40)]));
            for original in [30_u32, 41] {
                let mut simple = words(!is_big, &[original]);
                simple.extend(vec![original as u8; original.min(40) as usize]);
                capture.extend(block(!is_big, 3, &simple));
            }
            let wanted = [
                ok(61),
                Err(Unjudged::LinkType { link_type: 113 }),
                Err(Unjudged::Cut { captured: 63 }),
                Err(Unjudged::NoInterface),
                ok(33),
                ok(30),
                Err(Unjudged::Cut { captured: 40 }),
            ];
            assert_eq!(frames("blocks", &capture), wanted, "{is_big}");
        }
    }

    #[test]
    fn a_damaged_end_leaves_the_frames_before_it() {
        let mut capture = pcap(false, 0xa1b2_c3d4, 1, &[(60, 60)]);
        capture.extend(words(false, &[0, 0, u32::MAX, u32::MAX]));
        let (records, cut) = of("long", &capture);
        assert_eq!(records.len(), 1);
        assert!(cut.is_some());
        let mut capture = section(false, &[(1, 0)]);
        capture.extend(enhanced(false, 0, 61, 61));
        let whole = capture.len();
        capture.extend(enhanced(false, 0, 62, 62));
        for end in whole + 1..capture.len() {
            let (records, cut) = of("cut", &capture[..end]);
            assert_eq!((records.len(), cut.is_some()), (1, true), "{end}");
        }
    }

    #[test]
    fn a_block_longer_than_the_buffer_is_waited_for() {
        let mut capture = section(false, &[(1, 0)]);
        capture.extend(block(false, 0x7777, &vec![1; 3 << 20]));
        capture.extend(enhanced(false, 0, 61, 61));
        assert_eq!(frames("buffer", &capture), [ok(61)]);
    }
}

//! Frames of a capture file.

use std::{fs::File, path::Path};

use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

use super::failure::Failure;

/// Most frames of a file.
const MOST_FRAMES: usize = 100;

/// Octets read at once: more than any block that a capture of Ethernet has.
const BUFFER: usize = 1 << 18;

/// The frames of a pcap or pcapng file.
///
/// # Errors
/// When it cannot be read, is no capture of whole Ethernet frames, or has none or too many of them.
pub fn frames(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let wrong = |why: String| Failure::Capture { file: path.to_owned(), why };
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut reader = create_reader(BUFFER, file).map_err(|error| wrong(format!("it is no capture: {error}")))?;
    let mut link_types: Vec<Linktype> = Vec::new();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    loop {
        let (used, frame) = match reader.next() {
            Ok((used, block)) => (used, read(&block, &mut link_types).map_err(wrong)?),
            Err(PcapError::Eof) => break,
            Err(PcapError::Incomplete(_)) => {
                reader.refill().map_err(|error| wrong(format!("it cannot be read: {error}")))?;
                if reader.reader_exhausted() && !reader.data().is_empty() {
                    // What is left may still be whole blocks; if not, the next turn would wait for ever.
                    match reader.next() {
                        Ok(_) => continue,
                        Err(PcapError::Eof) => break,
                        Err(_) => return Err(wrong("it ends in the middle of a frame".into())),
                    }
                }
                continue;
            }
            Err(error) => return Err(wrong(format!("it is damaged: {error}"))),
        };
        frames.extend(frame);
        reader.consume(used);
        if frames.len() > MOST_FRAMES {
            return Err(wrong(format!("it has more than {MOST_FRAMES} frames")));
        }
    }
    if frames.is_empty() { Err(wrong("it has no frame".into())) } else { Ok(frames) }
}

/// The frame of a block that has one; notes what the frames of an interface are.
fn read(block: &PcapBlockOwned<'_>, link_types: &mut Vec<Linktype>) -> Result<Option<Vec<u8>>, String> {
    let (interface, captured, original, data) = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            link_types.push(header.network);
            return Ok(None);
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            link_types.clear();
            return Ok(None);
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            link_types.push(interface.linktype);
            return Ok(None);
        }
        PcapBlockOwned::Legacy(packet) => (0, packet.caplen, packet.origlen, packet.data),
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            (packet.if_id as usize, packet.caplen, packet.origlen, packet.data)
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => (0, packet.origlen, packet.origlen, packet.data),
        PcapBlockOwned::NG(_) => return Ok(None),
    };
    if link_types.get(interface) != Some(&Linktype::ETHERNET) {
        return Err("its frames are not Ethernet frames (LINKTYPE_ETHERNET)".into());
    }
    if captured < original {
        return Err("a frame was not captured whole: the snapshot length was too short".into());
    }
    data.get(..captured as usize).map(|data| Some(data.to_vec())).ok_or_else(|| "a frame is cut short".into())
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    /// A pcap file in the byte order of this machine (https://wiki.wireshark.org/Development/LibpcapFileFormat).
    fn pcap(link_type: u32, frames: &[(&[u8], u32)]) -> Vec<u8> {
        let header = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65535, link_type];
        let mut octets: Vec<u8> = header.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
        if cfg!(target_endian = "big") {
            return octets;
        }
        for (frame, original) in frames {
            octets.extend([0, 0, frame.len() as u32, *original].iter().flat_map(|word| word.to_ne_bytes()));
            octets.extend_from_slice(frame);
        }
        octets
    }

    fn of(name: &str, octets: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let file = env::temp_dir().join(format!("portcullis-{name}-{}.pcap", process::id()));
        fs::write(&file, octets).unwrap();
        let frames = frames(&file).map_err(|failure| failure.to_string());
        fs::remove_file(&file).unwrap();
        frames
    }

    #[test]
    fn the_frames_of_a_capture_are_read() {
        let (one, two) = ([1; 60], [2; 1514]);
        let frames = of("read", &pcap(1, &[(&one, 60), (&two, 1514)])).unwrap();
        assert_eq!(frames, [one.to_vec(), two.to_vec()]);
    }

    #[test]
    fn what_is_no_capture_of_whole_frames_is_refused_with_the_reason() {
        let refusal = |octets: &[u8]| of("refused", octets).unwrap_err();
        assert!(refusal(b"[policy]\nmode = \"observe\"\n").contains("it is no capture"));
        assert!(refusal(&pcap(1, &[])).contains("it has no frame"));
        assert!(refusal(&pcap(101, &[(&[1; 60], 60)])).contains("not Ethernet"));
        assert!(refusal(&pcap(1, &[(&[1; 60], 61)])).contains("not captured whole"));
        let cut = pcap(1, &[(&[1; 60], 60)]);
        assert!(refusal(&cut[..cut.len() - 1]).contains("it ends in the middle of a frame"));
        let many: Vec<(&[u8], u32)> = vec![(&[1; 60], 60); 101];
        assert!(refusal(&pcap(1, &many)).contains("more than 100"));
    }
}

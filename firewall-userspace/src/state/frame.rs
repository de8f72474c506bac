//! Frames: how records lie in a file, and how what is no record is told from what is.
//!
//! ```text
//! "pcj1" | length of the payload, 4 octets | crc32c of length and payload, 4 octets | payload
//! ```
//!
//! Numbers are little-endian. The crc covers the length, so that neither zeroes nor a wrong length pass for a frame.

/// Begins every frame.
const MAGIC: &[u8; 4] = b"pcj1";

/// Octets before the payload.
pub const HEAD: usize = 12;

/// Appends a frame around `payload`; `false` when it is too long for one.
#[must_use]
pub fn push(into: &mut Vec<u8>, payload: &[u8]) -> bool {
    let Ok(length) = u32::try_from(payload.len()) else { return false };
    into.extend_from_slice(MAGIC);
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&checksum(length, payload).to_le_bytes());
    into.extend_from_slice(payload);
    true
}

/// The payload of the frame that begins at `offset`, and where the next one begins; `None` when there is no whole frame.
pub fn at(octets: &[u8], offset: usize) -> Option<(&[u8], usize)> {
    let (magic, rest) = octets.get(offset..)?.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    let payload = rest.get(..usize::try_from(length).ok()?)?;
    let is_whole = magic == MAGIC && checksum(length, payload) == u32::from_le_bytes(*crc);
    is_whole.then_some((payload, offset + HEAD + payload.len()))
}

/// Where the first whole frame behind `offset` begins.
pub fn next(octets: &[u8], offset: usize) -> Option<usize> {
    let behind = octets.get(offset + 1..)?;
    let starts = behind.windows(MAGIC.len()).enumerate().filter(|(_, window)| window == MAGIC);
    starts.map(|(index, _)| offset + 1 + index).find(|start| at(octets, *start).is_some())
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        assert!(push(&mut octets, payload));
        octets
    }

    #[test]
    fn zeroes_and_nothing_are_no_frame() {
        assert_eq!(at(&[], 0), None);
        assert_eq!(at(&[0; 64], 0), None);
        assert_eq!(at(&frame(b"a"), 100), None);
        assert_eq!(next(&[], 0), None);
    }

    proptest! {
        #[test]
        fn a_frame_is_read_as_it_was_written(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let octets = frame(&payload);
            prop_assert_eq!(at(&octets, 0), Some((&*payload, octets.len())));
        }

        #[test]
        fn a_frame_with_one_wrong_octet_or_a_part_missing_is_none(
            payload in prop::collection::vec(any::<u8>(), 0..200),
            index in any::<prop::sample::Index>(),
            wrong in 1..=255u8,
        ) {
            let octets = frame(&payload);
            let index = index.index(octets.len());
            prop_assert_eq!(at(&octets[..index], 0), None);
            let mut changed = octets;
            changed[index] ^= wrong;
            prop_assert_eq!(at(&changed, 0), None);
        }

        #[test]
        fn the_next_frame_is_found_behind_garbage(garbage in prop::collection::vec(any::<u8>(), 1..100)) {
            let mut octets = frame(b"first");
            octets.truncate(octets.len() - 1);
            octets.extend_from_slice(&garbage);
            let second = octets.len();
            octets.extend_from_slice(&frame(b"second"));
            prop_assert_eq!(next(&octets, 0), Some(second));
        }
    }
}

//! The Internet checksum (RFC 1071).

/// The checksum of `octets`, `start` being the sum so far.
pub(super) fn checksum(octets: &[u8], start: u32) -> u16 {
    let mut sum = add(octets, start);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Adds `octets` to a sum, the last one padded with a zero.
pub(super) fn add(octets: &[u8], start: u32) -> u32 {
    octets.chunks(2).fold(start, |sum, pair| {
        let high = pair.first().copied().unwrap_or(0);
        let low = pair.get(1).copied().unwrap_or(0);
        sum + u32::from(u16::from_be_bytes([high, low]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_its_checksum_sums_to_zero() {
        let mut header = vec![0x45, 0, 0, 40, 1, 2, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let sum = checksum(&header, 0).to_be_bytes();
        header.splice(10..12, sum);
        assert_eq!(checksum(&header, 0), 0);
    }

    #[test]
    fn an_odd_octet_counts_as_the_high_half() {
        assert_eq!(add(&[1], 0), 0x100);
    }
}

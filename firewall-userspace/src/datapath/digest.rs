//! SHA-1 and SHA-256 (FIPS 180-4), with which the kernel makes the tag of a program. Not for secrets.
//!
//! In: octets. Out: the first eight octets of their digest, which is all that a tag has. No crate of the daemon brings either,
//! and nothing here is worth one.

/// Octets of a block.
const BLOCK: usize = 64;

/// First eight octets of the SHA-1 of `data`.
pub(super) fn sha1(data: &[u8]) -> u64 {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded(data).chunks_exact(BLOCK) {
        let mut words: Vec<u32> = words_of(block);
        for number in 16..80 {
            let back = |distance: usize| words.get(number - distance).copied().unwrap_or_default();
            words.push((back(3) ^ back(8) ^ back(14) ^ back(16)).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (number, word) in words.into_iter().enumerate() {
            let (mixed, constant) = match number {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        state.iter_mut().zip([a, b, c, d, e]).for_each(|(sum, word)| *sum = sum.wrapping_add(word));
    }
    let [first, second, ..] = state;
    u64::from(first) << 32 | u64::from(second)
}

/// First eight octets of the SHA-256 of `data`.
pub(super) fn sha256(data: &[u8]) -> u64 {
    let mut state: [u32; 8] =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
    for block in padded(data).chunks_exact(BLOCK) {
        let mut words: Vec<u32> = words_of(block);
        for number in 16..64 {
            let back = |distance: usize| words.get(number - distance).copied().unwrap_or_default();
            let (near, far) = (back(2), back(15));
            let near = near.rotate_right(17) ^ near.rotate_right(19) ^ (near >> 10);
            let far = far.rotate_right(7) ^ far.rotate_right(18) ^ (far >> 3);
            words.push(near.wrapping_add(back(7)).wrapping_add(far).wrapping_add(back(16)));
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for (constant, word) in ROUNDS.iter().zip(words) {
            let upper = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let first = h.wrapping_add(upper).wrapping_add((e & f) ^ (!e & g)).wrapping_add(*constant);
            let first = first.wrapping_add(word);
            let lower = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let second = lower.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(first), c, b, a, first.wrapping_add(second));
        }
        state.iter_mut().zip([a, b, c, d, e, f, g, h]).for_each(|(sum, word)| *sum = sum.wrapping_add(word));
    }
    let [first, second, ..] = state;
    u64::from(first) << 32 | u64::from(second)
}

/// The data, a one bit, zeroes, and the length in bits.
fn padded(data: &[u8]) -> Vec<u8> {
    let mut padded = data.to_vec();
    padded.push(0x80);
    let length = (padded.len() + size_of::<u64>()).next_multiple_of(BLOCK) - size_of::<u64>();
    padded.resize(length, 0);
    padded.extend((data.len() as u64 * 8).to_be_bytes());
    padded
}

fn words_of(block: &[u8]) -> Vec<u32> {
    block.as_chunks().0.iter().map(|octets| u32::from_be_bytes(*octets)).collect()
}

/// Constants of SHA-256 (FIPS 180-4, 4.2.2).
#[rustfmt::skip]
const ROUNDS: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_hold() {
        assert_eq!((sha1(b"abc"), sha256(b"abc")), (0xa999_3e36_4706_816a, 0xba78_16bf_8f01_cfea));
        let two = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!((sha1(two), sha256(two)), (0x8498_3e44_1c3b_d26e, 0x248d_6a61_d206_38b8));
        assert_eq!((sha1(b""), sha256(b"")), (0xda39_a3ee_5e6b_4b0d, 0xe3b0_c442_98fc_1c14));
    }
}

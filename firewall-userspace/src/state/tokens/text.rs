//! Tokens as text: `pcl_`, then 60 of `0-9A-Za-z`, which secret scanners find by [`PATTERN`].
//!
//! ```text
//! "pcl_" | identifier, 11 digits | secret, 43 digits | crc, 6 digits
//! ```
//!
//! Numbers are in base 62, the highest digit first. The crc is that of zlib and gzip (RFC 1952 section 8) over everything before it: it
//! tells a token from what only looks like one, without a question to the daemon.

use std::fmt;

use flate2::Crc;
use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use zeroize::{Zeroize, Zeroizing};

/// Begins every token.
pub const PREFIX: &str = "pcl_";

/// A regular expression for tokens, for scanners; the crc tells the rest.
pub const PATTERN: &str = r"\bpcl_[0-9A-Za-z]{60}\b";

/// Octets of the text of a token.
pub const LENGTH: usize = PREFIX.len() + ID_DIGITS + SECRET_DIGITS + CRC_DIGITS;

/// Digits in base 62 of 64 bits, of 256 bits and of 32 bits.
const ID_DIGITS: usize = 11;
const SECRET_DIGITS: usize = 43;
const CRC_DIGITS: usize = 6;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// By which a token is found; no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(transparent)]
pub struct TokenId(u64);

/// What only the holder of a token has. It is wiped when it is dropped, and [`Debug`](fmt::Debug) does not show it.
#[derive(Clone)]
pub struct TokenSecret(Zeroizing<[u8; 32]>);

/// SHA-256 of a secret: 256 random bits need no slow hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

/// A token as its holder has it, likewise.
#[derive(Clone, utoipa::ToSchema)]
#[schema(value_type = String)]
pub struct TokenText(Zeroizing<String>);

/// A token, read.
#[derive(Clone, Debug)]
pub struct PresentedToken {
    /// Its identifier.
    pub id: TokenId,
    /// Its secret.
    pub secret: TokenSecret,
}

/// That the kernel gave no random octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl TokenId {
    /// A random one.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random() -> Result<Self, NoRandomness> {
        let mut octets = [0; 8];
        SystemRandom::new().fill(&mut octets).map_err(|_| NoRandomness)?;
        Ok(Self(u64::from_be_bytes(octets)))
    }
}

impl TokenSecret {
    /// 256 random bits.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random() -> Result<Self, NoRandomness> {
        let mut octets = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *octets).map_err(|_| NoRandomness)?;
        Ok(Self(octets))
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &*self.0).as_ref());
        TokenHash(hash)
    }
}

#[cfg(test)]
impl From<[u8; 32]> for TokenSecret {
    fn from(octets: [u8; 32]) -> Self {
        Self(Zeroizing::new(octets))
    }
}

impl TokenHash {
    /// Of no secret that anybody knows.
    pub const NONE: Self = Self([0; 32]);

    /// Its octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl TokenText {
    /// The token `id` with `secret`.
    pub fn of(id: TokenId, secret: &TokenSecret) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(PREFIX);
        push_digits::<ID_DIGITS>(&mut text, &id.0.to_be_bytes());
        push_digits::<SECRET_DIGITS>(&mut text, &*secret.0);
        let crc = crc(text.as_bytes());
        push_digits::<CRC_DIGITS>(&mut text, &crc.to_be_bytes());
        Self(text)
    }

    /// All of it. Whoever writes it down has to see to it that only its holder reads it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl PresentedToken {
    /// Reads what somebody shows; `None` when it is no token.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH {
            return None;
        }
        let (before, crc_digits) = text.as_bytes().split_last_chunk::<CRC_DIGITS>()?;
        let (before, secret_digits) = before.split_last_chunk::<SECRET_DIGITS>()?;
        let (prefix, id_digits) = before.split_last_chunk::<ID_DIGITS>()?;
        let told = u32::from_be_bytes(*octets_of::<4>(crc_digits)?);
        let octets = text.as_bytes().get(..LENGTH - CRC_DIGITS)?;
        if prefix != PREFIX.as_bytes() || told != crc(octets) {
            return None;
        }
        let id = TokenId(u64::from_be_bytes(*octets_of::<8>(id_digits)?));
        Some(Self { id, secret: TokenSecret(octets_of::<32>(secret_digits)?) })
    }
}

fn crc(octets: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(octets);
    crc.sum()
}

/// Appends the number that `octets` are, the highest first, in `COUNT` digits.
fn push_digits<const COUNT: usize>(text: &mut String, octets: &[u8]) {
    let mut number = Zeroizing::new(octets.to_vec());
    let mut digits = Zeroizing::new([0; COUNT]);
    for digit in digits.iter_mut().rev() {
        let mut rest = 0;
        for octet in number.iter_mut() {
            let value = rest * 256 + u32::from(*octet);
            // The rest is below 62, so that the value is below 62 * 256.
            *octet = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = DIGITS.get(rest as usize).copied().unwrap_or_default();
    }
    text.extend(digits.iter().map(|digit| char::from(*digit)));
}

/// The number of `COUNT` octets that `digits` are; `None` when they are none, or too large.
fn octets_of<const COUNT: usize>(digits: &[u8]) -> Option<Zeroizing<[u8; COUNT]>> {
    let mut number = Zeroizing::new([0_u8; COUNT]);
    for digit in digits {
        let mut carry = match digit {
            b'0'..=b'9' => u32::from(digit - b'0'),
            b'A'..=b'Z' => u32::from(digit - b'A') + 10,
            b'a'..=b'z' => u32::from(digit - b'a') + 36,
            _ => return None,
        };
        for octet in number.iter_mut().rev() {
            let value = u32::from(*octet) * 62 + carry;
            *octet = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(..)")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.iter().map(|octet| format!("{octet:02x}")).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.as_bytes();
        let mut hash = [0; 32];
        let pairs = digits.chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        if digits.len() != 2 * hash.len() || text.contains('+') {
            return Err(D::Error::custom("a hash has 64 hexadecimal digits"));
        }
        for (octet, pair) in hash.iter_mut().zip(pairs) {
            *octet = pair.ok_or_else(|| D::Error::custom("a hash has 64 hexadecimal digits"))?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for TokenText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TokenText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(deserializer)?;
        match PresentedToken::parse(&text) {
            Some(_) => Ok(Self(Zeroizing::new(text))),
            None => {
                text.zeroize();
                Err(D::Error::custom("it is no token"))
            }
        }
    }
}

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot make a token: the kernel gives no random numbers")
    }
}

impl std::error::Error for NoRandomness {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_has_the_form_that_scanners_know() {
        let pattern = regex::Regex::new(PATTERN).unwrap();
        for octet in [0, 1, 0x7f, 0xff] {
            let secret = TokenSecret(Zeroizing::new([octet; 32]));
            let text = TokenText::of(TokenId(u64::from_be_bytes([octet; 8])), &secret);
            assert_eq!(text.reveal().len(), 64);
            assert!(pattern.is_match(&format!("token = \"{}\"", text.reveal())));
        }
        // The crc as every other program computes it: `python3 -c 'import zlib; ...'`.
        let zeroes = TokenText::of(TokenId(0), &TokenSecret(Zeroizing::new([0; 32])));
        let (before, crc) = zeroes.reveal().split_at(58);
        assert_eq!(before, format!("pcl_{}", "0".repeat(54)));
        assert_eq!(crc, "2iRlOt");
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = TokenSecret(Zeroizing::new([0x5a; 32]));
        let text = TokenText::of(TokenId(1), &secret);
        let presented = PresentedToken::parse(text.reveal()).unwrap();
        let shown = format!("{secret:?} {:?} {text:?} {presented:?}", secret.hash());
        assert_eq!(
            shown,
            "TokenSecret(..) TokenHash(..) TokenText(..) PresentedToken { id: TokenId(1), secret: TokenSecret(..) }"
        );
    }

    #[test]
    fn a_number_that_is_too_large_is_no_token() {
        assert!(octets_of::<4>(b"zzzzzz").is_none());
        assert!(octets_of::<8>(b"zzzzzzzzzzz").is_none());
        assert_eq!(octets_of::<4>(b"4gfFC3").as_deref(), Some(&[0xff; 4]));
        assert!(octets_of::<4>(b"4gfFC4").is_none());
    }

    proptest! {
        #[test]
        fn a_token_is_read_as_it_was_written_and_no_other_octet_is_taken(
            id in any::<u64>(), secret in any::<[u8; 32]>(), place in 0..LENGTH, other in any::<u8>(),
        ) {
            let secret = TokenSecret(Zeroizing::new(secret));
            let text = TokenText::of(TokenId(id), &secret);
            let read = PresentedToken::parse(text.reveal()).unwrap();
            prop_assert_eq!((read.id, &*read.secret.0), (TokenId(id), &*secret.0));
            let mut changed = text.reveal().as_bytes().to_vec();
            prop_assume!(changed[place] != other);
            changed[place] = other;
            prop_assert!(PresentedToken::parse(&String::from_utf8_lossy(&changed)).is_none());
        }

        #[test]
        fn whatever_is_shown_is_read_or_refused(text in ".{0,80}") {
            prop_assert!(PresentedToken::parse(&text).is_none());
        }

        #[test]
        fn a_hash_is_read_as_it_was_written(octets in any::<[u8; 32]>()) {
            let json = serde_json::to_string(&TokenHash(octets)).unwrap();
            prop_assert!(serde_json::from_str::<TokenHash>(&json).unwrap() == TokenHash(octets));
        }
    }
}

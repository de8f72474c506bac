//! As much of DER (X.690) as certificates and revocation lists are looked at for: times, keys, signatures.
//!
//! `webpki` judges certificates, and says neither until when they are good nor which key has signed a list. What is read here comes
//! from others: no length is believed, and every step goes forward.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// One element of an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// What it is: class, form and number, in one octet.
    pub tag: u8,
    /// What is in it.
    pub content: &'a [u8],
    /// All of it, its tag and its length too.
    pub whole: &'a [u8],
}

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a>(&'a [u8]);

/// What somebody has signed (RFC 5280 sections 4.1 and 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedDer<'a> {
    /// What the signature is of.
    pub message: &'a [u8],
    /// The content of its AlgorithmIdentifier.
    pub algorithm: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// Which certificates a revocation list is for (RFC 5280 section 5.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlScope {
    /// Those of whoever signs no certificates.
    pub end_entities: bool,
    /// Those of whoever does.
    pub authorities: bool,
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`: the version of a certificate.
const VERSION: u8 = 0xa0;
/// `onlyContainsUserCerts [1]`.
const ONLY_END_ENTITIES: u8 = 0x81;
/// `onlyContainsCACerts [2]`.
const ONLY_AUTHORITIES: u8 = 0x82;

impl<'a> Elements<'a> {
    /// Those of `encoding`.
    pub fn of(encoding: &'a [u8]) -> Self {
        Self(encoding)
    }

    /// The next one, if it has this tag; `None` leaves it where it is.
    pub fn expect_tag(&mut self, tag: u8) -> Option<Element<'a>> {
        let (element, rest) = split(self.0)?;
        (element.tag == tag).then(|| {
            self.0 = rest;
            element
        })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    /// `None` at the end, and where something is no element.
    fn next(&mut self) -> Option<Element<'a>> {
        let (element, rest) = split(self.0)?;
        self.0 = rest;
        Some(element)
    }
}

/// The first element of `encoding`, and what comes after it.
fn split(encoding: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, after) = encoding.split_first()?;
    // Tags of several octets are in nothing that is looked at.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, after) = after.split_first()?;
    let (length, after) = match first {
        0..=0x7f => (usize::from(first), after),
        // One to four octets of length follow.
        0x81..=0x84 => {
            let (octets, after) = after.split_at_checked(usize::from(first & 0x7f))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), after)
        }
        _ => return None,
    };
    let (content, rest) = after.split_at_checked(length)?;
    let whole = encoding.get(..encoding.len() - rest.len())?;
    Some((Element { tag, content, whole }, rest))
}

/// What is signed in a certificate or a revocation list, and how.
pub fn signed(der: &[u8]) -> Option<SignedDer<'_>> {
    let mut parts = Elements::of(Elements::of(der).expect_tag(SEQUENCE)?.content);
    let message = parts.expect_tag(SEQUENCE)?.whole;
    let algorithm = parts.expect_tag(SEQUENCE)?.content;
    let signature = bits(parts.expect_tag(BIT_STRING)?)?;
    Some(SignedDer { message, algorithm, signature })
}

/// The algorithm, as the content of its identifier, and the octets of the public key in the content of a SubjectPublicKeyInfo.
pub fn public_key(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = Elements::of(content);
    Some((parts.expect_tag(SEQUENCE)?.content, bits(parts.expect_tag(BIT_STRING)?)?))
}

/// The content of a sequence.
pub fn content(der: &[u8]) -> Option<&[u8]> {
    Some(Elements::of(der).expect_tag(SEQUENCE)?.content)
}

/// From when until when a certificate is good; both are in.
pub fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let mut fields = Elements::of(content(signed(certificate)?.message)?);
    let _ = fields.expect_tag(VERSION);
    fields.expect_tag(INTEGER)?;
    // Its algorithm, and who has signed it.
    fields.expect_tag(SEQUENCE)?;
    fields.expect_tag(SEQUENCE)?;
    let mut times = Elements::of(fields.expect_tag(SEQUENCE)?.content);
    Some((time(times.next()?)?, time(times.next()?)?))
}

/// By when there is to be another list than this.
pub fn next_update(crl: &[u8]) -> Option<Timestamp> {
    let mut fields = Elements::of(content(signed(crl)?.message)?);
    let _ = fields.expect_tag(INTEGER);
    fields.expect_tag(SEQUENCE)?;
    fields.expect_tag(SEQUENCE)?;
    time(fields.next()?)?;
    time(fields.next()?)
}

/// Whom a list with the extension `issuing_distribution_point` is for; all, when it cannot be read.
pub fn crl_scope(issuing_distribution_point: Option<&[u8]>) -> CrlScope {
    let fields = Elements::of(issuing_distribution_point.and_then(content).unwrap_or_default());
    let says = |tag| fields.into_iter().any(|field| field.tag == tag && field.content != [0]);
    CrlScope { end_entities: !says(ONLY_AUTHORITIES), authorities: !says(ONLY_END_ENTITIES) }
}

/// The octets of a bit string of whole octets.
fn bits<'a>(element: Element<'a>) -> Option<&'a [u8]> {
    element.content.strip_prefix(&[0])
}

/// A time, in one of both forms that RFC 5280 section 4.1.2.5 knows: to the second, and in UTC.
fn time(element: Element<'_>) -> Option<Timestamp> {
    let digits = std::str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, count: usize| digits.get(from..from + count)?.parse::<i16>().ok();
    let (year, rest) = match (element.tag, digits.len()) {
        // Of two digits, those from 50 on are of the last century.
        (UTC_TIME, 12) => (number(0, 2).map(|year| year + if year < 50 { 2000 } else { 1900 })?, 2),
        (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let part = |index: usize| number(rest + 2 * index, 2).and_then(|part| i8::try_from(part).ok());
    let civil = DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    // The last day of the year 9999, by which a certificate says that it has no end, is beyond the last timestamp.
    Some(
        civil
            .to_zoned(TimeZone::UTC)
            .map_or(if year > 0 { Timestamp::MAX } else { Timestamp::MIN }, |zoned| zoned.timestamp()),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut der = vec![tag];
        match length {
            0..0x80 => der.push(length as u8),
            0x80..0x100 => der.extend([0x81, length as u8]),
            _ => der.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        der.extend(content);
        der
    }

    #[test]
    fn times_are_read_in_both_forms_and_nothing_else_is() {
        let read = |tag, text: &str| time(Element { tag, content: text.as_bytes(), whole: &[] });
        assert_eq!(read(UTC_TIME, "500101000000Z"), Some("1950-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(read(UTC_TIME, "491231235959Z"), Some("2049-12-31T23:59:59Z".parse().unwrap()));
        assert_eq!(read(GENERALIZED_TIME, "99991231235959Z"), Some(Timestamp::MAX));
        for (tag, text) in [
            (UTC_TIME, "20260101000000Z"),
            (UTC_TIME, "2601010000Z"),
            (UTC_TIME, "260101000000"),
            (UTC_TIME, "261301000000Z"),
            (UTC_TIME, "+60101000000Z"),
            (UTC_TIME, "260101000000+0100"),
            (GENERALIZED_TIME, "20260101000000.5Z"),
            (GENERALIZED_TIME, "20260230000000Z"),
            (SEQUENCE, "260101000000Z"),
        ] {
            assert_eq!(read(tag, text), None, "{text}");
        }
    }

    #[test]
    fn lengths_are_read_in_all_their_forms_and_none_goes_beyond_the_end() {
        for length in [0, 1, 127, 128, 255, 256, 70_000_usize] {
            let mut der = vec![SEQUENCE, 0x84];
            der.extend((length as u32).to_be_bytes());
            der.extend(vec![7; length]);
            let element = Elements::of(&der).expect_tag(SEQUENCE).unwrap();
            assert_eq!((element.content.len(), element.whole.len()), (length, length + 6));
            assert_eq!(Elements::of(&der[..der.len() - 1]).next(), None, "{length}");
        }
        for der in [&[][..], &[0x30], &[0x30, 0x80], &[0x30, 0x85, 0, 0, 0, 0, 0], &[0x3f, 1, 0], &[0x30, 0x82, 1]] {
            assert_eq!(Elements::of(der).next(), None, "{der:x?}");
        }
    }

    #[test]
    fn a_list_is_for_those_whom_it_names_and_for_all_when_it_names_nobody() {
        let scope = |fields: &[u8]| crl_scope(Some(&encoded(SEQUENCE, fields)));
        let all = CrlScope { end_entities: true, authorities: true };
        assert_eq!((crl_scope(None), scope(&[]), crl_scope(Some(&[1]))), (all, all, all));
        assert_eq!(scope(&[0x81, 1, 0xff]), CrlScope { authorities: false, ..all });
        assert_eq!(scope(&[0xa0, 2, 5, 0, 0x82, 1, 0xff]), CrlScope { end_entities: false, ..all });
        assert_eq!(scope(&[0x81, 1, 0]), all);
    }

    /// Octets that are often elements.
    fn anything() -> impl Strategy<Value = Vec<u8>> {
        let tag = prop::sample::select(vec![INTEGER, BIT_STRING, UTC_TIME, GENERALIZED_TIME, SEQUENCE, VERSION, 0x81]);
        let digits = prop::collection::vec(prop::sample::select(b"0123456789Z".to_vec()), 10..16);
        let leaf = prop_oneof![prop::collection::vec(any::<u8>(), 0..20), digits];
        leaf.prop_recursive(6, 60, 6, move |inner| {
            (tag.clone(), prop::collection::vec(inner, 0..6)).prop_map(|(tag, parts)| encoded(tag, &parts.concat()))
        })
    }

    proptest! {
        #[test]
        fn octets_of_strangers_are_read_without_a_panic_and_to_an_end(der in anything()) {
            let count = Elements::of(&der).count();
            prop_assert!(count <= der.len() / 2);
            let _ = (validity(&der), next_update(&der), public_key(&der), crl_scope(Some(&der)));
            if let Some(signed) = signed(&der) {
                prop_assert!(signed.message.len() + signed.signature.len() <= der.len());
            }
        }
    }
}

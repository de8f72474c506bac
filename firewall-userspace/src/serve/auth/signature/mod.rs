//! Signed requests: HTTP Message Signatures (RFC 9421) of those whom `[api.signers]` names.
//!
//! In: a request, the keys of the signers. Out: who has signed it, or why nobody has. [`Nonces`] owns the nonces that were used; the body
//! is looked at only when the signature is good.

mod base;
mod digest;
mod keys;
mod nonces;

use axum::http::HeaderMap;
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

pub use base::SignedParts;
pub use digest::ContentDigest;
pub use keys::{MOST_OCTETS as MOST_KEY_OCTETS, SignerKey};
pub use nonces::Nonces;

use super::failures::AuthFailure;

/// How old a signature may be, in seconds.
pub const MOST_AGE: i64 = 60;

/// How far the clock of a signer may be ahead, in seconds.
pub const MOST_AHEAD: i64 = 30;

/// Most signatures of a request: proxies may add some of their own.
const MOST_LABELS: usize = 4;

/// Most octets of all `Signature-Input` and all `Signature` fields.
const MOST_FIELD: usize = 4 << 10;

/// Octets of a nonce.
const NONCE: std::ops::RangeInclusive<usize> = 16..=128;

/// Most octets of a key identifier.
const LONGEST_KEY: usize = 128;

/// A signature that is good, whose nonce is not spent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// Who has signed.
    pub key: String,
    /// What makes it unique.
    pub nonce: String,
    /// From when on nobody takes it any more, in seconds since 1970.
    pub end: i64,
    /// Whether it covers `content-digest`.
    pub covers_body: bool,
}

/// The signature that is used, taken apart.
#[derive(Debug)]
struct SignatureShown {
    covered: InnerList,
    octets: Vec<u8>,
    created: i64,
    expires: Option<i64>,
    nonce: String,
    key: String,
    algorithm: Option<String>,
}

/// Whether `headers` have a signature, or a part of one.
pub fn is_shown(headers: &HeaderMap) -> bool {
    headers.contains_key("signature-input") || headers.contains_key("signature")
}

/// Who has signed `parts`, at `now` in seconds since 1970; `key_of` knows the keys. Signatures from before `begin`, when this daemon
/// began, are too old: it does not know their nonces.
///
/// # Errors
/// Why nobody has.
pub fn verify<'k>(
    parts: &SignedParts<'_>,
    key_of: impl Fn(&str) -> Option<&'k SignerKey>,
    begin: i64,
    now: i64,
) -> Result<VerifiedSignature, AuthFailure> {
    let shown = SignatureShown::of(parts.headers, |id| key_of(id).is_some())?;
    let key = key_of(&shown.key).ok_or(AuthFailure::Unknown)?;
    if shown.algorithm.as_deref().is_some_and(|algorithm| algorithm != key.algorithm()) {
        return Err(AuthFailure::Algorithm);
    }
    shown.check_time(begin, now)?;
    let names = base::components(&shown.covered)?;
    let message = base::base(&shown.covered, &names, parts)?;
    if !key.verifies(message.as_bytes(), &shown.octets) {
        return Err(AuthFailure::Wrong);
    }
    let covers_body = names.contains(&digest::FIELD);
    Ok(VerifiedSignature {
        end: shown.created.saturating_add(MOST_AGE + 1),
        key: shown.key,
        nonce: shown.nonce,
        covers_body,
    })
}

impl SignatureShown {
    /// The only signature in `headers` whose key `is_known`.
    fn of(headers: &HeaderMap, is_known: impl Fn(&str) -> bool) -> Result<Self, AuthFailure> {
        let dictionary = |name: &str| {
            let text =
                base::field(headers, name).filter(|text| text.len() <= MOST_FIELD).ok_or(AuthFailure::Malformed)?;
            Parser::new(&text).parse::<Dictionary>().map_err(|_| AuthFailure::Malformed)
        };
        let (inputs, signatures) = (dictionary("signature-input")?, dictionary("signature")?);
        if inputs.is_empty() || inputs.len() > MOST_LABELS || signatures.len() > MOST_LABELS {
            return Err(AuthFailure::Malformed);
        }
        let mut found = None;
        for (label, input) in &inputs {
            let ListEntry::InnerList(covered) = input else { return Err(AuthFailure::Malformed) };
            let key = text(covered, "keyid")?.ok_or(AuthFailure::Malformed)?;
            if !is_known(&key) {
                continue;
            }
            let octets = match signatures.get(label) {
                Some(ListEntry::Item(item)) => {
                    item.bare_item.as_byte_sequence().ok_or(AuthFailure::Malformed)?.to_vec()
                }
                _ => return Err(AuthFailure::Malformed),
            };
            if found.replace(Self::parse(covered, octets, key)?).is_some() {
                return Err(AuthFailure::Contradictory);
            }
        }
        found.ok_or(AuthFailure::Unknown)
    }

    fn parse(covered: &InnerList, octets: Vec<u8>, key: String) -> Result<Self, AuthFailure> {
        let known = ["created", "expires", "nonce", "keyid", "alg", "tag"];
        if key.len() > LONGEST_KEY || covered.params.keys().any(|name| !known.contains(&name.as_str())) {
            return Err(AuthFailure::Malformed);
        }
        let nonce = text(covered, "nonce")?.ok_or(AuthFailure::Malformed)?;
        if !NONCE.contains(&nonce.len()) {
            return Err(AuthFailure::Malformed);
        }
        let created = whole(covered, "created")?.ok_or(AuthFailure::Malformed)?;
        let (expires, algorithm) = (whole(covered, "expires")?, text(covered, "alg")?);
        Ok(Self { covered: covered.clone(), octets, created, expires, nonce, key, algorithm })
    }

    fn check_time(&self, begin: i64, now: i64) -> Result<(), AuthFailure> {
        if self.created > now.saturating_add(MOST_AHEAD) {
            Err(AuthFailure::NotYetValid)
        } else if self.created < now.saturating_sub(MOST_AGE) || self.created < begin {
            Err(AuthFailure::Stale)
        } else if self.expires.is_some_and(|expires| expires <= now) {
            Err(AuthFailure::Expired)
        } else {
            Ok(())
        }
    }
}

/// The parameter `name`, a string.
fn text(covered: &InnerList, name: &str) -> Result<Option<String>, AuthFailure> {
    match covered.params.get(name) {
        None => Ok(None),
        Some(BareItem::String(text)) => Ok(Some(text.as_str().to_owned())),
        Some(_) => Err(AuthFailure::Malformed),
    }
}

/// The parameter `name`, a whole number.
fn whole(covered: &InnerList, name: &str) -> Result<Option<i64>, AuthFailure> {
    match covered.params.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(number)) => Ok(Some(i64::from(*number))),
        Some(_) => Err(AuthFailure::Malformed),
    }
}

#[cfg(test)]
mod tests;

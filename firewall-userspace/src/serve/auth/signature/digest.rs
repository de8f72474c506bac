//! Digests of bodies (RFC 9530).

use axum::http::HeaderMap;
use ring::digest::{self, SHA256, SHA512};
use sfv::{BareItem, Dictionary, ListEntry, Parser};
use subtle::ConstantTimeEq as _;

use super::base::field;
use crate::serve::auth::failures::AuthFailure;

/// The field.
pub const FIELD: &str = "content-digest";

/// What the body of a request has to be, as its client says.
#[derive(Debug)]
pub struct ContentDigest(Vec<(&'static digest::Algorithm, Vec<u8>)>);

impl ContentDigest {
    /// What `headers` say; `None` when they say nothing.
    ///
    /// # Errors
    /// [`AuthFailure::Digest`] when nothing is there that is known, in the form that it has to have.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, AuthFailure> {
        if !headers.contains_key(FIELD) {
            return Ok(None);
        }
        let text = field(headers, FIELD).ok_or(AuthFailure::Digest)?;
        let digests: Dictionary = Parser::new(&text).parse().map_err(|_| AuthFailure::Digest)?;
        let mut known = Vec::new();
        for (name, algorithm) in [("sha-256", &SHA256), ("sha-512", &SHA512)] {
            match digests.get(name) {
                None => {}
                Some(ListEntry::Item(item)) => match &item.bare_item {
                    BareItem::ByteSequence(octets) => known.push((algorithm, octets.clone())),
                    _ => return Err(AuthFailure::Digest),
                },
                Some(ListEntry::InnerList(_)) => return Err(AuthFailure::Digest),
            }
        }
        if known.is_empty() { Err(AuthFailure::Digest) } else { Ok(Some(Self(known))) }
    }

    /// Whether `body` is that body, by every digest that is known.
    pub fn is_of(&self, body: &[u8]) -> bool {
        self.0.iter().all(|(algorithm, wanted)| {
            let found = digest::digest(algorithm, body);
            bool::from(found.as_ref().ct_eq(wanted))
        })
    }
}

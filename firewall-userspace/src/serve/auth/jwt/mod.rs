//! Access tokens of an OAuth 2.0 or OpenID Connect issuer (RFC 7519, RFC 9068), by the rules of RFC 8725.
//!
//! In: what a caller shows as a bearer token, the keys of the issuer. Out: who it is, and what it may do, or why not. [`IssuerKeys`] owns
//! the keys that were read last; nothing here asks the issuer about a single token.

mod issuer;
mod keys;
mod source;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

pub use issuer::IssuerKeys;
pub use keys::{IssuerKey, KeyFound, KeySet};
pub(super) use source::trusted_file;

use super::failures::AuthFailure;
use crate::policy::{Grant, JwtAlgorithm, JwtSettings};

/// Most octets of a token.
pub const MOST_OCTETS: usize = 8 << 10;

/// How far the clocks of the issuer and of this host may be apart, in seconds.
const LEEWAY: f64 = 60.0;

/// Most octets of a subject.
const LONGEST_SUBJECT: usize = 128;

/// A token, taken apart; nothing of it is believed yet.
#[derive(Debug)]
pub struct JwtShown<'a> {
    /// What is signed.
    message: &'a [u8],
    algorithm: JwtAlgorithm,
    key: Option<String>,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

/// Who a token is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtHolder {
    /// `sub`.
    pub subject: String,
    /// What the roles in it allow; `None`: none is known here.
    pub grant: Option<Grant>,
}

/// The header (RFC 7515 section 4); a member that comes twice is refused.
#[derive(Deserialize)]
struct JwsHeader {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

/// The claims that are checked (RFC 7519 section 4.1), likewise.
#[derive(Deserialize)]
struct JwtClaims {
    iss: String,
    sub: String,
    aud: Audiences,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Several(Vec<String>),
}

/// Whether `text` may be a signed token: three parts.
pub fn is_jws(text: &str) -> bool {
    text.bytes().filter(|octet| *octet == b'.').count() == 2
}

/// Takes a token apart that is signed by one of the algorithms `taken`.
///
/// # Errors
/// [`AuthFailure::Malformed`], and [`AuthFailure::Algorithm`] for any other algorithm, `none` among them.
pub fn parse<'a>(text: &'a str, taken: &[JwtAlgorithm]) -> Result<JwtShown<'a>, AuthFailure> {
    if text.len() > MOST_OCTETS {
        return Err(AuthFailure::Malformed);
    }
    let (message, signature) = text.rsplit_once('.').ok_or(AuthFailure::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(AuthFailure::Malformed)?;
    let octets = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| AuthFailure::Malformed);
    let header: JwsHeader = serde_json::from_slice(&octets(header)?).map_err(|_| AuthFailure::Malformed)?;
    // What is critical is not known here, whatever it is (RFC 7515 section 4.1.11).
    if header.crit.is_some() || !header.typ.as_deref().is_none_or(is_access_token) {
        return Err(AuthFailure::Malformed);
    }
    let algorithm = keys::algorithm(&header.alg).filter(|algorithm| taken.contains(algorithm));
    let algorithm = algorithm.ok_or(AuthFailure::Algorithm)?;
    let (claims, signature) = (octets(claims)?, octets(signature)?);
    Ok(JwtShown { message: message.as_bytes(), algorithm, key: header.kid, claims, signature })
}

impl JwtShown<'_> {
    /// Whether `keys` have the one that it names, so that reading them again would change nothing.
    pub fn is_known_to(&self, keys: &KeySet) -> bool {
        !matches!(keys.find(self.key.as_deref(), self.algorithm), KeyFound::Unknown)
    }

    /// Who it is of, when one of `keys` has signed it and it is good at `now`.
    ///
    /// # Errors
    /// Why it is not.
    pub fn verify(&self, keys: &KeySet, settings: &JwtSettings, now: Timestamp) -> Result<JwtHolder, AuthFailure> {
        let key = match keys.find(self.key.as_deref(), self.algorithm) {
            KeyFound::Key(key) => key,
            KeyFound::Unknown => return Err(AuthFailure::Key),
            KeyFound::OtherAlgorithm => return Err(AuthFailure::Algorithm),
        };
        if !key.verifies(self.algorithm, self.message, &self.signature) {
            return Err(AuthFailure::Wrong);
        }
        let claims: JwtClaims = serde_json::from_slice(&self.claims).map_err(|_| AuthFailure::Malformed)?;
        claims.check(settings, now)?;
        let all: Value = serde_json::from_slice(&self.claims).map_err(|_| AuthFailure::Malformed)?;
        Ok(JwtHolder { subject: claims.sub, grant: granted(&all, settings) })
    }
}

/// All of it at once: who `text` is of at `now`.
///
/// # Errors
/// Why it is of nobody.
pub fn verify(text: &str, keys: &KeySet, settings: &JwtSettings, now: Timestamp) -> Result<JwtHolder, AuthFailure> {
    parse(text, &settings.algorithms)?.verify(keys, settings, now)
}

impl JwtClaims {
    fn check(&self, settings: &JwtSettings, now: Timestamp) -> Result<(), AuthFailure> {
        // Enough for times until the year 285,000,000.
        let now = now.as_millisecond() as f64 / 1e3;
        let is_for_us = match &self.aud {
            Audiences::One(audience) => *audience == settings.audience,
            Audiences::Several(audiences) => audiences.contains(&settings.audience),
        };
        let is_printable = self.sub.bytes().all(|octet| (b' '..=b'~').contains(&octet)) && self.sub.trim() == self.sub;
        if self.iss != settings.issuer {
            Err(AuthFailure::Issuer)
        } else if !is_for_us {
            Err(AuthFailure::Audience)
        } else if self.exp + LEEWAY <= now {
            Err(AuthFailure::Expired)
        } else if [self.nbf, self.iat].into_iter().flatten().any(|begin| begin > now + LEEWAY) {
            Err(AuthFailure::NotYetValid)
        } else if self.sub.is_empty() || self.sub.len() > LONGEST_SUBJECT || !is_printable {
            Err(AuthFailure::Malformed)
        } else {
            Ok(())
        }
    }
}

/// The media type of an access token (RFC 9068 section 2.1), or that of any token; `application/` may be left out (RFC 7515
/// section 4.1.9).
fn is_access_token(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "at+jwt" | "jwt")
}

/// The most of what the roles in the claims allow. The claim may have dots in its name, or be inside of others.
fn granted(claims: &Value, settings: &JwtSettings) -> Option<Grant> {
    let inside = || settings.claim.split('.').try_fold(claims, |value, name| value.get(name));
    let found = claims.get(&settings.claim).or_else(inside)?;
    let named: Vec<&str> = match found {
        // Several in one string are apart by blanks, as in `scope` (RFC 6749 section 3.3).
        Value::String(text) => std::iter::once(text.as_str()).chain(text.split(' ')).collect(),
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let grants = named.into_iter().filter_map(|name| settings.roles.get(name));
    grants.max_by_key(|grant| (grant.role, grant.scope.is_everything())).cloned()
}

#[cfg(test)]
mod tests;

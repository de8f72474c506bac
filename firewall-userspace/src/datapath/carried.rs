//! The packet program that this binary carries.

use sha2::{Digest as _, Sha256};

use super::OBJECT;

/// SHA-256 of the object in hexadecimal digits; `None` in a build without one.
pub fn carried() -> Option<String> {
    (!OBJECT.is_empty()).then(|| Sha256::digest(OBJECT).iter().map(|octet| format!("{octet:02x}")).collect())
}

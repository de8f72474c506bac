//! Keys of an issuer (RFC 7517), each for the algorithms that go with its type.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use crate::policy::JwtAlgorithm;

/// Most octets of a document with keys.
pub const MOST_OCTETS: usize = 256 << 10;

/// Most keys of an issuer; what comes after them is counted and not used.
pub const MOST_KEYS: usize = 64;

/// Shortest modulus of an RSA key, in bits (NIST SP 800-131A Rev. 2 section 3).
const SHORTEST_RSA: usize = 2048;

/// Longest modulus that ring takes (`RSA_PKCS1_2048_8192_SHA256`).
const LONGEST_RSA: usize = 8192;

/// The keys of an issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<IssuerKey>,
    /// Keys of the document that cannot be used: of other types, too weak, for something else, or too many.
    pub ignored: usize,
}

/// A key that can be used.
#[derive(Debug)]
pub struct IssuerKey {
    id: Option<String>,
    /// The only algorithm that its issuer uses it with, when it says so.
    only: Option<JwtAlgorithm>,
    material: KeyMaterial,
}

/// A public key.
#[derive(Debug)]
enum KeyMaterial {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// 0x04, x and y (SEC 1 section 2.3.3).
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A key as a document has it; members that are not asked for may be anything.
#[derive(Deserialize)]
struct WrittenKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// The keys of `document`. Those that cannot be used are counted.
    ///
    /// # Errors
    /// When it is no set of keys, or none of them can be used: in words.
    pub fn parse(document: &[u8]) -> Result<Self, String> {
        if document.len() > MOST_OCTETS {
            return Err(format!("it is longer than {} KiB", MOST_OCTETS >> 10));
        }
        let value: Value = serde_json::from_slice(document).map_err(|error| format!("it is not JSON: {error}"))?;
        let Some(written) = value.get("keys").and_then(Value::as_array) else {
            return Err("it has no array `keys` (RFC 7517 section 5)".to_owned());
        };
        let keys: Vec<IssuerKey> = written.iter().filter_map(IssuerKey::parse).take(MOST_KEYS).collect();
        let ignored = written.len().saturating_sub(keys.len());
        if keys.is_empty() {
            return Err(format!("none of its {} keys can be used", written.len()));
        }
        Ok(Self { keys, ignored })
    }

    /// How many can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none can be.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key `id`, for `algorithm`. Without an identifier it is the only key that there is.
    pub fn find(&self, id: Option<&str>, algorithm: JwtAlgorithm) -> KeyFound<'_> {
        let named: Vec<&IssuerKey> = match (id, &*self.keys) {
            (None, [only]) => vec![only],
            (None, _) => return KeyFound::Unknown,
            (Some(id), keys) => keys.iter().filter(|key| key.id.as_deref() == Some(id)).collect(),
        };
        match named.iter().find(|key| key.takes(algorithm)) {
            Some(key) => KeyFound::Key(key),
            None if named.is_empty() => KeyFound::Unknown,
            None => KeyFound::OtherAlgorithm,
        }
    }
}

/// What a look for a key finds.
#[derive(Debug)]
pub enum KeyFound<'a> {
    /// The key.
    Key(&'a IssuerKey),
    /// There is none of this name.
    Unknown,
    /// There is one, which is not for this algorithm.
    OtherAlgorithm,
}

impl IssuerKey {
    /// `None` when it cannot be used.
    fn parse(value: &Value) -> Option<Self> {
        let written = WrittenKey::deserialize(value).ok()?;
        let is_for_signatures = written.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && written.key_ops.as_ref().is_none_or(|uses| uses.iter().any(|one| one == "verify"));
        if !is_for_signatures {
            return None;
        }
        let only = match &written.alg {
            None => None,
            Some(name) => Some(algorithm(name)?),
        };
        let material = KeyMaterial::of(&written)?;
        let key = Self { id: written.kid, only: None, material };
        if only.is_some_and(|only| !key.takes(only)) {
            return None;
        }
        Some(Self { only, ..key })
    }

    /// Whether `algorithm` goes with it: what the token says decides nothing.
    fn takes(&self, algorithm: JwtAlgorithm) -> bool {
        let goes = match self.material {
            KeyMaterial::Rsa { .. } => matches!(algorithm, JwtAlgorithm::Rs256 | JwtAlgorithm::Ps256),
            KeyMaterial::P256(_) => algorithm == JwtAlgorithm::Es256,
            KeyMaterial::P384(_) => algorithm == JwtAlgorithm::Es384,
            KeyMaterial::Ed25519(_) => algorithm == JwtAlgorithm::EdDsa,
        };
        goes && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature` is that of `message` by this key.
    pub fn verifies(&self, algorithm: JwtAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.takes(algorithm) {
            return false;
        }
        let unparsed =
            |algorithm, octets: &[u8]| UnparsedPublicKey::new(algorithm, octets.to_vec()).verify(message, signature);
        let verified = match &self.material {
            KeyMaterial::Rsa { modulus, exponent } => {
                let parameters = match algorithm {
                    JwtAlgorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    _ => &signature::RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature)
            }
            KeyMaterial::P256(point) => unparsed(&signature::ECDSA_P256_SHA256_FIXED, point),
            KeyMaterial::P384(point) => unparsed(&signature::ECDSA_P384_SHA384_FIXED, point),
            KeyMaterial::Ed25519(octets) => unparsed(&signature::ED25519, octets),
        };
        verified.is_ok()
    }
}

impl KeyMaterial {
    fn of(written: &WrittenKey) -> Option<Self> {
        let octets = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let sized = |text, length| octets(text).filter(|octets| octets.len() == length);
        let point = |length| Some([vec![4], sized(&written.x, length)?, sized(&written.y, length)?].concat());
        match (&*written.kty, written.crv.as_deref()) {
            ("RSA", _) => {
                let unsigned = |text| octets(text).map(|octets| without_zeroes(&octets).to_vec());
                let (modulus, exponent) = (unsigned(&written.n)?, unsigned(&written.e)?);
                let bits = (modulus.len() * 8).saturating_sub(modulus.first()?.leading_zeros() as usize);
                let fits = (SHORTEST_RSA..=LONGEST_RSA).contains(&bits) && (1..=5).contains(&exponent.len());
                fits.then_some(Self::Rsa { modulus, exponent })
            }
            ("EC", Some("P-256")) => point(32).map(Self::P256),
            ("EC", Some("P-384")) => point(48).map(Self::P384),
            ("OKP", Some("Ed25519")) => sized(&written.x, 32).map(Self::Ed25519),
            // Secrets (`oct`) are of no use here: whoever knows one could issue tokens.
            _ => None,
        }
    }
}

/// The algorithm of this name (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864 section 2.2).
pub fn algorithm(name: &str) -> Option<JwtAlgorithm> {
    Some(match name {
        "RS256" => JwtAlgorithm::Rs256,
        "PS256" => JwtAlgorithm::Ps256,
        "ES256" => JwtAlgorithm::Es256,
        "ES384" => JwtAlgorithm::Es384,
        "EdDSA" | "Ed25519" => JwtAlgorithm::EdDsa,
        _ => return None,
    })
}

/// ring takes no zeroes before a number.
fn without_zeroes(octets: &[u8]) -> &[u8] {
    let begin = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
    octets.get(begin..).unwrap_or_default()
}

//! Public keys of those who sign requests, in PEM.

use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};

/// Most octets of a file with a key.
pub const MOST_OCTETS: u64 = 16 << 10;

/// What comes before the octets of an Ed25519 key (RFC 8410 section 4).
const ED25519_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The same of a key on P-256 (RFC 5480 section 2.1.1).
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A public key, which says by which algorithm its owner signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerKey {
    /// Ed25519 (RFC 8032).
    Ed25519([u8; 32]),
    /// ECDSA on P-256 with SHA-256; the uncompressed point.
    P256([u8; 65]),
}

impl SignerKey {
    /// The key in `pem`, a `PUBLIC KEY`.
    ///
    /// # Errors
    /// Why it cannot be used, in words with a hint.
    pub fn parse(pem: &[u8]) -> Result<Self, String> {
        let wanted = "hint: `openssl genpkey -algorithm ed25519 -out KEY` makes one, `openssl pkey -in KEY -pubout` writes this of it";
        let key = SubjectPublicKeyInfoDer::from_pem_slice(pem)
            .map_err(|_| format!("it has no public key in PEM (`BEGIN PUBLIC KEY`)\n{wanted}"))?;
        let rest = |head: &[u8]| key.as_ref().strip_prefix(head);
        if let Some(Ok(octets)) = rest(&ED25519_HEAD).map(TryInto::try_into) {
            return Ok(Self::Ed25519(octets));
        }
        match rest(&P256_HEAD).map(<[u8; 65]>::try_from) {
            Some(Ok(point)) if point.first() == Some(&4) => Ok(Self::P256(point)),
            _ => Err(format!("its key is neither Ed25519 nor on P-256\n{wanted}")),
        }
    }

    /// The name of its algorithm (RFC 9421 section 6.2.2).
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "ed25519",
            Self::P256(_) => "ecdsa-p256-sha256",
        }
    }

    /// Whether `signature` is that of `message` by this key (RFC 9421 sections 3.3.4 and 3.3.6).
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, octets): (&dyn VerificationAlgorithm, &[u8]) = match self {
            Self::Ed25519(octets) => (&ED25519, octets),
            Self::P256(point) => (&ECDSA_P256_SHA256_FIXED, point),
        };
        UnparsedPublicKey::new(algorithm, octets).verify(message, signature).is_ok()
    }
}

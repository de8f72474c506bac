//! What a client has shown of itself in the handshake.

use std::collections::BTreeSet;

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::der;
use crate::policy::CertificateName;

/// The certificate of a client. Its chain is good, and it has the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedCertificate {
    /// Its subject alternative names, without those with a wildcard.
    pub names: Vec<CertificateName>,
    /// The last moment at which it is good.
    pub not_after: Timestamp,
    /// SHA-256 of it.
    pub fingerprint: [u8; 32],
}

/// Most names of one certificate that are looked at.
const NAMES: usize = 64;

impl PresentedCertificate {
    /// What is in a certificate; `None` when that cannot be read.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = EndEntityCert::try_from(certificate).ok()?;
        let dns = parsed.valid_dns_names().filter(|name| !name.contains('*'));
        let dns = dns.map(|name| CertificateName::Dns(name.to_ascii_lowercase()));
        let uris = parsed.valid_uri_names().map(|uri| CertificateName::Uri(uri.to_owned()));
        let names: BTreeSet<CertificateName> = dns.take(NAMES).chain(uris.take(NAMES)).collect();
        let (_, not_after) = der::validity(certificate)?;
        let fingerprint = digest(&SHA256, certificate).as_ref().try_into().ok()?;
        Some(Self { names: names.into_iter().collect(), not_after, fingerprint })
    }
}

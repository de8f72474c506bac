//! Whether a client's certificate is good: its chain, and every revocation list of everybody in it.
//!
//! `webpki` looks at the first list that names the issuer, and at no other: a CA that splits its list, or has a new key, would have
//! certificates accepted that it has revoked. Here all lists count that the key of the issuer has signed.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, TrustAnchor, UnixTime},
    server::{
        VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use webpki::{BorrowedCertRevocationList, CertRevocationList, EndEntityCert, KeyUsage, VerifiedPath};

use super::der::{self, CrlScope};

/// A revocation list of somebody who signs certificates.
pub struct RevocationList {
    issuer: Box<[u8]>,
    revoked: HashSet<Box<[u8]>>,
    scope: CrlScope,
    /// By when there is to be another.
    pub next_update: Option<Timestamp>,
    der: Box<[u8]>,
    /// Keys that were asked whether they have signed it, by their digests.
    asked: Mutex<HashMap<[u8; 32], bool>>,
}

/// Judges certificates of clients. A client that shows none is let in: what it may do is another question.
#[derive(Debug)]
pub struct ClientVerifier {
    chains: Arc<dyn ClientCertVerifier>,
    roots: Arc<RootCertStore>,
    lists: Vec<RevocationList>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Keys of which a list remembers whether they have signed it. Chains have few, and only of those who are trusted.
const ASKED: usize = 64;

impl RevocationList {
    /// Reads one; its signature is looked at when a certificate needs it.
    ///
    /// # Errors
    /// What `webpki` has against it.
    pub fn of(der: &[u8]) -> Result<Self, webpki::Error> {
        let list = BorrowedCertRevocationList::from_der(der)?;
        let revoked = (&list).into_iter().map(|one| Ok(one?.serial_number.into())).collect::<Result<_, _>>()?;
        let list = CertRevocationList::from(list);
        Ok(Self {
            issuer: list.issuer().into(),
            revoked,
            scope: der::crl_scope(list.issuing_distribution_point()),
            next_update: der::next_update(der),
            der: der.into(),
            asked: Mutex::default(),
        })
    }

    /// Whether the key with the content of its SubjectPublicKeyInfo has signed it.
    fn is_signed_by(&self, key: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
        // Always 32 octets.
        let name: [u8; 32] = digest(&SHA256, key).as_ref().try_into().unwrap_or_default();
        if let Some(known) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return *known;
        }
        let is_signed = self.verify(key, algorithms).is_some();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= ASKED {
            asked.clear();
        }
        asked.insert(name, is_signed);
        is_signed
    }

    fn verify(&self, key: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> Option<()> {
        let (of_key, key) = der::public_key(key)?;
        let signed = der::signed(&self.der)?;
        let mut fitting = algorithms.all.iter().filter(|algorithm| {
            *algorithm.signature_alg_id() == *signed.algorithm && *algorithm.public_key_alg_id() == *of_key
        });
        fitting.find_map(|algorithm| algorithm.verify_signature(key, signed.message, signed.signature).ok())
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList").field("revoked", &self.revoked.len()).finish_non_exhaustive()
    }
}

impl ClientVerifier {
    /// One that trusts `roots`, and what they have signed, unless one of `lists` names it. Where there are lists, everybody in a chain
    /// needs one from its issuer. A list whose time is over stays in force.
    ///
    /// # Errors
    /// When there are no roots.
    pub fn new(
        roots: RootCertStore,
        lists: Vec<RevocationList>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let roots = Arc::new(roots);
        let chains = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider));
        let chains = chains.allow_unauthenticated().build()?;
        Ok(Self { chains, roots, lists, algorithms: provider.signature_verification_algorithms })
    }

    /// By when the first of the lists is to be followed by another.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.lists.iter().filter_map(|list| list.next_update).min()
    }

    /// Whether nobody in `path` is revoked, and everybody has a list that would say so.
    fn judge(&self, path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
        let mut issuers = path.intermediate_certificates();
        let end_entity = path.end_entity();
        let mut one = (end_entity.serial(), end_entity.issuer(), true);
        loop {
            let (serial, issuer, is_end_entity) = one;
            let above = issuers.next();
            let key = above.map_or_else(
                || Some(path.anchor().subject_public_key_info.to_vec()),
                |above| der::content(above.subject_public_key_info().as_ref()).map(<[u8]>::to_vec),
            );
            self.judge_one(serial, issuer, is_end_entity, &key.ok_or(webpki::Error::BadDer)?)?;
            let Some(above) = above else { return Ok(()) };
            one = (above.serial(), above.issuer(), false);
        }
    }

    fn judge_one(&self, serial: &[u8], issuer: &[u8], is_end_entity: bool, key: &[u8]) -> Result<(), webpki::Error> {
        let mut is_covered = false;
        for list in self.lists.iter().filter(|list| *list.issuer == *issuer) {
            if !list.is_signed_by(key, &self.algorithms) {
                continue;
            }
            if list.revoked.contains(serial) {
                return Err(webpki::Error::CertRevoked);
            }
            is_covered |= if is_end_entity { list.scope.end_entities } else { list.scope.authorities };
        }
        if is_covered { Ok(()) } else { Err(webpki::Error::UnknownRevocationStatus) }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chains.verify_client_cert(end_entity, intermediates, now)?;
        if self.lists.is_empty() {
            return Ok(verified);
        }
        let refused = |error| Error::InvalidCertificate(why(&error));
        let end_entity = EndEntityCert::try_from(end_entity).map_err(refused)?;
        let roots: &[TrustAnchor<'_>] = &self.roots.roots;
        let judge = |path: &VerifiedPath<'_>| self.judge(path);
        end_entity
            .verify_for_usage(
                self.algorithms.all,
                roots,
                intermediates,
                now,
                KeyUsage::client_auth(),
                None,
                Some(&judge),
            )
            .map_err(refused)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// The same as TLS says it to the client.
fn why(error: &webpki::Error) -> CertificateError {
    match error {
        webpki::Error::CertRevoked => CertificateError::Revoked,
        webpki::Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        _ => CertificateError::ApplicationVerificationFailure,
    }
}

//! Makes a configuration of TLS of what the files say.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use rustls::{
    Error, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring as provider},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime,
        pem::{self, PemObject},
    },
    server::{ServerSessionMemoryCache, danger::ClientCertVerifier as _},
    version::{TLS12, TLS13},
};
use zeroize::Zeroizing;

pub use super::read::TlsError;
use super::{
    der,
    read::{self, FileKind, Print},
    revocation::{ClientVerifier, RevocationList},
};
use crate::policy::HttpsSettings;

/// What connections that begin now are served with.
pub struct ServedTls {
    /// It, with sessions and tickets of its own.
    pub config: Arc<ServerConfig>,
    /// Which clients are believed: another number, other CAs or other revocation lists.
    pub trust: u64,
    /// Until when the certificate is good.
    pub not_after: Option<Timestamp>,
    /// By when the first revocation list is to be followed by another.
    pub next_update: Option<Timestamp>,
    /// Who judges certificates of clients; `None`: they are not asked for.
    verifier: Option<Arc<ClientVerifier>>,
}

/// The files that a configuration is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    client_crl: Vec<PathBuf>,
}

/// What is in them.
pub struct Material {
    certificate: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Zeroizing<Vec<u8>>>,
    client_crl: Vec<Zeroizing<Vec<u8>>>,
}

/// By what the content of all files, and of those that say who is believed, is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digests {
    /// All.
    pub all: [u8; 32],
    /// Those that say who is believed.
    pub trust: [u8; 32],
}

/// Sessions of TLS 1.2 that are remembered; others go on by tickets.
const SESSIONS: usize = 1024;

/// Most certificates of clients' CAs, of this host's chain, and revocation lists.
const CERTIFICATES: usize = 256;

impl TlsFiles {
    /// Those that `settings` name; `credentials` is the folder of systemd.
    ///
    /// # Errors
    /// When a credential is named, and systemd passes none.
    pub fn of(settings: &HttpsSettings, credentials: Option<&Path>) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read::path_of(&settings.certificate, FileKind::Certificate, credentials)?,
            key: read::path_of(&settings.key, FileKind::Key, credentials)?,
            client_ca: settings.client_ca.clone(),
            client_crl: settings.client_crl.clone(),
        })
    }

    /// How they look now.
    pub fn prints(&self) -> Vec<Print> {
        let some = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        some.into_iter().flatten().chain(&self.client_crl).map(|path| Print::of(path)).collect()
    }

    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be used.
    pub fn read(&self) -> Result<Material, TlsError> {
        Ok(Material {
            certificate: read::all(FileKind::Certificate, &self.certificate)?,
            key: read::all(FileKind::Key, &self.key)?,
            client_ca: self.client_ca.as_ref().map(|path| read::all(FileKind::ClientCa, path)).transpose()?,
            client_crl: self
                .client_crl
                .iter()
                .map(|path| read::all(FileKind::ClientCrl, path))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Makes a configuration of `material`, which was read from these files.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn serve(&self, material: &Material, trust: u64) -> Result<ServedTls, TlsError> {
        let provider = Arc::new(provider::default_provider());
        let chain: Vec<CertificateDer<'static>> =
            certificates(FileKind::Certificate, &self.certificate, &material.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&material.key)
            .map_err(|error| TlsError::of(FileKind::Key, &self.key, no_pem(&error), Some(KEY_HINT)))?;
        let not_after = chain.first().and_then(|leaf| der::validity(leaf)).map(|(_, not_after)| not_after);
        let verifier = self.verifier(material, &provider)?.map(Arc::new);
        let refused = |error: Error| self.refused(&error);
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]);
        let builder = builder.map_err(refused)?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::<ClientVerifier>::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(refused)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.ticketer = provider::Ticketer::new().map_err(refused)?;
        let next_update = verifier.as_ref().and_then(|verifier| verifier.next_update());
        Ok(ServedTls { config: Arc::new(config), trust, not_after, next_update, verifier })
    }

    fn refused(&self, error: &Error) -> TlsError {
        match error {
            Error::InconsistentKeys(_) => {
                let why = format!("it is not the key of the certificate {}", self.certificate.display());
                let hint = "name the key and the certificate that were made for each other; both have to be exchanged";
                TlsError::of(FileKind::Key, &self.key, why, Some(hint))
            }
            Error::InvalidCertificate(_) => TlsError::of(FileKind::Certificate, &self.certificate, error, None),
            _ => TlsError::of(FileKind::Key, &self.key, error, Some(KEY_HINT)),
        }
    }

    fn verifier(
        &self,
        material: &Material,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<ClientVerifier>, TlsError> {
        let (Some(path), Some(text)) = (&self.client_ca, &material.client_ca) else { return Ok(None) };
        let error = |why: &dyn fmt::Display| TlsError::of(FileKind::ClientCa, path, why, None);
        let mut roots = RootCertStore::empty();
        for certificate in certificates(FileKind::ClientCa, path, text)? {
            roots.add(certificate).map_err(|refused| error(&refused))?;
        }
        let mut lists = Vec::new();
        for (path, text) in self.client_crl.iter().zip(&material.client_crl) {
            lists.extend(revocation_lists(path, text)?);
        }
        ClientVerifier::new(roots, lists, provider).map(Some).map_err(|refused| error(&refused))
    }
}

impl Material {
    /// By what it is known.
    pub fn digests(&self) -> Digests {
        let trust = self.client_ca.iter().chain(&self.client_crl);
        Digests { all: digest([&self.certificate, &self.key].into_iter().chain(trust.clone())), trust: digest(trust) }
    }
}

impl ServedTls {
    /// Whether a client with this chain, which it has shown before, is still believed at `now`.
    pub fn believes(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        let Some((end_entity, intermediates)) = chain.split_first() else { return true };
        let verifier = self.verifier.as_ref();
        verifier.is_some_and(|verifier| verifier.verify_client_cert(end_entity, intermediates, now).is_ok())
    }
}

impl fmt::Debug for ServedTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedTls")
            .field("trust", &self.trust)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

const KEY_HINT: &str =
    "give a key in PEM (PKCS #8, PKCS #1 or SEC 1) that is not encrypted, for RSA, P-256, P-384 or Ed25519";

/// What is wrong with a file that is no PEM; its text, which may be a key, is not shown.
fn no_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::NoItemsFound => "there is nothing of that kind in it",
        _ => "it is no PEM",
    }
}

/// All certificates of a file; there is one at least.
fn certificates(kind: FileKind, path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let error = |why: &str| TlsError::of(kind, path, why, Some("give certificates in PEM, as `BEGIN CERTIFICATE`"));
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text)
        .take(CERTIFICATES + 1)
        .collect::<Result<_, _>>()
        .map_err(|refused| error(no_pem(&refused)))?;
    match found.len() {
        0 => Err(error("there is no certificate in it")),
        count if count > CERTIFICATES => Err(error(&format!("there are more than {CERTIFICATES} certificates in it"))),
        _ => Ok(found),
    }
}

/// All revocation lists of a file; there is one at least.
fn revocation_lists(path: &Path, text: &[u8]) -> Result<Vec<RevocationList>, TlsError> {
    let hint = "give revocation lists in PEM, as `BEGIN X509 CRL`: `openssl crl -inform DER -in FILE -out FILE.pem`";
    let error = |why: &dyn fmt::Display| TlsError::of(FileKind::ClientCrl, path, why, Some(hint));
    let mut lists = Vec::new();
    for list in CertificateRevocationListDer::pem_slice_iter(text).take(CERTIFICATES) {
        let list = list.map_err(|refused| error(&no_pem(&refused)))?;
        lists.push(RevocationList::of(&list).map_err(|refused| error(&format!("{refused:?}")))?);
    }
    if lists.is_empty() { Err(error(&"there is no revocation list in it")) } else { Ok(lists) }
}

fn digest<'a>(files: impl Iterator<Item = &'a Zeroizing<Vec<u8>>>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for file in files {
        context.update(&(file.len() as u64).to_be_bytes());
        context.update(file);
    }
    // Always 32 octets.
    context.finish().as_ref().try_into().unwrap_or_default()
}

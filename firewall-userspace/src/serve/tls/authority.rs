//! Certificates for tests: an authority, whom it signs for, and whom it revokes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};

use crate::policy::{HttpsSettings, KeyPlace};

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its chain and its key, in PEM.
pub struct Issued {
    /// It, and who has signed it.
    pub chain: String,
    /// Its key.
    pub key: String,
    /// Its number.
    pub serial: u64,
}

fn next_serial() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from(next_serial()));
    params
}

impl Authority {
    /// One that signs for itself.
    pub fn new(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap())
    }

    /// One that this one has signed, and its serial number.
    pub fn below(&self, name: &str) -> (Self, u64) {
        let params = authority_params(name);
        let serial = u64::from_be_bytes({
            let mut octets = [0; 8];
            let bytes = params.serial_number.as_ref().unwrap().to_bytes();
            octets[8 - bytes.len()..].copy_from_slice(&bytes);
            octets
        });
        (Self(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap()), serial)
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these DNS names or URIs, whose time ends with the year.
    pub fn issue_until(&self, names: &[&str], usage: ExtendedKeyUsagePurpose, year: i32) -> Issued {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.contains(':') {
                true => SanType::URI((*name).try_into().unwrap()),
                false => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        let serial = next_serial();
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![usage];
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { chain: certificate.pem() + &self.0.pem(), key: key.serialize_pem(), serial }
    }

    /// A certificate of a client.
    pub fn client(&self, names: &[&str]) -> Issued {
        self.issue_until(names, ExtendedKeyUsagePurpose::ClientAuth, 2090)
    }

    /// A certificate of a server.
    pub fn server(&self, names: &[&str]) -> Issued {
        self.issue_until(names, ExtendedKeyUsagePurpose::ServerAuth, 2091)
    }

    /// A revocation list, in PEM.
    pub fn revoke(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2026, 1, 2),
            crl_number: SerialNumber::from(next_serial()),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// What a client uses that believes this authority, and shows `own`.
    pub fn client_config(&self, own: Option<&Issued>, is_old: bool) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let versions = if is_old { [&TLS12] } else { [&TLS13] };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(own.certificates(), key).unwrap()
            }
        }
    }
}

impl Issued {
    /// It, and who has signed it.
    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.chain.as_bytes()).map(|one| one.unwrap()).collect()
    }
}

/// A folder with the files that TLS needs, which goes away with the test.
pub struct TlsFolder(PathBuf);

impl TlsFolder {
    /// An empty one.
    pub fn make() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("portcullis-tls-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Where a file of it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that only its owner may read, in place.
    pub fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes a file beside it and gives it its name.
    pub fn exchange(&self, name: &str, text: &str) {
        let beside = format!("{name}.new");
        self.write(&beside, text);
        fs::rename(self.path(&beside), self.path(name)).unwrap();
    }

    /// The certificate of the server.
    pub fn serve(&self, issued: &Issued) {
        self.write("server.pem", &issued.chain);
        self.write("server.key", &issued.key);
    }

    /// Settings of a host that serves by what is in it, and asks no client for a certificate.
    pub fn settings(&self) -> HttpsSettings {
        HttpsSettings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            certificate: KeyPlace::File(self.path("server.pem")),
            key: KeyPlace::File(self.path("server.key")),
            hosts: vec!["api.example".into()],
            redirect: None,
            client_ca: None,
            client_crl: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// The same with clients that this authority has signed for.
    pub fn settings_with_clients(&self, lists: usize) -> HttpsSettings {
        let client_crl = (0..lists).map(|number| self.path(&format!("crl{number}.pem"))).collect();
        HttpsSettings { client_ca: Some(self.path("clients.pem")), client_crl, ..self.settings() }
    }

    /// It.
    pub fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for TlsFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! Files that say who a caller is: a token, a certificate and its key; and whose word on a server is taken.
//!
//! Secrets are wiped from memory when they are not needed any more, and stand in no message.

use std::{
    env,
    ffi::OsStr,
    fmt,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use axum::body::Bytes;
use hyper::header::HeaderValue;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

use crate::{
    cli::failure::Failure,
    files,
    text::shown::{escaped, grouped, shown_path},
};

/// What stands before the name of a credential of systemd.
const CREDENTIAL: &str = "credential:";

/// Where systemd puts credentials of a unit (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Most octets of a token: access tokens with many claims have some thousand.
const MOST_OF_TOKEN: usize = 16 << 10;

/// Most octets of a file with a private key.
const MOST_OF_KEY: usize = 64 << 10;

/// Most octets of a file with certificates; that of the system has about 220,000.
const MOST_OF_CERTIFICATES: usize = 8 << 20;

/// What the authorities of the system are in, on Debian.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A file that says who a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFile {
    /// As the caller has written it.
    written: PathBuf,
    /// Its permissions are those that systemd gives.
    is_of_systemd: bool,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readers {
    /// It is no secret.
    Anybody,
    /// Its owner alone.
    Owner,
}

impl CredentialFile {
    /// The file at a path, or `credential:NAME` of systemd.
    pub fn new(written: PathBuf) -> Self {
        let is_of_systemd = name_of(written.as_os_str()).is_some();
        Self { written, is_of_systemd }
    }

    /// The header `Authorization` with the token in it (RFC 6750 section 2.1).
    ///
    /// # Errors
    /// When there is no token in it, or others can read it.
    pub fn bearer(&self) -> Result<HeaderValue, Failure> {
        let what = "the token file";
        let octets = self.read(what, MOST_OF_TOKEN, Readers::Owner)?;
        let token = octets.trim_ascii();
        let form = "hint: it has one token and nothing else, as `portcullis token create` shows it";
        if token.is_empty() {
            return Err(self.unusable(what, "it is empty", form));
        }
        // `b64token`, which also every token of this program is.
        let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(octet);
        if !token.iter().all(is_plain) {
            return Err(self.unusable(what, "it has characters that no token has, or several lines", form));
        }
        let mut value = Zeroizing::new(Vec::with_capacity("Bearer ".len() + token.len()));
        value.extend_from_slice(b"Bearer ");
        value.extend_from_slice(token);
        let header = HeaderValue::from_maybe_shared(Bytes::from_owner(value));
        let mut header = header.map_err(|_| self.unusable(what, "it has characters that no header may have", form))?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// The certificates in it, at least one.
    ///
    /// # Errors
    /// When there is none, or one is broken.
    pub fn certificates(&self, what: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
        let octets = self.read(what, MOST_OF_CERTIFICATES, Readers::Anybody)?;
        let form = "hint: it has certificates in PEM, each between BEGIN CERTIFICATE and END CERTIFICATE";
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
        match read {
            Ok(all) if all.is_empty() => Err(self.unusable(what, "there is no certificate in it", form)),
            Ok(all) => Ok(all),
            Err(error) => Err(self.unusable(what, &format!("it is no PEM: {error}"), form)),
        }
    }

    /// The private key in it.
    ///
    /// # Errors
    /// When there is none, or others can read it.
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, Failure> {
        let what = "the key of the client certificate";
        let octets = self.read(what, MOST_OF_KEY, Readers::Owner)?;
        // What the parser says may have a line of the key in it.
        PrivateKeyDer::from_pem_slice(&octets).map_err(|_| {
            let form = "hint: it has a key in PEM without a passphrase: PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY";
            self.unusable(what, "there is no private key in it", form)
        })
    }

    /// Those in it vouch for servers.
    ///
    /// # Errors
    /// When one of them is no certificate.
    pub fn roots(&self) -> Result<RootCertStore, Failure> {
        let what = "the certificates of `--ca`";
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(what)? {
            let added = roots.add(certificate);
            added.map_err(|error| {
                self.unusable(what, &error.to_string(), "hint: name the certificate of an authority")
            })?;
        }
        Ok(roots)
    }

    /// Something in it cannot be used, and what to do.
    pub fn unusable(&self, what: &str, why: &str, hint: &str) -> Failure {
        self.failure(what, &escaped(why), hint, false)
    }

    fn failure(&self, what: &str, why: &str, hint: &str, is_refused: bool) -> Failure {
        Failure::Credential { words: format!("cannot use {what} {self}: {why}\n{hint}"), is_refused }
    }

    /// Its octets, wiped when they are dropped.
    fn read(&self, what: &str, most: usize, readers: Readers) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let failed = |error: io::Error| {
            let is_refused = error.kind() == io::ErrorKind::PermissionDenied;
            self.failure(what, &error.to_string(), "hint: is it there, and may this user read it?", is_refused)
        };
        let path =
            self.path().map_err(|why| self.unusable(what, &why, "hint: `LoadCredential=` of the unit passes it on"))?;
        let file = files::open_regular(&path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode();
        // systemd lets the user of the unit read by an ACL, whose mask looks like the rights of the group (acl(5)).
        let others = if self.is_of_systemd { 0o007 } else { 0o077 };
        if readers == Readers::Owner && mode & others != 0 {
            let why = format!("others can read it: its mode is {:04o}", mode & files::PERMISSIONS);
            return Err(self.failure(what, &why, &format!("hint: `chmod 600 {}`", shown_path(&path)), true));
        }
        // Room for all of it, so that no copy is left behind by a larger one.
        let mut octets = Zeroizing::new(Vec::with_capacity(most.min(MOST_OF_KEY) + 1));
        file.take(most as u64 + 1).read_to_end(&mut octets).map_err(failed)?;
        if octets.len() > most {
            let why = format!("it has more than {} octets", grouped(most));
            return Err(self.unusable(what, &why, "hint: is it the right file?"));
        }
        Ok(octets)
    }

    /// Where it is.
    fn path(&self) -> Result<PathBuf, String> {
        let Some(name) = name_of(self.written.as_os_str()) else { return Ok(self.written.clone()) };
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return Err("it is no name of a credential".into());
        }
        let folder = env::var_os(CREDENTIALS).filter(|folder| !folder.is_empty());
        let folder = folder.ok_or("there are no credentials: systemd has not started this with any")?;
        Ok(Path::new(&folder).join(name))
    }
}

impl fmt::Display for CredentialFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_path(&self.written))
    }
}

/// The authorities that this system trusts.
///
/// # Errors
/// When there are none.
pub fn system_roots() -> Result<RootCertStore, Failure> {
    let file = CredentialFile::new(SYSTEM_ROOTS.into());
    let hint =
        "hint: `--ca PEM` names the authority of the daemon; the package ca-certificates has those of the system";
    let what = "the authorities of this system in";
    let octets = file.read(what, MOST_OF_CERTIFICATES, Readers::Anybody);
    let octets = octets.map_err(|_| file.unusable(what, "it cannot be read", hint))?;
    let mut roots = RootCertStore::empty();
    // One that this program does not understand is no reason to trust none.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&octets).filter_map(Result::ok));
    if roots.is_empty() { Err(file.unusable(what, "there are none in it", hint)) } else { Ok(roots) }
}

/// The name behind `credential:`.
fn name_of(written: &OsStr) -> Option<&str> {
    written.to_str()?.strip_prefix(CREDENTIAL)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    /// A folder that goes away with the test.
    struct SecretFolder(PathBuf);

    impl SecretFolder {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for SecretFolder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn file(folder: &SecretFolder, text: impl AsRef<[u8]>, mode: u32) -> CredentialFile {
        let path = folder.path().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        CredentialFile::new(path)
    }

    #[test]
    fn a_token_that_others_can_read_is_refused_and_not_shown() {
        let folder = SecretFolder::new("token-modes");
        for mode in [0o640, 0o604, 0o644, 0o620, 0o601, 0o777] {
            let words = file(&folder, "prt_secret", mode).bearer().unwrap_err().to_string();
            assert!(words.contains("others can read it") && words.contains("\nhint: `chmod 600 /"), "{words}");
            assert!(!words.contains("prt_secret"), "{words}");
        }
        for mode in [0o600, 0o400, 0o700] {
            let bearer = file(&folder, " prt_secret\r\n\n", mode).bearer().unwrap();
            assert_eq!((bearer.as_bytes(), bearer.is_sensitive()), (&b"Bearer prt_secret"[..], true));
            assert!(!format!("{bearer:?}").contains("secret"));
        }
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_shown() {
        let folder = SecretFolder::new("token-forms");
        let long = "a".repeat(MOST_OF_TOKEN + 1);
        for text in ["", " \n", "zebra crossing", "zebra\ncrossing", "zebra\0", "zebr\u{e4}", "zebra\"", &long] {
            let words = file(&folder, text, 0o600).bearer().unwrap_err().to_string();
            assert!(words.contains("cannot use the token file /") && words.contains("\nhint: "), "{words}");
            assert!(!words.contains("zebra") && words.len() < 400, "{words}");
        }
        assert!(file(&folder, &long[1..], 0o600).bearer().is_ok());
    }

    #[test]
    fn a_link_is_followed_and_what_is_no_file_is_refused() {
        let folder = SecretFolder::new("token-links");
        file(&folder, "abc", 0o600);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("token", &link).unwrap();
        assert_eq!(CredentialFile::new(link).bearer().unwrap().as_bytes(), b"Bearer abc");
        for (path, why) in [(folder.path().to_owned(), "a folder"), ("/dev/zero".into(), "a device")] {
            let words = CredentialFile::new(path).bearer().unwrap_err().to_string();
            assert!(words.contains(why), "{words}");
        }
        let missing = CredentialFile::new(folder.path().join("missing")).bearer().unwrap_err();
        assert!(matches!(missing, Failure::Credential { is_refused: false, .. }), "{missing}");
    }

    #[test]
    fn a_credential_is_a_name_and_no_path() {
        for name in ["credential:", "credential:../token", "credential:.", "credential:..", "credential:/etc/shadow"] {
            let words = CredentialFile::new(name.into()).bearer().unwrap_err().to_string();
            assert!(words.contains("it is no name of a credential"), "{name}: {words}");
        }
        assert_eq!(name_of(OsStr::new("credential:portcullis")), Some("portcullis"));
        assert_eq!(name_of(OsStr::new("/etc/credential:x")), None);
    }

    #[test]
    fn what_is_no_key_is_not_shown() {
        let folder = SecretFolder::new("key-forms");
        let broken = "-----BEGIN PRIVATE KEY-----\nzebra!\n-----END PRIVATE KEY-----\n";
        for text in ["zebra", broken] {
            let words = file(&folder, text, 0o600).key().unwrap_err().to_string();
            assert!(words.contains("there is no private key in it") && !words.contains("zebra"), "{words}");
        }
        let words = file(&folder, "zebra", 0o644).certificates("it").unwrap_err().to_string();
        assert!(words.contains("there is no certificate in it"), "{words}");
    }
}

//! Reads the keys of an issuer: from a file, or over HTTPS.

use std::{
    io::{self, BufReader, Read},
    net::{IpAddr, SocketAddr},
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{Request, StatusCode, Uri, header, uri::Scheme},
};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nix::unistd::geteuid;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task, time,
};
use tokio_rustls::TlsConnector;

use super::keys::{KeySet, MOST_OCTETS};
use crate::{
    files::{GROUP_WRITES, OTHERS_WRITE, open_regular},
    policy::KeySource,
};

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Certificates that this host trusts, as the package `ca-certificates` of Debian has them.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Most octets of that file.
const MOST_TRUSTED: u64 = 4 << 20;

/// The keys at `source`.
///
/// # Errors
/// Why they cannot be had, in words.
pub async fn read(source: &KeySource) -> Result<KeySet, String> {
    let reading = async {
        match source {
            KeySource::File(path) => {
                let path = path.clone();
                in_background(move || trusted_file(&path, MOST_OCTETS as u64)).await
            }
            KeySource::Url(url) => fetch(url).await,
        }
    };
    let document = time::timeout(LIMIT, reading).await;
    let document = document.map_err(|_| format!("no answer within {} s", LIMIT.as_secs()))??;
    KeySet::parse(&document)
}

/// A file that only root and who runs this can have written, of at most `most` octets.
///
/// # Errors
/// Why it is not read, in words.
pub fn trusted_file(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let text = |error: io::Error| error.to_string();
    let file = open_regular(path).map_err(text)?;
    let found = file.metadata().map_err(text)?;
    if found.uid() != 0 && found.uid() != geteuid().as_raw() {
        return Err(format!("it belongs to user {}", found.uid()));
    }
    if found.mode() & (GROUP_WRITES | OTHERS_WRITE) != 0 {
        return Err("others may write to it".to_owned());
    }
    let mut octets = Vec::new();
    file.take(most + 1).read_to_end(&mut octets).map_err(text)?;
    if octets.len() as u64 > most { Err(format!("it is longer than {most} octets")) } else { Ok(octets) }
}

/// Where a URL leads.
#[derive(Debug, PartialEq, Eq)]
struct KeyAddress {
    host: String,
    port: u16,
    is_tls: bool,
    /// As it is asked for.
    path: String,
    authority: String,
}

impl KeyAddress {
    /// # Errors
    /// When it is neither HTTPS, nor HTTP on loopback.
    fn of(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| "it is no URL".to_owned())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or("it has no host, or somebody's name in it")?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP && is_loopback(&host) => false,
            _ => return Err("it has to begin with `https://`; `http://` is for loopback only".to_owned()),
        };
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { host, port, is_tls, path, authority: authority.as_str().to_owned() })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let place = KeyAddress::of(url)?;
    let addresses = lookup_host((place.host.as_str(), place.port)).await;
    let addresses = addresses.map_err(|error| format!("cannot look up `{}`: {error}", place.host))?;
    // A name that leads elsewhere than it says would carry the keys over the network in the clear.
    let addresses: Vec<SocketAddr> = addresses.filter(|address| place.is_tls || address.ip().is_loopback()).collect();
    let stream = TcpStream::connect(&*addresses).await;
    let stream = stream.map_err(|error| format!("cannot connect to {}: {error}", place.authority))?;
    if !place.is_tls {
        return ask(stream, &place).await;
    }
    let roots = in_background(|| roots(Path::new(TRUSTED))).await?;
    let versions = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let versions = versions.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let config = versions.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(place.host.clone()).map_err(|error| error.to_string())?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    ask(connected.map_err(|error| format!("cannot trust {}: {error}", place.authority))?, &place).await
}

/// Certificates that are trusted by the file at `path`.
fn roots(path: &Path) -> Result<RootCertStore, String> {
    let pem = trusted_file(path, MOST_TRUSTED).map_err(|why| format!("cannot read {}: {why}", path.display()))?;
    let certificates = CertificateDer::pem_reader_iter(BufReader::new(&*pem)).filter_map(Result::ok);
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(format!("no certificate in {} can be used", path.display())),
        _ => Ok(roots),
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    place: &KeyAddress,
) -> Result<Vec<u8>, String> {
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let serving = task::spawn(connection);
    let request = Request::get(&place.path).header(header::HOST, &place.authority);
    let request = request.header(header::ACCEPT, "application/jwk-set+json, application/json");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(text)?;
    // A redirection leads to somebody whom the configuration does not name.
    if response.status() != StatusCode::OK {
        serving.abort();
        return Err(format!("it answers with status {}", response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), MOST_OCTETS).collect().await;
    serving.abort();
    Ok(body.map_err(|error| error.to_string())?.to_bytes().to_vec())
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

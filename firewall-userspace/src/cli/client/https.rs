//! A connection to a daemon on another host: TCP, and TLS unless it is this host after all.
//!
//! Every connection is made anew: no name, no connection and no session of TLS is kept for the next one.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hyper::header::HeaderValue;
use nix::sys::{
    prctl,
    socket::{setsockopt, sockopt},
};
use rustls::{ClientConfig, client::Resumption, crypto::ring, pki_types::ServerName};
use tokio::{
    net::{self, TcpStream},
    task::JoinSet,
    time,
};
use tokio_rustls::TlsConnector;

use super::{
    Wire,
    credential::{self, CredentialFile},
    trouble::Trouble,
    url::DaemonUrl,
};
use crate::cli::failure::Failure;

/// How long it may take until there is a connection, the look-up of the name included.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long TLS may take after that.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Before the next address is tried while one says nothing (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Between two probes of a connection that says nothing, in seconds.
const PROBE_S: u32 = 15;

/// How long what was sent may stay without an acknowledgement, in milliseconds (tcp(7), `TCP_USER_TIMEOUT`).
const UNACKNOWLEDGED_MS: u32 = 60_000;

/// Most addresses of a name that are tried.
const MOST_ADDRESSES: usize = 16;

/// A daemon on another host, and who asks it.
pub struct Remote {
    /// Where it listens.
    pub url: DaemonUrl,
    /// The file with the token.
    pub token: Option<CredentialFile>,
    /// The files with the certificate of the caller and its key.
    pub identity: Option<[CredentialFile; 2]>,
    /// Who vouches for the daemon, instead of the authorities of the system.
    pub roots: Option<CredentialFile>,
    /// What the files say, when they have been read.
    ready: OnceLock<Ready>,
}

/// What the files say.
struct Ready {
    bearer: Option<HeaderValue>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl Remote {
    /// The daemon at `url`; nobody is asked and no file is read before the first request.
    pub fn new(
        url: DaemonUrl,
        token: Option<CredentialFile>,
        identity: Option<[CredentialFile; 2]>,
        roots: Option<CredentialFile>,
    ) -> Self {
        Self { url, token, identity, roots, ready: OnceLock::new() }
    }

    /// Whether it is told who asks.
    pub fn has_credentials(&self) -> bool {
        self.token.is_some() || self.identity.is_some()
    }

    /// The header `Authorization`, when there is a token.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn bearer(&self) -> Result<Option<HeaderValue>, Failure> {
        self.ready().map(|ready| ready.bearer.clone())
    }

    /// A new connection.
    ///
    /// # Errors
    /// When a file cannot be used, or the daemon cannot be reached.
    pub async fn connect(&self) -> Result<Wire, Failure> {
        let ready = self.ready()?;
        let stream = time::timeout(DIAL_TIMEOUT, self.dial()).await;
        let stream =
            stream.unwrap_or_else(|_| Err(Trouble::silent(DIAL_TIMEOUT))).map_err(|why| self.unreached(why))?;
        notice_silence(&stream);
        let Some((connector, name)) = &ready.tls else { return Ok(Box::new(stream)) };
        let handshake = time::timeout(HANDSHAKE_TIMEOUT, connector.connect(name.clone(), stream)).await;
        match handshake {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(self.unreached(Trouble::of_tls(&error, &self.url))),
            Err(_) => Err(self.unreached(Trouble::mute(HANDSHAKE_TIMEOUT))),
        }
    }

    /// It cannot be reached.
    pub fn unreached(&self, Trouble { why, hint }: Trouble) -> Failure {
        Failure::Unreachable { at: self.to_string(), why, hint }
    }

    fn ready(&self) -> Result<&Ready, Failure> {
        if let Some(ready) = self.ready.get() {
            return Ok(ready);
        }
        if self.has_credentials() {
            // What a core dump has, others may read. A kernel that refuses has no dumps of this process either.
            let _ = prctl::set_dumpable(false);
        }
        let bearer = self.token.as_ref().map(CredentialFile::bearer).transpose()?;
        let tls = if self.url.is_tls { Some((self.tls()?, self.name()?)) } else { None };
        Ok(self.ready.get_or_init(|| Ready { bearer, tls }))
    }

    fn name(&self) -> Result<ServerName<'static>, Failure> {
        ServerName::try_from(self.url.host.clone()).map_err(|_| {
            let why = format!("`{}` is neither a host name nor an address", self.url.host);
            self.unreached(Trouble::new(&why, "write the name or the address of the host into `--url`"))
        })
    }

    fn tls(&self) -> Result<TlsConnector, Failure> {
        let roots = self.roots.as_ref().map_or_else(credential::system_roots, CredentialFile::roots)?;
        let unusable = |error: rustls::Error| {
            self.unreached(Trouble::new(&error.to_string(), "this is a mistake of this program: report it"))
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        // TLS 1.3 and 1.2.
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?.with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some([certificate, key]) => {
                let chain = certificate.certificates("the client certificate")?;
                builder.with_client_auth_cert(chain, key.key()?).map_err(|error| {
                    let hint = "hint: `--client-key` names the key that belongs to `--client-cert`";
                    certificate.unusable("the client certificate", &error.to_string(), hint)
                })?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A new connection shows that a new connection works.
        config.resumption = Resumption::disabled();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// A connection of TCP to the first of its addresses that answers.
    async fn dial(&self) -> Result<TcpStream, Trouble> {
        let DaemonUrl { host, port, is_tls } = &self.url;
        let found = net::lookup_host((&**host, *port)).await.map_err(|error| Trouble::of_name(host, &error))?;
        // Without TLS the name of this host must be this host.
        let found = found.filter(|address| *is_tls || address.ip().to_canonical().is_loopback());
        let mut addresses = found.take(MOST_ADDRESSES);
        let (mut attempts, mut failed) = (JoinSet::new(), Vec::new());
        loop {
            if let Some(address) = addresses.next() {
                attempts.spawn(async move { TcpStream::connect(address).await.map_err(|error| (address, error)) });
            } else if attempts.is_empty() {
                return Err(Trouble::of_tcp(&failed));
            }
            match time::timeout(HEAD_START, attempts.join_next()).await {
                Ok(Some(Ok(Ok(stream)))) => return Ok(stream),
                Ok(Some(Ok(Err(one)))) => failed.push(one),
                Ok(Some(Err(lost))) => failed.push((SocketAddr::from(([0; 4], *port)), io::Error::other(lost))),
                Ok(None) | Err(_) => {}
            }
        }
    }
}

/// Has the kernel end a connection whose other end is gone without a word, instead of waiting for a quarter of an hour. Where it cannot,
/// the times of the requests hold.
fn notice_silence(stream: &TcpStream) {
    // A request is written at once; without this the second part of it could wait for an acknowledgement of the first.
    let _ = stream.set_nodelay(true);
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &PROBE_S);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &PROBE_S);
    let _ = setsockopt(stream, sockopt::TcpUserTimeout, &UNACKNOWLEDGED_MS);
}

//! HTTPS in front of the socket of a daemon, as another host would see it: TLS, a token, and whatever goes wrong on the way.
//!
//! In: connections of the command line. Out: what the socket answers to them, or the failure that a test asks for.
//! Owner: the test, which ends it by dropping it.

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use firewall_userspace::serve::http::ProblemDetails;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client, header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio::{
    net::{TcpListener, UnixStream},
    runtime::Runtime,
    time,
};
use tokio_rustls::TlsAcceptor;

use super::{Daemon, Fake, Folder, portcullis, seen};

/// The token that it lets in.
pub const TOKEN: &str = "prt_0123456789abcdef";

/// How it is made.
#[derive(Clone)]
pub struct Plan {
    /// Names and addresses in its certificate.
    pub names: Vec<String>,
    /// Whether the time of its certificate is over.
    pub is_expired: bool,
    /// Whether TLS asks for a certificate of the caller.
    pub wants_certificate: bool,
    /// The token that every request must have.
    pub token: Option<&'static str>,
    /// What it does to some requests.
    pub fault: Fault,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Nothing,
    /// It takes connections, and never says anything.
    Mute,
    /// The request to this path reaches the daemon, and the connection ends before the answer.
    CutAt(&'static str),
    /// The same, once.
    CutOnceAt(&'static str),
    /// After the answer to this path no connection is taken any more.
    DeafAfter(&'static str),
    /// The same, for so many connections.
    DeafForAWhileAfter(&'static str, usize),
    /// After the answer to this path nobody is let in.
    LockedAfter(&'static str),
    /// It answers this with these headers, and this body.
    Answers(u16, &'static [(&'static str, &'static str)], &'static str),
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            names: vec!["localhost".into(), "127.0.0.1".into()],
            is_expired: false,
            wants_certificate: false,
            token: Some(TOKEN),
            fault: Fault::Nothing,
        }
    }
}

/// It, with the files of somebody who may use it.
pub struct Https {
    folder: Folder,
    port: u16,
    /// Connections that were taken.
    pub connections: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

/// What a connection needs.
struct Inner {
    plan: Plan,
    socket: PathBuf,
    tls: TlsAcceptor,
    connections: Arc<AtomicUsize>,
    /// The fault has come.
    is_after: AtomicBool,
    /// Connections that were turned away since.
    turned_away: AtomicUsize,
}

impl Https {
    /// In front of `socket`.
    pub fn before(socket: &Path, plan: Plan) -> Self {
        let folder = Folder::new();
        let tls = TlsAcceptor::from(Arc::new(certify(folder.path(), &plan)));
        put(&folder.path().join("token"), &format!("{TOKEN}\n"), 0o600);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let inner = Inner {
            plan,
            socket: socket.to_owned(),
            tls,
            connections: Arc::clone(&connections),
            is_after: AtomicBool::new(false),
            turned_away: AtomicUsize::new(0),
        };
        runtime.spawn(Arc::new(inner).accept(listener));
        Self { folder, port, connections, runtime: Some(runtime) }
    }

    /// A file of somebody who may use it: `token`, `ca.pem`, `client.pem`, `client.key`; `other-*` are of another authority.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file beside them.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> String {
        put(&self.folder.path().join(name), text, mode);
        self.file(name)
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The command line with its URL and its authority, and nothing that says who asks.
    pub fn nobody(&self, arguments: &[&str]) -> Command {
        let mut command = portcullis(arguments);
        command.args(["--url", &self.url(), "--ca", &self.file("ca.pem")]);
        command
    }

    /// The same with the token.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.nobody(arguments);
        command.args(["--token-file", &self.file("token")]);
        command
    }

    /// Exit code, standard output and standard error of that.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        seen(&self.command(arguments).output().unwrap())
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// A daemon with HTTPS before it.
pub fn both(fake: Fake, plan: Plan) -> (Daemon, Https) {
    let daemon = Daemon::start(fake);
    let https = Https::before(&daemon.socket, plan);
    (daemon, https)
}

/// The same, where something goes wrong.
pub fn failing(fault: Fault) -> (Daemon, Https) {
    both(Fake::default(), Plan { fault, ..Plan::default() })
}

fn put(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes two authorities, certificates of both in `folder`, and what the server shows.
fn certify(folder: &Path, plan: &Plan) -> ServerConfig {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (own, other) = (authority("Own"), authority("Other"));
    for (prefix, authority) in [("", &own), ("other-", &other)] {
        let key = KeyPair::generate().unwrap();
        let client =
            CertificateParams::new(vec!["ada.example.com".into()]).unwrap().signed_by(&key, authority).unwrap();
        put(&folder.join(format!("{prefix}ca.pem")), &authority.pem(), 0o644);
        put(&folder.join(format!("{prefix}client.pem")), &client.pem(), 0o644);
        put(&folder.join(format!("{prefix}client.key")), &key.serialize_pem(), 0o600);
    }
    let mut params = CertificateParams::new(plan.names.clone()).unwrap();
    if plan.is_expired {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &own).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = if plan.wants_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(own.der().clone()).unwrap();
        builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
        )
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

impl Inner {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            self.connections.fetch_add(1, Ordering::SeqCst);
            if self.turns_away() {
                continue;
            }
            let inner = Arc::clone(&self);
            tokio::spawn(async move {
                if inner.plan.fault == Fault::Mute {
                    time::sleep(Duration::from_secs(600)).await;
                }
                let Ok(stream) = inner.tls.accept(stream).await else { return };
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
                let service = service_fn(|request| Arc::clone(&inner).serve(request));
                // A service that fails ends its connection.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    fn turns_away(&self) -> bool {
        if !self.is_after.load(Ordering::SeqCst) {
            return false;
        }
        match self.plan.fault {
            Fault::DeafAfter(_) => true,
            Fault::DeafForAWhileAfter(_, count) => self.turned_away.fetch_add(1, Ordering::SeqCst) < count,
            _ => false,
        }
    }

    async fn serve(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Either<Incoming, Full<Bytes>>>, &'static str> {
        if let Fault::Answers(status, headers, body) = self.plan.fault {
            let mut answer = Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(*name, *value);
            }
            return Ok(answer.body(Either::Right(Full::from(body))).unwrap());
        }
        let is_locked = matches!(self.plan.fault, Fault::LockedAfter(_)) && self.is_after.load(Ordering::SeqCst);
        let wanted = self.plan.token.map(|token| format!("Bearer {token}"));
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if is_locked || wanted.as_deref().is_some_and(|wanted| shown != Some(wanted)) {
            return Ok(unauthorized());
        }
        let host = request.headers().get(header::HOST).unwrap().to_str().unwrap().to_owned();
        assert!(host.starts_with("localhost:") || host.starts_with("127.0.0.1:"), "{host}");
        let path = request.uri().path().to_owned();
        request.headers_mut().insert(header::HOST, "localhost".parse().unwrap());
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|_| "the daemon is gone")?;
        self.after(&path)?;
        Ok(answer.map(Either::Left))
    }

    /// Lets the fault come when its time is there.
    fn after(&self, path: &str) -> Result<(), &'static str> {
        match self.plan.fault {
            Fault::CutAt(at) if path == at => return Err("cut"),
            Fault::CutOnceAt(at) if path == at && !self.is_after.swap(true, Ordering::SeqCst) => return Err("cut"),
            Fault::DeafAfter(at) | Fault::DeafForAWhileAfter(at, _) | Fault::LockedAfter(at) if path == at => {
                self.is_after.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
        Ok(())
    }
}

fn unauthorized() -> Response<Either<Incoming, Full<Bytes>>> {
    let detail = "who asks is not known: no credential is good";
    let problem = ProblemDetails::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
    let answer = Response::builder()
        .status(StatusCode::UNAUTHORIZED)
        .header(header::CONTENT_TYPE, "application/problem+json")
        .header(header::WWW_AUTHENTICATE, "Bearer");
    answer.body(Either::Right(Full::from(serde_json::to_vec(&problem).unwrap()))).unwrap()
}

/// A request of a client over plain HTTP, all of it.
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Takes requests over plain HTTP at this host, and answers each with what `answer` makes of it.
pub fn plain(answer: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) -> (SocketAddr, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = Arc::clone(&answer);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let (method, target) = (head.method.to_string(), head.uri.to_string());
                    let (status, body) = answer(&Seen { method, target, headers: head.headers, body });
                    let answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
                    Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(body))).unwrap())
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, runtime)
}

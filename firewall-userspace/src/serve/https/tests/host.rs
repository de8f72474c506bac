//! A host with its files, its sockets and its clients.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Extension, Router,
    body::Body,
    http::{Request, Response, StatusCode},
    routing::{get, post},
};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, duplex},
    net::TcpStream,
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{self, Instant},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::serve::{
    http::{
        room::{Patience, Stage},
        server::{Attendance, Limits},
    },
    https::{NetworkPeer, Sockets, connection::serve_tls, listener::serve, sockets::TcpEnds},
    tls::{
        ServedTls,
        authority::{Authority, Issued, TlsFolder},
        watch::{Looked, Looker},
    },
};

/// A host with its files, and who signs for it and for its clients.
pub struct Host {
    pub folder: TlsFolder,
    pub own: Authority,
    pub clients: Authority,
    pub looker: Looker,
    pub served: watch::Sender<Option<Arc<ServedTls>>>,
}

impl Host {
    pub fn new() -> Self {
        let (folder, own, clients) = (TlsFolder::make(), Authority::new("own"), Authority::new("clients"));
        folder.serve(&own.server(&["api.example"]));
        folder.write("clients.pem", &clients.pem());
        folder.write("crl0.pem", &clients.revoke(&[]));
        let mut host = Self { folder, own, clients, looker: Looker::new(None), served: watch::channel(None).0 };
        assert!(host.look());
        host
    }

    /// Takes what the files say; whether that was something else.
    pub fn look(&mut self) -> bool {
        let settings = self.folder.settings_with_clients(1);
        match self.looker.look(&settings, SystemTime::now() + Duration::from_secs(3600)) {
            Looked::Taken(served) => {
                self.served.send_replace(Some(served));
                true
            }
            _ => false,
        }
    }

    pub fn client(&self, own: Option<&Issued>, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut config = self.own.client_config(own, false);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Serves by real sockets.
    pub fn serve(&self, router: Router) -> Server {
        let sockets = Sockets::open(&["127.0.0.1:0".parse().unwrap()]);
        let address = sockets.local_addresses().unwrap()[0];
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(serve(sockets, self.served.subscribe(), router, stopped));
        Server { address, stop: Some(stop), task }
    }

    /// Serves one connection in memory: its other end, and when it has ended.
    pub fn attend(&self, router: Router) -> (DuplexStream, JoinHandle<Duration>, watch::Sender<bool>) {
        let (near, far) = duplex(64 << 10);
        let (stop, stopping) = watch::channel(false);
        let stage = Arc::new(Stage::new(Instant::now(), LIMITS.patience));
        let ends = TcpEnds { from: "192.0.2.7:1000".parse().unwrap(), to: "192.0.2.1:443".parse().unwrap() };
        let serving =
            serve_tls(far, ends, self.served.subscribe(), Attendance { router, limits: LIMITS, stage, stopping });
        let start = Instant::now();
        let task = tokio::spawn(async move {
            serving.await;
            start.elapsed()
        });
        (near, task, stop)
    }
}

pub const LIMITS: Limits = Limits {
    headers: Duration::from_secs(10),
    exchange: Duration::from_secs(300),
    patience: Patience { request: Duration::from_secs(1), answer: Duration::from_secs(30) },
};

pub struct Server {
    pub address: SocketAddr,
    pub stop: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<()>,
}

pub async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<S>> {
    let name = ServerName::try_from("api.example").unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

pub async fn connect(server: &Server, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    shake(TcpStream::connect(server.address).await?, config).await
}

pub async fn h1<S>(stream: TlsStream<S>) -> http1::SendRequest<Body>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub async fn h2<S>(stream: TlsStream<S>) -> http2::SendRequest<Body>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub fn request(path: &str) -> Request<Body> {
    Request::builder().uri(path).header("host", "api.example").body(Body::empty()).unwrap()
}

/// The same as HTTP/2 has it.
pub fn request_h2(path: &str) -> Request<Body> {
    Request::builder().uri(format!("https://api.example{path}")).body(Body::empty()).unwrap()
}

pub async fn text(response: hyper::Result<Response<Incoming>>) -> (StatusCode, String) {
    let response = response.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Says who is there, waits, takes bodies and gives large ones.
pub fn router() -> Router {
    let who = |Extension(peer): Extension<NetworkPeer>| async move {
        assert!(peer.is_tls);
        let names = peer.certificate.map(|certificate| format!("{:?}", certificate.names));
        format!("{} {}", peer.from.ip(), names.unwrap_or_default())
    };
    let slow = || async {
        time::sleep(Duration::from_secs(3)).await;
        "done"
    };
    Router::new()
        .route("/", get(who))
        .route("/slow", get(slow))
        .route("/large", get(|| async { "x".repeat(4 << 20) }))
        .route("/", post(|body: String| async { body }))
}

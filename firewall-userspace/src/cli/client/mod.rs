//! One request to a daemon: over its Unix socket, or over HTTPS to another host.
//!
//! In: a request of a command, and where the daemon is. Out: the answer, understood and as it came, or why there is none. Each request has
//! a connection of its own. Nobody owns anything here: a client knows where its daemon is and who asks it, and no more.

mod credential;
mod exchange;
mod https;
mod refusal;
mod socket;
mod stream;
mod trouble;
mod url;

use std::{
    error::Error,
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, http::request};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    signal, time,
};

pub use self::{credential::CredentialFile, https::Remote, stream::Stream, url::DaemonUrl};

use self::{
    exchange::{Broken, ReceivedAnswer, begin_exchange, exchange},
    trouble::Trouble,
};
use super::failure::Failure;
use crate::serve::api::CONTROLLER_TIMEOUT;

/// Pause after the daemon was busy, as `Retry-After` says.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Pieces of an answer that wait to be read.
const PIECES: usize = 4;

/// Most octets of an answer that must come within a time.
const SHORT: usize = 8 << 20;

/// How long the whole answer may take: longer than the daemon gives itself.
pub const ANSWER_TIMEOUT: Duration = CONTROLLER_TIMEOUT.saturating_add(Duration::from_secs(30));

/// Octets that go to and fro.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A connection to a daemon.
pub type Wire = Box<dyn Duplex>;

/// The daemon behind a socket, or behind a URL.
#[derive(Clone)]
pub struct Client {
    at: DaemonPlace,
}

/// Where a daemon is.
#[derive(Clone)]
enum DaemonPlace {
    Socket(PathBuf),
    Remote(Arc<Remote>),
}

/// An answer, understood and as it came.
pub struct Answer<T> {
    /// What it means.
    pub value: T,
    /// The JSON of the daemon.
    pub json: Bytes,
}

impl fmt::Display for DaemonPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(socket) => socket.display().fmt(f),
            Self::Remote(remote) => remote.fmt(f),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.fmt(f)
    }
}

impl Client {
    /// The daemon that listens at `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self { at: DaemonPlace::Socket(socket) }
    }

    /// A daemon on another host.
    pub fn remote(remote: Remote) -> Self {
        Self { at: DaemonPlace::Remote(Arc::new(remote)) }
    }

    /// Whether it is asked by a URL, as if on another host.
    pub fn is_remote(&self) -> bool {
        matches!(self.at, DaemonPlace::Remote(_))
    }

    /// Reads what is at `path`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Failure> {
        self.ask(&Method::GET, path, Bytes::new(), false)
    }

    /// Reads what is at `path`, of at most [`SHORT`] octets, within `limit` in all.
    pub fn get_within<T: DeserializeOwned>(&self, path: &str, limit: Duration) -> Result<Answer<T>, Failure> {
        let request = self.request(&Method::GET, path, Bytes::new())?;
        let reply = self.exchange_within(limit, self.connect(), request, |why| self.lost(why))?;
        self.understood(reply, false)
    }

    /// The metrics of the daemon at `address`, of at most [`SHORT`] octets, within `limit` in all.
    pub fn scrape(&self, address: SocketAddr, limit: Duration) -> Result<String, Failure> {
        let lost = |why: String| self.lost(format!("at http://{address}/metrics: {why}"));
        let request =
            Request::builder().uri("/metrics").header(header::HOST, address.to_string()).body(Full::default());
        let request: Request<Full<Bytes>> = request.map_err(|error| self.strange(error.to_string()))?;
        let stream = async { TcpStream::connect(address).await.map_err(|error| lost(error.to_string())) };
        match self.exchange_within(limit, stream, request, lost)? {
            ReceivedAnswer { status: StatusCode::OK, body, .. } => Ok(String::from_utf8_lossy(&body).into_owned()),
            ReceivedAnswer { status, .. } => Err(lost(format!("status {status}"))),
        }
    }

    /// Posts a question to `path`: nothing changes by it.
    pub fn question<T: DeserializeOwned>(&self, path: &str, json: impl Into<Bytes>) -> Result<Answer<T>, Failure> {
        self.ask(&Method::POST, path, json.into(), false)
    }

    /// Posts a change to `path`, or with `is_dry` the question what it would come to.
    pub fn change<T: DeserializeOwned>(
        &self,
        path: &str,
        json: impl Into<Bytes>,
        is_dry: bool,
    ) -> Result<Answer<T>, Failure> {
        self.ask(&Method::POST, path, json.into(), !is_dry)
    }

    /// Posts a change to `path` and waits for `limit` in all, or until somebody interrupts it: [`Failure::Cancelled`].
    pub fn change_within<T: DeserializeOwned>(
        &self,
        path: &str,
        json: impl Into<Bytes>,
        limit: Duration,
    ) -> Result<Answer<T>, Failure> {
        let request = self.request(&Method::POST, path, json.into())?;
        let exchange = async {
            let stream = self.connect().await?;
            // From here on the daemon may have got it.
            exchange(stream, request).await.map_err(|error| self.broken(&*error, true))
        };
        let late = || self.unconfirmed(format!("no answer within {} s", limit.as_secs()));
        let reply = self.block_on(async {
            tokio::select! {
                answer = time::timeout(limit, exchange) => answer.unwrap_or_else(|_| Err(late())),
                Ok(()) = signal::ctrl_c() => Err(Failure::Cancelled),
            }
        })?;
        self.understood(reply, true)
    }

    /// Removes what is at `path`.
    pub fn remove<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Failure> {
        self.ask(&Method::DELETE, path, Bytes::new(), true)
    }

    /// Reads what is at `path` piece by piece, however much it is.
    pub fn stream(&self, path: &str) -> Result<Stream, Failure> {
        let (client, path) = (self.clone(), path.to_owned());
        let (begin, begun) = mpsc::sync_channel(1);
        let (pieces, received) = mpsc::sync_channel(PIECES);
        // Ends with the answer, or when nobody takes its pieces any more.
        thread::spawn(move || client.send_pieces(&path, &begin, &pieces));
        let lost = || self.lost("the answer did not begin".into());
        begun.recv().unwrap_or_else(|_| Err(lost()))?;
        Ok(Stream { pieces: received, piece: Bytes::new() })
    }

    /// Why a document that came piece by piece could not be read to its end.
    pub fn unreadable(&self, error: &serde_json::Error) -> Failure {
        let why = error.to_string();
        if error.is_io() || error.is_eof() {
            return self.lost(why);
        }
        self.strange(why)
    }

    /// The answer is not what a daemon of this version says.
    pub fn strange(&self, why: String) -> Failure {
        Failure::Strange { at: self.at.to_string(), why }
    }

    /// A request with a body of JSON, or none.
    ///
    /// # Errors
    /// When the path is none, or a credential cannot be used.
    pub fn request(&self, method: &Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = self.head(method, path)?;
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(body)).map_err(|error| self.strange(error.to_string()))
    }

    /// What every request begins with: whom it is for, and who asks.
    ///
    /// # Errors
    /// When a credential cannot be used.
    pub fn head(&self, method: &Method, path: &str) -> Result<request::Builder, Failure> {
        let request = Request::builder().method(method).uri(path);
        let DaemonPlace::Remote(remote) = &self.at else { return Ok(request.header(header::HOST, "portcullis")) };
        let host = remote.url.header().map_err(|error| self.strange(error.to_string()))?;
        let request = request.header(header::HOST, host);
        Ok(match remote.bearer()? {
            Some(bearer) => request.header(header::AUTHORIZATION, bearer),
            None => request,
        })
    }

    /// What `work` comes to.
    ///
    /// # Errors
    /// Its own, and when there is nothing to do it in.
    pub fn block_on<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| self.strange(error.to_string()))?;
        let result = runtime.block_on(work);
        // The look-up of a name cannot be cancelled, and is not waited for.
        runtime.shutdown_background();
        result
    }

    /// Says whether an answer has begun, then sends its pieces.
    fn send_pieces(&self, path: &str, begin: &SyncSender<Result<(), Failure>>, pieces: &SyncSender<io::Result<Bytes>>) {
        let answer = async {
            let request = self.request(&Method::GET, path, Bytes::new())?;
            let answer = time::timeout(ANSWER_TIMEOUT, begin_exchange(self.connect().await?, request)).await;
            let answer = answer.map_err(|_| self.lost("no answer in time".into()))?;
            let response = answer.map_err(|error| self.broken(&error, false))?;
            if response.status() == StatusCode::OK {
                return Ok(response.into_body());
            }
            let reply = time::timeout(ANSWER_TIMEOUT, ReceivedAnswer::of(response, SHORT)).await;
            let reply = reply.map_err(|_| self.lost("no answer in time".into()))?;
            Err(self.refusal(reply.map_err(|error| self.broken(&*error, false))?, false))
        };
        let work = async {
            let mut body = match answer.await {
                Ok(body) => body,
                Err(failure) => return drop(begin.send(Err(failure))),
            };
            let mut is_wanted = begin.send(Ok(())).is_ok();
            while is_wanted {
                let piece = match time::timeout(ANSWER_TIMEOUT, body.frame()).await {
                    Ok(None) => return,
                    Ok(Some(frame)) => {
                        frame.map(|frame| frame.into_data().unwrap_or_default()).map_err(io::Error::other)
                    }
                    Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the rest of the answer does not come")),
                };
                is_wanted = piece.is_ok();
                is_wanted &= pieces.send(piece).is_ok();
            }
        };
        if let Err(failure) = self.block_on(async {
            work.await;
            Ok(())
        }) {
            drop(begin.send(Err(failure)));
        }
    }

    /// Sends a request over a connection of its own; the answer when it begins.
    pub async fn begin<B>(&self, request: Request<B>) -> Result<Response<Incoming>, Failure>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Broken>,
    {
        begin_exchange(self.connect().await?, request).await.map_err(|error| self.broken(&error, true))
    }

    /// Why a change that was begun is answered with something else than 200.
    pub async fn refused_answer(&self, response: Response<Incoming>) -> Failure {
        match time::timeout(ANSWER_TIMEOUT, ReceivedAnswer::of(response, SHORT)).await {
            Ok(Ok(reply)) => self.refusal(reply, true),
            Ok(Err(error)) => self.broken(&*error, true),
            Err(_) => self.unconfirmed("the answer does not go on".to_owned()),
        }
    }

    /// Nobody knows whether a change has happened.
    pub fn unconfirmed(&self, why: String) -> Failure {
        Failure::Unconfirmed { at: self.at.to_string(), why }
    }

    /// There is no answer to a question.
    fn lost(&self, why: String) -> Failure {
        Failure::Lost { at: self.at.to_string(), why }
    }

    /// The connection broke before the answer was there. Only a change can be left in doubt.
    pub fn broken(&self, error: &(dyn Error + 'static), is_change: bool) -> Failure {
        match (&self.at, Trouble::of_refused_certificate(error)) {
            (DaemonPlace::Remote(remote), Some(trouble)) => remote.unreached(trouble),
            _ if is_change => self.unconfirmed(error.to_string()),
            _ => self.lost(error.to_string()),
        }
    }

    /// A new connection.
    async fn connect(&self) -> Result<Wire, Failure> {
        match &self.at {
            DaemonPlace::Socket(path) => {
                Ok(Box::new(socket::connect(path).await.map_err(|error| self.no_socket(error))?))
            }
            DaemonPlace::Remote(remote) => remote.connect().await,
        }
    }

    fn no_socket(&self, source: io::Error) -> Failure {
        let at = self.at.to_string();
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Failure::NoAccess { at, source };
        }
        let hint = "is it running? `--socket` names the socket of another one".to_owned();
        Failure::Unreachable { at, why: source.to_string(), hint }
    }

    /// Asks; a daemon that is busy is asked again for as long as it may take to answer.
    fn ask<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
        is_change: bool,
    ) -> Result<Answer<T>, Failure> {
        let begun = Instant::now();
        loop {
            match self.ask_once(method, path, body.clone(), is_change) {
                Err(failure) if failure.is_busy() && begun.elapsed() < CONTROLLER_TIMEOUT => thread::sleep(BUSY_PAUSE),
                answer => return answer,
            }
        }
    }

    fn ask_once<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
        is_change: bool,
    ) -> Result<Answer<T>, Failure> {
        let lost = |why: String| if is_change { self.unconfirmed(why) } else { self.lost(why) };
        let request = self.request(method, path, body)?;
        let reply = self.block_on(async {
            let stream = self.connect().await?;
            let answer = time::timeout(ANSWER_TIMEOUT, exchange(stream, request));
            let answer = tokio::select! {
                answer = answer => answer,
                Ok(()) = signal::ctrl_c(), if is_change => {
                    return Err(lost("interrupted before the answer came".into()));
                }
            };
            match answer {
                Ok(answer) => answer.map_err(|error| self.broken(&*error, is_change)),
                Err(_) => Err(lost(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
            }
        })?;
        self.understood(reply, is_change)
    }

    /// What is answered over a `stream` within `limit`, which counts from before it is there.
    fn exchange_within<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        &self,
        limit: Duration,
        stream: impl Future<Output = Result<S, Failure>>,
        request: Request<Full<Bytes>>,
        lost: impl Fn(String) -> Failure,
    ) -> Result<ReceivedAnswer, Failure> {
        let broken = |error: &(dyn Error + 'static)| match self.broken(error, false) {
            Failure::Lost { why, .. } => lost(why),
            failure => failure,
        };
        let exchange = async {
            let response = begin_exchange(stream.await?, request).await.map_err(|error| broken(&error))?;
            ReceivedAnswer::of(response, SHORT).await.map_err(|error| broken(&*error))
        };
        let late = || lost(format!("no answer within {} ms", limit.as_millis()));
        self.block_on(async { time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(late())) })
    }

    /// An answer of 200, understood; any other is a refusal.
    fn understood<T: DeserializeOwned>(&self, reply: ReceivedAnswer, is_change: bool) -> Result<Answer<T>, Failure> {
        if reply.status != StatusCode::OK {
            return Err(self.refusal(reply, is_change));
        }
        let value = serde_json::from_slice(&reply.body).map_err(|error| self.strange(error.to_string()))?;
        Ok(Answer { value, json: reply.body })
    }
}

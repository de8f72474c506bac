//! One request to the daemon over its Unix socket.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
    time::Duration,
};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    runtime::Runtime,
    signal, time,
};

use super::failure::Failure;
use crate::serve::{api::CONTROLLER_TIMEOUT, http::ProblemDetails};

/// How long the daemon may take to accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after the daemon had no room for the connection.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);

/// Pieces of an answer that wait to be read.
const PIECES: usize = 4;

/// Most octets of an answer that must come within a time.
const SHORT: usize = 8 << 20;

/// How long the whole answer may take: longer than the daemon gives itself.
pub const ANSWER_TIMEOUT: Duration = CONTROLLER_TIMEOUT.saturating_add(Duration::from_secs(30));

/// The daemon behind a socket.
pub struct Client {
    socket: PathBuf,
}

/// An answer, understood and as it came.
pub struct Answer<T> {
    /// What it means.
    pub value: T,
    /// The JSON of the daemon.
    pub json: Bytes,
}

impl Client {
    /// The daemon that listens at `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Reads what is at `path`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Failure> {
        self.ask(&Method::GET, path, Bytes::new(), false)
    }

    /// Reads what is at `path`, of at most [`SHORT`] octets, within `limit` in all.
    pub fn get_within<T: DeserializeOwned>(&self, path: &str, limit: Duration) -> Result<Answer<T>, Failure> {
        let lost = |why: String| Failure::Lost { socket: self.socket.clone(), why };
        let request = self.request(&Method::GET, path, Bytes::new())?;
        let stream = async { connect(&self.socket).await.map_err(|error| self.unreachable(error)) };
        let (status, json) = self.exchange_within(limit, stream, request, lost)?;
        self.understood(status, json)
    }

    /// The metrics of the daemon at `address`, of at most [`SHORT`] octets, within `limit` in all.
    pub fn scrape(&self, address: SocketAddr, limit: Duration) -> Result<String, Failure> {
        let lost = |why: String| Failure::Lost {
            socket: self.socket.clone(),
            why: format!("at http://{address}/metrics: {why}"),
        };
        let request =
            Request::builder().uri("/metrics").header(header::HOST, address.to_string()).body(Full::default());
        let request: Request<Full<Bytes>> = request.map_err(|error| self.strange(error.to_string()))?;
        let stream = async { TcpStream::connect(address).await.map_err(|error| lost(error.to_string())) };
        match self.exchange_within(limit, stream, request, lost)? {
            (StatusCode::OK, text) => Ok(String::from_utf8_lossy(&text).into_owned()),
            (status, _) => Err(lost(format!("status {status}"))),
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

    /// Reads what is at `path` piece by piece, however much it is.
    pub fn stream(&self, path: &str) -> Result<Stream, Failure> {
        let (socket, path) = (self.socket.clone(), path.to_owned());
        let (begin, begun) = mpsc::sync_channel(1);
        let (pieces, received) = mpsc::sync_channel(PIECES);
        // Ends with the answer, or when nobody takes its pieces any more.
        thread::spawn(move || Self::new(socket).send_pieces(&path, &begin, &pieces));
        let lost = || Failure::Lost { socket: self.socket.clone(), why: "the answer did not begin".into() };
        begun.recv().unwrap_or_else(|_| Err(lost()))?;
        Ok(Stream { pieces: received, piece: Bytes::new() })
    }

    /// Why a document that came piece by piece could not be read to its end.
    pub fn unreadable(&self, error: &serde_json::Error) -> Failure {
        let why = error.to_string();
        if error.is_io() || error.is_eof() {
            return Failure::Lost { socket: self.socket.clone(), why };
        }
        self.strange(why)
    }

    /// The answer is not what a daemon of this version says.
    pub fn strange(&self, why: String) -> Failure {
        Failure::Strange { socket: self.socket.clone(), why }
    }

    /// What the daemon says when it does not say 200.
    pub fn refusal(&self, status: StatusCode, json: Bytes) -> Failure {
        match serde_json::from_slice::<ProblemDetails>(&json) {
            Ok(problem) => Failure::refused(problem, json),
            Err(_) => self.strange(format!("status {status}")),
        }
    }

    /// A request with a body of JSON, or none.
    pub fn request(&self, method: &Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "portcullis");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(body)).map_err(|error| self.strange(error.to_string()))
    }

    /// What it runs in.
    pub fn runtime(&self) -> Result<Runtime, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| self.strange(error.to_string()))
    }

    /// Says whether an answer has begun, then sends its pieces.
    fn send_pieces(&self, path: &str, begin: &SyncSender<Result<(), Failure>>, pieces: &SyncSender<io::Result<Bytes>>) {
        let lost = |why: String| Failure::Lost { socket: self.socket.clone(), why };
        let answer = async {
            let request = self.request(&Method::GET, path, Bytes::new())?;
            let stream = connect(&self.socket).await.map_err(|error| self.unreachable(error))?;
            let answer = time::timeout(ANSWER_TIMEOUT, begin_exchange(stream, request)).await;
            let answer = answer.map_err(|_| lost("no answer in time".into()))?;
            let response = answer.map_err(|error| lost(error.to_string()))?;
            if response.status() == StatusCode::OK {
                return Ok(response.into_body());
            }
            let status = response.status();
            let json = response.into_body().collect().await.map_err(|error| lost(error.to_string()))?.to_bytes();
            Err(self.refusal(status, json))
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
        match self.runtime() {
            Ok(runtime) => runtime.block_on(work),
            Err(failure) => drop(begin.send(Err(failure))),
        }
    }

    /// Sends a request over a connection of its own; the answer when it begins.
    pub async fn begin<B>(&self, request: Request<B>) -> Result<Response<Incoming>, Failure>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = connect(&self.socket).await.map_err(|error| self.unreachable(error))?;
        begin_exchange(stream, request).await.map_err(|error| self.unconfirmed(error.to_string()))
    }

    /// Nobody knows whether a change has happened.
    pub fn unconfirmed(&self, why: String) -> Failure {
        Failure::Unconfirmed { socket: self.socket.clone(), why }
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
        is_change: bool,
    ) -> Result<Answer<T>, Failure> {
        // Only a change can be left in doubt.
        let lost = |why: String| {
            if is_change { self.unconfirmed(why) } else { Failure::Lost { socket: self.socket.clone(), why } }
        };
        let request = self.request(method, path, body)?;
        let (status, json) = self.runtime()?.block_on(async {
            let stream = connect(&self.socket).await.map_err(|error| self.unreachable(error))?;
            let answer = time::timeout(ANSWER_TIMEOUT, exchange(stream, request));
            let answer = tokio::select! {
                answer = answer => answer,
                Ok(()) = signal::ctrl_c(), if is_change => {
                    return Err(lost("interrupted before the answer came".into()));
                }
            };
            match answer {
                Ok(answer) => answer.map_err(|error| lost(error.to_string())),
                Err(_) => Err(lost(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
            }
        })?;
        self.understood(status, json)
    }

    /// What is answered over a `stream` within `limit`, which counts from before it is there.
    fn exchange_within<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        &self,
        limit: Duration,
        stream: impl Future<Output = Result<S, Failure>>,
        request: Request<Full<Bytes>>,
        lost: impl Fn(String) -> Failure,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let exchange = async {
            let response = begin_exchange(stream.await?, request).await.map_err(|error| lost(error.to_string()))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), SHORT).collect().await;
            Ok((status, body.map_err(|error| lost(error.to_string()))?.to_bytes()))
        };
        let late = || lost(format!("no answer within {} ms", limit.as_millis()));
        self.runtime()?.block_on(async { time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(late())) })
    }

    /// An answer of 200, understood; any other is a refusal.
    fn understood<T: DeserializeOwned>(&self, status: StatusCode, json: Bytes) -> Result<Answer<T>, Failure> {
        if status == StatusCode::OK {
            let value = serde_json::from_slice(&json).map_err(|error| self.strange(error.to_string()))?;
            return Ok(Answer { value, json });
        }
        Err(self.refusal(status, json))
    }

    fn unreachable(&self, source: io::Error) -> Failure {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Failure::NoAccess { socket, source },
            _ => Failure::Unreachable { socket, source },
        }
    }
}

async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let connect = async {
        loop {
            match UnixStream::connect(socket).await {
                // EAGAIN of a Unix socket: the backlog is full (connect(2)).
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => time::sleep(CONNECT_PAUSE).await,
                result => return result,
            }
        }
    };
    let too_late = || io::Error::new(io::ErrorKind::TimedOut, "the daemon does not accept connections");
    time::timeout(CONNECT_TIMEOUT, connect).await.unwrap_or_else(|_| Err(too_late()))
}

/// An answer that comes piece by piece.
pub struct Stream {
    pieces: Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl io::Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.recv() {
                Ok(piece) => self.piece = piece?,
                Err(_) => return Ok(0),
            }
        }
        let piece = self.piece.split_to(self.piece.len().min(into.len()));
        if let Some(into) = into.get_mut(..piece.len()) {
            into.copy_from_slice(&piece);
        }
        Ok(piece.len())
    }
}

async fn begin_exchange<B>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<B>,
) -> hyper::Result<Response<Incoming>>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its failure is also the failure of the request.
    tokio::spawn(connection);
    sender.send_request(request).await
}

async fn exchange(stream: UnixStream, request: Request<Full<Bytes>>) -> hyper::Result<(StatusCode, Bytes)> {
    let response = begin_exchange(stream, request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

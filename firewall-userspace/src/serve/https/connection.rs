//! One connection: a handshake, exchanges one after the other or beside each other, and an end.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    http::{StatusCode, Version},
    response::{IntoResponse, Response},
};
use hyper::{
    Request,
    body::{Body as _, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{self, Instant, MissedTickBehavior},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::ServiceExt;

use super::{
    exchanges::{AnswerBody, Exchanges, RequestBody, SeenStream},
    listener::{LocalAddress, NetworkPeer},
    sockets::TcpEnds,
    spawner::Spawner,
};
use crate::serve::{
    http::{
        connection,
        problem::{ProblemDetails, codes},
        server::Attendance,
    },
    tls::{
        PresentedCertificate, ServedTls,
        health::{self, HandshakeEnd},
    },
};

/// Time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// For how long a connection may be there without an exchange.
const IDLE: Duration = Duration::from_secs(60);

/// For how long a connection may be there at all: from then on it carries no new exchange.
const LIFETIME: Duration = Duration::from_secs(3600);

/// How long a client may take to go once there is nothing more to be said.
const GRACE: Duration = Duration::from_secs(5);

/// How often it is looked whether one of these times is over.
const LOOK: Duration = Duration::from_secs(1);

/// Most headers of a request.
const MAX_HEADERS: usize = 64;

/// Most octets of a head of HTTP/1.1 with its request line; what comes in one piece may be some more.
const MAX_HEAD: usize = 32 << 10;

/// Most octets of a list of headers of HTTP/2, as RFC 9113 section 10.5.1 counts them.
const MAX_HEADER_LIST: u32 = 16 << 10;

/// Streams of one connection that are open at a time.
const STREAMS: u32 = 32;

/// Octets that a client may send ahead of who reads them: of one stream, and of all of a connection.
const WINDOWS: [u32; 2] = [64 << 10, 128 << 10];

/// Octets of an answer that wait for the client, of one stream.
const SEND_BUFFER: usize = 64 << 10;

/// Streams that were ended by the client before they were looked at, and by this host because they were wrong; beyond that the
/// connection ends (CVE-2023-44487, CVE-2025-8671).
const RESETS: [usize; 2] = [16, 64];

/// How often a client of HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(10)];

/// A certificate that shows who is there.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    presented: Arc<PresentedCertificate>,
    /// By which trust it is believed.
    trust: AtomicU64,
}

/// What the exchanges of a connection have in common.
struct HttpsConnection {
    ends: TcpEnds,
    shown: Option<Shown>,
    served: watch::Receiver<Option<Arc<ServedTls>>>,
    router: axum::Router,
    exchanges: Arc<Exchanges>,
}

/// Shakes hands on `stream` and answers the requests that come then.
pub async fn serve_tls<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    ends: TcpEnds,
    mut served: watch::Receiver<Option<Arc<ServedTls>>>,
    attendance: Attendance,
) {
    let Attendance { router, limits, stage, mut stopping } = attendance;
    let exchanges = Exchanges::new(Arc::clone(&stage));
    let Some(current) = served.borrow_and_update().clone() else {
        health::count(HandshakeEnd::NoCertificate);
        return;
    };
    let accept = time::timeout(HANDSHAKE, TlsAcceptor::from(Arc::clone(&current.config)).accept(stream));
    let accepted = tokio::select! {
        accepted = accept => accepted,
        _ = stopping.wait_for(|stopping| *stopping) => return,
    };
    let (end, stream) = match accepted {
        Err(_) => (HandshakeEnd::TimedOut, None),
        Ok(Err(error)) => (why_failed(&error), None),
        Ok(Ok(stream)) => (HandshakeEnd::Done, Some(stream)),
    };
    health::count(end);
    let Some(stream) = stream else { return };
    let Ok(shown) = shown(&stream, current.trust) else { return };
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = SeenStream::new(stream, Arc::clone(&exchanges));
    let shared = Arc::new(HttpsConnection { ends, shown, served: served.clone(), router, exchanges });
    let watcher = Watcher {
        exchanges: Arc::clone(&shared.exchanges),
        limits: Times { first: limits.headers, exchange: limits.exchange },
        begun: Instant::now(),
        trust: current.trust,
        closing: None,
        served,
        stopping,
    };
    if is_h2 {
        serve_h2(stream, shared, watcher).await;
    } else {
        serve_h1(stream, shared, watcher, limits.headers).await;
    }
}

fn why_failed(error: &io::Error) -> HandshakeEnd {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            tracing::debug!(?why, "a client's certificate is not believed");
            HandshakeEnd::ClientCertificate
        }
        _ => HandshakeEnd::Failed,
    }
}

/// What the client has shown; `Err` when it has shown something that nobody can read, which `webpki` has read before.
fn shown<S>(stream: &TlsStream<S>, trust: u64) -> Result<Option<Shown>, ()> {
    let Some(chain) = stream.get_ref().1.peer_certificates().filter(|chain| !chain.is_empty()) else { return Ok(None) };
    let chain: Vec<CertificateDer<'static>> = chain.iter().map(|one| one.clone().into_owned()).collect();
    let presented = chain.first().and_then(PresentedCertificate::of).ok_or(())?;
    Ok(Some(Shown { chain, presented: Arc::new(presented), trust: AtomicU64::new(trust) }))
}

impl HttpsConnection {
    /// Answers one request.
    async fn answer(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Response, Infallible> {
        let exchange = self.exchanges.begin();
        if request.body().is_end_stream() && !exchange.answer() {
            // The connection is being cut.
            pending::<()>().await;
        }
        if !self.is_believed() {
            let detail = "the certificate of this connection is not believed any more; connect anew";
            let problem = ProblemDetails::new(StatusCode::FORBIDDEN, codes::CERTIFICATE_REFUSED, detail);
            exchange.answered();
            return Ok(problem.into_response().map(|body| Body::new(AnswerBody::new(body, exchange))));
        }
        let certificate = self.shown.as_ref().map(|shown| Arc::clone(&shown.presented));
        let extensions = request.extensions_mut();
        extensions.insert(NetworkPeer { from: self.ends.from, certificate, is_tls: true });
        extensions.insert(LocalAddress(self.ends.to));
        let is_h2 = request.version() == Version::HTTP_2;
        let request = request.map(|body| Body::new(RequestBody::new(body, Arc::clone(&exchange), is_h2)));
        let answer = self.router.clone().oneshot(request).await;
        exchange.answered();
        answer.map(|answer| answer.map(|body| Body::new(AnswerBody::new(body, exchange))))
    }

    /// Whether what the client has shown is still good: it was looked at when the connection began.
    fn is_believed(&self) -> bool {
        let Some(shown) = &self.shown else { return true };
        if shown.presented.not_after < Timestamp::now() {
            return false;
        }
        let Some(served) = self.served.borrow().clone() else { return true };
        if shown.trust.load(Ordering::Relaxed) == served.trust {
            return true;
        }
        let is_believed = served.believes(&shown.chain, UnixTime::now());
        if is_believed {
            shown.trust.store(served.trust, Ordering::Relaxed);
        }
        is_believed
    }
}

async fn serve_h1<S>(
    stream: SeenStream<TlsStream<S>>,
    shared: Arc<HttpsConnection>,
    mut watcher: Watcher,
    headers: Duration,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| Box::pin(Arc::clone(&shared).answer(request)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let poll =
        |connection: &mut http1::Connection<_, _>, context: &mut Context<'_>| connection.poll_without_shutdown(context);
    if watcher.drive(&mut connection, poll, |connection| Pin::new(connection).graceful_shutdown()).await {
        connection::end(connection.into_parts().io.into_inner().into_inner()).await;
    }
}

async fn serve_h2<S>(stream: SeenStream<TlsStream<S>>, shared: Arc<HttpsConnection>, mut watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let spawner = Spawner::default();
    let service = service_fn(move |request| Box::pin(Arc::clone(&shared).answer(request)));
    let [stream_window, connection_window] = WINDOWS;
    let [remote_resets, local_resets] = RESETS;
    let [interval, patience] = PING;
    let mut connection = http2::Builder::new(spawner.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(connection_window)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(remote_resets)
        .max_local_error_reset_streams(local_resets)
        .keep_alive_interval(interval)
        .keep_alive_timeout(patience)
        .serve_connection(TokioIo::new(stream), service);
    let poll =
        |connection: &mut http2::Connection<_, _, _>, context: &mut Context<'_>| Pin::new(connection).poll(context);
    watcher.drive(&mut connection, poll, |connection| Pin::new(connection).graceful_shutdown()).await;
    // A task of a stream has a handle too.
    spawner.abort();
}

/// Times of a connection that its listener says.
struct Times {
    /// To the first request.
    first: Duration,
    /// For each exchange.
    exchange: Duration,
}

/// Sees to it that a connection ends in time.
struct Watcher {
    exchanges: Arc<Exchanges>,
    limits: Times,
    begun: Instant,
    trust: u64,
    /// Since when it carries no new exchange.
    closing: Option<Instant>,
    served: watch::Receiver<Option<Arc<ServedTls>>>,
    stopping: watch::Receiver<bool>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionFate {
    GoesOn,
    Closes,
    IsCut,
}

/// Why a connection is looked at.
enum Woken {
    /// It has ended.
    Ended(hyper::Result<()>),
    /// The host stops.
    Stopping,
    /// There are other certificates, or `false` when there never will be.
    Certificates(bool),
    /// It is time.
    Look,
}

impl Watcher {
    /// Polls `connection` until it ends; whether it did so by itself. `close` makes it carry no new exchange.
    async fn drive<C>(
        &mut self,
        connection: &mut C,
        mut poll: impl FnMut(&mut C, &mut Context<'_>) -> Poll<hyper::Result<()>>,
        close: impl Fn(&mut C),
    ) -> bool {
        let mut look = time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_certificates = true;
        loop {
            let is_open = self.closing.is_none();
            let Self { stopping, served, .. } = self;
            let woken = tokio::select! {
                result = poll_fn(|context| poll(connection, context)) => Woken::Ended(result),
                () = async { drop(stopping.wait_for(|stopping| *stopping).await) }, if is_open => Woken::Stopping,
                changed = served.changed(), if is_open && has_certificates => Woken::Certificates(changed.is_ok()),
                _ = look.tick() => Woken::Look,
            };
            let fate = match woken {
                Woken::Ended(result) => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "a connection failed");
                    }
                    return true;
                }
                Woken::Stopping => ConnectionFate::Closes,
                Woken::Certificates(are_there) => {
                    has_certificates = are_there;
                    self.fate_by_trust()
                }
                Woken::Look => self.fate_by_time(),
            };
            match fate {
                ConnectionFate::GoesOn => {}
                ConnectionFate::Closes => {
                    self.closing = Some(Instant::now());
                    close(connection);
                }
                ConnectionFate::IsCut => return false,
            }
        }
    }

    /// Whoever was let in by other CAs or other lists comes in anew.
    fn fate_by_trust(&mut self) -> ConnectionFate {
        match &*self.served.borrow_and_update() {
            Some(served) if served.trust != self.trust => ConnectionFate::Closes,
            _ => ConnectionFate::GoesOn,
        }
    }

    fn fate_by_time(&self) -> ConnectionFate {
        let idle = match self.exchanges.idle() {
            Err(oldest) if oldest >= self.limits.exchange => return ConnectionFate::IsCut,
            Err(_) => Duration::ZERO,
            Ok(idle) => idle,
        };
        if let Some(closing) = self.closing {
            let is_over = idle.min(closing.elapsed()) >= GRACE || closing.elapsed() >= self.limits.exchange;
            return if is_over { ConnectionFate::IsCut } else { ConnectionFate::GoesOn };
        }
        let most = if self.exchanges.are_none() { self.limits.first } else { IDLE };
        if idle >= most || self.begun.elapsed() >= LIFETIME { ConnectionFate::Closes } else { ConnectionFate::GoesOn }
    }
}

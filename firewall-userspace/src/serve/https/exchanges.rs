//! The exchanges of one connection that are under way, and what that means for its room.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{self, Instant},
};

use crate::serve::http::room::Stage;

/// All exchanges of one connection.
#[derive(Debug)]
pub struct Exchanges {
    stage: Arc<Stage>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When those began that have not ended, by their numbers.
    begun: Vec<(u64, Instant)>,
    /// How many of them the host is at.
    answering: usize,
    next: u64,
    /// When the last one ended, or the connection began.
    idle_since: Instant,
    /// Since when something is being written that the client has to read before there is room for all of it.
    unwritten_since: Option<Instant>,
}

/// One exchange: it ends when it is dropped.
#[derive(Debug)]
pub struct Exchange {
    exchanges: Arc<Exchanges>,
    number: u64,
    is_answering: Mutex<bool>,
}

impl Exchanges {
    /// Those of a connection that begins now, and has none yet.
    pub fn new(stage: Arc<Stage>) -> Arc<Self> {
        stage.await_request();
        let state =
            State { begun: Vec::new(), answering: 0, next: 0, idle_since: Instant::now(), unwritten_since: None };
        Arc::new(Self { stage, state: Mutex::new(state) })
    }

    /// One begins: the head of its request is here.
    pub fn begin(self: &Arc<Self>) -> Arc<Exchange> {
        let number = self.with(|state| {
            state.next += 1;
            state.begun.push((state.next, Instant::now()));
            state.next
        });
        self.come();
        Arc::new(Exchange { exchanges: Arc::clone(self), number, is_answering: Mutex::new(false) })
    }

    /// For how long none has been under way, `Err` with the age of the oldest that is, or whose answer is not written yet.
    pub fn idle(&self) -> Result<Duration, Duration> {
        self.with(|state| match state.begun.iter().map(|(_, begun)| *begun).chain(state.unwritten_since).min() {
            Some(oldest) => Err(oldest.elapsed()),
            None => Ok(state.idle_since.elapsed()),
        })
    }

    /// Whether there was none yet.
    pub fn are_none(&self) -> bool {
        self.with(|state| state.next == 0)
    }

    /// Something of a request has come: more of it is waited for, unless the host is at another.
    fn come(&self) {
        if self.with(|state| state.answering == 0) {
            self.stage.await_request();
        }
    }

    /// Something is to be written.
    fn write(&self) {
        let is_last = self.with(|state| {
            let is_first = state.unwritten_since.is_none();
            state.unwritten_since.get_or_insert_with(Instant::now);
            is_first && state.begun.is_empty()
        });
        if is_last {
            self.stage.await_reader();
        }
    }

    /// Everything is written.
    fn written(&self) {
        let is_idle = self.with(|state| {
            // What is written without an exchange, such as a question whether the client is there, does not make it less idle.
            state.unwritten_since.take().is_some() && state.begun.is_empty()
        });
        if is_idle {
            self.stage.await_request();
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Exchange {
    /// The request has come whole; whether it is still to be answered.
    pub fn answer(&self) -> bool {
        let mut is_answering = self.is_answering.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_answering {
            *is_answering = true;
            self.exchanges.with(|state| state.answering += 1);
        }
        self.exchanges.stage.begin_answer()
    }

    /// The answer is made: its reader is waited for.
    pub fn answered(&self) {
        let was_answering = std::mem::take(&mut *self.is_answering.lock().unwrap_or_else(PoisonError::into_inner));
        let is_idle = self.exchanges.with(|state| {
            state.answering -= usize::from(was_answering);
            state.answering == 0
        });
        if is_idle {
            self.exchanges.stage.await_reader();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let was_answering = std::mem::take(&mut *self.is_answering.lock().unwrap_or_else(PoisonError::into_inner));
        let (is_last, is_written) = self.exchanges.with(|state| {
            state.answering -= usize::from(was_answering);
            state.begun.retain(|(number, _)| *number != self.number);
            state.idle_since = Instant::now();
            (state.begun.is_empty(), state.unwritten_since.is_none())
        });
        match (is_last, is_written) {
            (true, true) => self.exchanges.stage.await_request(),
            (true, false) => self.exchanges.stage.await_reader(),
            (false, _) => {}
        }
    }
}

/// The body of a request. Its client is waited for until all of it has come.
pub struct RequestBody {
    /// `None` when it is dropped.
    body: Option<Incoming>,
    exchange: Arc<Exchange>,
    /// Whether what nobody wants to read is read on for a while.
    drains: bool,
}

/// How long the rest of a request is read that was answered before it had come: a stream of HTTP/2 that is ended instead takes its answer
/// with it.
const LINGER: Duration = Duration::from_secs(2);

impl RequestBody {
    /// That of `exchange`.
    pub fn new(body: Incoming, exchange: Arc<Exchange>, is_h2: bool) -> Self {
        let drains = is_h2 && !body.is_end_stream();
        Self { body: Some(body), exchange, drains }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|_| self.drains) else { return };
        let drain =
            async move { while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {} };
        // It ends with its connection, or before.
        tokio::spawn(time::timeout(LINGER, drain));
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(_)) => self.exchange.exchanges.come(),
            Poll::Ready(None) => {
                self.drains = false;
                if !self.exchange.answer() {
                    // The connection is being cut.
                    return Poll::Pending;
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        // The end has to be seen.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

/// The body of an answer, whose end is that of the exchange. It comes in small pieces: whoever writes it asks for the next one when there
/// is room for it, so that the end is near when the client has read nearly all.
pub struct AnswerBody {
    body: Body,
    rest: Bytes,
    exchange: Option<Arc<Exchange>>,
}

/// Most octets of a piece.
const PIECE: usize = 16 << 10;

impl AnswerBody {
    /// That of `exchange`.
    pub fn new(body: Body, exchange: Arc<Exchange>) -> Self {
        Self { body, rest: Bytes::new(), exchange: Some(exchange) }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        Frame::data(self.rest.split_to(PIECE.min(self.rest.len())))
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.exchange = None;
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => {
                    self.rest = data;
                    self.piece()
                }
                Err(trailers) => trailers,
            }))),
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(body.lower().saturating_add(rest));
        hint
    }
}

/// A stream of which the exchanges know what is not written yet.
pub struct SeenStream<S> {
    stream: S,
    exchanges: Arc<Exchanges>,
}

impl<S> SeenStream<S> {
    /// That of `exchanges`.
    pub fn new(stream: S, exchanges: Arc<Exchanges>) -> Self {
        Self { stream, exchanges }
    }

    /// The stream alone.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SeenStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SeenStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.exchanges.write();
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        if polled.is_ready() {
            self.exchanges.written();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

//! One connection: one request, one answer, and an orderly end.

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use hyper::{
    Request,
    body::{Body as _, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time,
};
use tower::ServiceExt;

use super::{room::Stage, server::Attendance};

/// Most headers of a request.
const MAX_HEADERS: usize = 64;

/// Most octets of a request line with its headers.
const MAX_HEAD: usize = 64 << 10;

/// How long a client may take to read an answer that came before it had sent its whole request.
const LINGER: Duration = Duration::from_secs(2);

/// Answers the request that comes on `stream`; a shutdown ends the wait for one.
pub async fn serve<S, P>(stream: S, peer: P, attendance: Attendance)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    P: Clone + Send + Sync + Unpin + 'static,
{
    let Attendance { router, limits, stage, mut stopping } = attendance;
    stage.await_request();
    let answering = Arc::clone(&stage);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let (router, stage) = (router.clone(), Arc::clone(&answering));
        Box::pin(async move {
            if request.body().is_end_stream() && !stage.begin_answer() {
                // The connection is being cut.
                pending::<()>().await;
            }
            let came = Arc::clone(&stage);
            let answer = router.oneshot(request.map(|body| Body::new(BodyToCome { body, stage: came }))).await;
            stage.await_reader();
            answer
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .keep_alive(false)
        // A client may say that it has nothing more to send (`nc -N`) and still wait for the answer.
        .half_close(true)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let exchange = async {
        let mut is_told = false;
        loop {
            tokio::select! {
                result = poll_fn(|context| connection.poll_without_shutdown(context)) => return result,
                _ = stopping.wait_for(|stopping| *stopping), if !is_told => {
                    is_told = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
    };
    match time::timeout(limits.exchange, exchange).await {
        Ok(result) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection failed");
            }
            end(connection.into_parts().io.into_inner()).await;
        }
        Err(_) => tracing::debug!("a connection took too long"),
    }
}

/// The body of a request. Its client is waited for until all of it has come.
struct BodyToCome {
    body: Incoming,
    stage: Arc<Stage>,
}

impl hyper::body::Body for BodyToCome {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(_)) => self.stage.await_request(),
            // The connection is being cut.
            Poll::Ready(None) if !self.stage.begin_answer() => return Poll::Pending,
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        // The end has to be seen.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Closes `stream` in such a way that the client can still read the answer.
///
/// Closing with unread input resets the connection, and the client would see the reset instead of, say, a 413.
pub async fn end<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let discard_rest = async {
        stream.shutdown().await?;
        let mut discarded = vec![0; 16 << 10];
        while stream.read(&mut discarded).await? > 0 {}
        std::io::Result::Ok(())
    };
    // The client is gone or had its time: either way nothing is left to do.
    let _ = time::timeout(LINGER, discard_rest).await;
}

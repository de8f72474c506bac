//! One exchange of HTTP/1.1 over a connection.

use std::error::Error;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Request, Response, StatusCode, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Wire;
use crate::serve::api::MAX_LARGE_BODY;

/// Most octets of an answer that is read as one: a generation of the policy has its list files in it, and those are sent in a body of that
/// size.
const LARGE: usize = 2 * MAX_LARGE_BODY;

/// Why there is no whole answer.
pub type Broken = Box<dyn Error + Send + Sync>;

/// A whole answer.
pub struct ReceivedAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Sends `request` over `stream`; the answer when it begins.
pub async fn begin_exchange<B>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<B>,
) -> hyper::Result<Response<Incoming>>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Broken>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its failure is also the failure of the request.
    tokio::spawn(connection);
    sender.send_request(request).await
}

/// Sends `request` over `stream`; the whole answer.
pub async fn exchange(stream: Wire, request: Request<Full<Bytes>>) -> Result<ReceivedAnswer, Broken> {
    ReceivedAnswer::of(begin_exchange(stream, request).await?, LARGE).await
}

impl ReceivedAnswer {
    /// All of an answer, of at most `most` octets.
    pub async fn of(response: Response<Incoming>, most: usize) -> Result<Self, Broken> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, most).collect().await?.to_bytes();
        Ok(Self { status: head.status, headers: head.headers, body })
    }
}

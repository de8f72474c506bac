//! How many requests are answered at a time: of one source, and of all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use axum::{
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::{sync::Semaphore, time};

use super::problem::{ProblemDetails, codes};

/// Requests that are under way.
#[derive(Debug)]
pub struct Crowd {
    all: Semaphore,
    of_one: usize,
    /// Those of each source that has any; there are no more than connections.
    sources: Mutex<HashMap<u64, Weak<Semaphore>>>,
}

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// When whoever was sent away may try again, in seconds.
const RETRY_AFTER: &str = "1";

/// Sources that are remembered although they may have nothing under way.
const SOURCES: usize = 1024;

impl Crowd {
    /// At most `all` requests at a time, and `of_one` of one source.
    pub fn new(all: usize, of_one: usize) -> Self {
        Self { all: Semaphore::new(all), of_one, sources: Mutex::default() }
    }

    /// Passes a request of `source` when it is its turn, and says no to one that waits too long.
    pub async fn admit(&self, source: u64, request: Request, next: Next) -> Response {
        let own = self.of(source);
        let turn = async { (own.acquire().await.ok(), self.all.acquire().await.ok()) };
        match time::timeout(PATIENCE, turn).await {
            Ok(_turn) => next.run(request).await,
            Err(_) => {
                let detail = format!("too many requests were under way for {PATIENCE:?}");
                let problem = ProblemDetails::new(StatusCode::SERVICE_UNAVAILABLE, codes::BUSY, detail);
                let mut response = problem.into_response();
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
                response
            }
        }
    }

    fn of(&self, source: u64) -> Arc<Semaphore> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sources.get(&source).and_then(Weak::upgrade) {
            return known;
        }
        if sources.len() >= SOURCES {
            sources.retain(|_, known| known.strong_count() > 0);
        }
        let own = Arc::new(Semaphore::new(self.of_one));
        sources.insert(source, Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware, routing::get};
    use tokio::time::Instant;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_with_many_requests_waits_for_itself_and_then_is_sent_away() {
        let crowd = Arc::new(Crowd::new(3, 2));
        let slow = get(|| async {
            time::sleep(Duration::from_secs(3)).await;
            "done"
        });
        let admit = move |request: Request, next: Next| {
            let crowd = Arc::clone(&crowd);
            let source = if request.headers().contains_key("x-other") { 2 } else { 1 };
            async move { crowd.admit(source, request, next).await }
        };
        let router = Router::new().route("/", slow).layer(middleware::from_fn(admit));
        let ask = |is_other: bool| {
            let mut request = Request::builder().uri("/");
            if is_other {
                request = request.header("x-other", "");
            }
            let router = router.clone();
            tokio::spawn(async move { router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap() })
        };
        let start = Instant::now();
        let many: Vec<_> = (0..5).map(|_| ask(false)).collect();
        time::sleep(Duration::from_millis(1)).await;
        let other = ask(true).await.unwrap();
        assert_eq!((other.status(), start.elapsed().as_secs()), (StatusCode::OK, 3));
        let mut answers = Vec::new();
        for one in many {
            answers.push(one.await.unwrap());
        }
        let busy: Vec<_> = answers.iter().filter(|answer| answer.status() != StatusCode::OK).collect();
        assert_eq!((busy.len(), busy[0].headers()["retry-after"].to_str().unwrap()), (1, RETRY_AFTER));
        assert_eq!(start.elapsed().as_secs(), 6);
    }
}

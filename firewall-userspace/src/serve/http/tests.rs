//! The limits of the server, on a clock that only moves when everybody waits.

use std::{io, time::Duration};

use axum::{Router, routing::get};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::{Mutex, mpsc, oneshot},
    time::{self, Instant},
};

use super::server::{self, Limits, Listener};

struct Ends(Mutex<mpsc::Receiver<DuplexStream>>);

impl Listener for Ends {
    type Stream = DuplexStream;
    type Peer = ();

    async fn accept(&self) -> io::Result<(DuplexStream, ())> {
        match self.0.lock().await.recv().await {
            Some(stream) => Ok((stream, ())),
            None => std::future::pending().await,
        }
    }
}

const LIMITS: Limits = Limits { connections: 2, headers: Duration::from_secs(10), exchange: Duration::from_secs(60) };

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

struct Server {
    connections: mpsc::Sender<DuplexStream>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    fn start(router: Router) -> Self {
        let (connections, ends) = mpsc::channel(8);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server::serve(Ends(Mutex::new(ends)), router, LIMITS, stopped));
        Self { connections, stop, task }
    }

    async fn connect(&self) -> DuplexStream {
        let (near, far) = duplex(64 << 10);
        self.connections.send(far).await.unwrap();
        near
    }
}

fn quick() -> Router {
    Router::new().route("/", get(|| async { "done" }))
}

async fn read(stream: &mut DuplexStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn a_connection_carries_one_exchange() {
    let server = Server::start(quick());
    let mut stream = server.connect().await;
    stream.write_all(&[REQUEST, REQUEST].concat()).await.unwrap();
    let answers = read(&mut stream).await;
    assert_eq!(answers.matches("done").count(), 1, "{answers}");
    assert!(answers.contains("connection: close"), "{answers}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_closed_its_side_still_gets_its_answer() {
    let slow = get(|| async {
        time::sleep(Duration::from_secs(1)).await;
        "done"
    });
    let server = Server::start(Router::new().route("/", slow));
    let mut stream = server.connect().await;
    stream.write_all(REQUEST).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(read(&mut stream).await.ends_with("done"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_sent_away() {
    let server = Server::start(quick());
    let start = Instant::now();
    for head in [&b""[..], b"GET / HTTP/1.1\r\nhost:"] {
        let mut stream = server.connect().await;
        stream.write_all(head).await.unwrap();
        read(&mut stream).await;
    }
    let took = start.elapsed();
    assert!(took >= 2 * LIMITS.headers && took < 2 * LIMITS.headers + Duration::from_secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_drips_its_headers_gains_no_time() {
    let server = Server::start(quick());
    let mut stream = server.connect().await;
    let start = Instant::now();
    while stream.write_all(b"G").await.is_ok() {
        time::sleep(Duration::from_secs(1)).await;
    }
    assert!(start.elapsed() < LIMITS.headers + Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_exchange_has_an_end_even_when_the_answer_is_not_read() {
    let large = Router::new().route("/", get(|| async { "x".repeat(1 << 20) }));
    let server = Server::start(large);
    let mut stream = server.connect().await;
    stream.write_all(REQUEST).await.unwrap();
    time::sleep(LIMITS.exchange + Duration::from_secs(1)).await;
    assert!(read(&mut stream).await.len() < 1 << 20);
}

#[tokio::test(start_paused = true)]
async fn connections_over_the_limit_wait_for_their_turn() {
    let server = Server::start(quick());
    let silent = [server.connect().await, server.connect().await];
    let mut third = server.connect().await;
    third.write_all(REQUEST).await.unwrap();
    let early = time::timeout(Duration::from_secs(5), third.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    drop(silent);
    assert!(read(&mut third).await.ends_with("done"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_exchanges_but_not_for_silent_clients() {
    let slow = Router::new().route(
        "/",
        get(|| async {
            time::sleep(Duration::from_secs(3)).await;
            "done"
        }),
    );
    let server = Server::start(slow);
    let mut busy = server.connect().await;
    let mut silent = server.connect().await;
    busy.write_all(REQUEST).await.unwrap();
    time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    server.stop.send(()).unwrap();
    assert_eq!(read(&mut silent).await, "");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(read(&mut busy).await.ends_with("done"));
    drop((busy, silent));
    server.task.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

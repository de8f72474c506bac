//! The limits of the server, on a clock that only moves when everybody waits.

use std::{io, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::{Mutex, mpsc, oneshot},
    time::{self, Instant},
};

use super::{
    room::{self, Patience, Share},
    server::{self, Limits, Listener},
};

/// A connection with the number of its user, or why there is none.
type End = io::Result<(DuplexStream, u32)>;

/// The ends of the server, under the name of a test.
struct Ends<const TEST: u8>(Mutex<mpsc::Receiver<End>>);

const NAMES: [&str; 3] = ["test", "test of silence", "test of descriptors"];

impl<const TEST: u8> Listener for Ends<TEST> {
    type Stream = DuplexStream;
    type Peer = u32;

    const NAME: &'static str = NAMES[TEST as usize];

    async fn accept(&self) -> End {
        match self.0.lock().await.recv().await {
            Some(end) => end,
            None => std::future::pending().await,
        }
    }

    fn share(&self, user: &u32) -> Share {
        Share { key: u64::from(*user), connections: 2, waiting: 2 }
    }
}

const LIMITS: Limits = Limits {
    headers: Duration::from_secs(10),
    exchange: Duration::from_secs(60),
    patience: Patience { request: Duration::from_secs(1), answer: Duration::from_secs(2) },
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

struct Server {
    connections: mpsc::Sender<End>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    fn start(router: Router) -> Self {
        Self::start_as::<0>(router)
    }

    /// Whose connections that give way are counted apart.
    fn start_as<const TEST: u8>(router: Router) -> Self {
        let (connections, ends) = mpsc::channel(8);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server::serve(Ends::<TEST>(Mutex::new(ends)), router, LIMITS, stopped));
        Self { connections, stop, task }
    }

    async fn connect(&self) -> DuplexStream {
        self.connect_as(0).await
    }

    async fn connect_as(&self, user: u32) -> DuplexStream {
        let (near, far) = duplex(64 << 10);
        self.connections.send(Ok((far, user))).await.unwrap();
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
async fn connections_that_say_nothing_give_way_to_those_that_come() {
    let server = Server::start_as::<1>(quick());
    let mut silent = [server.connect().await, server.connect().await];
    time::sleep(LIMITS.patience.request).await;
    let start = Instant::now();
    for _ in 0..3 {
        let mut third = server.connect().await;
        third.write_all(REQUEST).await.unwrap();
        assert!(read(&mut third).await.ends_with("done"));
    }
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!(read(&mut silent[0]).await, "", "the one that was there first");
    assert_eq!(room::cuts(NAMES[1]), 1, "the other one has room enough");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_gives_way_and_one_that_comes_does_not() {
    let server = Server::start(Router::new().route("/", post(|body: String| async { body })));
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n";
    let (mut silent, mut slow) = (server.connect().await, server.connect().await);
    for stream in [&mut silent, &mut slow] {
        stream.write_all(head).await.unwrap();
    }
    for octet in b"octet by " {
        time::sleep(LIMITS.patience.request / 2).await;
        slow.write_all(&[*octet]).await.unwrap();
    }
    let mut third = server.connect().await;
    third.write_all(head).await.unwrap();
    third.write_all(b"at once !").await.unwrap();
    assert!(read(&mut third).await.ends_with("at once !"));
    assert_eq!(read(&mut silent).await, "");
    assert!(read(&mut slow).await.ends_with("octet by "));
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_gives_way_when_there_are_no_descriptors() {
    let server = Server::start_as::<2>(quick());
    let mut silent = server.connect().await;
    time::sleep(LIMITS.patience.request).await;
    let start = Instant::now();
    server.connections.send(Err(io::Error::from_raw_os_error(libc::EMFILE))).await.unwrap();
    let mut next = server.connect().await;
    next.write_all(REQUEST).await.unwrap();
    assert!(read(&mut next).await.ends_with("done"));
    assert_eq!(start.elapsed(), Duration::ZERO, "the end of the silent one is what was waited for");
    assert_eq!((&*read(&mut silent).await, room::cuts(NAMES[2])), ("", 1));
    drop(next);
    server.connections.send(Err(io::Error::from_raw_os_error(libc::EMFILE))).await.unwrap();
    time::sleep(Duration::from_millis(1)).await;
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(10), "a pause puts no shutdown off: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn users_take_no_room_from_each_other() {
    let server = Server::start(quick());
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(server.connect_as(7).await);
    }
    let start = Instant::now();
    let mut own = server.connect_as(0).await;
    own.write_all(REQUEST).await.unwrap();
    assert!(read(&mut own).await.ends_with("done"));
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_being_answered_gives_way_to_nobody() {
    let slow = get(|| async {
        time::sleep(Duration::from_secs(20)).await;
        "done"
    });
    let server = Server::start(Router::new().route("/", slow));
    let start = Instant::now();
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = server.connect().await;
        stream.write_all(REQUEST).await.unwrap();
        streams.push(stream);
        time::sleep(Duration::from_millis(10)).await;
    }
    let mut too_many = server.connect().await;
    assert_eq!(read(&mut too_many).await, "", "two are answered, and two wait");
    for stream in &mut streams {
        assert!(read(stream).await.ends_with("done"));
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(40) && took < Duration::from_secs(55), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_gives_way() {
    let large = Router::new().route("/", get(|| async { "x".repeat(1 << 20) }));
    let server = Server::start(large);
    let mut unread = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream.write_all(REQUEST).await.unwrap();
        unread.push(stream);
    }
    time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    let mut third = server.connect().await;
    third.write_all(REQUEST).await.unwrap();
    assert!(read(&mut third).await.len() > 1 << 20);
    assert!(start.elapsed() < LIMITS.patience.answer + Duration::from_secs(2), "{:?}", start.elapsed());
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

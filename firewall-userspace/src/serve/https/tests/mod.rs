//! Connections with all that can go wrong with them: by real sockets, and on a clock that only moves when everybody waits.

mod host;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Response, StatusCode},
    routing::get,
};
use hyper::body::Incoming;
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::{self, Instant},
};

use self::host::{Host, LIMITS, connect, h1, h2, request, request_h2, router, shake, text};
use crate::serve::tls::authority::Authority;

#[tokio::test]
async fn many_exchanges_go_over_one_connection_of_either_version() {
    let host = Host::new();
    let server = host.serve(router());
    let issued = host.clients.client(&["deploy.example"]);
    let mut sender = h1(connect(&server, &host.client(Some(&issued), &["http/1.1"])).await.unwrap()).await;
    for _ in 0..5 {
        let (status, body) = text(sender.send_request(request("/")).await).await;
        assert_eq!((status, &*body), (StatusCode::OK, "127.0.0.1 [Dns(\"deploy.example\")]"));
    }
    let stream = connect(&server, &host.client(None, &["h2", "http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let sender = h2(stream).await;
    let beside: Vec<_> = (0..20)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move { text(sender.send_request(request_h2("/")).await).await })
        })
        .collect();
    for one in beside {
        assert_eq!(one.await.unwrap(), (StatusCode::OK, "127.0.0.1 ".to_owned()));
    }
    let mut without = h1(connect(&server, &host.client(None, &[])).await.unwrap()).await;
    assert_eq!(text(without.send_request(request("/")).await).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_is_not_believed_has_no_connection_and_nobody_has_where_there_is_no_certificate() {
    let host = Host::new();
    let server = host.serve(router());
    let foreign = Authority::new("clients").client(&["a.example"]);
    // With TLS 1.3 a client has the last word of the handshake, and hears of it when it reads.
    let refused = async |config: &Arc<ClientConfig>| match connect(&server, config).await {
        Err(_) => true,
        Ok(mut stream) => {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: api.example\r\n\r\n").await;
            stream.read(&mut [0; 16]).await.is_ok_and(|count| count == 0) || stream.read(&mut [0; 16]).await.is_err()
        }
    };
    assert!(refused(&host.client(Some(&foreign), &[])).await);
    host.served.send_replace(None);
    assert!(refused(&host.client(None, &[])).await);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_come_has_an_end() {
    let host = Host::new();
    let (mut near, task, _stop) = host.attend(router());
    near.write_all(&[22, 3, 1]).await.unwrap();
    let took = task.await.unwrap();
    assert_eq!(took.as_secs(), 10);
    drop(near);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_come_or_drips_has_an_end() {
    let host = Host::new();
    for alpn in ["http/1.1", "h2"] {
        let (near, task, _stop) = host.attend(router());
        let _silent = shake(near, &host.client(None, &[alpn])).await.unwrap();
        let took = task.await.unwrap();
        assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(20), "{alpn}: {took:?}");
    }
    let (near, task, _stop) = host.attend(router());
    let mut drips = shake(near, &host.client(None, &[])).await.unwrap();
    while drips.write_all(b"G").await.is_ok() && drips.flush().await.is_ok() {
        time::sleep(Duration::from_secs(1)).await;
    }
    let took = task.await.unwrap();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_idles_is_closed_in_order_and_one_that_is_used_is_not() {
    let host = Host::new();
    for is_h2 in [false, true] {
        let (near, task, _stop) = host.attend(router());
        let stream = shake(near, &host.client(None, &[if is_h2 { "h2" } else { "http/1.1" }])).await.unwrap();
        let mut ask: Box<dyn FnMut() -> Pin<Box<dyn Future<Output = StatusCode>>>> = match is_h2 {
            true => {
                let sender = h2(stream).await;
                Box::new(move || {
                    let mut sender = sender.clone();
                    Box::pin(async move { text(sender.send_request(request_h2("/")).await).await.0 })
                })
            }
            false => {
                let sender = Arc::new(tokio::sync::Mutex::new(h1(stream).await));
                Box::new(move || {
                    let sender = Arc::clone(&sender);
                    Box::pin(async move { text(sender.lock().await.send_request(request("/")).await).await.0 })
                })
            }
        };
        let start = Instant::now();
        for _ in 0..4 {
            assert_eq!(ask().await, StatusCode::OK);
            // Below what HTTP/1.1 waits for a head.
            time::sleep(Duration::from_secs(9)).await;
        }
        let took = task.await.unwrap();
        assert!(took > start.elapsed() / 2 && took < Duration::from_secs(36 + 75), "{is_h2}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_does_not_keep_a_connection_for_ever() {
    let host = Host::new();
    let (near, task, _stop) = host.attend(router());
    let mut stream = shake(near, &host.client(None, &[])).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: api.example\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    let took = task.await.unwrap();
    assert!(took >= LIMITS.exchange && took < LIMITS.exchange + Duration::from_secs(10), "{took:?}");
    let (near, task, _stop) = host.attend(router());
    let mut sender = h2(shake(near, &host.client(None, &["h2"])).await.unwrap()).await;
    let unread = sender.send_request(request_h2("/large")).await.unwrap();
    let took = task.await.unwrap();
    assert!(took >= LIMITS.exchange && took < LIMITS.exchange + Duration::from_secs(10), "{took:?}");
    drop(unread);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_exchanges_end_and_begins_none() {
    let host = Host::new();
    for is_h2 in [false, true] {
        let (near, task, stop) = host.attend(router());
        let stream = shake(near, &host.client(None, &[if is_h2 { "h2" } else { "http/1.1" }])).await.unwrap();
        let busy = if is_h2 {
            let mut sender = h2(stream).await;
            tokio::spawn(async move { text(sender.send_request(request_h2("/slow")).await).await })
        } else {
            let mut sender = h1(stream).await;
            tokio::spawn(async move { text(sender.send_request(request("/slow")).await).await })
        };
        time::sleep(Duration::from_secs(1)).await;
        stop.send(true).unwrap();
        assert_eq!(busy.await.unwrap(), (StatusCode::OK, "done".to_owned()));
        assert!(task.await.unwrap() < Duration::from_secs(9));
        let (near, task, stop) = host.attend(router());
        let _silent = shake(near, &host.client(None, &["h2"])).await.unwrap();
        time::sleep(Duration::from_secs(1)).await;
        stop.send(true).unwrap();
        assert!(task.await.unwrap() < Duration::from_secs(9));
    }
}

#[tokio::test(start_paused = true)]
async fn heads_that_are_too_large_are_refused_by_either_version() {
    let host = Host::new();
    let large = "x".repeat(20 << 10);
    let (near, _task, _stop) = host.attend(router());
    let mut sender = h2(shake(near, &host.client(None, &["h2"])).await.unwrap()).await;
    let mut bomb = request_h2("/");
    bomb.headers_mut().insert("x-large", large.parse().unwrap());
    let refused = sender.send_request(bomb).await;
    assert!(
        refused.is_err() || refused.is_ok_and(|answer| answer.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    );
    let (near, _task, _stop) = host.attend(router());
    let mut sender = h1(shake(near, &host.client(None, &[])).await.unwrap()).await;
    let mut bomb = request("/");
    for number in 0..3 {
        bomb.headers_mut()
            .insert(axum::http::HeaderName::try_from(format!("x-large-{number}")).unwrap(), large.parse().unwrap());
    }
    let refused = sender.send_request(bomb).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status().is_client_error()));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_and_takes_no_connection_with_it() {
    let host = Host::new();
    let server = host.serve(router());
    let large = || Body::from("x".repeat(3 << 20));
    let mut sender = h2(connect(&server, &host.client(None, &["h2"])).await.unwrap()).await;
    let mut request = request_h2("/").map(|_| large());
    *request.method_mut() = axum::http::Method::POST;
    assert_eq!(text(sender.send_request(request).await).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(text(sender.send_request(request_h2("/")).await).await.0, StatusCode::OK, "the connection goes on");
}

#[tokio::test(start_paused = true)]
async fn streams_of_one_connection_are_bounded() {
    static MOST: AtomicUsize = AtomicUsize::new(0);
    static NOW: AtomicUsize = AtomicUsize::new(0);
    let slow = get(|| async {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        time::sleep(Duration::from_secs(1)).await;
        NOW.fetch_sub(1, Ordering::SeqCst);
    });
    let host = Host::new();
    let (near, _task, _stop) = host.attend(Router::new().route("/", slow));
    let sender = h2(shake(near, &host.client(None, &["h2"])).await.unwrap()).await;
    let all: Vec<_> = (0..200)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move { text(sender.send_request(request_h2("/")).await).await.0 })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(MOST.load(Ordering::SeqCst), 32);
}

#[tokio::test]
async fn a_source_that_holds_all_it_can_keeps_nobody_else_out() {
    let host = Host::new();
    let server = host.serve(router());
    let config = host.client(None, &["http/1.1"]);
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    let start = std::time::Instant::now();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    let mut sender = h1(shake(stream, &config).await.unwrap()).await;
    assert_eq!(text(sender.send_request(request("/")).await).await, (StatusCode::OK, "127.0.0.2 ".to_owned()));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // And it is served itself once those that say nothing have given way.
    let mut own = loop {
        assert!(start.elapsed() < Duration::from_secs(20));
        if let Ok(stream) = connect(&server, &config).await {
            break h1(stream).await;
        }
        time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(text(own.send_request(request("/")).await).await.0, StatusCode::OK);
    drop(idle);
}

#[tokio::test]
async fn whoever_is_revoked_is_out_with_the_next_request_and_others_connect_anew() {
    let mut host = Host::new();
    let server = host.serve(router());
    let (good, bad) = (host.clients.client(&["good.example"]), host.clients.client(&["bad.example"]));
    let revoked = host.clients.revoke(&[bad.serial]);
    let (good_config, bad_config) = (host.client(Some(&good), &["http/1.1"]), host.client(Some(&bad), &["http/1.1"]));
    let bad_h2 = h2(connect(&server, &host.client(Some(&bad), &["h2"])).await.unwrap()).await;
    let mut good = h1(connect(&server, &good_config).await.unwrap()).await;
    let mut bad = h1(connect(&server, &bad_config).await.unwrap()).await;
    for sender in [&mut good, &mut bad] {
        assert_eq!(text(sender.send_request(request("/")).await).await.0, StatusCode::OK);
    }
    host.folder.exchange("crl0.pem", &revoked);
    assert!(host.look());
    // Closed, or refused where the request was quicker.
    let is_out = |answer: hyper::Result<Response<Incoming>>| {
        answer.is_err() || answer.is_ok_and(|answer| answer.status() == 403)
    };
    assert!(is_out(bad.send_request(request("/")).await));
    let mut late = bad_h2.clone();
    assert!(is_out(late.send_request(request_h2("/")).await));
    assert!(
        connect(&server, &bad_config).await.is_err() || {
            let mut again = h1(connect(&server, &bad_config).await.unwrap()).await;
            again.send_request(request("/")).await.is_err()
        }
    );
    if let Ok(answer) = good.send_request(request("/")).await {
        assert_eq!(answer.status(), StatusCode::OK);
    }
    time::sleep(Duration::from_millis(200)).await;
    assert!(good.is_closed(), "it was let in by another list");
    let mut anew = h1(connect(&server, &good_config).await.unwrap()).await;
    assert_eq!(text(anew.send_request(request("/")).await).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_exchanged_under_load_without_a_request_that_fails() {
    let mut host = Host::new();
    let server = Arc::new(host.serve(router()));
    let stop = Arc::new(AtomicBool::new(false));
    let config = host.client(None, &["http/1.1"]);
    let clients: Vec<JoinHandle<(usize, usize)>> = (0..4)
        .map(|number| {
            let (server, config, stop) = (Arc::clone(&server), Arc::clone(&config), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut requests, mut connections) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let mut sender = h1(connect(&server, &config).await.unwrap()).await;
                    connections += 1;
                    for _ in 0..(1 + 10 * number) {
                        let (status, _) = text(sender.send_request(request("/")).await).await;
                        assert_eq!(status, StatusCode::OK);
                        requests += 1;
                    }
                }
                (requests, connections)
            })
        })
        .collect();
    for round in 0..30 {
        let issued = host.own.server(&["api.example"]);
        match round % 3 {
            0 => host.folder.serve(&issued),
            1 => {
                host.folder.exchange("server.pem", &issued.chain);
                assert!(!host.look(), "half a pair");
                host.folder.exchange("server.key", &issued.key);
            }
            _ => {
                host.folder.exchange("server.key", &issued.key);
                host.folder.exchange("server.pem", &issued.chain);
            }
        }
        assert!(host.look());
        time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let (requests, connections) = client.await.unwrap();
        assert!(requests >= connections && connections > 3, "{requests} {connections}");
    }
}

#[tokio::test]
async fn the_server_ends_when_it_is_told_to() {
    let host = Host::new();
    let mut server = host.serve(router());
    let mut sender = h1(connect(&server, &host.client(None, &[])).await.unwrap()).await;
    assert_eq!(text(sender.send_request(request("/")).await).await.0, StatusCode::OK);
    server.stop.take().unwrap().send(()).unwrap();
    time::timeout(Duration::from_secs(10), server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

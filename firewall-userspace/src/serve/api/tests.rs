//! What the socket alone cannot show: other users, and time.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{peer::Peer, router};
use crate::{
    control::Refusal,
    controller::{Controller, Message, fake},
    policy::{Grant, Role},
    serve::http::{ProblemDetails, problem::codes},
    state::{fake::FakeDisk, tokens::TokenStore},
};

fn request(method: &str, path: &str, body: Body) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    request.header("content-type", "application/json").body(body).unwrap()
}

fn peer(role: Option<Role>) -> Peer {
    Peer { uid: Some(1000), grant: role.map(|role| Arc::new(Grant::whole(role))) }
}

async fn problem(controller: Controller, mut request: Request<Body>, peer: Option<Peer>) -> ProblemDetails {
    request.extensions_mut().extend(
        peer.map(|peer| {
            let mut extensions = axum::http::Extensions::new();
            extensions.insert(peer);
            extensions
        })
        .unwrap_or_default(),
    );
    let response = router(controller, tokens()).oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

fn tokens() -> Arc<TokenStore> {
    Arc::new(TokenStore::open(FakeDisk::default()))
}

#[tokio::test]
async fn other_users_are_refused_whatever_they_ask() {
    for (method, path) in [("GET", "/v1/status"), ("GET", "/v1/entries"), ("POST", "/v1/entries"), ("GET", "/x")] {
        for peer in [Some(peer(None)), None] {
            let (controller, mut questions) = fake::controller(None);
            let problem = problem(controller, request(method, path, Body::from("{}")), peer).await;
            assert_eq!((problem.status, &*problem.code), (403, codes::NOT_PERMITTED), "{method} {path}");
            assert!(questions.try_recv().is_err());
        }
    }
}

/// What a viewer was answered, in short.
async fn answer_to_a_viewer(method: &str, path: &str) -> StatusCode {
    let (controller, _) = fake::controller(None);
    let mut request = request(method, path, Body::from("{}"));
    request.extensions_mut().insert(peer(Some(Role::Viewer)));
    router(controller, tokens()).oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn who_may_look_changes_nothing() {
    let changes = ["entries", "sync", "undo", "reload", "apply", "rollback", "mode", "confirm"];
    for change in changes {
        assert_eq!(answer_to_a_viewer("POST", &format!("/v1/{change}")).await, StatusCode::FORBIDDEN, "{change}");
    }
    assert_eq!(answer_to_a_viewer("DELETE", "/v1/sync/1").await, StatusCode::FORBIDDEN);
    for (method, path) in
        [("POST", "new"), ("POST", "explain/"), ("POST", "%65xplain"), ("PUT", "sync/1"), ("explain", "status")]
    {
        let answered = answer_to_a_viewer(method, &format!("/v1/{path}")).await;
        assert!(answered == StatusCode::NOT_FOUND || answered == StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
    }
    for (method, path) in [
        ("GET", "entries"),
        ("HEAD", "entries"),
        ("GET", "membership?source=192.0.2.1"),
        ("GET", "history/1"),
        ("POST", "explain"),
        ("POST", "explanations"),
    ] {
        assert_ne!(answer_to_a_viewer(method, &format!("/v1/{path}")).await, StatusCode::FORBIDDEN, "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_does_not_answer_is_a_504_that_does_not_say_no() {
    let (controller, mut questions) = fake::controller(None);
    let began = tokio::spawn(async move {
        let message = questions.recv().await.unwrap();
        assert!(message.begin());
        (questions, message)
    });
    let problem =
        problem(controller, request("POST", "/v1/entries", Body::from("{}")), Some(peer(Some(Role::Admin)))).await;
    assert_eq!((problem.status, &*problem.code), (504, codes::UNANSWERED));
    assert!(problem.detail.contains("may still happen"), "{problem:?}");
    drop(began);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_not_begun_in_time_is_a_503_and_never_happens() {
    for (path, body) in [
        ("/v1/entries", "{}"),
        ("/v1/undo", r#"{"revision":1}"#),
        ("/v1/mode", r#"{"mode":"observe"}"#),
        ("/v1/explain", "{}"),
    ] {
        let (controller, mut questions) = fake::controller(None);
        let begun = tokio::time::Instant::now();
        let problem = problem(controller, request("POST", path, Body::from(body)), Some(peer(Some(Role::Admin)))).await;
        assert_eq!((problem.status, &*problem.code), (503, codes::BUSY), "{path}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(6), "{path}");
        assert!(!questions.try_recv().unwrap().begin(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_finds_the_queue_full_is_a_503_too() {
    let (controller, questions) = fake::controller(None);
    let ask =
        || problem(controller.clone(), request("POST", "/v1/entries", "{}".into()), Some(peer(Some(Role::Admin))));
    let answers = tokio::join!(ask(), ask(), ask());
    for problem in [answers.0, answers.1, answers.2] {
        assert_eq!((problem.status, &*problem.code), (503, codes::BUSY));
    }
    assert_eq!(questions.len(), 1);
}

#[tokio::test]
async fn what_has_a_key_is_carried_out_once_while_it_is_under_way_and_after() {
    let (controller, mut questions) = fake::controller(None);
    let ask = |key: &'static str, body: &'static str| {
        let mut request = request("POST", "/v1/entries", Body::from(body));
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        request.extensions_mut().insert(peer(Some(Role::Admin)));
        router(controller.clone(), tokens()).oneshot(request)
    };
    // Whoever has hung up finds the answer when it asks again.
    let first = tokio::spawn(ask("\"one\"", "{}"));
    let Some(Message::Push(.., reply)) = questions.recv().await else { panic!("no push") };
    first.abort();
    assert_eq!(ask("one", "{}").await.unwrap().status(), StatusCode::CONFLICT);
    assert_eq!(ask("one", r#"{"remove_all":true}"#).await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(reply.begin());
    reply.send(Ok(crate::control::Pushed { added: 7, ..Default::default() })).unwrap();
    let again = loop {
        let again = ask("one", "{}").await.unwrap();
        if again.status() != StatusCode::CONFLICT {
            break again;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((again.status(), &again.headers()["idempotency-replayed"]), (StatusCode::OK, &"true".parse().unwrap()));
    let body = again.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["added"], 7);
    assert!(questions.try_recv().is_err());

    // What was refused has not happened, and is asked anew.
    let refused = tokio::spawn(ask("two", "{}"));
    let Some(Message::Push(.., reply)) = questions.recv().await else { panic!("no push") };
    reply.send(Err(Refusal::Stopping)).unwrap();
    assert_eq!(refused.await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    let anew = tokio::spawn(ask("two", r#"{"remove_all":true}"#));
    let Some(Message::Push(_, push, reply)) = questions.recv().await else { panic!("no push") };
    assert!(push.remove_all);
    reply.send(Ok(crate::control::Pushed::default())).unwrap();
    assert_eq!(anew.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_a_408() {
    let (controller, mut questions) = fake::controller(None);
    let (_sender, endless) = http_body_util::channel::Channel::<axum::body::Bytes>::new(1);
    let request = request("POST", "/v1/entries", Body::new(endless));
    let problem = problem(controller, request, Some(peer(Some(Role::Admin)))).await;
    assert_eq!((problem.status, &*problem.code), (408, codes::BODY_TIMEOUT));
    assert!(questions.try_recv().is_err());
}

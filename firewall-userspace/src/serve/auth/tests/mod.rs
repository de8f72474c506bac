//! Every way in, and every reason why not.

mod world;

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use axum::{
    body::Bytes,
    http::{HeaderValue, Method, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use ring::digest::{SHA256, digest};
use serde_json::json;

use self::world::{NOW, World, bare, bearer, from, now, operator};
use super::*;
use crate::{
    policy::{EntryVerb, Role, Scope},
    serve::http::problem::{ProblemDetails, codes},
};

#[tokio::test]
async fn every_kind_of_credential_says_who_it_is_of() {
    let world = World::new(&[]);
    let caller = world.admit(bearer(&world.token("ci", None, NOW))).await.unwrap();
    let wanted = Caller {
        name: "token:ci".into(),
        way: Way::Network,
        grant: Arc::new(operator()),
        shown: vec![CredentialKind::Token],
        from: Some("192.0.2.7".parse().unwrap()),
        uid: None,
    };
    assert_eq!(caller, wanted);
    let caller = world.admit(bearer(&world.jwt(|_, _| {}))).await.unwrap();
    assert_eq!((caller.name.as_str(), caller.grant.role), ("jwt:deploy", Role::Operator));
    let caller = world.admit(world.signed("{}", &World::parameters("0123456789abcdef"))).await.unwrap();
    assert_eq!((caller.name.as_str(), &*caller.grant), ("signature:partner", &operator()));
    let caller = world.admit(from(bare(), "::ffff:192.0.2.7", &["unknown.example", "admin.example"])).await.unwrap();
    assert_eq!((caller.name.as_str(), caller.grant.role), ("cert:admin.example", Role::Admin));
    assert_eq!(caller.from, Some("192.0.2.7".parse().unwrap()));
}

#[tokio::test]
async fn the_body_of_a_signed_request_comes_to_the_handler() {
    let world = World::new(&[]);
    let (status, _, body) = world.answer(world.signed("{\"a\":1}", &World::parameters("0123456789abcdef"))).await;
    assert_eq!((status, String::from_utf8(body).unwrap().as_str()), (StatusCode::OK, "signature:partner 7"));
}

#[tokio::test]
async fn whoever_shows_nothing_or_something_wrong_is_refused_for_a_reason() {
    let world = World::new(&[]);
    let good = world.token("ci", None, NOW);
    let revoked = world.token("revoked", None, NOW);
    world.tokens.revoke("revoked", now()).unwrap();
    let stranger = World::new(&[]);
    let reasons = [
        ("none", from(bare(), "192.0.2.7", &[])),
        ("none", bare()),
        ("malformed", bearer("")),
        ("malformed", bearer("pcl_")),
        ("malformed", bearer(&good[1..])),
        ("unknown", bearer(&stranger.token("ci", None, NOW))),
        ("expired", bearer(&world.token("old", Some(Duration::from_secs(10)), NOW - 10))),
        ("revoked", bearer(&revoked)),
        ("wrong", bearer(&stranger.jwt(|_, _| {}))),
        ("key", bearer(&world.jwt(|header, _| header["kid"] = "other".into()))),
        ("algorithm", bearer(&world.jwt(|header, _| header["alg"] = "none".into()))),
        ("algorithm", bearer(&world.jwt(|header, _| header["alg"] = "HS256".into()))),
        ("audience", bearer(&world.jwt(|_, claims| claims["aud"] = "other".into()))),
        ("malformed", bearer(&world.jwt(|_, claims| drop(claims.as_object_mut().unwrap().remove("aud"))))),
        ("issuer", bearer(&world.jwt(|_, claims| claims["iss"] = "other".into()))),
        ("expired", bearer(&world.jwt(|_, claims| claims["exp"] = (NOW - 60).into()))),
        ("not_yet_valid", bearer(&world.jwt(|_, claims| claims["nbf"] = (NOW + 61).into()))),
        ("role", bearer(&world.jwt(|_, claims| claims["roles"] = json!(["other"])))),
        ("role", from(bare(), "192.0.2.7", &["unknown.example"])),
        ("unknown", world.signed("", &World::parameters("0123456789abcdef").replace("partner", "nobody"))),
        ("unknown", world.signed("", &World::parameters("0123456789abcdef").replace("partner", "gone"))),
        ("wrong", stranger.signed("", &World::parameters("0123456789abcdef"))),
        ("stale", world.signed("", &format!(r#";created={};nonce="0123456789abcdef";keyid="partner""#, NOW - 61))),
        ("algorithm", world.signed("", &format!("{};alg=\"rsa-v1_5-sha256\"", World::parameters("0123456789abcdef")))),
    ];
    for (wanted, request) in reasons {
        let shown = format!("{request:?}");
        assert_eq!(world.reason(request).await, wanted, "{shown}");
    }
    assert_eq!(world.reason(bearer(&good)).await, "ok");
}

#[tokio::test]
async fn a_signature_counts_once_and_only_with_what_was_signed() {
    let world = World::new(&[]);
    let parameters = World::parameters("0123456789abcdef");
    // A body that is another one has spent its nonce: only who has the key can do that.
    let mut other = world.signed("body", &World::parameters("another-nonce-000"));
    *other.body_mut() = Body::from("bodY");
    assert_eq!(world.reason(other).await, "digest");
    let mut query = world.signed("body", &parameters);
    *query.uri_mut() = "/v1/x?a=c".parse().unwrap();
    assert_eq!(world.reason(query).await, "wrong");
    let mut method = world.signed("body", &parameters);
    *method.method_mut() = Method::PUT;
    assert_eq!(world.reason(method).await, "wrong");
    assert_eq!(world.reason(world.signed("body", &parameters)).await, "ok", "the nonce was not spent by those");
    assert_eq!(world.reason(world.signed("body", &parameters)).await, "replayed");
    let mut many = Vec::new();
    for number in 0..3 {
        many.push(world.reason(world.signed("", &World::parameters(&format!("nonce-number-{number:04}")))).await);
    }
    assert_eq!(many, ["ok"; 3]);
}

#[tokio::test]
async fn a_body_that_is_not_covered_is_refused() {
    let world = World::new(&[]);
    let signed = |body: &str, with_digest: bool, nonce: &str| {
        let params = format!(r#"("@method" "@authority" "@path" "@query"){}"#, World::parameters(nonce));
        let base = format!(
            "\"@method\": POST\n\"@authority\": api.example\n\"@path\": /v1/x\n\"@query\": ?\n\"@signature-params\": {params}"
        );
        let signature = STANDARD.encode(world.key.sign(base.as_bytes()));
        let mut request =
            Request::builder().method("POST").uri("https://api.example/v1/x").header("host", "api.example");
        request = request
            .header("signature-input", format!("sig={params}"))
            .header("signature", format!("sig=:{signature}:"));
        if with_digest {
            request =
                request.header("content-digest", format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, b"body"))));
        }
        from(request.body(Body::from(body.to_owned())).unwrap(), "192.0.2.7", &[])
    };
    assert_eq!(world.reason(signed("", false, "nonce-number-0001")).await, "ok");
    assert_eq!(world.reason(signed("body", false, "nonce-number-0002")).await, "uncovered");
    assert_eq!(world.reason(signed("", true, "nonce-number-0003")).await, "digest");
    assert_eq!(world.reason(signed("body", true, "nonce-number-0004")).await, "digest");
    // One that does not say how long it is.
    let (mut head, _) = signed("", false, "nonce-number-0005").into_parts();
    head.headers.remove("content-length");
    let chunks = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"x"))]);
    assert_eq!(world.reason(Request::from_parts(head, Body::from_stream(chunks))).await, "uncovered");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_kept() {
    let world = World::new(&[]);
    let mut request = world.signed("", &World::parameters("0123456789abcdef"));
    *request.body_mut() = Body::from(vec![0; body::MOST_OCTETS + 1]);
    let (status, _, body) = world.answer(request).await;
    let problem: ProblemDetails = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, problem.code.as_str()), (StatusCode::PAYLOAD_TOO_LARGE, codes::BODY_TOO_LARGE));
}

#[tokio::test]
async fn credentials_that_contradict_each_other_are_refused() {
    let world = World::new(&[]);
    let token = world.token("ci", None, NOW);
    let mut both = world.signed("", &World::parameters("0123456789abcdef"));
    both.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut twice = bearer(&token);
    twice.headers_mut().append("authorization", HeaderValue::from_static("Bearer x"));
    for request in [both, twice] {
        let (status, _, body) = world.answer(request).await;
        let problem: ProblemDetails = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, problem.code.as_str()), (StatusCode::BAD_REQUEST, codes::CONTRADICTORY_CREDENTIALS));
    }
}

#[tokio::test]
async fn all_that_is_required_has_to_be_shown_and_to_admit() {
    use CredentialKind::{Certificate, Signature, Token};
    let world = World::new(&[Certificate, Token]);
    let token = world.token("ci", None, NOW);
    assert_eq!(world.reason(bearer(&token)).await, "incomplete");
    assert_eq!(world.reason(from(bare(), "192.0.2.7", &["admin.example"])).await, "incomplete");
    assert_eq!(world.reason(from(bearer(&world.jwt(|_, _| {})), "192.0.2.7", &["admin.example"])).await, "incomplete");
    assert_eq!(world.reason(from(bearer(&token), "192.0.2.7", &["unknown.example"])).await, "role");
    let caller = world.admit(from(bearer(&token), "192.0.2.7", &["admin.example"])).await.unwrap();
    assert_eq!((caller.name.as_str(), &*caller.grant), ("token:ci", &operator()));
    assert_eq!(caller.shown, [Certificate, Token]);
    let caller = world.admit(from(bearer(&token), "192.0.2.7", &["look.example"])).await.unwrap();
    assert_eq!(caller.grant.role, Role::Viewer, "the lesser one");

    let world = World::new(&[Token, Signature]);
    let token = world.token("ci", None, NOW);
    assert_eq!(world.reason(world.signed("", &World::parameters("0123456789abcdef"))).await, "incomplete");
    let mut both = world.signed("", &World::parameters("0123456789abcdef"));
    both.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    assert_eq!(world.admit(both).await.unwrap().name, "signature:partner");
}

#[tokio::test]
async fn everything_that_is_wrong_is_answered_alike() {
    let world = World::new(&[]);
    let stranger = World::new(&[]);
    let mut answers = Vec::new();
    let revoked = world.token("revoked", None, NOW);
    world.tokens.revoke("revoked", now()).unwrap();
    for request in [
        bearer(&stranger.token("ci", None, NOW)),
        bearer(&world.token("old", Some(Duration::from_secs(10)), NOW - 10)),
        bearer(&revoked),
        bearer("pcl_x"),
        bearer(&stranger.jwt(|_, _| {})),
        bearer(&world.jwt(|_, claims| claims["aud"] = "other".into())),
        world.signed("", &World::parameters("0123456789abcdef").replace("partner", "nobody")),
        stranger.signed("", &World::parameters("0123456789abcdef")),
    ] {
        answers.push(world.answer(request).await);
    }
    let (status, headers, body) = answers.pop().unwrap();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let schemes: Vec<_> = headers.get_all("www-authenticate").iter().map(|scheme| scheme.to_str().unwrap()).collect();
    let bearer_scheme = "Bearer realm=\"portcullis\", error=\"invalid_token\"";
    assert_eq!(schemes, ["Certificate realm=\"portcullis\"", bearer_scheme, "Signature realm=\"portcullis\""]);
    let problem: ProblemDetails = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (problem.code.as_str(), problem.detail.as_str()),
        (codes::UNAUTHENTICATED, "the credentials are not taken")
    );
    for answer in answers {
        assert_eq!(answer, (status, headers.clone(), body.clone()));
    }
    let (status, headers, body) = world.answer(from(bare(), "192.0.2.7", &[])).await;
    assert_eq!((status, headers.get_all("www-authenticate").iter().count()), (StatusCode::UNAUTHORIZED, 3));
    let problem: ProblemDetails = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem.detail, "credentials are missing: one of certificate, token, jwt, signature");
    let (status, ..) = world.answer(bearer(&world.jwt(|_, claims| claims["roles"] = json!([])))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_source_that_fails_is_slowed_and_a_good_token_behind_it_is_not() {
    let world = World::new(&[]);
    let token = world.token("ci", None, NOW);
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(world.answer(bearer("a.b.c")).await.0);
    }
    let refused = statuses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
    assert_eq!((refused, *statuses.last().unwrap()), (20, StatusCode::TOO_MANY_REQUESTS));
    let (status, headers, _) = world.answer(bearer(&world.jwt(|_, _| {}))).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "a check costs too much");
    assert!(headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 3);
    assert_eq!(
        world.answer(world.signed("", &World::parameters("0123456789abcdef"))).await.0,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(world.answer(bearer(&token)).await.0, StatusCode::OK);
    assert_eq!(world.answer(from(bare(), "192.0.2.7", &["look.example"])).await.0, StatusCode::OK);
    let elsewhere = from(bearer(&world.jwt(|_, _| {})), "192.0.2.8", &[]);
    assert_eq!(world.answer(elsewhere).await.0, StatusCode::OK);
    let with_certificate = from(bearer(&world.jwt(|_, _| {})), "192.0.2.7", &["admin.example"]);
    assert_eq!(world.answer(with_certificate).await.0, StatusCode::OK);
}

#[tokio::test]
async fn whoever_shows_nothing_is_not_slowed() {
    let world = World::new(&[]);
    for _ in 0..100 {
        assert_eq!(world.answer(from(bare(), "192.0.2.7", &[])).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn settings_hold_for_the_next_request() {
    let world = World::new(&[]);
    let signed = |nonce: &str| world.signed("", &World::parameters(nonce));
    assert_eq!(world.reason(signed("nonce-number-0001")).await, "ok");
    let mut settings = world.authenticator.setup().settings.clone();
    let issuer = world.authenticator.setup().issuer.clone().unwrap();
    settings.signers.remove("partner");
    world.authenticator.take(settings.clone()).await;
    assert!(Arc::ptr_eq(&issuer, world.authenticator.setup().issuer.as_ref().unwrap()), "its keys are not read again");
    assert_eq!(world.reason(signed("nonce-number-0002")).await, "unknown");
    settings.jwt = None;
    world.authenticator.take(settings).await;
    assert_eq!(world.reason(bearer(&world.jwt(|_, _| {}))).await, "unknown");
}

#[tokio::test]
async fn the_key_of_a_signer_counts_until_its_file_is_gone() {
    let world = World::new(&[]);
    let settings = world.authenticator.setup().settings.clone();
    let file = world.folder.join("partner.pem");
    fs::write(&file, "broken").unwrap();
    world.authenticator.take(settings.clone()).await;
    assert_eq!(world.reason(world.signed("", &World::parameters("nonce-number-0001"))).await, "ok");
    fs::remove_file(&file).unwrap();
    world.authenticator.take(settings).await;
    assert_eq!(world.reason(world.signed("", &World::parameters("nonce-number-0002"))).await, "unknown");
}

#[tokio::test]
async fn keys_that_cannot_be_read_or_that_others_may_write_let_nobody_in() {
    let world = World::new(&[]);
    fs::set_permissions(world.folder.join("jwks.json"), fs::Permissions::from_mode(0o666)).unwrap();
    let (status, headers, _) = world.answer(bearer(&world.jwt(|_, _| {}))).await;
    assert_eq!((status, headers.contains_key("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, true));
}

#[test]
fn no_secret_is_in_debug() {
    let world = World::new(&[]);
    let token = world.token("ci", None, NOW);
    let shown = format!("{:?}", world.authenticator);
    assert!(!shown.contains(&token[15..]), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_headers_there_are_nobody_is_let_in(
        headers in prop::collection::vec(("(authorization|signature|signature-input|content-digest|host)", "[ -~]{0,80}"), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = World::new(&[]);
        let mut request = Request::builder().uri("/v1/x");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = from(request.body(Body::from("body")).unwrap(), "192.0.2.7", &[]);
        prop_assert!(runtime.block_on(world.admit(request)).is_err());
    }
}

#[test]
fn scopes_of_several_credentials_are_narrowed_by_each() {
    let proof = |kind, grant| Proof { kind, name: "x".into(), grant };
    let narrow =
        Grant { role: Role::Admin, scope: Scope { verbs: Some([EntryVerb::Allow].into()), ..Scope::default() } };
    let proofs = vec![proof(CredentialKind::Certificate, narrow), proof(CredentialKind::Token, operator())];
    let grant = caller(proofs, Vec::new(), "::1".parse().unwrap()).unwrap().grant;
    assert!(grant.scope.verbs.is_some() && grant.scope.lists.is_some());
    assert!(caller(Vec::new(), Vec::new(), "::1".parse().unwrap()).is_none());
}

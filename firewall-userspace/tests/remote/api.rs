//! The API: routes, bodies and every way to say no.

use std::time::{Duration, Instant};

use firewall_userspace::{
    control::{Force, Refusal, Verb, Way},
    preview::guard::{GuardName, Harm},
    text::problem::Problems,
};
use nix::unistd::{User, geteuid};
use serde_json::{Value, json};

use crate::support::{Daemon, Fake, get, json_request, request};

#[test]
fn status_is_the_status_of_the_controller() {
    let answer = Daemon::start(Fake::default()).api(get("/v1/status"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let status = answer.json();
    assert_eq!(status["schema"], "portcullis.status/v1");
    assert_eq!(status["interfaces"][0]["mode"], "native");
}

#[test]
fn entries_have_the_documented_schema() {
    let answer = Daemon::start(Fake::default()).api(get("/v1/entries?list=blocked"));
    let wanted = json!({
        "schema": "portcullis.entries/v1",
        "generation": 7,
        "revision": 7,
        "policy_generation": 3,
        "entries": [{
            "list": "blocked",
            "prefix": "198.51.100.7/32",
            "layer": "runtime",
            "owner": "root",
            "comment": "scans \u{1b}[2J",
            "created": "2026-11-21T10:00:00.123456789Z",
            "expires": "2026-11-21T10:00:00.123456789Z",
        }],
    });
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json(), wanted);
}

#[test]
fn entries_without_a_list_are_all_entries() {
    let answer = Daemon::start(Fake::default()).api(get("/v1/entries"));
    assert_eq!(answer.json()["entries"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_push_reaches_the_controller_with_the_user_of_the_connection() {
    let daemon = Daemon::start(Fake::default());
    let body = json!({
        "verb": "allow",
        "add": [{"list": "partners", "prefix": "192.0.2.0/24", "ttl": "1h", "comment": "x"}],
        "remove": [{"list": "partners", "prefix": "2001:db8::/32"}],
    });
    let answer = daemon.api(json_request("POST", "/v1/entries", &body.to_string()));
    let wanted = json!({
        "generation": 8, "revision": 8, "policy_generation": 3, "added": 1, "refreshed": 0,
        "removed": 1, "unchanged": 0, "differing": 0,
        "notes": ["the configuration still has 2001:db8::/32"],
    });
    assert_eq!((answer.status, answer.json()), (200, wanted));
    let pushes = daemon.pushes.lock().unwrap();
    let (push, caller) = (&pushes[0], &daemon.callers.lock().unwrap()[0]);
    let user = User::from_uid(geteuid()).unwrap().map_or_else(|| format!("uid:{}", geteuid()), |user| user.name);
    assert_eq!((push.verb, &caller.name, caller.way), (Some(Verb::Allow), &user, Way::Socket));
    assert_eq!((push.add[0].ttl.as_deref(), push.add[0].comment.as_deref()), (Some("1h"), Some("x")));
    assert_eq!(push.remove[0].prefix, "2001:db8::/32");
}

#[test]
fn guards_are_lifted_by_their_names_and_a_refusal_has_the_names() {
    let daemon = Daemon::start(Fake::default());
    for force in ["true", r#"["empty","cut-off"]"#, "false"] {
        let answer = daemon.api(json_request("POST", "/v1/entries", &format!(r#"{{"force":{force}}}"#)));
        assert_eq!(answer.status, 200, "{force}");
    }
    let asked: Vec<_> = daemon.pushes.lock().unwrap().iter().map(|push| push.force.clone()).collect();
    let named: Force = [GuardName::CutOff, GuardName::Empty].into_iter().collect();
    assert_eq!(asked, [Force::All, named, Force::Nothing]);

    let harms = vec![Harm::Empty { list: "partners".into(), live: 16 }, Harm::Others { count: 3 }];
    let refused = Daemon::start(Fake::refusing(Refusal::Guarded(harms))).api(request("POST", "/v1/reload"));
    assert_eq!((refused.status, &refused.json()["guards"]), (409, &json!(["empty", "cut-off"])));
}

#[test]
fn a_reload_without_a_body_is_done() {
    let answer = Daemon::start(Fake::default()).api(request("POST", "/v1/reload"));
    let wanted = json!({"generation": 9, "revision": 9, "policy_generation": 9, "warnings": "warning: the list `blocked` is empty\n"});
    assert_eq!((answer.status, answer.json()), (200, wanted));
}

#[test]
fn a_generation_is_told_by_its_number() {
    let daemon = Daemon::start(Fake::default());
    let answer = daemon.api(get("/v1/history/4"));
    assert_eq!((answer.status, &answer.json()["generation"]["number"]), (200, &4.into()));
    for (path, code) in
        [("/v1/history/77", "no_generation"), ("/v1/history/x", "invalid"), ("/v1/history/-1", "invalid")]
    {
        let answer = daemon.api(get(path));
        assert_eq!((answer.status, &answer.json()["code"]), (422, &code.into()), "{path}");
    }
}

#[test]
fn rates_are_told_when_the_daemon_was_asked_before() {
    let daemon = Daemon::start(Fake::default());
    let traffic = || daemon.api(get("/v1/status")).json()["traffic"].clone();
    assert_eq!(traffic()["interval_ms"], Value::Null);
    std::thread::sleep(Duration::from_millis(500));
    let traffic = traffic();
    assert!(traffic["interval_ms"].as_u64().is_some_and(|interval| interval >= 500), "{traffic}");
    assert_eq!(
        traffic["dropped"],
        json!({"packets": 2, "bytes": 200, "packets_per_second": 0.0, "bytes_per_second": 0.0})
    );
}

#[test]
fn ten_thousand_entries_go_through_in_one_push() {
    let daemon = Daemon::start(Fake::default());
    let entry = |n: u32| json!({"list": "partners", "prefix": format!("10.0.{}.{}", n >> 8, n & 255)});
    let body = json!({"add": (0..10_000).map(entry).collect::<Vec<_>>()}).to_string();
    let start = Instant::now();
    let answer = daemon.api(json_request("POST", "/v1/entries", &body));
    assert_eq!((answer.status, &answer.json()["added"]), (200, &Value::from(10_000)));
    // 0.05 s on an idle machine; this machine may be busy and the build is for debugging.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(daemon.pushes.lock().unwrap()[0].add.len(), 10_000);
}

#[test]
fn every_wrong_request_is_a_problem_and_changes_nothing() {
    let daemon = Daemon::start(Fake::default());
    let push = |body: &str| json_request("POST", "/v1/entries", body);
    let with_host = |host: &str| format!("GET /v1/status HTTP/1.1\r\n{host}\r\n");
    let with_type = |kind: &str| push("{}").replace("content-type: application/json\r\n", kind);
    let cases = [
        ("nothing there", get("/v1/nothing"), 404, "not_found"),
        ("outside /v1", get("/"), 404, "not_found"),
        ("a slash too much", get("/v1/status/"), 404, "not_found"),
        ("not for DELETE", request("DELETE", "/v1/entries"), 405, "method_not_allowed"),
        ("no change by GET", get("/v1/reload"), 405, "method_not_allowed"),
        ("no content type", with_type(""), 415, "wrong_content_type"),
        ("a form", with_type("content-type: application/x-www-form-urlencoded\r\n"), 415, "wrong_content_type"),
        ("no body", push(""), 400, "bad_body"),
        ("no JSON", push("{"), 400, "bad_body"),
        ("two documents", push("{}{}"), 400, "bad_body"),
        ("an array", push("[]"), 422, "invalid"),
        ("a number", push("7"), 422, "invalid"),
        ("a prefix that is deep", push(&format!(r#"{{"add":[{{"prefix":{}"#, "[".repeat(10_000))), 422, "invalid"),
        ("an unknown field", push(r#"{"ad":[]}"#), 422, "invalid"),
        ("a field twice", push(r#"{"add":[],"add":[]}"#), 422, "invalid"),
        ("an unknown verb", push(r#"{"verb":"permit"}"#), 422, "invalid"),
        ("an owner", push(r#"{"owner":"root"}"#), 422, "invalid"),
        ("an unknown guard", push(r#"{"force":["emty"]}"#), 422, "invalid"),
        ("a guard and no array", push(r#"{"force":"empty"}"#), 422, "invalid"),
        ("an unknown parameter", json_request("POST", "/v1/entries?dry_run=true", "{}"), 422, "invalid"),
        ("an unknown parameter of a GET", get("/v1/entries?lists=x"), 422, "invalid"),
        ("a list twice", get("/v1/entries?list=a&list=b"), 422, "invalid"),
        ("a parameter of status", get("/v1/status?x"), 422, "invalid"),
        ("an unknown list", get("/v1/entries?list=x"), 422, "invalid"),
        ("a reload of something", json_request("POST", "/v1/reload", r#"{"file":"x"}"#), 422, "invalid"),
        ("no host", with_host(""), 400, "bad_host"),
        ("two hosts", with_host("host: localhost\r\nhost: localhost\r\n"), 400, "bad_host"),
        ("a foreign host", with_host("host: rebind.example.org\r\n"), 403, "wrong_host"),
        ("a foreign host with our name in front", with_host("host: localhost.example.org\r\n"), 403, "wrong_host"),
        ("a user before the host", with_host("host: evil@localhost\r\n"), 403, "wrong_host"),
        ("no name", with_host("host: \r\n"), 403, "wrong_host"),
        ("a foreign target", get("http://rebind.example.org/v1/status"), 403, "wrong_host"),
    ];
    for (what, request, status, code) in cases {
        assert_eq!(daemon.api(request).problem(), (status, code.to_owned()), "{what}");
    }
    assert!(daemon.pushes.lock().unwrap().is_empty());
}

#[test]
fn hosts_of_a_socket_are_welcome_with_and_without_a_port() {
    let daemon = Daemon::start(Fake::default());
    for host in ["localhost", "LOCALHOST", "localhost:80", "portcullis"] {
        assert_eq!(daemon.api(get("/v1/status").replace("localhost", host)).status, 200, "{host}");
    }
    assert_eq!(daemon.api(get("http://localhost/v1/status")).status, 200);
}

#[test]
fn a_405_says_what_is_allowed() {
    let answer = Daemon::start(Fake::default()).api(request("PUT", "/v1/entries"));
    let allowed = answer.header("allow").unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
}

#[test]
fn an_unknown_field_is_named_with_its_place() {
    let body = r#"{"add":[{"list":"a","prefix":"::"},{"list":"a","prefix":"::","ttll":"1h"}]}"#;
    let problem = Daemon::start(Fake::default()).api(json_request("POST", "/v1/entries", body)).json();
    assert_eq!(problem["errors"][0]["pointer"], "/add/1/ttll");
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("unknown field `ttll`, expected one of `list`, `prefix`"), "{detail}");
}

#[test]
fn an_array_in_place_of_an_object_is_refused_wherever_it_stands() {
    let daemon = Daemon::start(Fake::default());
    for (path, body, pointer) in [
        ("/v1/entries", r#"["allow"]"#, ""),
        ("/v1/entries", r#"{"add":[{"list":"a","prefix":"::"},["a","192.0.2.1"]]}"#, "/add/1"),
        ("/v1/entries", r#"{"remove":[["a","192.0.2.1"]]}"#, "/remove/0"),
        ("/v1/entries", r#"{"caller":["192.0.2.1:1","192.0.2.2:22"]}"#, "/caller"),
        ("/v1/reload", "[true]", ""),
        ("/v1/apply", r#"{"name":"x","config":"","files":[["a","b"]]}"#, "/files/0"),
        ("/v1/explain", r#"["192.0.2.1"]"#, ""),
    ] {
        let answer = daemon.api(json_request("POST", path, body));
        assert_eq!(answer.problem(), (422, "invalid".to_owned()), "{body}");
        let error = &answer.json()["errors"][0];
        assert_eq!(error["pointer"], pointer, "{body}");
        assert!(error["detail"].as_str().unwrap().contains("expected an object"), "{error}");
    }
    assert!(daemon.pushes.lock().unwrap().is_empty());
}

#[test]
fn what_a_client_wrote_does_not_come_back_whole() {
    let long = "x".repeat(1 << 20);
    let daemon = Daemon::start(Fake::default());
    let in_field = json_request("POST", "/v1/entries", &format!("{{\"{long}\":1}}"));
    let in_value = json_request("POST", "/v1/entries", &format!("{{\"layer\":\"{long}\"}}"));
    for request in [in_field, in_value, get(&format!("/v1/status?{}", &long[..30_000]))] {
        let answer = daemon.api(request);
        assert_eq!(answer.problem(), (422, "invalid".to_owned()));
        assert!(answer.body.len() < 4096, "{}", answer.body.len());
    }
}

#[test]
fn a_body_over_16_mib_is_refused_however_its_length_is_told() {
    let daemon = Daemon::start(Fake::default());
    let body = " ".repeat((16 << 20) + 1);
    let announced = json_request("POST", "/v1/entries", &body);
    assert_eq!(daemon.api(announced).problem(), (413, "body_too_large".into()));
    let head = "POST /v1/entries HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(daemon.api(chunked).problem(), (413, "body_too_large".into()));
    let largest = format!("{{}}{}", " ".repeat((16 << 20) - 2));
    assert_eq!(daemon.api(json_request("POST", "/v1/entries", &largest)).status, 200);
}

#[test]
fn every_refusal_has_its_status_and_code() {
    let problems = Problems::one("/add/3/prefix", "`x` is not a prefix");
    let cases = [
        (Refusal::Invalid(problems), 422, "invalid"),
        (Refusal::WrongVerb { list: "blocked".into(), verb: Verb::Allow }, 409, "wrong_verb"),
        (Refusal::Full { wanted: 3, capacity: 2 }, 507, "full"),
        (Refusal::Config { errors: 2, report: "error: a\n".into() }, 422, "invalid_config"),
        (Refusal::Datapath { message: "cannot write map LISTS_V4: no memory".into() }, 500, "datapath"),
        (Refusal::Stopping, 503, "stopping"),
    ];
    for (refusal, status, code) in cases {
        let daemon = Daemon::start(Fake::refusing(refusal.clone()));
        for request in [json_request("POST", "/v1/entries", "{}"), request("POST", "/v1/reload")] {
            let answer = daemon.api(request);
            assert_eq!(answer.problem(), (status, code.to_owned()), "{refusal:?}");
            match &refusal {
                Refusal::Invalid(_) => {
                    let wanted = json!([{"pointer": "/add/3/prefix", "detail": "`x` is not a prefix"}]);
                    assert_eq!(answer.json()["errors"], wanted);
                }
                Refusal::Config { .. } => assert_eq!(answer.json()["report"], "error: a\n"),
                _ => {}
            }
        }
    }
}

#[test]
fn a_controller_that_has_ended_is_a_503() {
    let daemon = Daemon::start(Fake { is_alive: false, ..Fake::default() });
    for request in [get("/v1/status"), get("/v1/entries"), json_request("POST", "/v1/entries", "{}")] {
        assert_eq!(daemon.api(request).problem(), (503, "stopping".into()));
    }
}

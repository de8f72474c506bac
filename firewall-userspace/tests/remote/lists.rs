//! Lists and entries as resources, tags, keys, and what every problem has.

use firewall_userspace::control::{Expected, Force};
use serde_json::{Value, json};

use crate::support::{Answer, Daemon, Fake, get, json_request, request};

fn start() -> Daemon {
    Daemon::start(Fake::default())
}

fn with(request: &str, headers: &str) -> String {
    request.replacen("host: localhost\r\n", &format!("host: localhost\r\n{headers}"), 1)
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_else(|| panic!("no tag: {answer:?}")).to_owned()
}

#[test]
fn a_list_says_what_services_do_with_it() {
    let daemon = start();
    let lists = daemon.api(get("/v1/lists")).json();
    let told: Vec<_> = lists["lists"].as_array().unwrap().iter().map(|list| (&list["name"], &list["verb"])).collect();
    assert_eq!(told, [(&json!("blocked"), &json!("deny")), (&json!("partners"), &json!("allow"))]);
    assert_eq!(daemon.api(get("/v1/lists/partners")).json()["list"], lists["lists"][1]);
    for path in ["/v1/lists/x", "/v1/lists/x/entries", "/v1/lists/x/entries/192.0.2.1"] {
        assert_eq!(daemon.api(get(path)).problem(), (404, "not_found".into()), "{path}");
    }
}

#[test]
fn pages_of_a_list_follow_each_other_to_the_end() {
    let daemon = start();
    let (mut cursor, mut found) = (String::new(), Vec::new());
    loop {
        let page = daemon.api(get(&format!("/v1/lists/partners/entries?limit=1{cursor}"))).json();
        found.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["prefix"].clone()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, ["203.0.113.0/24", "2001:db8:7::/48"]);
    for wrong in ["limit=0", "limit=1001", "limit=x", "cursor=", "cursor=AAAA", "covers=x", "nonsense=1"] {
        let answer = daemon.api(get(&format!("/v1/lists/partners/entries?{wrong}")));
        assert_eq!(answer.problem(), (422, "invalid".into()), "{wrong}");
    }
}

#[test]
fn an_entry_is_put_and_deleted_by_a_push_of_its_own() {
    let daemon = start();
    let put = json_request(
        "PUT",
        "/v1/lists/partners/entries/192.0.2.0%2F24?force=empty,cut-off&layer=ban",
        r#"{"ttl":"1h"}"#,
    );
    let answer = daemon.api(put);
    assert_eq!((answer.status, &answer.json()["added"]), (201, &Value::from(1)));
    let bare = request("PUT", "/v1/lists/partners/entries/2001:db8::7?dry_run=true");
    assert_eq!(daemon.api(bare).status, 200);
    let deleted = daemon.api(request("DELETE", "/v1/lists/partners/entries/192.0.2.0%2F24"));
    assert_eq!((deleted.status, &*deleted.body), (204, ""));
    let dry = daemon.api(request("DELETE", "/v1/lists/partners/entries/192.0.2.0%2F24?dry_run=true"));
    assert_eq!((dry.status, &dry.json()["dry_run"]), (200, &json!(true)));
    let pushes = daemon.pushes.lock().unwrap();
    let (added, bare, removed) = (&pushes[0], &pushes[1], &pushes[2]);
    assert_eq!((&*added.add[0].prefix, added.add[0].ttl.as_deref()), ("192.0.2.0/24", Some("1h")));
    assert_eq!((added.layer.label(), added.force == Force::Nothing), ("ban", false));
    assert_eq!((&*bare.add[0].prefix, bare.dry_run), ("2001:db8::7/128", true));
    assert_eq!((&*removed.remove[0].prefix, removed.add.len()), ("192.0.2.0/24", 0));
}

#[test]
fn what_is_wrong_with_an_entry_is_told_by_its_place() {
    let daemon = start();
    for (method, path, body, status) in [
        ("PUT", "partners/entries/192.0.2.1%2F24", "{}", 422),
        ("PUT", "partners/entries/x", "{}", 422),
        ("PUT", "partners/entries/192.0.2.0/24", "{}", 404),
        ("PUT", "partners/entries/%ff", "{}", 422),
        ("PUT", "partners/entries/192.0.2.1", r#"{"owner":"root"}"#, 422),
        ("PUT", "partners/entries/192.0.2.1?dryrun=true", "{}", 422),
        ("PUT", "partners/entries/192.0.2.1?force=emty", "{}", 422),
        ("DELETE", "nothing/entries/192.0.2.1", "", 404),
        ("POST", "partners/entries/192.0.2.1", "{}", 405),
    ] {
        let answer = daemon.api(json_request(method, &format!("/v1/lists/{path}"), body));
        assert_eq!(answer.problem().0, status, "{method} {path} {answer:?}");
    }
    assert!(daemon.pushes.lock().unwrap().is_empty());
    let wrong_ttl = daemon.api(json_request("PUT", "/v1/lists/partners/entries/192.0.2.1", r#"{"ttl":"1x"}"#));
    assert_eq!((wrong_ttl.status, &wrong_ttl.json()["errors"][0]["pointer"]), (422, &json!("/ttl")));
    let unheld = daemon.api(get("/v1/lists/partners/entries/192.0.2.1")).problem();
    assert_eq!(unheld, (404, "not_found".into()));
}

#[test]
fn what_has_not_changed_is_told_by_304() {
    let daemon = start();
    for path in ["/v1/entries", "/v1/policy", "/v1/lists", "/v1/lists/partners", "/v1/lists/partners/entries"] {
        let answer = daemon.api(get(path));
        let tag = tag(&answer);
        assert!(tag.starts_with(if path == "/v1/policy" { "\"g" } else { "\"r7-" }), "{tag}");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
            let again = daemon.api(with(&get(path), &format!("if-none-match: {known}\r\n")));
            assert_eq!((again.status, &*again.body, again.header("etag")), (304, "", Some(&*tag)), "{path} {known}");
        }
        assert_eq!(daemon.api(with(&get(path), "if-none-match: \"r6-0\"\r\n")).status, 200, "{path}");
    }
}

#[test]
fn a_change_carries_what_it_expects_and_what_is_no_tag_is_refused() {
    let daemon = start();
    let tag = tag(&daemon.api(get("/v1/lists")));
    let push = json_request("POST", "/v1/entries", "{}");
    assert_eq!(daemon.api(with(&push, &format!("if-match: {tag}\r\n"))).status, 200);
    assert_eq!(daemon.api(with(&push, "if-match: *\r\n")).status, 200);
    let expected: Vec<_> = daemon.pushes.lock().unwrap().iter().map(|push| push.expect).collect();
    let tag: Expected = tag.trim_matches('"').parse().unwrap();
    assert_eq!(expected, [Some(tag), None]);
    for wrong in ["W/\"r7-0\"", "r7-0", "\"r7\"", "\"\"", "\"g7\", \"g8\"", "\"g+7\"", "\"g07\"", "\"r7-00\""] {
        let answer = daemon.api(with(&push, &format!("if-match: {wrong}\r\n")));
        assert_eq!(answer.problem(), (400, "bad_header".into()), "{wrong}");
    }
    let twice = daemon.api(with(&push, "if-match: *\r\nif-match: *\r\n"));
    assert_eq!(twice.problem(), (400, "bad_header".into()));
    // What does not look at one does not go on as if it did.
    let confirm = with(&request("POST", "/v1/confirm"), "if-match: *\r\n");
    assert_eq!(daemon.api(confirm).problem(), (400, "bad_header".into()));
    let create = with(&request("PUT", "/v1/lists/partners/entries/192.0.2.1"), "if-none-match: *\r\n");
    assert_eq!(daemon.api(create).problem(), (400, "bad_header".into()));
}

#[test]
fn what_comes_again_with_a_key_is_answered_and_not_carried_out_again() {
    let daemon = start();
    let push = |key: &str, body: &str| {
        with(&json_request("POST", "/v1/entries", body), &format!("idempotency-key: {key}\r\n"))
    };
    let body = r#"{"add":[{"list":"partners","prefix":"192.0.2.0/24"}]}"#;
    let first = daemon.api(push("\"one\"", body));
    let again = daemon.api(push("one", body));
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None));
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(first.json(), again.json());
    assert_eq!(daemon.api(push("one", "{}")).problem(), (422, "idempotency_key_reused".into()));
    assert_eq!(daemon.pushes.lock().unwrap().len(), 1);
    for wrong in ["", "\"\"", "\"one", &"x".repeat(129)] {
        assert_eq!(daemon.api(push(wrong, body)).problem(), (400, "bad_header".into()), "{wrong}");
    }
    // A dry run is told anew.
    for _ in 0..2 {
        assert_eq!(daemon.api(push("two", r#"{"dry_run":true}"#)).header("idempotency-replayed"), None);
    }
    assert_eq!(daemon.pushes.lock().unwrap().len(), 3);
}

#[test]
fn head_is_a_get_without_its_body_and_options_is_no_method_here() {
    let daemon = start();
    for path in ["/v1/status", "/v1/lists", "/openapi.json"] {
        let answer = daemon.api(request("HEAD", path));
        assert_eq!((answer.status, &*answer.body), (200, ""), "{path}");
        let answer = daemon.api(request("OPTIONS", path));
        assert_eq!(answer.problem(), (405, "method_not_allowed".into()), "{path}");
        assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{path}");
    }
}

#[test]
fn a_hint_is_a_member_of_its_own() {
    let problem = start().api(request("POST", "/v1/confirm")).json();
    assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("portcullis history")), "{problem}");
    assert_eq!(problem["detail"], "nothing waits for a confirmation");
}

//! The document of the API: every example in it is asked of a daemon, and the files that are made of it are as it is.
//!
//! `PORTCULLIS_BLESS=1 cargo test -p firewall-userspace --test remote openapi` writes the answers of the examples, and once more what is
//! made of them: `docs/openapi.json` and `docs/api.md`.

mod page;
#[path = "../../schema/validator.rs"]
mod validator;

use std::{env, fs, path::Path};

use firewall_userspace::{
    control::{Cancelled, Pending, PendingChange, Pushed, Sync, SyncLine},
    serve::api,
};
use serde_json::{Map, Value, json};

use self::validator::problems;
use crate::support::{Answer, Daemon, Fake, get};

const EXAMPLES: &str = "src/serve/api/document/examples.json";

/// One operation of the document.
struct Operation<'a> {
    path: &'a str,
    method: &'a str,
    told: &'a Value,
}

fn document() -> Value {
    serde_json::from_str(api::document()).unwrap()
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        all.extend(item.as_object().unwrap().iter().map(|(method, told)| Operation { path, method, told }));
    }
    all
}

/// A schema with those that it names in their places.
fn inlined(schema: &Value, document: &Value) -> Value {
    match schema {
        Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
            Some(name) => inlined(document.pointer(name.trim_start_matches('#')).unwrap(), document),
            None => members.iter().map(|(name, member)| (name.clone(), inlined(member, document))).collect(),
        },
        Value::Array(members) => members.iter().map(|member| inlined(member, document)).collect(),
        other => other.clone(),
    }
}

/// Everything but what a part of a path or a query may have as it is (RFC 3986, section 2.3).
fn encoded(text: &str) -> String {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    text.bytes()
        .map(|octet| if is_plain(octet) { char::from(octet).to_string() } else { format!("%{octet:02X}") })
        .collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The target of an example.
fn target(Operation { path, told, .. }: &Operation<'_>, example: &Value) -> String {
    let (mut path, mut query) = ((*path).to_owned(), Vec::new());
    for (name, value) in example["parameters"].as_object().into_iter().flatten() {
        let known = told["parameters"].as_array().unwrap().iter().find(|one| one["name"] == *name);
        match known.unwrap_or_else(|| panic!("{path} has no {name}"))["in"].as_str().unwrap() {
            "path" => path = path.replace(&format!("{{{name}}}"), &encoded(&text_of(value))),
            "query" => query.push(format!("{name}={}", encoded(&text_of(value)))),
            other => panic!("{other}"),
        }
    }
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

/// The headers and the body of an example.
fn content(Operation { told, .. }: &Operation<'_>, example: &Value) -> (Vec<(String, String)>, String) {
    let headers = example["headers"].as_object().into_iter().flatten();
    let mut headers: Vec<(String, String)> = headers.map(|(name, value)| (name.clone(), text_of(value))).collect();
    let Some(request) = example.get("request") else { return (headers, String::new()) };
    let kind = told["requestBody"]["content"].as_object().unwrap().keys().next().unwrap();
    headers.push(("content-type".into(), kind.clone()));
    (headers, text_of(request))
}

fn ask(daemon: &Daemon, operation: &Operation<'_>, example: &Value) -> Answer {
    let (headers, body) = content(operation, example);
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (method, target) = (operation.method.to_uppercase(), target(operation, example));
    let length = body.len();
    daemon.api(format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n{body}"
    ))
}

/// A daemon for which something waits.
fn daemon() -> Daemon {
    let pending = Pending {
        change: PendingChange::Policy,
        generation: 9,
        previous: Some(3),
        entries: None,
        owner: "root".into(),
        deadline: "2026-11-21T10:01:00Z".parse().unwrap(),
        seconds_left: 42,
    };
    Daemon::start(Fake { pending: Some(pending), ..Fake::default() })
}

/// What a daemon of a test answers, without the signs by which it tries terminals.
fn calm(value: Value) -> Value {
    match value {
        Value::String(text) => text.replace("\u{1b}[2J", "").replace('\u{1b}', "").trim_end_matches([' ']).into(),
        Value::Array(members) => members.into_iter().map(calm).collect(),
        Value::Object(members) => members.into_iter().map(|(name, member)| (name, calm(member))).collect(),
        other => other,
    }
}

fn is_blessed() -> bool {
    env::var_os("PORTCULLIS_BLESS").is_some()
}

fn examples() -> Value {
    serde_json::from_str(&fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLES)).unwrap()).unwrap()
}

#[test]
fn every_example_is_answered_as_it_says() {
    let (document, mut examples) = (document(), examples());
    let mut wrong = Vec::new();
    for operation in operations(&document) {
        let id = operation.told["operationId"].as_str().unwrap();
        let all = examples[id].as_array_mut().unwrap_or_else(|| panic!("{id} has no example"));
        assert!(!all.is_empty(), "{id} has no example");
        for example in all {
            if example.get("pretended").is_some() {
                continue;
            }
            let answer = ask(&daemon(), &operation, example);
            let status = example["status"].as_u64().unwrap_or(200);
            assert_eq!(u64::from(answer.status), status, "{id}: {answer:?}");
            let body = if answer.body.is_empty() { None } else { Some(calm(answer.json())) };
            if example.get("answer") != body.as_ref() {
                wrong.push(format!("{id}: {body:?}"));
                example.as_object_mut().unwrap().extend(body.map(|body| ("answer".to_owned(), body)));
            }
        }
    }
    if is_blessed() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLES), format!("{examples:#}\n")).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "hint: PORTCULLIS_BLESS=1 writes them: {wrong:#?}");
}

#[test]
fn every_example_has_the_form_that_the_document_says() {
    let document = document();
    let mut seen = 0;
    for Operation { path, method, told } in operations(&document) {
        let answers = told["responses"].as_object().unwrap().values();
        let bodies = answers.chain([&told["requestBody"]]).filter_map(|one| one["content"].as_object()).flatten();
        for (kind, media) in bodies {
            for (name, example) in media["examples"].as_object().into_iter().flatten() {
                let example = inlined(example, &document);
                let found = problems(&inlined(&media["schema"], &document), &example["value"]);
                assert!(found.is_empty(), "{method} {path} {kind} {name}: {found:?}\n{example}");
                seen += 1;
            }
        }
        for parameter in told["parameters"].as_array().into_iter().flatten() {
            for example in parameter["examples"].as_object().into_iter().flatten().map(|(_, example)| example) {
                let found = problems(&inlined(&parameter["schema"], &document), &example["value"]);
                assert!(found.is_empty(), "{method} {path} {parameter}: {found:?}");
            }
        }
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn every_operation_with_a_body_has_an_example_of_it_and_each_of_its_answer() {
    let document = document();
    for Operation { path, method, told } in operations(&document) {
        let has_example = |body: &Value| {
            body["content"].as_object().into_iter().flatten().any(|(_, media)| media["examples"].is_object())
        };
        assert!(told.get("requestBody").is_none_or(&has_example), "{method} {path}");
        let good = told["responses"].as_object().unwrap().iter().filter(|(status, _)| status.starts_with('2'));
        let is_told = good.clone().any(|(_, answer)| has_example(answer)) || path == "/openapi.json";
        assert!(is_told, "{method} {path} has no example of its answer");
    }
}

#[test]
fn what_a_sync_is_asked_and_answered_in_the_examples_has_its_form() {
    let examples = examples();
    let (sync, cancel) = (&examples["sync"][0], &examples["cancelSync"][0]);
    let mut lines = sync["request"].as_str().unwrap().lines();
    assert!(!serde_json::from_str::<Sync>(lines.next().unwrap()).unwrap().replace.is_empty());
    assert!(lines.all(|line| serde_json::from_str::<SyncLine<'_>>(line).is_ok()));
    let pushed: Pushed = serde_json::from_value(sync["answer"].clone()).unwrap();
    assert_eq!(serde_json::to_value(pushed).unwrap(), sync["answer"]);
    let cancelled: Cancelled = serde_json::from_value(cancel["answer"].clone()).unwrap();
    assert_eq!(serde_json::to_value(cancelled).unwrap(), cancel["answer"]);
}

#[test]
fn what_is_not_known_is_refused_as_the_document_says() {
    let (document, daemon) = (document(), daemon());
    for operation in operations(&document) {
        let Some(media) = operation.told["requestBody"]["content"].get("application/json") else { continue };
        let mut request = json!({});
        let example = media["examples"].as_object().unwrap().values().next().unwrap();
        for (name, value) in example["value"].as_object().unwrap() {
            request[name] = value.clone();
        }
        let schema = inlined(&media["schema"], &document);
        assert_eq!(problems(&schema, &request), Vec::<String>::new());
        request["nonsense"] = true.into();
        assert!(!problems(&schema, &request).is_empty(), "{}: {schema}", operation.path);
        let parameters = operation.told["x-portcullis-examples"].as_object().unwrap().values().next().unwrap();
        let example = json!({ "parameters": parameters.get("parameters").unwrap_or(&json!({})), "request": request });
        assert_eq!(ask(&daemon, &operation, &example).problem(), (422, "invalid".into()), "{}", operation.path);
    }
}

#[test]
fn the_document_is_served_as_it_is_kept() {
    let answer = daemon().api(get("/openapi.json"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json(), document());
    kept("docs/openapi.json", api::document());
}

#[test]
fn the_page_of_the_documents_is_what_the_document_says() {
    let document = document();
    kept("docs/api.md", &page::page(&document, &operations(&document)));
}

/// Whether a file of the repository is `text`.
fn kept(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    if is_blessed() {
        fs::write(&file, text).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == text, "{name} is not what the document says\nhint: PORTCULLIS_BLESS=1 writes it");
}

/// A value in a few lines.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    }
}

/// The members of an object.
fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

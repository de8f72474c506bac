//! The document of the API: OpenAPI 3.1.
//!
//! In: the rows of `serve/api/routes.rs` with the words on their handlers, and `examples.json`. Out: one document, the same for everybody.
//! Nobody owns anything here. What all operations have in common is added to each: its right, what it may be refused by, its examples.
//! `docs/openapi.json` and `docs/api.md` are made of it, by a test.

mod examples;
mod forms;
mod refused;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::routes::{self, RouteRow};
use crate::{
    control::{Sync, SyncEvent, SyncLine},
    made,
    serve::http::problem::ProblemDetails,
};

/// How the API as a whole is told.
const ABOUT: &str = "\
The API of the Portcullis daemon. It is served on a Unix socket, and over HTTPS where the configuration says so.\n\n\
Every failure is a problem (RFC 9457): `code` says what it is, for programs; `errors` has the places in the request by JSON pointers. \
A field or a parameter that is not known is refused. `HEAD` is answered as `GET` without the body; every other method that a path does not \
have is answered by 405 with `Allow`. Who asks on the Unix socket is known by the kernel; over a network it takes one of the security \
schemes, or several where the configuration asks for them.\n\n\
A change that the daemon cannot begin with within 5 s is refused by 503 `busy`, and does not happen.";

/// Words on the groups of operations.
const TAGS: [(&str, &str); 5] = [
    ("status", "What is so now"),
    ("entries", "Lists and their entries"),
    ("policy", "The policy as a whole, and its generations"),
    ("explanations", "What would become of packets; nothing changes"),
    ("access", "Who may do what, and who has done what"),
];

static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", make()));

/// The document, as text.
pub fn told() -> &'static str {
    &TEXT
}

fn make() -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for row in routes::rows() {
        let Some((named, told)) = &row.told else { continue };
        schemas.extend(named.iter().map(|(name, schema)| (name.clone(), value(schema))));
        let method = row.method.as_str().to_ascii_lowercase();
        let mut told = value(told);
        let operation = told.get_mut(row.path).and_then(|item| item.get_mut(&method));
        if let Some(mut operation) = operation.map(Value::take) {
            complete(&row, &mut operation);
            let item = paths.entry(row.path).or_insert_with(|| json!({}));
            item[&method] = operation;
        }
    }
    add_schema::<ProblemDetails>(&mut schemas);
    // Lines of a sync: of what they consist is said by its body only in words.
    add_schema::<Sync>(&mut schemas);
    add_schema::<SyncLine<'_>>(&mut schemas);
    add_schema::<SyncEvent<ProblemDetails>>(&mut schemas);
    let tags: Vec<Value> = TAGS.iter().map(|(name, words)| json!({ "name": name, "description": words })).collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis",
            "version": made::VERSION,
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The Unix socket `/run/portcullis/api.sock`, or the address of `[api] listen`" }],
        "tags": tags,
        "paths": paths,
        "components": { "schemas": schemas, "examples": refused::examples(), "securitySchemes": security() },
    });
    plain(&mut document);
    document
}

fn add_schema<T: ToSchema>(schemas: &mut Map<String, Value>) {
    let mut named = Vec::new();
    T::schemas(&mut named);
    named.push((T::name().into_owned(), T::schema()));
    schemas.extend(named.iter().map(|(name, schema)| (name.clone(), value(schema))));
}

/// What utoipa has made, as data: strings, numbers and maps of them can always be written as JSON.
fn value(made: &impl serde::Serialize) -> Value {
    serde_json::to_value(made).unwrap_or_default()
}

/// How somebody shows who it is.
fn security() -> Value {
    json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "Over a network: a token of `portcullis token create`, or an access token (JWT) of the issuer in `[api.jwt]`",
        },
        "certificate": { "type": "mutualTLS", "description": "Over a network: a client certificate of the CA in `[api]`" },
        "signature": {
            "type": "apiKey",
            "in": "header",
            "name": "Signature",
            "description": "Over a network: an HTTP message signature (RFC 9421) with `Signature-Input`, by a key of `[[api.signer]]`",
        },
    })
}

/// Adds to an operation what all have in common.
fn complete(row: &RouteRow, operation: &mut Value) {
    operation["x-portcullis-right"] = row.right.label().into();
    operation["x-portcullis-role"] = row.right.role().label().into();
    operation["security"] = json!([{}, { "bearer": [] }, { "certificate": [] }, { "signature": [] }]);
    settle(operation);
    let has = |name: &str| {
        let parameters = operation["parameters"].as_array();
        parameters.into_iter().flatten().any(|parameter| parameter["name"] == name)
    };
    let (is_tagged, is_matched) = (has("If-None-Match"), has("If-Match"));
    let is_keyed = has("Idempotency-Key");
    let text = |words: &str| json!({ "description": words, "schema": { "type": "string" } });
    for (status, answer) in operation["responses"].as_object_mut().into_iter().flatten() {
        if is_tagged || (is_matched && row.path.starts_with("/v1/lists")) {
            answer["headers"]["ETag"] = text("Names what was answered; `If-Match` and `If-None-Match` take it");
        }
        if is_keyed && status == "200" {
            answer["headers"]["Idempotency-Replayed"] = text("`true`: the request came before, and this is its answer");
        }
    }
    if is_tagged {
        let tag = text("The same as the reader has");
        operation["responses"]["304"] = json!({ "description": "Nothing has changed since the answer that `If-None-Match` names", "headers": { "ETag": tag } });
    }
    refused::add(row, operation);
    examples::add(operation);
}

/// A body that may be left out is not `null`, and neither is a header.
fn settle(operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["in"] == "header" {
            parameter["schema"]["type"] = "string".into();
        }
    }
    let Some(body) = operation.get_mut("requestBody") else { return };
    body["required"] = true.into();
    let mut is_optional = false;
    for (_, media) in body["content"].as_object_mut().into_iter().flatten() {
        if let Some(one) =
            media["schema"]["oneOf"].as_array().and_then(|all| all.iter().find(|one| one.get("$ref").is_some()))
        {
            media["schema"] = one.clone();
            is_optional = true;
        }
    }
    if is_optional {
        body["required"] = false.into();
    }
}

/// Descriptions without links into the code.
fn plain(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" || name == "summary" => *text = unlinked(text),
                    other => plain(other),
                }
            }
        }
        Value::Array(members) => members.iter_mut().for_each(plain),
        _ => {}
    }
}

/// A text in which ``[`Name`](path)`` is `` `Name` ``, and lines of a paragraph are one.
fn unlinked(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, behind)) = link.split_once("`]") else { break };
        plain.push_str(&format!("{before}`{}`", name.rsplit("::").next().unwrap_or(name)));
        rest = behind.strip_prefix('(').and_then(|target| Some(target.split_once(')')?.1)).unwrap_or(behind);
    }
    plain.push_str(rest);
    let plain = plain.replace("`None`", "`null`");
    let paragraphs: Vec<String> = plain.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
    paragraphs.join("\n\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_told_at_its_path_with_its_method_and_nothing_else_is() {
        let document = make();
        let mut told = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            told.extend(item.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase())));
        }
        let rows = routes::rows();
        let routes: BTreeSet<_> = rows.iter().map(|row| (row.path.to_owned(), row.method.to_string())).collect();
        assert_eq!(told, routes);
        for row in &rows {
            let (_, paths) = row.told.as_ref().unwrap();
            assert_eq!(
                value(paths).as_object().unwrap().keys().collect::<Vec<_>>(),
                [row.path],
                "{} is told elsewhere",
                row.path
            );
        }
    }

    #[test]
    fn every_operation_has_a_name_a_right_words_and_answers() {
        let document = make();
        let mut names = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} is there twice");
                assert!(operation["summary"].as_str().is_some_and(|words| words.len() > 10), "{name}");
                assert!(operation["x-portcullis-right"].is_string() && operation["tags"][0].is_string(), "{name}");
                for status in ["400", "401", "403", "429", "500", "503"] {
                    assert!(operation["responses"][status].is_object(), "{name} {status}");
                }
            }
        }
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        fn names(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    members.values().for_each(|member| names(member, found));
                }
                Value::Array(members) => members.iter().for_each(|member| names(member, found)),
                _ => {}
            }
        }
        let (document, mut found) = (make(), BTreeSet::new());
        names(&document, &mut found);
        assert!(found.len() > 50, "{found:?}");
        for name in found {
            assert!(document.pointer(name.trim_start_matches('#')).is_some(), "{name}");
        }
    }

    #[test]
    fn words_have_no_links() {
        assert_eq!(unlinked("a [`B`] c [`D::e`](x::D) f\ng\n\nh"), "a `B` c `e` f g\n\nh");
        assert!(!told().contains("[`"), "a link is left");
    }
}

//! The page that people read: `docs/api.md`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Operation, content, members, shown, target};

const SOCKET: &str = "curl --unix-socket /run/portcullis/api.sock";

/// The page.
pub fn page(document: &Value, operations: &[Operation<'_>]) -> String {
    let mut page = "# The API\n\nThis page is made of [openapi.json](openapi.json), which the daemon serves at `/openapi.json`.\n\n".to_owned();
    page += &format!("{}\n\n", document["info"]["description"].as_str().unwrap());
    page += "Over HTTPS an example begins with `curl --header @HEADER https://HOST:PORT` in place of `curl --unix-socket ... http://localhost`, \
             where the file `HEADER` has the line `Authorization: Bearer TOKEN`: what stands in the arguments of a command others can see.\n\n";
    page += "| Route | Right | |\n|-|-|-|\n";
    for operation in operations {
        let (name, right) = (name(operation), text(&operation.told["x-portcullis-right"]));
        page += &format!("| [`{name}`](#{}) | {right} | {} |\n", anchor(&name), cell(&operation.told["summary"]));
    }
    for tag in document["tags"].as_array().unwrap() {
        page += &format!("\n## {}\n", text(&tag["description"]));
        for operation in operations.iter().filter(|one| one.told["tags"][0] == tag["name"]) {
            page += &of_operation(operation);
        }
    }
    page += &problems(document);
    page += "\n## Schemas\n";
    for (name, schema) in members(&document["components"]["schemas"]) {
        page += &of_schema(name, schema);
    }
    page
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Words in one cell of a table.
fn cell(value: &Value) -> String {
    text(value).replace('\n', " ").replace('|', "\\|")
}

fn name(Operation { path, method, .. }: &Operation<'_>) -> String {
    format!("{} {path}", method.to_uppercase())
}

/// Where a heading is, as GitHub and GitLab name it.
fn anchor(heading: &str) -> String {
    let letters = heading.to_lowercase();
    let kept = letters.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-_ ".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn of_operation(operation: &Operation<'_>) -> String {
    let told = operation.told;
    let mut page = format!("\n### `{}`\n\n{}", name(operation), text(&told["summary"]));
    if let Some(more) = told["description"].as_str() {
        page += &format!("\n\n{more}");
    }
    let (right, role) = (text(&told["x-portcullis-right"]), text(&told["x-portcullis-role"]));
    page += &format!("\n\nRight: `{right}`, which the role {role} has.\n");
    if let Some(parameters) = told["parameters"].as_array() {
        page += "\n| Parameter | In | Form | |\n|-|-|-|-|\n";
        for one in parameters {
            let form = form(&one["schema"]);
            page += &format!(
                "| `{}` | {} | {form} | {} |\n",
                text(&one["name"]),
                text(&one["in"]),
                cell(&one["description"])
            );
        }
    }
    for (kind, media) in members(&told["requestBody"]["content"]) {
        let need = if told["requestBody"]["required"] == true { "" } else { ", or none" };
        page += &format!("\nBody: {} as `{kind}`{need}.\n", form(&media["schema"]));
    }
    page += "\n| Answer | Form | |\n|-|-|-|\n";
    let is_good = |status: &String| status.starts_with('2') || status.starts_with('3');
    for (status, answer) in members(&told["responses"]).filter(|(status, _)| is_good(status)) {
        let forms: Vec<String> = members(&answer["content"]).map(|(_, media)| form(&media["schema"])).collect();
        page += &format!("| {status} | {} | {} |\n", forms.join(", "), cell(&answer["description"]));
    }
    let problems = members(&told["responses"]).filter(|(_, answer)| answer["x-portcullis-codes"].is_array());
    let problems = problems.map(|(status, answer)| {
        let codes: Vec<String> = codes(answer).map(|code| format!("`{code}`")).collect();
        format!("{status} {}", codes.join(" "))
    });
    page += &format!("\n[Problems](#problems): {}.\n", problems.collect::<Vec<_>>().join(", "));
    for (name, example) in members(&told["x-portcullis-examples"]) {
        page += &of_example(operation, name, example);
    }
    page
}

fn codes(answer: &Value) -> impl Iterator<Item = &str> {
    answer["x-portcullis-codes"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn of_example(operation: &Operation<'_>, name: &str, example: &Value) -> String {
    let (headers, body) = content(operation, example);
    let mut command = SOCKET.to_owned();
    // curl posts what has a body, and gets everything else.
    let by_itself = if body.is_empty() { "get" } else { "post" };
    if operation.method != by_itself {
        command += &format!(" -X {}", operation.method.to_uppercase());
    }
    command += &format!(" \\\n  '{}'", format_args!("http://localhost{}", target(operation, example)));
    for (name, value) in headers {
        command += &format!(" \\\n  -H '{name}: {value}'");
    }
    if !body.is_empty() {
        command += &format!(" \\\n  --data-binary '{}'", body.trim_end().replace('\'', "'\\''"));
    }
    let status = example["status"].as_u64().unwrap_or(200);
    let answer = members(&operation.told["responses"][status.to_string()]["content"]);
    let answer = answer.filter_map(|(_, media)| media["examples"].get(name)).next();
    let answer = answer.map_or_else(String::new, |answer| format!("\n```json\n{}\n```\n", shown(&answer["value"])));
    format!("\n{}, answered by {status}:\n\n```console\n{command}\n```\n{answer}", text(&example["summary"]))
}

/// All problems that there are.
fn problems(document: &Value) -> String {
    let known: BTreeMap<_, _> = members(&document["components"]["examples"])
        .map(|(_, example)| &example["value"])
        .map(|one| ((one["status"].to_string(), text(&one["code"])), cell(&one["detail"])))
        .collect();
    let mut page = "\n## Problems\n\n| Status | `code` | |\n|-|-|-|\n".to_owned();
    for ((status, code), meaning) in known {
        page += &format!("| {status} | `{code}` | {meaning} |\n");
    }
    page
}

/// A schema in few words.
fn form(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        return format!("[`{name}`](#{})", anchor(name));
    }
    let any = ["oneOf", "anyOf", "allOf"].iter().find_map(|of| schema[*of].as_array());
    if let Some(any) = any {
        let forms: Vec<String> = any.iter().map(form).filter(|form| form != "null").collect();
        return forms.join(if schema["allOf"].is_array() { " and " } else { " or " });
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(|value| format!("`{}`", text(value))).collect();
        return values.join(", ");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).find(|kind| *kind != "null").unwrap_or_default(),
        one => text(one),
    };
    match kind {
        "array" => format!("array of {}", form(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("object of {}", form(&schema["additionalProperties"]))
        }
        "" => "anything".to_owned(),
        "string" if schema["format"].is_string() => format!("string ({})", text(&schema["format"])),
        "integer" if schema["maximum"].is_number() => {
            format!("integer, {} to {}", schema["minimum"], schema["maximum"])
        }
        other => other.to_owned(),
    }
}

fn of_schema(name: &str, schema: &Value) -> String {
    let mut page = format!("\n### `{name}`\n\n{}\n", text(&schema["description"]));
    let all = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
    let mut rows = String::new();
    for part in all {
        if part.get("$ref").is_some() {
            page += &format!("\nAll of {}.\n", form(part));
        }
        let required: Vec<&str> = part["required"].as_array().into_iter().flatten().map(text).collect();
        for (field, of) in members(&part["properties"]) {
            let need = if required.contains(&&**field) { "" } else { "?" };
            rows += &format!("| `{field}`{need} | {} | {} |\n", form(of), cell(&of["description"]));
        }
    }
    if !rows.is_empty() {
        return page + "\n| Field (`?`: may be absent) | Form | |\n|-|-|-|\n" + &rows;
    }
    // What is one of several has words on each.
    let kinds = schema["oneOf"].as_array().into_iter().flatten();
    let kinds: Vec<String> = kinds.map(|one| format!("- {}: {}\n", form(one), text(&one["description"]))).collect();
    if kinds.is_empty() { page + &format!("\nForm: {}\n", form(schema)) } else { page + "\n" + &kinds.concat() }
}

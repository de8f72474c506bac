//! Examples: requests with the answers that they get. A test asks every one of them, and writes down what is answered.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// By `operationId`: an array of objects with `summary`, `parameters`, `request`, `status` and `answer`.
static EXAMPLES: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());

/// Adds to `operation` its examples.
pub fn add(operation: &mut Value) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    for (number, example) in EXAMPLES[&id].as_array().into_iter().flatten().enumerate() {
        let name = format!("{id}{}", number + 1);
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            let value = parameter["name"].as_str().and_then(|name| example["parameters"].get(name)).cloned();
            if let Some(value) = value {
                parameter["examples"][&name] = json!({ "value": value });
            }
        }
        let told = |value: &Value| json!({ "summary": example["summary"], "value": value });
        if let (Some(request), Some(media)) = (example.get("request"), operation.get_mut("requestBody").and_then(first))
        {
            media["examples"][&name] = told(request);
        }
        let status = example["status"].as_u64().unwrap_or(200).to_string();
        if let (Some(answer), Some(media)) =
            (example.get("answer"), operation["responses"].get_mut(&status).and_then(first))
        {
            media["examples"][&name] = told(answer);
        }
        // By which request it comes: of several examples of one operation, each has its own.
        let mut run = Map::new();
        for key in ["summary", "parameters", "headers", "request", "status", "pretended"] {
            run.extend(example.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        operation["x-portcullis-examples"][&name] = run.into();
    }
}

/// The first kind of content of a body or an answer.
fn first(body: &mut Value) -> Option<&mut Value> {
    body.get_mut("content")?.as_object_mut()?.values_mut().next()
}

//! As much of JSON Schema (draft 2020-12) as the schema of the configuration uses. A keyword that is not known here is a failure.

use regex::Regex;
use serde_json::Value;

/// What is wrong with `value`, with the place of each problem.
pub fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    validate("", schema, value, &mut found);
    found
}

fn validate(path: &str, schema: &Value, value: &Value, found: &mut Vec<String>) {
    if let Some(is_allowed) = schema.as_bool() {
        if !is_allowed {
            found.push(format!("{path}: not allowed"));
        }
        return;
    }
    for (keyword, wanted) in schema.as_object().expect("a schema is an object or a boolean") {
        if !keep(path, keyword, wanted, schema, value, found) {
            found.push(format!("{path}: {keyword} {wanted}"));
        }
    }
}

/// Whether `value` keeps one keyword; what is wrong inside of it goes to `found`.
fn keep(path: &str, keyword: &str, wanted: &Value, schema: &Value, value: &Value, found: &mut Vec<String>) -> bool {
    let number = || wanted.as_u64().expect("a number");
    let count = || usize::try_from(number()).expect("a count");
    match keyword {
        "$schema" | "title" | "description" | "default" | "format" | "examples" | "example" => true,
        "type" => match wanted {
            Value::Array(types) => types.iter().any(|one| is_of_type(one, value)),
            one => is_of_type(one, value),
        },
        "enum" => wanted.as_array().expect("an array").contains(value),
        "minimum" => value.as_i64().is_none_or(|value| i128::from(value) >= i128::from(number())),
        "maximum" => value.as_i64().is_none_or(|value| i128::from(value) <= i128::from(number())),
        "pattern" => {
            let pattern = Regex::new(wanted.as_str().expect("a string")).expect("a regular expression");
            value.as_str().is_none_or(|text| pattern.is_match(text))
        }
        "minItems" => value.as_array().is_none_or(|rows| rows.len() >= count()),
        "maxItems" => value.as_array().is_none_or(|rows| rows.len() <= count()),
        "maxProperties" => value.as_object().is_none_or(|table| table.len() <= count()),
        "required" => value.as_object().is_none_or(|table| {
            wanted.as_array().expect("an array").iter().all(|key| table.contains_key(key.as_str().expect("a string")))
        }),
        "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= count()),
        "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= count()),
        "allOf" => {
            wanted.as_array().expect("an array").iter().for_each(|one| validate(path, one, value, found));
            true
        }
        "oneOf" => {
            wanted.as_array().expect("an array").iter().filter(|one| problems(one, value).is_empty()).count() == 1
        }
        "anyOf" => wanted.as_array().expect("an array").iter().any(|one| problems(one, value).is_empty()),
        "items" => {
            for (index, row) in value.as_array().into_iter().flatten().enumerate() {
                validate(&format!("{path}/{index}"), wanted, row, found);
            }
            true
        }
        "properties" => {
            for (key, property) in wanted.as_object().expect("an object") {
                if let Some(value) = value.get(key) {
                    validate(&format!("{path}/{key}"), property, value, found);
                }
            }
            true
        }
        "additionalProperties" => {
            let is_known = |key: &String| schema["properties"].get(key).is_some();
            for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| !is_known(key)) {
                validate(&format!("{path}/{key}"), wanted, value, found);
            }
            true
        }
        "propertyNames" => {
            value.as_object().into_iter().flatten().all(|(key, _)| problems(wanted, &key.as_str().into()).is_empty())
        }
        "uniqueItems" => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
        }
        other => unreachable!("the keyword {other} is not known"),
    }
}

fn is_of_type(kind: &Value, value: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => unreachable!("the type {other} is not known"),
    }
}

//! The configuration as a JSON Schema, made of the table of its keys.
//!
//! Whatever the reader takes, the schema takes. The reader is stricter: it knows which names are defined, which keys go together and
//! what an address is.

use serde_json::{Map, Value, json};

use super::{
    choices,
    keys::{self, ConfigKey, ValueForm},
};

/// The schema of a configuration and of the files that it includes.
pub fn schema() -> Value {
    let mut schema = table(keys::ROOT);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Configuration of Portcullis".into();
    schema["description"] =
        "A configuration file, or one that it includes. `portcullis check` is stricter: it knows which lists, limits \
                             and services are defined, which keys go together, and what all files say."
            .into();
    schema
}

fn table(keys: &[ConfigKey]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        table["required"] = required.into();
    }
    table
}

fn property(key: &ConfigKey) -> Value {
    let mut property = of(key.value);
    property["description"] = key.doc.into();
    if let Some(default) = key.default.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        property["default"] = default;
    }
    property
}

fn of(value: ValueForm) -> Value {
    match value {
        ValueForm::Table(keys) => table(keys),
        ValueForm::Tables(keys, most) => {
            let mut rows = json!({ "type": "array", "items": table(keys) });
            if most < usize::MAX {
                rows["maxItems"] = most.into();
            }
            rows
        }
        ValueForm::Named(keys, most) => json!({
            "type": "object",
            "propertyNames": { "pattern": keys::NAME },
            "additionalProperties": table(keys),
            "maxProperties": most,
        }),
        ValueForm::Grants(pattern, most) => json!({
            "type": "object",
            "propertyNames": { "pattern": pattern },
            "additionalProperties": { "anyOf": [of(role()), table(keys::GRANT)] },
            "maxProperties": most,
        }),
        ValueForm::Array(value, least) => {
            let mut array = json!({ "type": "array", "items": of(*value) });
            if least > 0 {
                array["minItems"] = least.into();
            }
            array
        }
        ValueForm::Words(words) => json!({ "enum": words() }),
        ValueForm::Boolean => json!({ "type": "boolean" }),
        ValueForm::Integer(least, most) => integer(least, most),
        ValueForm::Text("") => json!({ "type": "string" }),
        ValueForm::Text(pattern) => json!({ "type": "string", "pattern": pattern }),
        ValueForm::Size(least) => {
            json!({ "anyOf": [integer(least, u64::MAX), { "type": "string", "pattern": "^[0-9]+(?:[kMG]|[KMG]i)?B$" }] })
        }
        ValueForm::Ports => {
            json!({ "anyOf": [integer(0, 65535), { "type": "string", "pattern": "^[0-9]+(?:-[0-9]+)?$" }] })
        }
    }
}

/// What a role may be.
fn role() -> ValueForm {
    ValueForm::Words(|| choices::words(&choices::ROLES))
}

fn integer(least: u64, most: u64) -> Value {
    let mut integer = json!({ "type": "integer", "minimum": least });
    if most < u64::MAX {
        integer["maximum"] = most.into();
    }
    integer
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of_keys(path: &str, keys: &[ConfigKey], found: &mut BTreeSet<String>) {
        for key in keys {
            let path = format!("{path}/{}", key.name);
            match key.value {
                ValueForm::Table(keys) | ValueForm::Tables(keys, _) => of_keys(&path, keys, found),
                ValueForm::Named(keys, _) => of_keys(&format!("{path}/*"), keys, found),
                _ => {}
            }
            found.insert(path);
        }
    }

    fn of_schema(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            assert!(
                property["description"].as_str().is_some_and(|words| words.ends_with(|end| ".;".contains(end))),
                "{path}"
            );
            of_schema(&path, property, found);
            of_schema(&path, &property["items"], found);
            of_schema(&format!("{path}/*"), &property["additionalProperties"], found);
            found.insert(path);
        }
    }

    #[test]
    fn the_schema_has_every_key_and_no_other() {
        let (mut keys, mut properties) = (BTreeSet::new(), BTreeSet::new());
        of_keys("", keys::ROOT, &mut keys);
        of_schema("", &schema(), &mut properties);
        assert_eq!(keys, properties);
        assert!(keys.len() > 60 && keys.contains("/limits/*/bytes/rate"), "{keys:?}");
    }

    #[test]
    fn a_rate_of_bytes_has_the_keys_of_a_rate() {
        let names = |keys: &[ConfigKey]| keys.iter().map(|key| key.name).collect::<Vec<_>>();
        assert_eq!(names(keys::RATE), names(keys::BYTE_RATE));
    }

    #[test]
    fn every_default_is_json() {
        fn check(keys: &[ConfigKey]) {
            for key in keys {
                assert!(key.default.is_none_or(|text| serde_json::from_str::<Value>(text).is_ok()), "{}", key.name);
                if let ValueForm::Table(keys) | ValueForm::Tables(keys, _) | ValueForm::Named(keys, _) = key.value {
                    check(keys);
                }
            }
        }
        check(keys::ROOT);
    }
}

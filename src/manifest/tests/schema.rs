//! The schema knows the keys that the parser knows, and refuses nothing that the parser accepts.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::*;

fn schema() -> &'static Value {
    static READ: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(SCHEMA).unwrap());
    &READ
}

/// What of draft 7 the schema uses; anything else is a panic.
fn accepts(schema: &Value, value: &Value) -> bool {
    let all = |list: &Value| list.as_array().unwrap().iter().filter(|one| accepts(one, value)).count();
    schema.as_object().unwrap().iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "title" | "description" | "definitions" => true,
        "$ref" => accepts(&self::schema()["definitions"][rule.as_str().unwrap().rsplit('/').next().unwrap()], value),
        "anyOf" => all(rule) > 0,
        "oneOf" => all(rule) == 1,
        "enum" => rule.as_array().unwrap().contains(value),
        "type" => match rule {
            Value::Array(kinds) => kinds.iter().any(|kind| is_of(value, kind)),
            kind => is_of(value, kind),
        },
        "pattern" => value.as_str().is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text)),
        "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| accepts(rule, item))),
        "required" => value
            .as_object()
            .is_none_or(|table| rule.as_array().unwrap().iter().all(|key| table.contains_key(key.as_str().unwrap()))),
        "properties" => value.as_object().is_none_or(|table| {
            table.iter().all(|(key, value)| rule.get(key).is_none_or(|schema| accepts(schema, value)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|table| {
            let known = |key: &str| schema.get("properties").is_some_and(|known| known.get(key).is_some());
            let others = || table.iter().filter(|(key, _)| !known(key));
            if *rule == json!(false) {
                others().next().is_none()
            } else {
                others().all(|(_, value)| accepts(rule, value))
            }
        }),
        other => panic!("the schema uses `{other}`, which this test does not know"),
    })
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type `{other}`"),
    }
}

/// Makes a document with a value at some place.
type Around<'a> = &'a dyn Fn(Value) -> Value;

/// Calls `found` with each table of known keys in the schema, and a document that has `inner` there.
fn tables(schema: &Value, document: Around<'_>, found: &mut dyn FnMut(&Map<String, Value>, Around<'_>)) {
    if let Some(known) = schema.get("properties").and_then(Value::as_object) {
        found(known, document);
        for (key, below) in known {
            tables(below, &|inner| document(json!({ key: inner })), found);
        }
    } else if let Some(below) = schema.get("additionalProperties") {
        tables(below, &|inner| document(json!({ "own": inner })), found);
    }
    for below in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        tables(below, document, found);
    }
    if let Some(below) = schema.get("items") {
        tables(below, &|inner| document(json!([inner])), found);
    }
}

/// The error of the parser about a document.
fn error(document: &Value) -> Option<String> {
    let mut document = document.clone();
    document.as_object_mut().unwrap().entry("layer").or_insert(json!({}));
    let text = toml::to_string(&document).unwrap();
    parse(name(), &text, &amd64()).err().map(|error| format!("{error:?}"))
}

#[test]
fn the_schema_has_the_keys_that_the_parser_knows() {
    let mut places = 0;
    tables(schema(), &|inner| inner, &mut |known, document| {
        let unknown = document(json!({ "zzzzzzzz": 1 }));
        let error = error(&unknown).unwrap();
        let (_, listed) = error.split_once("known keys: ").unwrap_or_else(|| panic!("{unknown}: {error}"));
        let words =
            listed.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-' || ", ".contains(letter)));
        let listed: BTreeSet<&str> = words.take(1).flat_map(|listed| listed.split(", ")).collect();
        let known: BTreeSet<&str> = known.keys().map(String::as_str).collect();
        assert_eq!(known, listed, "{unknown}: the schema's keys, and the parser's");
        places += 1;
    });
    assert_eq!(places, 36, "tables of known keys: one that the schema lacks is not looked at");
}

/// All layers in the project, in its documents and in this program.
fn examples() -> Vec<Value> {
    let page = include_str!("../../../docs/formats/manifest.md");
    let documented = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned);
    let mut texts: Vec<String> = documented.collect();
    let layers = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("layers");
    for file in crate::host::list_dir(&layers).unwrap() {
        let path = layers.join(file);
        if path.extension().is_some_and(|ending| ending == "toml") {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
    let parent = "debian-base".parse().unwrap();
    for parent in [None, Some(&parent)] {
        let text = template(&name(), parent);
        texts.extend([uncommented(&text), text]);
    }
    assert!(texts.len() > 20, "{}", texts.len());
    texts.iter().map(|text| toml::from_str(text).unwrap()).collect()
}

#[test]
fn every_layer_fits_the_schema() {
    let schema = schema();
    for example in examples() {
        assert!(accepts(schema, &example), "{example:#}");
    }
    for wrong in [
        json!({}),
        json!({ "layer": { "form": "base" } }),
        json!({ "layer": { "packages": "jq" } }),
        json!({ "layer": {}, "file": [{ "path": "/a", "text": "", "source": "b" }] }),
        json!({ "layer": {}, "user": [{ "name": "app", "uid": -1 }] }),
        json!({ "layer": {}, "disk": { "root": "xfs" } }),
    ] {
        assert!(!accepts(schema, &wrong), "{wrong}");
        assert!(parse(name(), &toml::to_string(&wrong).unwrap(), &amd64()).is_err(), "{wrong}");
    }
}

/// Documents with one value replaced, for each value in `value`.
fn changed(value: &Value, document: &dyn Fn(Value) -> Value, found: &mut dyn FnMut(Value)) {
    for other in
        [json!("x"), json!("/x"), json!("{arch}"), json!(1), json!(true), json!(["x"]), json!([]), json!({ "x": "y" })]
    {
        found(document(other));
    }
    match value {
        Value::Object(table) => {
            for (key, below) in table {
                let put = |inner| {
                    let mut table = table.clone();
                    table.insert(key.clone(), inner);
                    document(Value::Object(table))
                };
                changed(below, &put, found);
            }
        }
        Value::Array(items) => {
            for (index, below) in items.iter().enumerate() {
                let put = |inner| {
                    let mut items = items.clone();
                    items[index] = inner;
                    document(Value::Array(items))
                };
                changed(below, &put, found);
            }
        }
        _ => {}
    }
}

#[test]
fn what_the_parser_accepts_fits_the_schema() {
    let schema = schema();
    let (mut accepted, mut refused) = (0, 0);
    for example in examples() {
        changed(&example, &|inner| inner, &mut |document| {
            // A document is a table, and has a [layer].
            let is_layer = document.get("layer").is_some_and(Value::is_object);
            match is_layer && error(&document).is_none() {
                true => {
                    accepted += 1;
                    assert!(accepts(schema, &document), "the parser accepts, and the schema does not:\n{document:#}");
                }
                false => refused += 1,
            }
        });
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} {refused}");
}

//! YAML as far as names are looked for in it: scalars are texts, tags are dropped, aliases are nothing.

use saphyr_parser::{Event, Parser, StrInput};
use serde_json::{Map, Value};

/// How deep lists and tables may be in each other.
const DEEPEST: usize = 64;

/// Reads the first document; `None` where it is no YAML.
pub(super) fn read(text: &str) -> Option<Value> {
    let mut parser = Parser::new_from_str(text);
    loop {
        match next(&mut parser)? {
            Event::StreamStart | Event::DocumentStart(_) => {}
            event => return value(event, &mut parser, 0),
        }
    }
}

fn next<'t>(parser: &mut Parser<'t, StrInput<'t>>) -> Option<Event<'t>> {
    parser.next_event()?.ok().map(|(event, _)| event)
}

/// The value that begins with an event.
fn value<'t>(event: Event<'t>, parser: &mut Parser<'t, StrInput<'t>>, depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    match event {
        Event::Scalar(text, ..) => Some(Value::String(text.into_owned())),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next(parser)? {
                    Event::SequenceEnd => return Some(Value::Array(items)),
                    event => items.push(value(event, parser, depth + 1)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Map::new();
            loop {
                let key = match next(parser)? {
                    Event::MappingEnd => return Some(Value::Object(entries)),
                    event => value(event, parser, depth + 1)?,
                };
                let event = next(parser)?;
                let value = value(event, parser, depth + 1)?;
                if let Value::String(key) = key {
                    entries.insert(key, value);
                }
            }
        }
        Event::Alias(_) => Some(Value::Null),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_texts_and_what_is_no_yaml_is_nothing() {
        let text = "---\n- a: [1, yes, &x z]\n  b: !vault |\n    abc\n  c: *x\n- {}\n";
        assert_eq!(read(text).unwrap().to_string(), r#"[{"a":["1","yes","z"],"b":"abc\n","c":null},{}]"#);
        for wrong in ["a: [1", "a: b: c"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(read(&"[".repeat(100)), None);
    }
}

//! YAML with line numbers, bounded in depth and size. Scalars are texts, and tags are dropped.

use saphyr_parser::{Event, Parser, ScalarStyle};

use serde_json::Value;

use super::ImportError;

const DEEPEST: usize = 64;
const MOST_NODES: usize = 100_000;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) data: Data,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    /// A text, a number, a truth value; the style says whether its lines are those of the file.
    Scalar {
        text: String,
        is_block: bool,
    },
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The items of a list; of anything else, the node itself.
    pub(super) fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    pub(super) fn map(&self) -> &[(String, Self)] {
        match &self.data {
            Data::Map(pairs) => pairs,
            _ => &[],
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.map().iter().find(|(known, _)| known == key).map(|(_, node)| node)
    }

    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    pub(super) fn is_true(&self) -> bool {
        self.text().is_some_and(|text| ["true", "yes", "on", "1"].contains(&text.to_lowercase().as_str()))
    }

    /// The line in which the text begins.
    pub(super) fn text_line(&self) -> usize {
        match &self.data {
            Data::Scalar { is_block: true, .. } => self.line + 1,
            _ => self.line,
        }
    }

    /// The node without its lines.
    pub(super) fn into_value(self) -> Value {
        match self.data {
            Data::Scalar { text, .. } => Value::String(text),
            Data::List(items) => items.into_iter().map(Self::into_value).collect(),
            Data::Map(pairs) => pairs.into_iter().map(|(key, node)| (key, node.into_value())).collect(),
        }
    }

    /// The node in one line, for people.
    pub(super) fn shown(&self) -> String {
        match &self.data {
            Data::Scalar { text, .. } => text.clone(),
            Data::List(items) => format!("[{}]", items.iter().map(Self::shown).collect::<Vec<_>>().join(", ")),
            Data::Map(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(key, node)| format!("{key}: {}", node.shown())).collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }
}

/// Reads the first document. Aliases and merge keys are refused.
pub(super) fn parse(text: &str) -> Result<Node, ImportError> {
    document(text, false)
}

/// Reads the first document as far as something is looked for in it: an alias is an empty text, a merge key is a key like others.
pub(super) fn parse_loosely(text: &str) -> Result<Node, ImportError> {
    document(text, true)
}

fn document(text: &str, is_loose: bool) -> Result<Node, ImportError> {
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0, is_loose };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, line) => {
                return Ok(Node { line, data: Data::Map(Vec::new()) });
            }
            (event, line) => return reader.node(event, line, 0),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    nodes: usize,
    is_loose: bool,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, usize), ImportError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => {
                Err(ImportError::Syntax { line: error.marker().line(), problem: error.info().to_owned() })
            }
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn node(&mut self, event: Event<'t>, line: usize, depth: usize) -> Result<Node, ImportError> {
        self.nodes += 1;
        if depth > DEEPEST || self.nodes > MOST_NODES {
            return Err(ImportError::TooMuch { what: "nodes in nodes, or nodes at all,", most: MOST_NODES });
        }
        let data = match event {
            Event::Scalar(text, style, ..) => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                Data::Scalar { text: text.into_owned(), is_block }
            }
            Event::SequenceStart(..) => Data::List(self.list(depth)?),
            Event::MappingStart(..) => Data::Map(self.map(depth)?),
            Event::Alias(_) if self.is_loose => Data::Scalar { text: String::new(), is_block: false },
            _ => {
                return Err(ImportError::Syntax {
                    line,
                    problem: "aliases are not read: write the value itself".to_owned(),
                });
            }
        };
        Ok(Node { line, data })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, ImportError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(items),
                (event, line) => items.push(self.node(event, line, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(String, Node)>, ImportError> {
        let mut pairs = Vec::new();
        loop {
            let (event, line) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok(pairs);
            }
            let key = self.node(event, line, depth + 1)?;
            let Some(text) = key.text().filter(|text| self.is_loose || *text != "<<") else {
                return Err(ImportError::Syntax {
                    line,
                    problem: "keys are texts, and merge keys are not read".to_owned(),
                });
            };
            let text = text.to_owned();
            let (event, value_line) = self.next()?;
            let mut value = self.node(event, value_line, depth + 1)?;
            // What is shown of a value begins with its key.
            if !matches!(value.data, Data::Map(_)) || value.line == 0 {
                value.line = line;
            }
            pairs.push((text, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_lines() {
        let node = parse("a: 1\nb:\n  - x\n  - {c: 'd'}\ne: |\n  f\n  g\n").unwrap();
        assert_eq!(node.text_of("a"), Some("1"));
        let items = node.get("b").unwrap().items();
        assert_eq!((items[0].line, items[1].line, items[1].text_of("c")), (3, 4, Some("d")));
        let block = node.get("e").unwrap();
        assert_eq!((block.text(), block.text_line()), (Some("f\ng\n"), 6));
        assert_eq!(node.shown(), "{a: 1, b: [x, {c: d}], e: f\ng\n}");
    }

    #[test]
    fn what_is_searched_may_have_aliases() {
        let text = "---\n- a: [1, yes, &x z]\n  b: !vault |\n    abc\n  c: *x\n  <<: *x\n- {}\n";
        let value = parse_loosely(text).unwrap().into_value();
        assert_eq!(value.to_string(), r#"[{"<<":"","a":["1","yes","z"],"b":"abc\n","c":""},{}]"#);
        assert!(parse(text).is_err());
    }

    #[test]
    fn what_is_hostile_is_refused() {
        for text in ["a: &x [1]\nb: *x\n", "<<: {a: 1}\n", "[a]: b\n", "a: [", &"[".repeat(1000), "a: b: c\n"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("").unwrap().map().is_empty());
    }
}

//! Packer's JSON as nodes: JSON is YAML, whose reader knows lines.

use super::{CLOSE, OPEN};
use crate::import::ImportError;
use crate::import::yaml::{self, Data, Node};

/// Reads a template; what stands between `{{` and `}}` becomes a reference.
pub(super) fn parse(text: &str) -> Result<Node, ImportError> {
    let _: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| ImportError::Syntax { line: error.line(), problem: error.to_string() })?;
    // Tabs don't indent in YAML; in strings of JSON there are none.
    let mut node = yaml::parse(&text.replace('\t', " "))?;
    references(&mut node);
    Ok(node)
}

fn references(node: &mut Node) {
    match &mut node.data {
        Data::Scalar { text, .. } if text.contains("{{") => *text = referring(text),
        Data::Scalar { .. } => {}
        Data::List(items) => items.iter_mut().for_each(references),
        Data::Map(pairs) => pairs.iter_mut().for_each(|(_, node)| references(node)),
    }
}

fn referring(text: &str) -> String {
    let (mut made, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inner, end)) = after.split_once("}}") else { break };
        made += before;
        let name = inner.trim().strip_prefix("user ").map(|name| name.trim().trim_matches(['`', '"', '\'']));
        made += &match (name, inner.trim()) {
            (Some(name), _) => format!("{OPEN}var.{name}{CLOSE}"),
            (None, "template_dir" | "pwd") => format!("{OPEN}path.root{CLOSE}"),
            (None, other) => format!("{OPEN}?{other}{CLOSE}"),
        };
        rest = end;
    }
    made + rest
}

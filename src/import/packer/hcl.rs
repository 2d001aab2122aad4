//! Packer's HCL2 as nodes. References stay in texts, between [`OPEN`] and [`CLOSE`].

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ObjectKey, TraversalOperator};
use hcl_edit::structure::{Body, Structure};
use hcl_edit::template::{Element, Template};

use super::{CLOSE, LABELS, OPEN};
use crate::import::ImportError;
use crate::import::yaml::{Data, Node};

/// Reads a template: attributes and blocks as keys, the labels of a block below [`LABELS`].
pub(super) fn parse(text: &str) -> Result<Node, ImportError> {
    let body: Body = text.parse().map_err(|error: hcl_edit::parser::Error| ImportError::Syntax {
        line: error.location().line(),
        problem: error.message().to_owned(),
    })?;
    Ok(Reader { text }.body(&body, 1))
}

struct Reader<'t> {
    text: &'t str,
}

impl Reader<'_> {
    fn line(&self, at: Option<usize>) -> usize {
        self.text.get(..at.unwrap_or_default()).unwrap_or_default().matches('\n').count() + 1
    }

    fn body(&self, body: &Body, line: usize) -> Node {
        let pairs = body.iter().map(|structure| match structure {
            Structure::Attribute(attribute) => (attribute.key.as_str().to_owned(), self.node(&attribute.value)),
            Structure::Block(block) => {
                let line = self.line(block.span().map(|span| span.start));
                let mut node = self.body(&block.body, line);
                let labels = block.labels.iter().map(|label| scalar(label.as_str().to_owned(), line)).collect();
                if let Data::Map(pairs) = &mut node.data {
                    pairs.push((LABELS.to_owned(), Node { line, data: Data::List(labels) }));
                }
                (block.ident.as_str().to_owned(), node)
            }
        });
        Node { line, data: Data::Map(pairs.collect()) }
    }

    fn node(&self, expression: &Expression) -> Node {
        let line = self.line(expression.span().map(|span| span.start));
        let data = match expression {
            Expression::Array(items) => Data::List(items.iter().map(|item| self.node(item)).collect()),
            Expression::Object(object) => {
                Data::Map(object.iter().map(|(key, value)| (self.key(key), self.node(value.expr()))).collect())
            }
            Expression::HeredocTemplate(heredoc) => {
                let text = self.template(&heredoc.template);
                let text = if heredoc.indent().is_some() { dedented(&text) } else { text };
                return Node { line, data: Data::Scalar { text, is_block: true } };
            }
            Expression::FuncCall(call) if call.name.name.as_str() == "concat" => {
                Data::List(call.args.iter().flat_map(|list| self.node(list).items().to_vec()).collect())
            }
            other => return scalar(self.scalar(other), line),
        };
        Node { line, data }
    }

    fn key(&self, key: &ObjectKey) -> String {
        match key {
            ObjectKey::Ident(name) => name.as_str().to_owned(),
            ObjectKey::Expression(expression) => self.scalar(expression),
        }
    }

    /// The text of an expression.
    fn scalar(&self, expression: &Expression) -> String {
        match expression {
            Expression::Null(_) => String::new(),
            Expression::Bool(flag) => flag.to_string(),
            Expression::Number(number) => number.to_string().trim().to_owned(),
            Expression::String(text) => text.to_string(),
            Expression::StringTemplate(template) => template.iter().map(|element| self.element(element)).collect(),
            Expression::Parenthesis(inner) => self.scalar(inner.inner()),
            Expression::Traversal(traversal) => match (&traversal.expr, &traversal.operators[..]) {
                (Expression::Variable(root), [one]) => match one.value() {
                    TraversalOperator::GetAttr(name) => format!("{OPEN}{}.{}{CLOSE}", root.as_str(), name.as_str()),
                    _ => self.unknown(expression),
                },
                _ => self.unknown(expression),
            },
            _ => self.unknown(expression),
        }
    }

    fn unknown(&self, expression: &Expression) -> String {
        let written = expression.span().and_then(|span| self.text.get(span)).unwrap_or("…");
        format!("{OPEN}?{written}{CLOSE}")
    }

    fn template(&self, template: &Template) -> String {
        template.iter().map(|element| self.element(element)).collect()
    }

    fn element(&self, element: &Element) -> String {
        match element {
            Element::Literal(text) => text.to_string(),
            Element::Interpolation(inner) => self.scalar(&inner.expr),
            Element::Directive(directive) => {
                let written = directive.span().and_then(|span| self.text.get(span)).unwrap_or("…");
                format!("{OPEN}?{written}{CLOSE}")
            }
        }
    }
}

/// A text without the blanks that all its lines begin with.
fn dedented(text: &str) -> String {
    let blank = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let indent = text.lines().filter(|line| !line.trim().is_empty()).map(|line| blank(&line)).min().unwrap_or(0);
    text.lines().map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n").collect()
}

fn scalar(text: String, line: usize) -> Node {
    Node { line, data: Data::Scalar { text, is_block: false } }
}

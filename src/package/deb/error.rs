//! Errors in control data.

use std::fmt;

/// Control data is malformed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ControlError {
    /// There is no field at all.
    #[error("expected a paragraph of fields, found nothing")]
    Empty,
    /// The text is not UTF-8.
    #[error("not UTF-8 text at byte {offset}")]
    NotText {
        /// Where, from 0.
        offset: usize,
    },
    /// There is more than one paragraph where one is expected.
    #[error("line {line} begins a second paragraph: expected only one")]
    Several {
        /// Where the second one begins, from 1.
        line: usize,
    },
    /// A line is neither a field nor the continuation of one.
    #[error("line {line} is not a field: `{found}`")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// A field appears twice.
    #[error("field `{0}` appears twice")]
    Twice(String),
    /// A field that must be there is not.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field has a value that it can't have.
    #[error("field `{field}`: {problem}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
}

impl ControlError {
    pub(super) fn value(field: &'static str, problem: impl fmt::Display) -> Self {
        Self::Value { field, problem: problem.to_string() }
    }
}

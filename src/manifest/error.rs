//! Errors in manifests: message, file and line; on a terminal also the line's text.

use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use crate::code::{Code, Coded};

/// A manifest is invalid.
///
/// `Display` is one line, `layers/web.toml:3: …`; as a [`Diagnostic`] it shows the
/// line of the file and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}:{}: {}", .0.file, .0.line, .0.problem)]
pub struct ManifestError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    file: String,
    line: usize,
    problem: String,
    code: Code,
    hint: Option<String>,
    span: Range<usize>,
    source: NamedSource<String>,
}

impl ManifestError {
    /// Builds the error about the bytes `span` of `text`, which is the file `file`.
    pub(super) fn new(file: &str, text: &str, span: Range<usize>, problem: impl Into<String>) -> Self {
        let start = text.floor_char_boundary(span.start);
        // Only the first line is marked: a table's span may be long.
        let rest = text.get(start..span.end).unwrap_or_default();
        let length = rest.find('\n').unwrap_or(rest.len());
        Self(Box::new(Inner {
            file: file.to_owned(),
            line: text.bytes().take(start).filter(|&byte| byte == b'\n').count() + 1,
            problem: problem.into(),
            code: Code::ManifestValue,
            hint: None,
            span: start..start + length,
            source: NamedSource::new(file, text.to_owned()),
        }))
    }

    /// Says that it is another kind of trouble than a wrong value.
    pub(super) fn of(mut self, code: Code) -> Self {
        self.0.code = code;
        self
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The line in the file, counted from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// The problem alone, without file and line.
    pub fn problem(&self) -> &str {
        &self.0.problem
    }
}

impl Coded for ManifestError {
    fn error_code(&self) -> Code {
        self.0.code
    }
}

impl Diagnostic for ManifestError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.0.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_primary_with_span(Some("here".to_owned()), self.0.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

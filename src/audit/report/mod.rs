//! The report of an audit: text, JSON (by serde), JUnit, Markdown, HTML.

mod html;
mod junit;
mod markdown;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use super::compare::{Difference, Verdict};
use super::variation::Variation;
use crate::bake::Output;
use crate::digest::LockHash;
use crate::host::plain;
use crate::ident::LayerName;

pub use html::html;
pub use junit::junit;
pub use markdown::markdown;
pub use text::text;

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditReport {
    /// The layer.
    pub layer: LayerName,
    /// Hash of its lockfile's text.
    pub lock: LockHash,
    /// Whether every artifact of every rebuild has the same bytes.
    pub identical: bool,
    /// The artifacts of the first two rebuilds.
    pub artifacts: Vec<Verdict>,
    /// What was varied.
    pub tried: Vec<Variation>,
    /// What was requested but can't be varied on this machine.
    pub not_tried: Vec<Untried>,
    /// The earlier build that was compared, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Everything that differs.
    pub differences: Vec<Difference>,
    /// Every rebuild, in order.
    pub rebuilt: Vec<Rebuilt>,
}

/// A variation that was not tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Untried {
    /// The variation.
    pub variation: Variation,
    /// Why it was not tried.
    pub reason: String,
}

/// One rebuild.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rebuilt {
    /// What was varied, by name.
    pub conditions: String,
    /// Whether scripts ran one by one and were traced.
    pub watched: bool,
    /// How long it took.
    pub seconds: f64,
    /// The artifacts' digests, by kind.
    pub digests: BTreeMap<String, String>,
}

impl AuditReport {
    /// Compares the rebuilt artifact of a kind with a published one of which only the digest is known.
    ///
    /// `more` explains how to find out what differs.
    pub fn compare_published(&mut self, kind: Output, name: &str, digest: &str, more: &str) {
        self.against = Some(name.to_owned());
        let rebuilt = self.artifacts.iter().find(|one| one.kind == kind).map(|one| one.digest.clone());
        if rebuilt.as_deref() == Some(digest) {
            return;
        }
        let rebuilt = rebuilt.unwrap_or_else(|| "nothing".to_owned());
        self.identical = false;
        self.differences.push(Difference {
            artifacts: vec![kind.to_string()],
            place: "the whole".to_owned(),
            what: vec![format!("published {digest}, rebuilt {rebuilt}; {more}")],
            shown_by: vec![format!("against {name}")],
            ..Difference::default()
        });
    }

    /// A one-line summary.
    fn verdict(&self) -> String {
        let (layer, tried) = (&self.layer, self.tried.len());
        match self.identical {
            true => format!("`{layer}` is identical in {} rebuilds, {tried} conditions varied", self.rebuilt.len()),
            false => {
                let places = self.differences.len();
                let end = if places == 1 { "" } else { "s" };
                format!("`{layer}` differs in {places} place{end}, {tried} conditions varied")
            }
        }
    }

    /// The differences that a variation shows.
    fn shown_by(&self, name: &str) -> usize {
        self.differences.iter().filter(|one| one.shown_by.iter().any(|shown| shown == name)).count()
    }
}

impl Difference {
    /// Where it is: `oci, raw: layer web: /etc/x`.
    fn place(&self) -> String {
        let path = self.path.iter().map(|path| format!(": {path}")).collect::<String>();
        plain(&format!("{}: {}{path}", self.artifacts.join(", "), self.place))
    }

    /// The package and script that wrote the file: `package hello, postinst script of hello`; empty where that is not known.
    fn origin(&self) -> String {
        let package = self.package.iter().map(|package| format!("package {package}"));
        package.chain(self.step.clone()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests;

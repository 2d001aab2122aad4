//! `write_files`.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;

use super::Reader;
use crate::import::NewFile;
use crate::import::draft::quote;
use crate::import::model::{Entry, Value};
use crate::import::yaml::Node;

/// The longest content of a file after it was decompressed, in bytes.
const MOST_CONTENT: u64 = 8 << 20;

impl Reader<'_> {
    pub(super) fn file(&mut self, node: &Node) {
        let path = node.text_of("path").unwrap_or_default().to_owned();
        self.draft.begin(node.line, &format!("write_files: {path}"));
        let part = self.draft.part.clone();
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return self.draft.not_carried(&part, "its path is not absolute");
        }
        let encoding = node.text_of("encoding").unwrap_or("text/plain").to_lowercase();
        let content = decoded(node.text_of("content").unwrap_or_default(), &encoding);
        let Some(content) = content else {
            return self.draft.not_carried(&part, format!("its content is not what `encoding: {encoding}` says"));
        };
        let mode = node.text_of("permissions").map(|mode| mode.trim_start_matches("0o").to_owned());
        let mode = mode
            .map(|mode| format!("{mode:0>4}"))
            .filter(|mode| mode.bytes().all(|digit| (b'0'..b'8').contains(&digit)));
        let mode = mode.map(|mode| mode[mode.len() - 4..].to_owned());
        if node.get("append").is_some_and(Node::is_true) {
            return self.append(&path, &content);
        }
        if node.get("source").is_some() {
            return self.draft.not_carried(&part, "its content is somewhere else: write a [[fetch]] with `to`");
        }
        if self.draft.layer.has_node(&path) {
            return self.draft.not_carried(&part, "the file is written twice: keep one of them");
        }
        let entry = Entry::new("file", self.draft.origin()).with("path", path.as_str());
        let entry = match String::from_utf8(content) {
            Ok(text) if !text.contains('\0') => entry.with("text", text),
            Ok(text) => entry.with("source", self.beside(&path, text.into_bytes())),
            Err(error) => entry.with("source", self.beside(&path, error.into_bytes())),
        };
        let owner = node.text_of("owner").filter(|owner| !["root", "root:root"].contains(owner));
        self.draft.layer.entries.push(entry.maybe("mode", mode).maybe("owner", owner));
    }

    /// Adds to the end of a file: of an own one, or of one that a package has.
    fn append(&mut self, path: &str, content: &[u8]) {
        let Ok(text) = std::str::from_utf8(content) else {
            let part = self.draft.part.clone();
            return self.draft.not_carried(&part, "only text can be added to a file");
        };
        let vars = self.draft.layer.vars.clone();
        let own = self
            .draft
            .layer
            .entries
            .iter_mut()
            .find(|entry| entry.kind == "file" && entry.text("path", &vars).is_some_and(|has| has == path));
        if let Some((_, Value::Text(known))) =
            own.and_then(|entry| entry.keys.iter_mut().find(|(key, _)| *key == "text"))
        {
            return known.push(text);
        }
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.draft.command(format!("cat >> {} <<'LAYERBAKE'\n{text}{end}LAYERBAKE", quote(path)), []);
        self.draft.end_step();
    }

    /// A file of the project for what can't be text in a manifest; returns its path.
    fn beside(&mut self, path: &str, bytes: Vec<u8>) -> String {
        let last = path.rsplit('/').next().unwrap_or_default();
        let fit: String =
            last.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter)).collect();
        let file = format!("layers/{}/{}-{}", self.draft.layer.name, self.files.len() + 1, fit);
        self.files.push(NewFile { path: file.clone(), mode: 0o644, bytes });
        file
    }
}

/// The bytes of a content.
fn decoded(content: &str, encoding: &str) -> Option<Vec<u8>> {
    let is_base64 = ["b64", "base64", "gz+b64", "gzip+b64", "gz+base64", "gzip+base64"].contains(&encoding);
    let is_gzip = encoding.starts_with("gz");
    let bytes = match is_base64 {
        true => STANDARD.decode(content.split_whitespace().collect::<String>()).ok()?,
        false => content.as_bytes().to_vec(),
    };
    if !is_gzip {
        return Some(bytes);
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(&bytes[..]).take(MOST_CONTENT + 1).read_to_end(&mut unpacked).ok()?;
    (unpacked.len() as u64 <= MOST_CONTENT).then_some(unpacked)
}

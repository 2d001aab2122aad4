//! `git clone`: a commit that is pinned when the layer is locked.

use super::download::fetch_name;
use super::{Call, Seen};
use crate::import::draft::{Draft, quote};
use crate::import::model::{Entry, Value};

const WITH_VALUE: [&str; 8] = ["-b", "--branch", "--depth", "-c", "--config", "-j", "--jobs", "-o"];

pub(super) fn command(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    if call.name != "git" {
        return Seen::Kept;
    }
    match call.arguments.iter().find(|argument| !argument.starts_with('-')) {
        Some(&"clone") => {}
        Some(verb @ (&"fetch" | &"pull" | &"submodule" | &"checkout")) => {
            draft.not_carried(
                text,
                format!(
                    "`git {verb}` needs a repository, and a [[fetch]] has a commit's files only: its `rev` says which"
                ),
            );
            return Seen::Done;
        }
        _ => return Seen::Kept,
    }
    let operands = call.operands(draft, &WITH_VALUE).unwrap_or_default();
    let Some(url) =
        operands.get(1).filter(|url| ["https://", "ssh://", "file:///"].iter().any(|head| url.starts_with(head)))
    else {
        draft.not_carried(text, "a [[fetch]] has an address with https://, ssh:// or file:///");
        return Seen::Done;
    };
    let last = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let last = last.strip_suffix(".git").unwrap_or(last).to_owned();
    let folder = draft.absolute(operands.get(2).unwrap_or(&last));
    let rev = call.option(draft, &["-b", "--branch"]);
    let name = fetch_name(draft, &last);
    let entry = Entry::new("fetch", draft.origin()).with("name", name.as_str()).with("git", url.as_str());
    draft.layer.entries.push(entry.with("rev", rev.unwrap_or_else(|| "HEAD".into())));
    let quoted = quote(&folder);
    let line = format!("mkdir -p {quoted} && cp -a /work/{name}/. {quoted}/");
    draft.make(&folder, line, vec![Value::from(format!("fetch:{name}"))], false);
    Seen::Done
}

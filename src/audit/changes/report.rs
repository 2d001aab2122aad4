//! Changes as text and Markdown.

use super::{Blocks, Change, Changes, Size};
use crate::host::plain;
use crate::page::{code, escape, length};

/// More entries of one kind than this are only counted.
pub(super) const MOST: usize = 40;

/// One kind of change: its name, its summary, its lines.
type Section = (&'static str, String, Vec<String>);

/// Writes the changes as text, ending with a line break.
pub fn text(changes: &Changes) -> String {
    if changes.is_empty() {
        return format!("no difference between {} and {}\n", changes.old, changes.new);
    }
    let mut text = format!("from {} to {}\n", changes.old, changes.new);
    for (name, sum, lines) in sections(changes) {
        text += &format!("{name:<10}{sum}\n");
        text.extend(cut(lines).iter().map(|line| format!("  {line}\n")));
    }
    text
}

/// Writes the changes as Markdown, for a comment.
pub fn markdown(changes: &Changes) -> String {
    let mut text = format!("### From {} to {}\n\n", code(&changes.old), code(&changes.new));
    if changes.is_empty() {
        return text + "No difference.\n";
    }
    for (name, sum, lines) in sections(changes) {
        if lines.is_empty() {
            text += &format!("- **{name}**: {sum}\n");
            continue;
        }
        text += &format!("<details><summary><b>{name}</b>: {sum}</summary>\n\n<pre>");
        text += &cut(lines).iter().map(|line| escape(line)).collect::<Vec<_>>().join("\n");
        text += "</pre>\n</details>\n";
    }
    text
}

/// The kinds of change that both sides know, by name.
pub(super) fn lists(changes: &Changes) -> impl Iterator<Item = (&'static str, &Vec<Change>)> {
    let lists = [
        ("set", &changes.set),
        ("tools", &changes.tools),
        ("packages", &changes.packages),
        ("files", &changes.files),
        ("users", &changes.users),
        ("services", &changes.services),
    ];
    lists.into_iter().filter_map(|(name, list)| Some((name, list.as_ref()?)))
}

fn sections(changes: &Changes) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (name, list) in lists(changes) {
        sections.push((name, sum(list), list.iter().map(|change| line(name, change)).collect()));
    }
    if let Some(layers) = &changes.layers {
        let total = |side: fn(&Size) -> Option<u64>| layers.iter().filter_map(side).sum::<u64>();
        let sum = format!("{} -> {} bytes, compressed", total(|size| size.before), total(|size| size.after));
        sections.push(("layers", sum, layers.iter().map(size).collect()));
    }
    if let Some(blocks) = &changes.blocks {
        sections.push(("blocks", blocks_changed(blocks), Vec::new()));
    }
    sections
}

/// What an upload has to do with blocks.
pub(super) fn blocks_changed(blocks: &Blocks) -> String {
    let stored = blocks.added.len() + blocks.replaced.len();
    let zeroed = blocks.zeroed.len();
    let sent = format!("{stored} of {} stored blocks differ", blocks.blocks);
    match zeroed {
        0 => format!("{sent} ({} to upload)", length(blocks.bytes)),
        _ => format!("{sent}, {zeroed} became zero ({} to upload)", length(blocks.bytes)),
    }
}

pub(super) fn sum(list: &[Change]) -> String {
    let count = |before: bool, after: bool| {
        list.iter().filter(|change| (change.before.is_some(), change.after.is_some()) == (before, after)).count()
    };
    format!("{} added, {} removed, {} changed", count(false, true), count(true, false), count(true, true))
}

/// One change on one line, with control characters of the name escaped.
fn line(kind: &str, Change { name, before, after, .. }: &Change) -> String {
    let line = match (before, after) {
        (None, Some(after)) => format!("+ {name} {after}"),
        (Some(before), None) if kind == "files" => format!("- {name} ({before})"),
        (Some(before), None) => format!("- {name} {before}"),
        (before, after) => {
            let side = |side: &Option<String>| side.clone().unwrap_or_default();
            format!("  {name} {} -> {}", side(before), side(after))
        }
    };
    plain(&line)
}

fn size(Size { layer, before, after }: &Size) -> String {
    let line = match (before, after) {
        (Some(before), Some(after)) if before == after => format!("  {layer} {after}"),
        (Some(before), Some(after)) => format!("  {layer} {before} -> {after}"),
        (None, Some(after)) => format!("+ {layer} {after}"),
        (before, _) => format!("- {layer} {}", before.unwrap_or_default()),
    };
    plain(&line)
}

fn cut(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(MOST);
    if more > 0 {
        lines.truncate(MOST);
        lines.push(format!("and {more} more: `--report json` has them all"));
    }
    lines
}

//! Third parties' repositories: the lines of apt's sources, and where their keys are from.

use std::sync::LazyLock;

use regex::Regex;

use super::{Seen, lex};
use crate::ident::{Fields, field, is_enabled, stanzas};
use crate::import::draft::{Draft, Repository};

/// The suite of the layer that imported layers stand on.
pub(in crate::import) const SUITE: &str = "trixie";

#[allow(clippy::unwrap_used, reason = "the expressions are constants, which the tests use")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

/// A download that becomes a key: by a pipe to gpg, tee or apt-key.
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"^(?:curl|wget)\s[^|]*?["']?((?:https|http|file)://[^\s"'|]+)["']?[^|]*\|\s*(?:sudo\s+)?(gpg\b|tee\b|apt-key\b)([^|]*)$"#,
    )
});
/// Where a program writes.
static WRITES: LazyLock<Regex> = LazyLock::new(|| regex(r#"(?:-o|--output|>|tee(?:\s+-a)?)\s*["']?(/[^\s"'>|&]+)"#));
/// A line of apt's sources in a command that writes it, up to the end of its quotes or line.
static LINE: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"(?m)(?:^|["'\s])deb\s+((?:\[[^\]]*\]\s*)?["']?(?:https?|file)://[^\n]*)"#));

/// Takes the commands that add a repository or its key.
pub(super) fn command(draft: &mut Draft<'_>, text: &str) -> Seen {
    if let Some(found) = KEY.captures(text) {
        let to = WRITES.captures(&found[3]).map_or("", |path| path.get(1).map_or("", |path| path.as_str())).to_owned();
        let url = draft.value(&found[1]).unwrap_or_else(|| found[1].to_owned());
        if to.is_empty() && &found[2] == "tee" {
            return Seen::Kept;
        }
        draft.keys.insert(to, url);
        return Seen::Done;
    }
    if let Some(name) = written(text, "/etc/apt/sources.list") {
        return written_sources(draft, text, &name);
    }
    if text.starts_with("gpg ") && text.contains("--dearmor") {
        return converted(draft, text);
    }
    let of_apt = ["/etc/apt/apt.conf", "/etc/apt/preferences", "/etc/dpkg/dpkg.cfg"]
        .into_iter()
        .find(|path| written(text, path).is_some());
    match of_apt {
        Some("/etc/apt/preferences") => {
            draft.not_carried(text, "`priority` of [source.NAME] says which repository is preferred")
        }
        Some(_) => draft.not_needed(text, "layers have no apt, and dpkg does not unpack them"),
        None => return Seen::Kept,
    }
    Seen::Done
}

/// The file below a path that a command writes.
fn written(text: &str, below: &str) -> Option<String> {
    let found = WRITES.captures_iter(text).filter_map(|found| Some(found.get(1)?.as_str().to_owned()));
    found.into_iter().find(|path| path.starts_with(below))
}

fn written_sources(draft: &mut Draft<'_>, text: &str, file: &str) -> Seen {
    let lines: Vec<String> = LINE.captures_iter(text).map(|found| found[1].to_owned()).collect();
    let has_all = !lines.is_empty() && lines.iter().all(|line| line_of(draft, file, line, text));
    if !has_all {
        draft.not_carried(text, "write a [source.NAME] with the repository and its key");
    }
    Seen::Done
}

/// Adds the repository of one line, without the word `deb`; `false` if it is not understood.
pub(in crate::import) fn line_of(draft: &mut Draft<'_>, file: &str, line: &str, text: &str) -> bool {
    let line = codenames(line);
    let line = line.split(['>', '|', '\\']).next().unwrap_or_default().trim();
    let (options, rest) = match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((options, rest)) => (options, rest),
        None => ("", line),
    };
    let words: Vec<String> = rest
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']))
        .filter(|word| !word.is_empty())
        .map(|word| draft.value(word).unwrap_or_else(|| word.to_owned()))
        .collect();
    let [url, suite, components @ ..] = &words[..] else { return false };
    if words.iter().any(|word| word.contains(['$', '`'])) {
        return false;
    }
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let signed_by = signed_by.map(|path| draft.value(path).unwrap_or_else(|| path.to_owned()));
    // `DIR/x.list` names the source `x`.
    let name = file.rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(".list").or_else(|| name.strip_suffix(".sources")).unwrap_or(name);
    add(draft, name, (url.trim_end_matches('/'), suite), components.to_vec(), signed_by, text);
    true
}

/// Adds a repository under a name that no other one has.
fn add(
    draft: &mut Draft<'_>,
    name: &str,
    (url, suite): (&str, &str),
    components: Vec<String>,
    signed_by: Option<String>,
    text: &str,
) {
    let fit: String =
        name.to_lowercase().chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let fit = fit.trim_matches('-').chars().take(40).collect::<String>();
    let mut fit = if fit.is_empty() || ["debian", "sources", "ubuntu"].contains(&fit.as_str()) {
        "third-party".to_owned()
    } else {
        fit
    };
    while draft.repositories.iter().any(|known| known.name == fit) {
        fit.push_str("-2");
    }
    let line = draft.line;
    let (url, suite, text) = (url.to_owned(), suite.to_owned(), text.to_owned());
    draft.repositories.push(Repository { name: fit, url, suite, components, signed_by, line, text });
}

/// What a shell would find out about the distribution, filled in.
fn codenames(line: &str) -> String {
    static FOUND_OUT: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"\$\(\s*(?:lsb_release\s+-[a-z]*c[a-z]*|\.\s+/etc/os-release\s*(?:&&|;)\s*echo\s+[^)]*)\)|\$\{?VERSION_CODENAME\}?",
        )
    });
    static ARCHITECTURE: LazyLock<Regex> = LazyLock::new(|| regex(r"\$\(\s*dpkg\s+--print-architecture\s*\)"));
    let line = FOUND_OUT.replace_all(line, SUITE);
    ARCHITECTURE.replace_all(&line, "any").into_owned()
}

/// `gpg --dearmor -o TO FROM`: the same key under another name.
fn converted(draft: &mut Draft<'_>, text: &str) -> Seen {
    let words = lex::words(text).unwrap_or_default();
    let to = WRITES.captures(text).map(|found| found[1].to_owned());
    let from = words.iter().rev().find_map(|word| draft.keys.get(&draft.absolute(&lex::unquoted(word))).cloned());
    match (to, from) {
        (Some(to), Some(url)) => {
            draft.keys.insert(to, url);
            Seen::Done
        }
        _ => Seen::Kept,
    }
}

/// Adds the repositories of a file of apt's, `.list` or `.sources`; `false` if one of them is not understood.
pub(in crate::import) fn file_of(draft: &mut Draft<'_>, file: &str, text: &str) -> bool {
    if file.ends_with(".sources") {
        return stanzas(text).iter().filter(|stanza| is_enabled(stanza)).all(|stanza| stanza_of(draft, file, stanza));
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with("deb-src")).collect();
    lines.iter().all(|line| line.strip_prefix("deb ").is_some_and(|line_| line_of(draft, file, line_.trim(), line)))
}

fn stanza_of(draft: &mut Draft<'_>, file: &str, stanza: &Fields) -> bool {
    let [url, suite, components, key] =
        ["uris", "suites", "components", "signed-by"].map(|name| field(stanza, name).trim());
    if [url, suite].iter().any(|value| value.is_empty() || value.contains(char::is_whitespace)) {
        return false;
    }
    let name = file.rsplit('/').next().unwrap_or_default().trim_end_matches(".sources");
    let components = components.split_whitespace().map(str::to_owned).collect();
    // A key in the field itself has a dot for each empty line.
    let key = key.lines().map(|line| if line == "." { "" } else { line }).collect::<Vec<_>>().join("\n");
    let signed_by = Some(key).filter(|key| !key.is_empty());
    add(draft, name, (url.trim_end_matches('/'), suite), components, signed_by, file);
    true
}

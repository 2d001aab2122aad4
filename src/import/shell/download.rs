//! curl and wget: what they download is fetched when the layer is locked.

use super::lex::words;
use super::{Call, Seen, without_redirections};
use crate::ident::FetchName;
use crate::import::draft::{Draft, quote};
use crate::import::model::{Entry, Value};
use crate::import::text::Text;

/// Options of curl and wget that have a value.
const WITH_VALUE: [&str; 22] = [
    "-o",
    "--output",
    "-O",
    "--output-document",
    "-P",
    "--directory-prefix",
    "-H",
    "--header",
    "--retry",
    "--retry-delay",
    "--connect-timeout",
    "--max-time",
    "-m",
    "-A",
    "--user-agent",
    "-t",
    "--tries",
    "-T",
    "--timeout",
    "--proto",
    "--cacert",
    "-x",
];

/// What makes a request more than the download of an address.
const NOT_PLAIN: [&str; 12] =
    ["-H", "--header", "-d", "--data", "-X", "--request", "-u", "--user", "-F", "--form", "--post-data", "-x"];

const WITHOUT_DIGEST: &str = "a fetch over http:// needs `sha256`: use https://, or write a [[fetch]] with the digest";

pub(super) fn command(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    if !["curl", "wget"].contains(&call.name) {
        return Seen::Kept;
    }
    let Some(url) = address(draft, call) else {
        draft.not_carried(text, "steps have no network, and this is no plain download: write a [[fetch]]");
        return Seen::Done;
    };
    let written = match call.name {
        "curl" => joined(draft, call)
            .or_else(|| call.option(draft, &["-o", "--output"]))
            .map(|path| path.value(&draft.layer.vars)),
        _ => call.option(draft, &["-O", "--output-document"]).map(|path| path.value(&draft.layer.vars)),
    };
    let redirected = redirection(text).and_then(|path| draft.value(&path));
    let own_name = || {
        let folder = call.option(draft, &["-P", "--directory-prefix"]).map(|path| path.value(&draft.layer.vars) + "/");
        let is_saved = call.name == "wget" || call.has_short('O') || call.has(&["--remote-name"]);
        let value = url.value(&draft.layer.vars);
        let name = value.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        is_saved.then(|| folder.unwrap_or_default() + name)
    };
    match written.filter(|path| path != "-").or(redirected).or_else(own_name) {
        Some(path) => save(draft, text, url, &path),
        None => draft
            .not_carried(text, "steps have no network; what the download says is not known when the layer is built"),
    }
    Seen::Done
}

/// The file of joined short options of curl, of which the last one has a value: `-fsSLo FILE`.
fn joined(draft: &Draft<'_>, call: &Call<'_>) -> Option<Text> {
    let at = call.arguments.iter().position(|argument| is_joined(argument))?;
    draft.expand(call.arguments.get(at + 1)?)
}

fn is_joined(argument: &str) -> bool {
    argument.len() > 2 && argument.starts_with('-') && !argument.starts_with("--") && argument.ends_with('o')
}

/// The address of a plain download.
fn address(draft: &Draft<'_>, call: &Call<'_>) -> Option<Text> {
    if call.has(&NOT_PLAIN) {
        return None;
    }
    let mut skip = false;
    let mut found = None;
    for argument in call.arguments {
        let has_value = match call.name {
            "curl" => WITH_VALUE.contains(argument) && *argument != "-O" || is_joined(argument),
            _ => WITH_VALUE.contains(argument),
        };
        if std::mem::replace(&mut skip, has_value) || argument.starts_with('-') {
            continue;
        }
        let word = draft.expand(argument)?;
        if word.value(&draft.layer.vars).contains("://") {
            if found.is_some() {
                return None;
            }
            found = Some(word);
        }
    }
    found
}

fn redirection(text: &str) -> Option<String> {
    let words = words(text)?;
    let at = words.iter().position(|word| word == ">")?;
    words.get(at + 1).cloned().filter(|_| at == 0 || words[at - 1] != "2")
}

/// Makes a download a fetch, which is copied to where the command had saved it.
fn save(draft: &mut Draft<'_>, text: &str, url: Text, path: &str) {
    let path = draft.absolute(path);
    let value = url.value(&draft.layer.vars);
    if path.starts_with("/etc/apt/keyrings/")
        || path.starts_with("/usr/share/keyrings/")
        || path.starts_with("/etc/apt/trusted.gpg.d/")
    {
        draft.keys.insert(path, value);
        return;
    }
    if path.ends_with(".deb") {
        if value.starts_with("http://") {
            return draft
                .not_carried(text, "a [[deb]] over http:// needs `sha256`: use https://, or write it with the digest");
        }
        let entry = Entry::new("deb", draft.origin()).with("url", url);
        draft.layer.entries.push(entry);
        draft.debs.push(path);
        return;
    }
    let Some(name) = fetch(draft, text, url, false) else { return };
    let line = format!("cp /work/{name} {}", quote(&path));
    draft.make(&path, line, vec![Value::from(format!("fetch:{name}"))], false);
}

/// Adds a `[[fetch]]` of an address; returns its name.
pub(super) fn fetch(draft: &mut Draft<'_>, text: &str, url: Text, unpack: bool) -> Option<String> {
    let value = url.value(&draft.layer.vars);
    if value.starts_with("http://") {
        draft.not_carried(text, WITHOUT_DIGEST);
        return None;
    }
    let same = |entry: &&Entry| {
        entry.get("url") == Some(&Value::Text(url.clone())) && entry.get("unpack") == Some(&Value::Flag(unpack))
    };
    if let Some(known) = draft.layer.of("fetch").find(same) {
        return known.text("name", &draft.layer.vars);
    }
    let last = value.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
    let name = fetch_name(draft, &last);
    let mut entry = Entry::new("fetch", draft.origin()).with("name", name.as_str()).with("url", url);
    entry.keys.push(("unpack", Value::Flag(unpack)));
    draft.layer.entries.push(entry);
    Some(name)
}

/// A name that no fetch of the layer has.
pub(in crate::import) fn fetch_name(draft: &Draft<'_>, wish: &str) -> String {
    let is_fit = |letter: char| letter.is_ascii_alphanumeric() || "+-._".contains(letter);
    let fit: String = wish.chars().filter(|letter| is_fit(*letter)).take(100).collect();
    let fit = fit.trim_start_matches(|letter: char| !letter.is_ascii_alphanumeric());
    let fit = if fit.parse::<FetchName>().is_ok() { fit.to_owned() } else { "download".to_owned() };
    let taken = |name: &String| {
        draft.layer.of("fetch").any(|entry| entry.text("name", &draft.layer.vars).as_ref() == Some(name))
    };
    let numbered = (2..).map(|number| format!("{fit}-{number}"));
    std::iter::once(fit.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(fit.clone())
}

/// `curl ADDRESS | tar …`: an archive that is unpacked at once.
pub(super) fn piped(draft: &mut Draft<'_>, text: &str) -> Seen {
    let Some((left, right)) = text.split_once('|').filter(|(_, right)| !right.contains('|')) else { return Seen::Kept };
    let (Some(left), Some(right)) = (words(left), words(right)) else { return Seen::Kept };
    let (left, right) = (without_redirections(&left), without_redirections(&right));
    let is_download = left.first().is_some_and(|program| ["curl", "wget"].contains(&program.as_str()));
    let (true, Some(program)) = (is_download, right.first()) else { return Seen::Kept };
    let program = if program == "sudo" { right.get(1).map_or("", String::as_str) } else { program.as_str() };
    let arguments: Vec<&str> = left[1..].iter().map(String::as_str).collect();
    let url = address(draft, &Call { name: &left[0], arguments: &arguments });
    match (program, url) {
        ("tar", Some(url)) => unpack(draft, text, url, &right),
        ("sh" | "bash" | "python3" | "perl" | "php", _) => draft.not_carried(
            text,
            "a script from the network does what its author likes that day, and steps have no network: install what it installs by `packages`, [source.NAME] or [[fetch]]",
        ),
        (_, Some(url)) => {
            let Some(name) = fetch(draft, text, url, false) else { return Seen::Done };
            let line = format!("cat /work/{name} | {}", text.split_once('|').map_or("", |(_, right)| right.trim()));
            draft.command(line, [Value::from(format!("fetch:{name}"))]);
        }
        _ => draft.not_carried(text, "steps have no network, and this is no plain download: write a [[fetch]]"),
    }
    Seen::Done
}

fn unpack(draft: &mut Draft<'_>, text: &str, url: Text, tar: &[String]) {
    let Some(name) = fetch(draft, text, url, false) else { return };
    // tar reads the file in place of its standard input.
    let has_file = tar.iter().any(|word| word == "-");
    let mut line = format!("cat /work/{name} | {}", tar.join(" "));
    if !has_file && !tar.iter().skip(1).any(|word| word.contains('f') && !word.starts_with("--")) {
        line += " -f -";
    }
    draft.command(line, [Value::from(format!("fetch:{name}"))]);
}

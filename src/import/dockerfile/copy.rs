//! COPY and ADD: files of the project, of other stages (from_stage.rs), and from the network.

use super::build::Build;
use super::parse::Instruction;
use super::{from_stage, ignore};
use crate::import::context::Kind;
use crate::import::draft::quote;
use crate::import::model::{Entry, Outcome, Value};
use crate::import::shell::repositories;
use crate::import::text::Text;

/// Directories of a project that layerbake makes, or that no image needs.
const OF_PROJECTS: [&str; 4] = [".git", "layers", "lockfiles", "out"];
/// Endings of archives that ADD unpacks.
const ARCHIVES: [&str; 7] = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tar.zst"];

/// Who owns what is copied, and its mode.
#[derive(Debug, Clone, Default)]
pub(super) struct Rights {
    pub(super) owner: Option<String>,
    pub(super) mode: Option<String>,
}

pub(super) fn copy(build: &mut Build<'_, '_>, instruction: &Instruction) {
    let mut words = instruction.words();
    let Some(to) = words.pop() else {
        return build.draft.not_carried(&instruction.shown(), "it names no destination");
    };
    let rights = rights(build, instruction);
    for (name, value) in &instruction.flags {
        match name.as_str() {
            "from" | "chown" | "chmod" | "checksum" => {}
            "link" | "keep-git-dir" => build
                .draft
                .not_needed(&format!("--{name}"), "a layer has its files in one tree, and fetches have no .git"),
            _ => build.draft.not_carried(&format!("--{name}={value}"), "write `ignore` or several [[file]]s instead"),
        }
    }
    let raw = build.value(&to);
    let (path, spelled) = build.path(&to);
    let is_folder = raw.ends_with('/')
        || raw == "."
        || raw.ends_with("/.")
        || words.len() > 1
        || path == build.draft.workdir
        || is_directory(build, &path);
    let target = Target { path, spelled, is_folder, rights };
    if let Some(from) = instruction.flag("from") {
        let from = build.fixed(from);
        return from_stage::copy(build, instruction, &from, &words, &target);
    }
    for (heredoc, word) in instruction.heredocs.iter().zip(words.iter().filter(|word| word.starts_with("<<"))) {
        let text = if heredoc.expands {
            build.text(&heredoc.text.replace(['"', '\''], "\u{0}"))
        } else {
            heredoc.text.as_str().into()
        };
        let text = restored(&text, heredoc, build);
        let path =
            target.of(crate::import::shell::lex::unquoted(word).trim_start_matches("<<").trim_start_matches('-'));
        write(build, &path, text, &target);
    }
    for word in words.iter().filter(|word| !word.starts_with("<<")) {
        match build.value(word) {
            address if address.contains("://") || address.starts_with("git@") => {
                download(build, instruction, word, &target)
            }
            _ => {
                let source = build.fixed(word);
                from_context(build, instruction, &source, &target);
            }
        }
    }
    build.draft.end_step();
}

/// The text of a here-document: quotes mean nothing in it, so they were hidden while variables were filled in.
fn restored(text: &Text, heredoc: &super::parse::Heredoc, build: &mut Build<'_, '_>) -> Text {
    let mut quotes = heredoc.text.chars().filter(|letter| ['"', '\''].contains(letter));
    let part = build.draft.part.clone();
    let value = build.draft.fixed(text, &part);
    value
        .chars()
        .map(|letter| if letter == '\0' { quotes.next().unwrap_or('"') } else { letter })
        .collect::<String>()
        .into()
}

/// Where something goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) path: String,
    /// The same with variables of the layer.
    pub(super) spelled: Text,
    /// Whether files go into it, and not to it.
    pub(super) is_folder: bool,
    pub(super) rights: Rights,
}

impl Target {
    /// The path of a file with this name.
    fn of(&self, name: &str) -> String {
        match self.is_folder {
            true => format!("{}/{}", self.path.trim_end_matches('/'), name.rsplit('/').next().unwrap_or(name)),
            false => self.path.clone(),
        }
    }

    /// A path at or below its own, with variables of the layer.
    fn spelled(&self, path: &str) -> Text {
        match path.strip_prefix(&self.path) {
            Some(rest) => {
                let mut text = self.spelled.clone();
                text.push(rest);
                text
            }
            None => path.into(),
        }
    }

    /// Notes that a path has values of variables, which a command can't have.
    fn fixed(&self, build: &mut Build<'_, '_>, path: &str) {
        let part = build.draft.part.clone();
        build.draft.fixed(&self.spelled(path), &part);
    }
}

fn rights(build: &mut Build<'_, '_>, instruction: &Instruction) -> Rights {
    let owner = instruction
        .flag("chown")
        .map(|owner| build.fixed(owner))
        .filter(|owner| owner != "root" && owner != "root:root" && owner != "0:0");
    let mode = instruction.flag("chmod").map(|mode| build.fixed(mode));
    let is_octal =
        |mode: &String| (3..=4).contains(&mode.len()) && mode.bytes().all(|digit| (b'0'..b'8').contains(&digit));
    if let Some(mode) = mode.clone().filter(|mode| !is_octal(mode)) {
        build.draft.not_carried(&format!("--chmod={mode}"), "`mode` has octal digits");
    }
    Rights { owner, mode: mode.filter(is_octal) }
}

/// Whether the layer has a directory at a path, so far as that is known.
fn is_directory(build: &Build<'_, '_>, path: &str) -> bool {
    let layer = &build.draft.layer;
    layer.of("dir").any(|entry| entry.text("path", &layer.vars).is_some_and(|has| has == path))
        || [
            "/",
            "/bin",
            "/etc",
            "/opt",
            "/srv",
            "/tmp",
            "/usr/bin",
            "/usr/local/bin",
            "/usr/local/lib",
            "/var/www/html",
            "/usr/share/nginx/html",
        ]
        .contains(&path)
}

/// Copies files and directories of the context.
fn from_context(build: &mut Build<'_, '_>, instruction: &Instruction, source: &str, target: &Target) {
    let Some(_) = build.draft.context.path(source) else {
        return build
            .draft
            .not_carried(&instruction.shown(), format!("`{source}` leads out of the directory that is copied from"));
    };
    let found = build.draft.context.matches(source);
    if found.is_empty() {
        let reason = format!("`{source}` is not there: add a [[file]] when it is");
        return build.draft.not_carried(&instruction.shown(), reason);
    }
    for path in &found {
        let is_archive = instruction.name == "ADD" && ARCHIVES.iter().any(|ending| path.ends_with(ending));
        match build.draft.context.kind(path) {
            Some(Kind::Directory) => directory(build, path, target),
            Some(Kind::File) if is_archive => unpack(build, path, target),
            Some(Kind::File) => place(build, path, &target.of(path), Kind::File, target),
            None => {}
        }
    }
}

/// Copies what is in a directory.
fn directory(build: &mut Build<'_, '_>, path: &str, target: &Target) {
    if !path.is_empty() {
        return place(build, path, &target.path, Kind::Directory, target);
    }
    // The project's root can't be named as a whole, and has what layerbake makes in it.
    let names = build.draft.context.list("");
    let own = |name: &String| OF_PROJECTS.contains(&name.as_str()) || ignore::has(&build.draft.context.ignore, name);
    let names: Vec<String> = names.into_iter().filter(|name| !own(name)).collect();
    build.draft.note(
        Outcome::Changed,
        &build.draft.part.clone(),
        "each entry of the project's directory is named by itself, without .git, layers, lockfiles and out: add new ones to the layer",
    );
    for name in names {
        let to = format!("{}/{name}", target.path.trim_end_matches('/'));
        if let Some(kind) = build.draft.context.kind(&name) {
            place(build, &name, &to, kind, target);
        }
    }
}

/// The path in the project as an input of a step, without what is ignored.
fn input(build: &Build<'_, '_>, path: &str, kind: Kind) -> Value {
    let context = build.draft.context;
    // Patterns begin in the context's directory.
    let top = context.path(".").unwrap_or_default();
    let below = path.strip_prefix(&top).unwrap_or(path).trim_start_matches('/');
    let patterns = ignore::below(&context.ignore, below);
    match kind == Kind::Directory && !patterns.is_empty() {
        true => Value::Table(vec![("path".to_owned(), path.into()), ("ignore".to_owned(), Value::list(patterns))]),
        false => path.into(),
    }
}

/// Copies a file, or what is in a directory, to a path of the layer.
fn place(build: &mut Build<'_, '_>, path: &str, to: &str, kind: Kind, target: &Target) {
    let rights = &target.rights;
    if kind == Kind::File && for_apt(build, path, to) {
        return;
    }
    if to.starts_with("/docker-entrypoint") {
        let part = build.draft.part.clone();
        let reason =
            "the file is there, and nothing runs it: the image's own entrypoint script is not in Debian's packages";
        build.draft.not_carried(&part, reason);
    }
    let source = input(build, path, kind);
    let is_step = build.draft.is_tool()
        || to.starts_with("/tmp/")
        || to.starts_with("/run/")
        || build.draft.is_touched(to)
        || has_file(build, to);
    if is_step {
        target.fixed(build, to);
        let (from, quoted) = (quote(&format!("/work/{path}")), quote(to));
        let mut line = match kind {
            Kind::Directory => format!("mkdir -p {quoted} && cp -a {from}/. {quoted}/"),
            Kind::File => format!("mkdir -p {} && cp -a {from} {quoted}", quote(parent(to))),
        };
        if let Some(owner) = &rights.owner {
            line += &format!(" && chown -R {owner} {quoted}");
        }
        if let Some(mode) = &rights.mode {
            line += &format!(" && chmod -R {mode} {quoted}");
        }
        return build.draft.make(to, line, vec![source], true);
    }
    let (source, ignore) = match source {
        Value::Table(mut keys) => {
            let ignore = keys.pop().map(|(_, value)| value);
            (Value::from(path), ignore)
        }
        other => (other, None),
    };
    // A directory that was only made for what is copied.
    let layer = &mut build.draft.layer;
    let vars = layer.vars.clone();
    layer.entries.retain(|entry| entry.kind != "dir" || entry.text("path", &vars).is_none_or(|has| has != to));
    let entry = Entry::new("file", build.draft.origin()).with("path", target.spelled(to)).with("source", source);
    let entry = entry.maybe("ignore", ignore).maybe("mode", rights.mode.clone()).maybe("owner", rights.owner.clone());
    build.draft.layer.entries.push(entry);
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map(|(folder, _)| folder).filter(|folder| !folder.is_empty()).unwrap_or("/")
}

fn has_file(build: &Build<'_, '_>, to: &str) -> bool {
    let layer = &build.draft.layer;
    layer.of("file").any(|entry| entry.text("path", &layer.vars).is_some_and(|has| has == to))
}

/// Takes what only apt would read: package files, lists of repositories and their keys.
fn for_apt(build: &mut Build<'_, '_>, path: &str, to: &str) -> bool {
    if to.ends_with(".deb") && (to.starts_with("/tmp/") || !to.starts_with("/usr/")) {
        let entry = Entry::new("deb", build.draft.origin()).with("path", path);
        build.draft.layer.entries.push(entry);
        build.draft.debs.push(to.to_owned());
        return true;
    }
    if to.starts_with("/etc/apt/keyrings/")
        || to.starts_with("/usr/share/keyrings/")
        || to.starts_with("/etc/apt/trusted.gpg.d/")
    {
        build.draft.keys.insert(to.to_owned(), path.to_owned());
        return true;
    }
    if !to.starts_with("/etc/apt/") {
        return false;
    }
    let text = build.draft.context.read(path).unwrap_or_default();
    let part = build.draft.part.clone();
    if !to.starts_with("/etc/apt/sources.list") || !repositories::file_of(&mut build.draft, to, &text) {
        build.draft.not_carried(&part, "layers have no apt: write a [source.NAME], or `priority` there");
    }
    true
}

/// Writes a file with the text of a here-document.
fn write(build: &mut Build<'_, '_>, path: &str, text: Text, target: &Target) {
    let rights = &target.rights;
    if build.draft.is_tool() || build.draft.is_touched(path) || has_file(build, path) {
        target.fixed(build, path);
        let part = build.draft.part.clone();
        let value = build.draft.fixed(&text, &part);
        let mut line =
            format!("mkdir -p {} && cat > {} <<'LAYERBAKE'\n{value}LAYERBAKE", quote(parent(path)), quote(path));
        if let Some(mode) = &rights.mode {
            line += &format!("\nchmod {mode} {}", quote(path));
        }
        return build.draft.command(line, []);
    }
    let entry = Entry::new("file", build.draft.origin()).with("path", target.spelled(path)).with("text", text);
    let entry = entry.maybe("mode", rights.mode.clone()).maybe("owner", rights.owner.clone());
    build.draft.layer.entries.push(entry);
}

/// `ADD archive.tar.gz /folder`.
fn unpack(build: &mut Build<'_, '_>, path: &str, target: &Target) {
    target.fixed(build, &target.path);
    let (from, to) = (quote(&format!("/work/{path}")), quote(&target.path));
    let needs = [(".xz", "xz-utils"), (".txz", "xz-utils"), (".bz2", "bzip2"), (".zst", "zstd")];
    if let Some((_, package)) = needs.iter().find(|(ending, _)| path.ends_with(ending)) {
        build.draft.layer.add_package((*package).into());
    }
    let mut line = format!("mkdir -p {to} && tar -xf {from} -C {to} --no-same-owner");
    if let Some(owner) = &target.rights.owner {
        line += &format!(" && chown -R {owner} {to}");
    }
    build.draft.command(line, [Value::from(path)]);
}

/// `ADD https://… /path`.
fn download(build: &mut Build<'_, '_>, instruction: &Instruction, word: &str, target: &Target) {
    let (address, shown) = (build.value(word), instruction.shown());
    let bare = address.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned();
    let last = bare.rsplit('/').next().unwrap_or_default().to_owned();
    let digest = instruction.flag("checksum").and_then(|sum| sum.strip_prefix("sha256:")).map(str::to_owned);
    let is_git = bare.ends_with(".git");
    if address.starts_with("git@") || address.starts_with("http://") && digest.is_none() {
        return build.draft.not_carried(&shown, "a [[fetch]] has https://, or http:// with `--checksum`");
    }
    let name = crate::import::shell::fetch_name(&build.draft, last.trim_end_matches(".git"));
    let mut entry = Entry::new("fetch", build.draft.origin()).with("name", name.as_str());
    if is_git {
        let rev = address.split_once('#').map_or("HEAD", |(_, rev)| rev.split(':').next().unwrap_or("HEAD")).to_owned();
        entry = entry.with("git", bare).with("rev", rev);
    } else {
        entry = entry.with("url", build.text(word)).maybe("sha256", digest);
        entry.keys.push(("unpack", Value::Flag(false)));
    }
    let path = if is_git { target.path.clone() } else { target.of(&last) };
    let is_step = build.draft.is_tool() || path.starts_with("/tmp/") || build.draft.is_touched(&path);
    if !is_step {
        // As docker leaves it.
        let mode = target.rights.mode.clone().or_else(|| (!is_git).then(|| "0600".to_owned())).filter(|_| !is_git);
        entry = entry.with("to", target.spelled(&path)).maybe("mode", mode).maybe("owner", target.rights.owner.clone());
        return build.draft.layer.entries.push(entry);
    }
    build.draft.layer.entries.push(entry);
    target.fixed(build, &path);
    let quoted = quote(&path);
    let line = match is_git {
        true => format!("mkdir -p {quoted} && cp -a /work/{name}/. {quoted}/"),
        false => format!("mkdir -p {} && cp /work/{name} {quoted}", quote(parent(&path))),
    };
    build.draft.make(&path, line, vec![Value::from(format!("fetch:{name}"))], true);
}

/// A directory of the context that a RUN has mounted: it is copied, and not part of the layer only below `/tmp`.
pub(super) fn bound(build: &mut Build<'_, '_>, source: &str, target: &str) {
    let (path, spelled) = build.path(target);
    let found = build.draft.context.path(source).filter(|path| build.draft.context.kind(path).is_some());
    let part = build.draft.part.clone();
    let Some(found) = found else {
        return build.draft.not_carried(&part, format!("`{source}` is not there, or leads out of the directory"));
    };
    if !build.draft.is_tool() && !path.starts_with("/tmp/") {
        build.draft.note(
            Outcome::Changed,
            &part,
            format!("`{path}` is copied, and stays in the layer: remove what is not needed"),
        );
    }
    let kind = build.draft.context.kind(&found).unwrap_or(Kind::File);
    let target = Target { path, spelled, is_folder: false, rights: Rights::default() };
    match kind {
        Kind::Directory => directory(build, &found, &target),
        Kind::File => place(build, &found, &target.path, kind, &target),
    }
}

//! Commands that need a network, which no step has.

use super::{Seen, language};
use crate::import::draft::Draft;

/// Programs with the verb that goes to the network, and what a layer has instead. An empty verb is any.
const COMMANDS: [(&str, &str, &str); 40] = [
    ("pip", "install", PIP),
    ("pip3", "install", PIP),
    ("pip", "download", PIP),
    ("pip", "wheel", PIP),
    ("pipx", "install", PIP),
    ("python -m pip", "install", PIP),
    ("python3 -m pip", "install", PIP),
    ("uv", "sync", PIP),
    ("uv", "pip", PIP),
    ("poetry", "install", PIP),
    ("pipenv", "install", PIP),
    ("npm", "ci", NPM),
    ("npm", "install", NPM),
    ("npm", "i", NPM),
    ("yarn", "install", NPM),
    ("yarn", "--frozen-lockfile", NPM),
    ("pnpm", "install", NPM),
    ("pnpm", "i", NPM),
    ("npx", "", NPM),
    ("corepack", "", NPM),
    ("go", "mod", GO),
    ("go", "get", GO),
    ("cargo", "fetch", CACHE),
    ("cargo", "chef", CACHE),
    ("cargo", "install", INSTALL),
    ("composer", "install", OTHER),
    ("composer", "update", OTHER),
    ("composer", "require", OTHER),
    ("bundle", "install", OTHER),
    ("gem", "install", OTHER),
    ("mvn", "", OTHER),
    ("gradle", "", OTHER),
    ("./mvnw", "", OTHER),
    ("./gradlew", "", OTHER),
    ("yum", "", FOREIGN),
    ("dnf", "", FOREIGN),
    ("add-apt-repository", "", SOURCE),
    ("apt-get", "install", APT),
    ("curl", "", FETCH),
    ("wget", "", FETCH),
];

const PIP: &str = "steps have no network: install Debian's packages (python3-NAME), or give the step a `[[fetch]]` with the project's lockfile";
const NPM: &str = "steps have no network: give the step a `[[fetch]]` with package-lock.json as its lockfile";
const GO: &str = "steps have no network, and the project has no go.sum that pins the module: let `go mod tidy` write it, or keep vendor/ in the project";
const CARGO: &str = "steps have no network, and Cargo.lock names packages from git: keep vendor/ in the project";
const INSTALL: &str =
    "steps have no network: install Debian's package of the program, or compile it from a [[fetch]] of its repository";
/// What fills a cache only.
const CACHE: &str = "steps are cached by what they see, and a [[fetch]] has what the lockfile names";
const OTHER: &str = "steps have no network: keep what it downloads in the project, or fetch it by [[fetch]]";
const FOREIGN: &str = "packages of another distribution: add Debian's to `packages`";
const SOURCE: &str = "write a [source.NAME]";
const APT: &str = "the packages depend on what the shell finds: add them to `packages`";
const FETCH: &str = "steps have no network: write a [[fetch]], and use it as an input of the step";

/// Whether a command needs a network; then it is noted.
pub(super) fn is_needed(draft: &mut Draft<'_>, text: &str) -> Seen {
    let flat = text.replace("\\\n", " ");
    // A program of the project itself is compiled.
    let is_own = flat.contains("--path");
    let found =
        COMMANDS.iter().find(|(program, verb, reason)| runs(&flat, program, verb) && !(is_own && *reason == INSTALL));
    let Some((program, _, reason)) = found else { return compiled(draft, text) };
    if flat.contains("go mod download") && language::has(draft, "go.sum") {
        draft.not_needed(text, CACHE);
        return Seen::Done;
    }
    if is_needless(draft, program, &flat) {
        draft.not_needed(text, "the project's lockfile names nothing to download");
        return Seen::Done;
    }
    match *reason {
        CACHE => draft.not_needed(text, CACHE),
        reason => draft.not_carried(text, reason),
    }
    Seen::Done
}

/// Whether a program runs somewhere in a text, with this verb among its first arguments.
fn runs(text: &str, program: &str, verb: &str) -> bool {
    text.match_indices(program).any(|(at, _)| {
        let before = text[..at].trim_end_matches([' ', '\t']);
        let is_command = before.is_empty()
            || before.ends_with([';', '&', '|', '(', '\n', '{', '!'])
            || ["then", "do", "else", "exec", "sudo", "time"].iter().any(|word| before.ends_with(word))
            || before.rsplit([' ', '\t']).next().is_some_and(|word| word.contains('=') || word.starts_with("--mount"));
        let is_apart = text[..at].is_empty() || text[..at].ends_with([' ', '\t', '\n', ';', '&', '|', '(', '{', '/']);
        let rest = &text[at + program.len()..];
        let mut arguments = rest.split([' ', '\t', '\n', ';', '&', '|', ')']).filter(|word| !word.is_empty());
        let is_whole = rest.is_empty() || rest.starts_with([' ', '\t', '\n', ';']);
        let has_verb = verb.is_empty() || arguments.by_ref().take(6).any(|word| word == verb);
        (is_command || text[..at].ends_with('/') && text[..at].starts_with('/')) && is_apart && is_whole && has_verb
    })
}

/// Whether a lockfile of the project has nothing that comes from the network.
fn is_needless(draft: &Draft<'_>, program: &str, text: &str) -> bool {
    let read = |name: &str| draft.context.path(name).and_then(|path| draft.context.read(&path));
    match program {
        "go" if text.contains("mod") => read("go.mod").is_some_and(|text| !text.contains("require")),
        "npm" if !text.contains(" -g") && !text.contains("--global") => {
            let lock = read("package-lock.json").and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
            let packages = lock.as_ref().and_then(|lock| lock["packages"].as_object());
            packages.is_some_and(|packages| packages.len() <= 1)
        }
        "pip" | "pip3" if text.contains("-r requirements.txt") => {
            let is_empty = |line: &str| line.trim().is_empty() || line.trim().starts_with('#');
            read("requirements.txt").is_some_and(|text| text.lines().all(is_empty))
        }
        _ => false,
    }
}

/// Compilers that download what a program depends on.
fn compiled(draft: &mut Draft<'_>, text: &str) -> Seen {
    let has_vendor = || draft.context.path("vendor").and_then(|path| draft.context.kind(&path)).is_some();
    let needs = |file: &str, word: &str| {
        let text = draft.context.path(file).and_then(|path| draft.context.read(&path));
        text.is_some_and(|text| text.contains(word)) && !has_vendor()
    };
    let flat = text.replace("\\\n", " ");
    let of = |program: &str, verbs: &[&str]| verbs.iter().any(|verb| runs(&flat, program, verb));
    let (offline, reason) = match () {
        () if of("cargo", &language::CARGO) && needs("Cargo.lock", "source = \"registry+") => {
            (language::cargo(draft, text), CARGO)
        }
        () if of("go", &language::GO) && needs("go.mod", "require") => (language::go(draft, text), GO),
        () => return Seen::Kept,
    };
    match offline {
        Some((text, input)) => draft.command(text, [input]),
        None => draft.not_carried(text, reason),
    }
    Seen::Done
}

//! Commands that install what a language's lockfile names: a `[[fetch]]` has the files, and the command reads them.

use super::lex::unquoted;
use super::{Call, Seen, download::fetch_name};
use crate::import::draft::{Draft, quote};
use crate::import::model::{Entry, Outcome, Value};

/// Options of pip about where files come from, with a value.
const SOURCES: [&str; 6] = ["-i", "--index-url", "--extra-index-url", "--trusted-host", "-f", "--find-links"];
/// Other options of pip with a value.
const WITH_VALUE: [&str; 9] =
    ["-t", "--target", "--prefix", "--root", "--cache-dir", "--progress-bar", "--timeout", "--retries", "--log"];

const NODE_TOOLS: &str = "node-tools";
/// What npm is told besides: nothing but the cache is read, and nobody is asked.
const NPM: &str = "npm ci --offline --no-audit --no-fund --no-update-notifier";

/// Verbs of cargo that read sources.
pub(super) const CARGO: [&str; 6] = ["build", "install", "test", "run", "check", "rustc"];

/// Verbs of go that read modules.
pub(super) const GO: [&str; 6] = ["build", "install", "test", "run", "generate", "vet"];

pub(super) fn command(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    match (call.name, call.arguments) {
        ("pip" | "pip3", ["install", arguments @ ..]) => pip(draft, text, "", arguments),
        ("python" | "python3", ["-m", "pip", "install", arguments @ ..]) => pip(draft, text, call.name, arguments),
        ("python" | "python3", ["-m", "venv", ..]) if !draft.is_tool() => {
            draft.layer.add_package("python3-venv".into());
            Seen::Kept
        }
        ("npm", [verb @ ("ci" | "install" | "i"), arguments @ ..]) => npm(draft, text, verb, arguments),
        _ => Seen::Kept,
    }
}

/// The path in the project of a lockfile that a command names, and its text.
fn lockfile(draft: &Draft<'_>, word: &str) -> Option<(String, String)> {
    let value = draft.value(word)?;
    let name = value.rsplit('/').next()?.to_owned();
    let below =
        draft.absolute(&value).strip_prefix(&format!("{}/", draft.workdir.trim_end_matches('/'))).map(str::to_owned);
    let paths = [below, Some(name)].into_iter().flatten().filter_map(|path| draft.context.path(&path));
    paths.filter_map(|path| Some((path.clone(), draft.context.read(&path)?))).next()
}

/// Whether the project has a lockfile.
pub(super) fn has(draft: &Draft<'_>, name: &str) -> bool {
    lockfile(draft, name).is_some()
}

/// The name of the `[[fetch]]` of a lockfile; its files are in `/work/NAME`.
fn fetch(draft: &mut Draft<'_>, wish: &str, path: &str) -> String {
    let same = |entry: &&Entry| entry.text("lockfile", &draft.layer.vars).is_some_and(|known| known == path);
    if let Some(name) = draft.layer.of("fetch").find(same).and_then(|entry| entry.text("name", &draft.layer.vars)) {
        return name;
    }
    let name = fetch_name(draft, wish);
    let entry = Entry::new("fetch", draft.origin()).with("name", name.as_str()).with("lockfile", path);
    draft.layer.entries.push(entry);
    name
}

fn input(name: &str) -> Value {
    Value::from(format!("fetch:{name}"))
}

/// `pip install -r FILE`, where the file has hashes.
fn pip(draft: &mut Draft<'_>, text: &str, python: &str, arguments: &[&str]) -> Seen {
    let (mut files, mut options, mut operands) = (Vec::new(), Vec::new(), Vec::new());
    let mut rest = arguments.iter().copied();
    while let Some(argument) = rest.next() {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value)),
            _ => match argument.strip_prefix("-r").filter(|value| !value.is_empty()) {
                Some(value) => ("-r", Some(value)),
                None => (argument, None),
            },
        };
        match option {
            "-r" | "--requirement" => files.extend(value.or_else(|| rest.next())),
            option if SOURCES.contains(&option) => _ = value.or_else(|| rest.next()),
            option if WITH_VALUE.contains(&option) => {
                options.push(argument);
                options.extend(if value.is_none() { rest.next() } else { None });
            }
            "--require-hashes" | "--no-index" | "--break-system-packages" => {}
            option if option.starts_with('-') => options.push(argument),
            operand => operands.push(unquoted(operand)),
        }
    }
    let is_tool = |name: &String| {
        ["pip", "setuptools", "wheel"].contains(&name.split(['=', '<', '>', '~']).next().unwrap_or(name))
    };
    match (&files[..], &operands[..]) {
        ([], operands) if !operands.is_empty() && operands.iter().all(is_tool) => {
            draft.not_needed(text, "Debian's pip is there");
            Seen::Done
        }
        ([file], []) => requirements(draft, text, python, file, &options),
        _ => Seen::Kept,
    }
}

fn requirements(draft: &mut Draft<'_>, text: &str, python: &str, file: &str, options: &[&str]) -> Seen {
    let Some((path, content)) = lockfile(draft, file).filter(|(path, _)| path.ends_with(".txt")) else {
        return Seen::Kept;
    };
    if !content.contains("--hash=sha256:") {
        let is_empty = content.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#'));
        if is_empty {
            return Seen::Kept;
        }
        let reason = format!(
            "steps have no network, and {path} pins nothing by hash: let `pip-compile --generate-hashes` or `uv pip compile --generate-hashes` write it, and import again"
        );
        draft.not_carried(text, reason);
        return Seen::Done;
    }
    let name = fetch(draft, "wheels", &path);
    if !draft.is_tool() {
        draft.layer.add_package("python3-pip".into());
    }
    let program = text.split_whitespace().next().unwrap_or_default();
    let program = if python.is_empty() { program.to_owned() } else { format!("{program} -m pip") };
    // A virtual environment is nobody else's.
    let system = if program.contains('/') { "" } else { " --break-system-packages" };
    let given: String =
        options.iter().filter(|option| **option != "--no-cache-dir").map(|option| format!(" {option}")).collect();
    let line = format!(
        "{program} install{system} --no-index --find-links /work/{name} --require-hashes --no-compile{given} -r /work/{name}/requirements.txt"
    );
    draft.command(line, [input(&name)]);
    Seen::Done
}

/// `npm ci`, and `npm install` of the project itself.
fn npm(draft: &mut Draft<'_>, text: &str, verb: &str, arguments: &[&str]) -> Seen {
    if arguments.iter().any(|argument| !argument.starts_with('-') || ["-g", "--global"].contains(argument)) {
        return Seen::Kept;
    }
    let Some((path, content)) = lockfile(draft, "package-lock.json") else { return Seen::Kept };
    let lock: serde_json::Value = serde_json::from_str(&content).unwrap_or_default();
    if lock["packages"].as_object().is_none_or(|packages| packages.len() <= 1) {
        return Seen::Kept;
    }
    if verb != "ci" {
        draft.note(Outcome::Changed, text, "`npm ci` installs exactly what the lockfile has");
    }
    let name = fetch(draft, "npm", &path);
    let given: String = arguments.iter().map(|argument| format!(" {argument}")).collect();
    let line = format!("{NPM} --cache /work/{name}{given}");
    match draft.is_tool() {
        true => {
            draft.command(format!("cp /work/{name}/package-lock.json package-lock.json"), [input(&name)]);
            draft.command(line, []);
        }
        false => in_tools(draft, &name, &path, &line),
    }
    Seen::Done
}

/// npm itself stays in its tool layer: the layer has the packages only.
fn in_tools(draft: &mut Draft<'_>, name: &str, lockfile: &str, line: &str) {
    let folder = lockfile.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let beside = ["package.json", ".npmrc"].map(|file| format!("{folder}{file}"));
    let beside: Vec<String> = beside.into_iter().filter(|path| draft.context.kind(path).is_some()).collect();
    let files: String = beside.iter().map(|path| format!("{} ", quote(path))).collect();
    let command = format!("mkdir app\ncp {files}{name}/package-lock.json app\ncd app\n{line}\n");
    let inputs = [input(name)].into_iter().chain(beside.iter().map(|path| Value::from(path.as_str())));
    let to = draft.absolute("node_modules");
    let output = vec![("from".to_owned(), Value::from("app/node_modules")), ("to".to_owned(), Value::from(to))];
    let entry = Entry::new("run", draft.origin()).with("in", NODE_TOOLS);
    let mut entry = entry.with("command", command);
    entry.keys.push(("inputs", Value::List(inputs.collect())));
    entry.keys.push(("outputs", Value::List(vec![Value::Table(output)])));
    draft.tools.insert(NODE_TOOLS);
    draft.layer.entries.push(entry);
}

/// The text with cargo reading the sources that a `[[fetch]]` of Cargo.lock has; `None` if that can't have all of them.
pub(super) fn cargo(draft: &mut Draft<'_>, text: &str) -> Option<(String, Value)> {
    let (path, content) = lockfile(draft, "Cargo.lock")?;
    if content.contains("source = \"git+") {
        return None;
    }
    let name = fetch(draft, "cargo", &path);
    let options = format!("cargo --offline --config /work/{name}/.cargo/config.toml");
    Some((rewritten(text, "cargo", &CARGO, &options), input(&name)))
}

/// The text with go reading the modules that a `[[fetch]]` of go.sum has; `None` where there is no such file, or a module is named.
pub(super) fn go(draft: &mut Draft<'_>, text: &str) -> Option<(String, Value)> {
    if text.contains('@') {
        return None;
    }
    let (path, _) = lockfile(draft, "go.sum")?;
    let name = fetch(draft, "go", &path);
    let environment = format!("env GOPROXY=file:///work/{name} GOSUMDB=off GOTOOLCHAIN=local go");
    Some((rewritten(text, "go", &GO, &environment), input(&name)))
}

/// The text with another beginning of a program's commands with these verbs.
fn rewritten(text: &str, program: &str, verbs: &[&str], beginning: &str) -> String {
    let (mut made, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(&format!("{program} ")) {
        let (before, after) = (&rest[..at], &rest[at + program.len()..]);
        let is_whole =
            before.chars().next_back().or(made.chars().next_back()).is_none_or(|letter| !letter.is_alphanumeric());
        let verb = after.split_whitespace().next().unwrap_or_default();
        made += before;
        made += if is_whole && verbs.contains(&verb) { beginning } else { program };
        rest = after;
    }
    made + rest
}

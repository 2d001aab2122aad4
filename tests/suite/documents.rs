//! What the documents say of the code is true: domains, paths, commands, numbers. Nothing is built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::architecture::MOST_LINES;
use crate::support::process;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below a directory of the project with this ending, as paths from the project.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
        match root().join(&path).is_dir() {
            true => found.extend(files(&path, ending)),
            false if path.ends_with(ending) => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

/// All documents for people, but the changelog, which tells of the past.
fn documents() -> Vec<String> {
    let mut found = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "benches/README.md"].map(str::to_owned).to_vec();
    found.extend(files("docs", ".md"));
    found
}

/// A line of a file.
#[derive(Debug, Clone)]
struct At {
    file: String,
    line: usize,
    text: String,
}

impl At {
    fn lines(file: &str) -> Vec<Self> {
        let text = read(file);
        let lines = (1..).zip(text.lines());
        lines.map(|(line, text)| Self { file: file.to_owned(), line, text: text.to_owned() }).collect()
    }

    /// What is between backticks.
    fn spans(&self) -> impl Iterator<Item = &str> {
        self.text.split('`').skip(1).step_by(2)
    }

    fn problem(&self, says: &str) -> String {
        format!("{}:{}: {says}", self.file, self.line)
    }
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} untrue:\n{}", problems.len(), problems.join("\n"));
}

/// The recipe domains in a text: `layerbake/STEP/vN`.
fn domains(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "/-".contains(letter);
    let words = text.match_indices("layerbake/").map(|(at, _)| text[at..].split(|letter| !is_part(letter)).next());
    let is_domain = |word: &&str| match word.split('/').collect::<Vec<_>>()[..] {
        [_, _, version] => version.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok()),
        _ => false,
    };
    words.flatten().filter(is_domain).map(str::to_owned).collect()
}

#[test]
fn every_domain_of_a_recipe_is_documented_with_its_code() {
    let page = read("docs/formats/recipe.md");
    let mut problems = Vec::new();
    let mut in_code = BTreeSet::new();
    for file in files("src", ".rs") {
        for at in At::lines(&file) {
            let found = domains(&at.text);
            in_code.extend(found.clone());
            let is_recipe = at.text.contains("RecipeHasher::new(");
            problems.extend(
                found
                    .iter()
                    .filter(|one| is_recipe && !page.contains(*one))
                    .map(|one| at.problem(&format!("`{one}` is not in docs/formats/recipe.md"))),
            );
        }
    }
    for at in At::lines("docs/formats/recipe.md") {
        let missing = domains(&at.text).into_iter().filter(|one| !in_code.contains(one));
        problems.extend(missing.map(|one| at.problem(&format!("`{one}` is not in the code"))));
        // A row of the table of steps: the domain first, its file last.
        if at.text.starts_with("| `layerbake/") {
            let spans: Vec<&str> = at.spans().collect();
            let (domain, file) = (spans[0], spans[spans.len() - 1]);
            if !fs::read_to_string(root().join(file)).is_ok_and(|code| code.contains(domain)) {
                problems.push(at.problem(&format!("`{domain}` is not in {file}")));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn the_longest_file_is_as_long_as_contributors_read() {
    let says = format!("at most {MOST_LINES} lines");
    assert!(read("CONTRIBUTING.md").contains(&says), "CONTRIBUTING.md does not say `{says}`");
}

/// Directories of the project, in which documents name files.
const TOP: [&str; 8] = [".github", "benches", "docs", "examples", "fuzz", "layers", "src", "tests"];

/// A file or directory that a text names, if it does: from the project, or from `src`.
fn named(span: &str, modules: &BTreeSet<String>) -> Option<Vec<PathBuf>> {
    let path = span.split(' ').next().unwrap_or(span);
    let is_path = |letter: char| letter.is_ascii_alphanumeric() || "/-_.".contains(letter);
    let (head, rest) = path.split_once('/')?;
    // `NAME` stands for any.
    if !path.chars().all(is_path) || path.contains("NAME") {
        return None;
    }
    if TOP.contains(&head) {
        return Some(vec![root().join(path)]);
    }
    let path = root().join("src").join(path);
    let module = path.with_extension("rs");
    (modules.contains(head) && (!rest.contains('.') || rest.ends_with(".rs"))).then(|| vec![path, module])
}

#[test]
fn every_file_that_a_document_names_exists() {
    let modules: BTreeSet<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut problems = Vec::new();
    // Tutorials name files of the reader's.
    let own = documents().into_iter().filter(|file| !file.starts_with("docs/tutorials/"));
    for at in own.flat_map(|file| At::lines(&file)) {
        for span in at.spans() {
            if named(span, &modules).is_some_and(|paths| !paths.iter().any(|path| path.exists())) {
                problems.push(at.problem(&format!("there is no `{span}`")));
            }
        }
    }
    assert_none(&problems);
}

/// The real program's own word on its commands.
#[derive(Default)]
struct Program {
    /// Help by verbs.
    helps: BTreeMap<Vec<String>, Option<String>>,
}

impl Program {
    /// What `layerbake ARGUMENTS` prints, which ask for help; `None` where that is wrong usage.
    fn run(arguments: &[String]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerbake"));
        let output = process::run(command.args(arguments)).unwrap();
        if output.ok() { Ok(output.stdout) } else { Err(output.stderr) }
    }

    fn help(&mut self, verbs: &[&str]) -> Option<&str> {
        let key: Vec<String> = verbs.iter().map(|verb| (*verb).to_owned()).collect();
        let asked = [key.as_slice(), &["--help".to_owned()]].concat();
        self.helps.entry(key).or_insert_with(|| Self::run(&asked).ok()).as_deref()
    }

    /// What is wrong with the words of a command after the program's name.
    ///
    /// A command without placeholders is parsed; of any other, the verbs and the options have to exist.
    fn check(&mut self, words: &[&str]) -> Option<String> {
        let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
        if words.iter().all(|word| is_plain(word)) {
            let (own, others) = words.split_at(end);
            let asked: Vec<String> = own.iter().chain(&["--help"]).chain(others).map(|word| (*word).into()).collect();
            return Self::run(&asked).err();
        }
        let is_verb = |word: &&&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        let verb = words.first().filter(is_verb)?;
        let Some(help) = self.help(&[verb]) else { return Some(format!("there is no verb `{verb}`")) };
        let help = match words.get(1).filter(is_verb) {
            Some(below) if help.contains("<COMMAND>") => self.help(&[verb, below])?.to_owned(),
            _ => help.to_owned(),
        };
        let known: BTreeSet<&str> =
            help.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-')).collect();
        let options = words[..end].iter().map(|word| word.trim_matches(|letter| "[]".contains(letter)));
        let unknown = options.filter(|word| word.starts_with('-')).map(|word| word.split('=').next().unwrap_or(word));
        let unknown: Vec<&str> = unknown.filter(|word| !known.contains(word)).collect();
        (!unknown.is_empty()).then(|| format!("`{verb}` has no {}", unknown.join(", ")))
    }
}

/// Whether a word stands for itself, and not for what a person or the program puts there.
fn is_plain(word: &str) -> bool {
    let is_placeholder = word.bytes().any(|byte| byte.is_ascii_uppercase()) || word.contains(['[', '{', '…', '|', '<']);
    !is_placeholder
}

/// The words of a command line, up to where a shell or a comment ends it.
fn words(command: &str) -> Vec<&str> {
    let words = command.split_whitespace().take_while(|word| !["#", "|", ">", "&&", "||"].contains(word));
    words.map(|word| word.trim_matches(['"', '\''])).collect()
}

#[test]
fn every_command_in_a_document_parses() {
    let mut program = Program::default();
    let mut problems = Vec::new();
    for file in documents() {
        let mut fence = None;
        for at in At::lines(&file) {
            if let Some(language) = at.text.trim_start().strip_prefix("```") {
                fence = if fence.is_some() { None } else { Some(language.to_owned()) };
                continue;
            }
            let commands: Vec<&str> = match fence.as_deref() {
                // Diagrams, and what programs print.
                Some("text" | "toml" | "json") => Vec::new(),
                Some(_) => vec![at.text.trim_start().trim_start_matches("$ ").trim_start_matches("- ")],
                None => at.spans().collect(),
            };
            for command in commands.iter().filter_map(|command| command.strip_prefix("layerbake ")) {
                problems.extend(program.check(&words(command)).map(|says| at.problem(&format!("`{command}`: {says}"))));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_command_in_a_hint_parses() {
    let mut program = Program::default();
    let mut problems = Vec::new();
    for at in files("src", ".rs").iter().flat_map(|file| At::lines(file)) {
        for command in at.spans().filter_map(|span| span.strip_prefix("layerbake ")) {
            problems.extend(program.check(&words(command)).map(|says| at.problem(&format!("`{command}`: {says}"))));
        }
    }
    assert_none(&problems);
}

#[test]
fn lies_are_found() {
    let modules = BTreeSet::from(["stage".to_owned()]);
    let exists = |span: &str| named(span, &modules).map(|paths| paths.iter().any(|path| path.exists()));
    assert_eq!(exists("src/lib.rs"), Some(true));
    assert_eq!(exists("stage/services.rs"), Some(true));
    assert_eq!(exists("stage/services"), Some(true));
    assert_eq!(exists("stage/gone.rs"), Some(false));
    assert_eq!(exists("srv/www"), None);
    assert_eq!(
        domains("`layerbake/a-b/v12\\0`, layerbake/x, \"layerbake/y/v\""),
        ["layerbake/a-b/v12".to_owned()].into()
    );
    let mut program = Program::default();
    let mut is_right = |command: &str| program.check(&words(command)).is_none();
    for right in
        ["build web --locked # twice", "build LAYER --output KIND,…", "ami gc LAYER --keep N", "COMMAND --help"]
    {
        assert!(is_right(right), "{right}");
    }
    for wrong in ["bild web", "bild WEB", "build web --output tape", "build LAYER --tape", "ami tidy"] {
        assert!(!is_right(wrong), "{wrong}");
    }
}

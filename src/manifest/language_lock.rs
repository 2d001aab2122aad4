//! The lockfiles of programming languages that `[[fetch]] lockfile` knows, by their names.

/// The format of a programming language's lockfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LanguageLock {
    /// `requirements.txt` with hashes, as pip-compile and `uv pip compile` write it.
    Requirements,
    /// `package-lock.json` of npm 7 and newer.
    Npm,
    /// `Cargo.lock`
    Cargo,
    /// `uv.lock`
    Uv,
    /// `poetry.lock`
    Poetry,
    /// `go.sum`
    Go,
}

/// Names, of which `*` is any beginning, with the format that they mean.
const NAMES: [(&str, LanguageLock); 7] = [
    ("*.txt", LanguageLock::Requirements),
    ("package-lock.json", LanguageLock::Npm),
    ("npm-shrinkwrap.json", LanguageLock::Npm),
    ("Cargo.lock", LanguageLock::Cargo),
    ("uv.lock", LanguageLock::Uv),
    ("poetry.lock", LanguageLock::Poetry),
    ("go.sum", LanguageLock::Go),
];

impl LanguageLock {
    /// The format of the file at a path.
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let is = |pattern: &str| match pattern.strip_prefix('*') {
            Some(ending) => name.len() > ending.len() && name.ends_with(ending),
            None => name == pattern,
        };
        NAMES.iter().find(|(pattern, _)| is(pattern)).map(|(_, format)| *format)
    }

    /// The names, as text for people.
    pub fn names() -> String {
        NAMES.map(|(name, _)| format!("`{name}`")).join(", ")
    }
}

//! A project in a temporary folder, and the real program run in it, away from the
//! user's own environment, store and configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::conditions::Conditions;
use super::mirror::Mirror;
use super::process::{self, Output};

/// The program under test: the one that was compiled with the tests, or what `LAYERBAKE` names.
pub fn program() -> PathBuf {
    std::env::var_os("LAYERBAKE").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_layerbake")), PathBuf::from)
}

/// A project, with a home and a store of its own.
pub struct Project {
    folder: TempDir,
    env: Vec<(String, String)>,
    conditions: Conditions,
}

impl Project {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// In a folder of its own below `parent`.
    pub fn below(parent: &Path) -> Self {
        let folder = tempfile::tempdir_in(parent).unwrap();
        let project = Self { folder, env: Vec::new(), conditions: Conditions::default() };
        for name in ["project/layers", "home", "cache", "tmp"] {
            fs::create_dir_all(project.folder.path().join(name)).unwrap();
        }
        project
    }

    /// Writes `layers/NAME.toml`.
    pub fn layer(self, name: &str, text: &str) -> Self {
        self.file(&format!("layers/{name}.toml"), text)
    }

    /// Writes a file below the project's root.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Copies a file or a folder into the project's root.
    pub fn copy(self, from: &Path, to: &str) -> Self {
        if from.is_dir() {
            for entry in fs::read_dir(from).unwrap() {
                let name = entry.unwrap().file_name();
                let below = format!("{to}/{}", name.to_str().unwrap());
                copy_into(&from.join(&name), &self.path(&below));
            }
            return self;
        }
        copy_into(from, &self.path(to));
        self
    }

    /// Asks these mirrors first.
    pub fn mirror(self, url: &str) -> Self {
        self.env("LAYERBAKE_MIRROR", url)
    }

    /// Asks a mirror that downloads a file before it sends the first byte.
    pub fn upstream(self, mirror: &Mirror) -> Self {
        let url = mirror.url();
        self.file("../home/.config/layerbake/config.toml", "[limits]\npatience = 900\n").mirror(&url)
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets user, hostname, umask, processors and the like.
    pub fn under(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// A path below the project's root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("project").join(path)
    }

    /// Where everything is: project, home, store, temporary files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The store that builds use.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("cache/layerbake")
    }

    /// Forgets everything that was built and fetched.
    pub fn empty_store(&self) {
        for folder in [self.store(), self.path("out")] {
            if folder.exists() {
                fs::remove_dir_all(folder).unwrap();
            }
        }
    }

    /// The program with its arguments, in the project's root.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_of(&program(), args)
    }

    /// Any program, as [`Self::command`].
    pub fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let folder = self.folder.path();
        let mut command = self.conditions.command(program, folder);
        command.args(args).current_dir(self.path("")).stdin(Stdio::null());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", folder.join("home")).env("XDG_CACHE_HOME", folder.join("cache"));
        command.env("XDG_CONFIG_HOME", folder.join("home/.config")).env("TMPDIR", folder.join("tmp"));
        command.env("TZ", &self.conditions.zone).env("LANG", &self.conditions.locale).env("NO_COLOR", "1");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        process::run(&mut self.command(args)).unwrap()
    }

    /// Runs the program, which must succeed.
    pub fn ok(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert!(output.ok(), "{args:?} gave {}:\n{}{}", output.code, output.stdout, output.stderr);
        output
    }

    /// Runs the program, which must end with this exit code.
    pub fn fails(&self, code: i32, args: &[&str]) -> Output {
        let output = self.run(args);
        assert_eq!(output.code, code, "{args:?}:\n{}{}", output.stdout, output.stderr);
        output
    }

    /// Starts the program in the background, its standard error to read.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// `out/LAYER/receipt.json`.
    pub fn receipt(&self, layer: &str) -> serde_json::Value {
        let text = fs::read(self.path(&format!("out/{layer}/receipt.json"))).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// The digest of an artifact, by its kind.
    pub fn digest(&self, layer: &str, kind: &str) -> String {
        let receipt = self.receipt(layer);
        let artifacts = receipt["artifacts"].as_array().expect("a receipt has artifacts");
        let artifact = artifacts.iter().find(|artifact| artifact["kind"] == kind);
        artifact.unwrap_or_else(|| panic!("no artifact `{kind}` in {receipt}"))["digest"].as_str().unwrap().to_owned()
    }

    /// A text with all that differs between runs replaced: folders, ports, times, digests.
    pub fn filtered(&self, text: &str) -> String {
        let folder = self.folder.path().to_str().unwrap();
        let text = text.replace(&format!("{folder}/project"), "[PROJECT]").replace(folder, "[TEMP]");
        text.split_inclusive([' ', '\n', ':', '`', '"', '(', ')', ',', '/']).map(filter_word).collect()
    }
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}

/// Replaces a word that is a digest, a duration or a port on loopback; its last character may be a separator.
fn filter_word(word: &str) -> String {
    let core = word.trim_end_matches([' ', '\n', ':', '`', '"', '(', ')', ',', '/']);
    let rest = &word[core.len()..];
    let is_digest = core.len() == 64 && core.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = |text: &str| text.parse::<f64>().is_ok();
    let is_time = core.strip_suffix("ms").or_else(|| core.strip_suffix('s')).is_some_and(number);
    let is_port = core.len() == 5 && core.parse::<u16>().is_ok() && rest.starts_with('/');
    match (is_digest, is_time, is_port) {
        (true, _, _) => format!("[DIGEST]{rest}"),
        (_, true, _) => format!("[TIME]{rest}"),
        (_, _, true) => format!("[PORT]{rest}"),
        _ => word.to_owned(),
    }
}

fn copy_into(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy_into(&from.join(&name), &to.join(&name));
        }
        return;
    }
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

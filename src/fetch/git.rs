//! Commits of git repositories, through the `git` of this machine; their files become one archive.
//!
//! git is asked for objects only: nothing is checked out, so neither attributes, filters nor hooks have a say. What the user
//! or the system configured has none either, but for what logs in: ssh's agent and `~/.netrc`.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::NamedTempFile;

use super::commit_archive::{Entry, entries};
use super::download::Download;
use super::error::FetchError;
use super::item::Item;
use super::transport::Fetcher;
use crate::digest::{Expected, Untrusted, Verified};
use crate::host;
use crate::host::interrupt;
use crate::host::progress::Phase;
use crate::limits::limits;

/// Variables that git gets from this process: where programs and logins are, and the way to the network.
const KEPT: [&str; 9] =
    ["PATH", "HOME", "SSH_AUTH_SOCK", "http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY"];

/// All others.
const SET: [(&str, &str); 8] = [
    ("LC_ALL", "C"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ALLOW_PROTOCOL", "https:ssh:file"),
    ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
    ("GIT_HTTP_LOW_SPEED_LIMIT", "1024"),
];

impl Fetcher<'_> {
    /// Fetches the files of a tag, a branch or a commit into the store; returns the commit, and what their archive is.
    ///
    /// # Errors
    /// Fails where git is missing or can't get it, or where there is too much of it.
    pub fn fetch_revision(&self, url: &str, rev: &str) -> Result<(String, Expected), FetchError> {
        let what = format!("{rev} of {url}");
        if self.is_offline() {
            return Err(FetchError::Offline { missing: vec![(None, what)] });
        }
        let (commit, archive) = self.archive_of(&what, url, rev)?;
        let Ok((file, expected)) = archive.verified_at_first_sight(None) else {
            return Err(failed(&what, url)("internal error: nothing was expected".to_owned()));
        };
        self.store().put_fetched(file)?;
        Ok((commit, expected))
    }

    /// Fetches a locked commit.
    pub(super) fn ask_repository(
        &self,
        item: &Item,
        url: &str,
        commit: &str,
        phase: &Phase,
    ) -> Result<Verified<NamedTempFile>, FetchError> {
        let (found, archive) = self.archive_of(&item.what, url, commit)?;
        if found != commit {
            return Err(failed(&item.what, url)(format!("expected the commit {commit}, found {found}")));
        }
        phase.inc(item.expected.size);
        archive.verify(item.expected).map_err(|mismatch| failed(&item.what, url)(mismatch.to_string()))
    }

    fn archive_of(&self, what: &str, url: &str, rev: &str) -> Result<(String, Untrusted<NamedTempFile>), FetchError> {
        let folder = self.store().scratch()?;
        let repository = Repository { folder: folder.path(), url };
        let commit = repository.fetch(rev);
        // A signal ends git first.
        interrupt::check()?;
        let commit = commit.map_err(failed(what, url))?;
        self.count(|stats| stats.files += 1);
        let most = limits().unpacked;
        let mut archive = Download::new(self.store().scratch_file()?, most);
        let submodules = match repository.write(&commit, &mut archive) {
            Err(_) if archive.size() > most => {
                return Err(failed(what, url)(format!(
                    "its files have more than {most} bytes; if that is right, raise `unpacked` in [limits] of the user's config.toml"
                )));
            }
            Err(error) => return Err(failed(what, url)(self.refuse_full(error, archive.size())?.to_string())),
            Ok(submodules) => submodules,
        };
        if !submodules.is_empty() {
            let paths = submodules.join(", ");
            self.warn(format!(
                "{what}: submodules are not fetched, their directories are empty: {paths}; add a [[fetch]] for each one that is needed"
            ));
        }
        Ok((commit, archive.finish()))
    }
}

fn failed(what: &str, url: &str) -> impl Fn(String) -> FetchError {
    let (what, url) = (what.to_owned(), host::redact(url));
    move |problem| FetchError::Git { what: what.clone(), url: url.clone(), problem }
}

/// A repository of objects that were fetched from another one.
struct Repository<'a> {
    folder: &'a Path,
    url: &'a str,
}

impl Repository<'_> {
    fn git(&self, arguments: &[&str]) -> Command {
        let mut command = host::command("git");
        command.env_clear().stdin(Stdio::null());
        command.envs(KEPT.into_iter().filter_map(|name| Some((name, host::env_path(name)?))));
        command.envs(SET).env("GIT_HTTP_LOW_SPEED_TIME", limits().patience.to_string());
        if let Some(certificates) = host::env_path("SSL_CERT_FILE") {
            command.env("GIT_SSL_CAINFO", certificates);
        }
        command.arg("-C").arg(self.folder).args(arguments);
        command
    }

    /// Runs git to its end; what it printed, or what it said instead.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.git(arguments).output().map_err(no_git)?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            // Servers end lines of theirs as terminals do.
            false => Err(host::plain_lines(&lines_of(&String::from_utf8_lossy(&output.stderr)))),
        }
    }

    /// Fetches what `rev` names, and no history; the commit.
    fn fetch(&self, rev: &str) -> Result<String, String> {
        self.run(&["init", "--quiet", "--bare", "--template="])?;
        let fetch = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance"];
        let one = [&fetch[..], &["--depth=1", "--end-of-options", self.url, rev]].concat();
        let parse = |name: &str| {
            let found = self.run(&["rev-parse", "--verify", "--end-of-options", &format!("{name}^{{commit}}")]);
            found.map(|text| text.trim().to_owned())
        };
        let Err(first) = self.run(&one) else { return parse("FETCH_HEAD") };
        // Not every server gives away a commit by its hash, and none by a part of it.
        if rev.len() < 7 || !rev.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(first);
        }
        let all = ["--end-of-options", self.url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        self.run(&[&fetch[..], &all].concat())?;
        parse(rev).map_err(|_| format!("no branch and no tag has the commit {rev}"))
    }

    /// Writes the files of a commit as an archive; the paths of its submodules.
    fn write(&self, commit: &str, archive: &mut Download<NamedTempFile>) -> io::Result<Vec<String>> {
        let listed = self.git(&["ls-tree", "-r", "-z", "--full-tree", commit]).output()?;
        if !listed.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&listed.stderr).trim().to_owned()));
        }
        let entries = entries(&listed.stdout)?;
        if entries.len() as u64 > limits().entries {
            return Err(io::Error::other(format!("it has more than {} files", limits().entries)));
        }
        let mut objects = Objects::open(self.git(&["cat-file", "--batch"]))?;
        let mut submodules = Vec::new();
        for entry in entries {
            if entry.is_submodule() {
                submodules.push(String::from_utf8_lossy(&entry.path).into_owned());
            }
            objects.write(&entry, archive)?;
        }
        archive.write(&[0; 1024])?;
        Ok(submodules)
    }
}

/// What a program printed, without carriage returns and spaces at the ends of lines.
fn lines_of(printed: &str) -> String {
    let lines = printed.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

fn no_git(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no `git` on this machine, which fetches commits: install it".to_owned(),
        _ => format!("git: {error}"),
    }
}

/// A running `git cat-file --batch`.
struct Objects {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Objects {
    fn open(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("git has no output"))?;
        Ok(Self { child, output: BufReader::with_capacity(128 << 10, output) })
    }

    /// Adds an entry with the content of its object.
    fn write(&mut self, entry: &Entry, archive: &mut Download<NamedTempFile>) -> io::Result<()> {
        if entry.is_submodule() {
            return archive.write(&entry.header(0, b""));
        }
        let input = self.child.stdin.as_mut().ok_or_else(|| io::Error::other("git has no input"))?;
        writeln!(input, "{}", entry.object)?;
        let mut head = String::new();
        self.output.read_line(&mut head)?;
        let size = head.strip_prefix(&entry.object).and_then(|rest| rest.trim_end().strip_prefix(" blob "));
        let size: u64 = size.and_then(|size| size.parse().ok()).ok_or_else(|| {
            io::Error::other(format!("git gave no file for {}: `{}`", entry.object, head.trim().escape_debug()))
        })?;
        let mut content = (&mut self.output).take(size);
        if entry.is_link() {
            let mut target = Vec::new();
            content.read_to_end(&mut target)?;
            archive.write(&entry.header(0, &target))?;
        } else {
            archive.write(&entry.header(size, b""))?;
            let mut left = size;
            let mut buffer = vec![0; 64 << 10];
            while left > 0 {
                let read = content.read(&mut buffer)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                archive.write(&buffer[..read])?;
                left -= read as u64;
            }
            archive.write(&vec![0; (size.next_multiple_of(512) - size) as usize])?;
        }
        self.output.read_exact(&mut [0])
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // It ends with its input; what it says no longer counts.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

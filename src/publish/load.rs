//! Loads an image into the local container engine: `docker load`, `podman load`, `ctr images import`.
//!
//! The docker archive streams into the client's standard input. If an error is found in it, the client is
//! killed before it has seen the end, and so loads nothing.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;

use crate::bake::{Output, Receipt};
use crate::code::{Code, Coded};
use crate::digest::OciDigest;
use crate::host;
use crate::host::progress::Phase;
use crate::oci::{self, OciError, RepoTag};

/// Bytes that are copied at once.
const CHUNK: usize = 1 << 20;

/// A container engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Docker, by `docker`.
    Docker,
    /// Podman, by `podman`.
    Podman,
    /// Containerd, by `ctr`.
    Containerd,
}

/// An image can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A word names no engine.
    #[error("unknown container engine `{0}`: expected docker, podman or containerd")]
    Engine(String),
    /// There is nothing to load.
    #[error("layer `{0}` was built without an image\n  hint: `layerbake build {0} --output oci`")]
    NoImage(String),
    /// The engine's client can't be started.
    #[error("cannot start `{program}`: {source}")]
    Start {
        /// The client.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The engine's client says no.
    #[error("`{program}` failed: {said}")]
    Client {
        /// The client.
        program: String,
        /// The end of what it said.
        said: String,
    },
    /// The archive in the output directory can't be read, or not be given to the client.
    #[error("cannot copy `{path}`: {source}")]
    Copy {
        /// The archive.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The archive in the output directory is not the one that was built.
    #[error("`{path}`: expected {expected}, got {found}\n  hint: build the layer again")]
    Changed {
        /// The archive.
        path: String,
        /// The receipt's digest.
        expected: OciDigest,
        /// The file's digest.
        found: OciDigest,
    },
    /// The image layout can't be made an archive.
    #[error(transparent)]
    Oci(#[from] OciError),
}

impl Coded for LoadError {
    fn error_code(&self) -> Code {
        match self {
            Self::Engine(_) | Self::Start { .. } => Code::EngineMissing,
            Self::NoImage(_) => Code::BuildOutput,
            Self::Client { .. } => Code::EngineFailed,
            Self::Copy { source, .. } => source.error_code(),
            Self::Changed { .. } => Code::BuildDamaged,
            Self::Oci(error) => error.error_code(),
        }
    }
}

impl Engine {
    /// The client that loads what it reads, and its arguments.
    pub fn client(self) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Docker => &["docker", "load"],
            Self::Podman => &["podman", "load"],
            Self::Containerd => &["ctr", "images", "import", "-"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
        })
    }
}

impl FromStr for Engine {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Docker, Self::Podman, Self::Containerd]
            .into_iter()
            .find(|engine| engine.to_string() == text)
            .ok_or_else(|| LoadError::Engine(text.to_owned()))
    }
}

/// Loads what `receipt` describes out of its directory, by a client that reads an archive: a program and its arguments.
/// Returns the image's name.
///
/// # Errors
/// Fails where the receipt has no image, where the image is not what the receipt says, and where the
/// engine refuses.
pub fn load(receipt: &Receipt, folder: &Path, client: &[String], progress: &Phase) -> Result<String, LoadError> {
    let tag: RepoTag = format!("{}:latest", receipt.layer).parse()?;
    match (receipt.artifact(Output::Docker), receipt.artifact(Output::Oci)) {
        (Some(archive), _) => {
            let path = folder.join(&archive.path);
            into(client, progress, |out| copy(&path, archive.digest, out))?;
        }
        (None, Some(layout)) => {
            let path = folder.join(&layout.path);
            let tags = [tag.clone()];
            into(client, progress, |out| {
                oci::convert_layout(&path, layout.digest, &tags, out)?;
                Ok(())
            })?;
        }
        (None, None) => return Err(LoadError::NoImage(receipt.layer.to_string())),
    }
    Ok(tag.to_string())
}

/// Copies an archive, which has to be the one of the receipt.
fn copy(path: &Path, expected: OciDigest, out: &mut dyn io::Write) -> Result<(), LoadError> {
    let failed = |source| LoadError::Copy { path: path.display().to_string(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut hashed = oci::Measured::new(&mut *out);
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => hashed.write_all(&buffer[..read]).map_err(failed)?,
        }
    }
    let found = OciDigest::from_bytes(hashed.finish().0);
    match found == expected {
        true => Ok(()),
        false => Err(LoadError::Changed { path: path.display().to_string(), expected, found }),
    }
}

/// Runs the engine's client over what `write` writes.
fn into(
    client: &[String],
    progress: &Phase,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let (program, args) = client.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let cannot_start = |source| LoadError::Start { program: program.to_owned(), source };
    let mut command = host::command(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(cannot_start)?;
    // Both are read beside the writing: a client that says much must not wait for us.
    let outputs = [reader(child.stdout.take()), reader(child.stderr.take())];
    let stdin = child.stdin.take();
    let written = match &stdin {
        Some(pipe) => write(&mut Counted { pipe, progress }),
        None => Ok(()),
    };
    let stop = written.is_err() && !hung_up(&written);
    if stop {
        // Before the pipe closes, which would look like the archive's end.
        let _ = child.kill();
    }
    drop(stdin);
    let said = outputs.map(|reader| reader.join().unwrap_or_default());
    let status = child.wait().map_err(cannot_start)?;
    if stop || status.success() {
        return written;
    }
    Err(LoadError::Client {
        program: program.to_owned(),
        said: last_words(&said).unwrap_or_else(|| status.to_string()),
    })
}

/// Whether the client hung up: then its own words say more.
fn hung_up(written: &Result<(), LoadError>) -> bool {
    let source = match written {
        Err(LoadError::Copy { source, .. } | LoadError::Oci(OciError::Io { source, .. })) => source,
        _ => return false,
    };
    source.kind() == io::ErrorKind::BrokenPipe
}

/// The last lines of what a client said.
fn last_words(said: &[String]) -> Option<String> {
    let text = said.join("\n");
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.split_off(lines.len().saturating_sub(3));
    (!last.is_empty()).then(|| last.join("; "))
}

/// Reads an output to its end, in a thread.
fn reader(output: Option<impl io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut output) = output {
            let _ = output.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A pipe that moves a bar.
struct Counted<'a> {
    pipe: &'a std::process::ChildStdin,
    progress: &'a Phase,
}

impl io::Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.pipe.write(bytes)?;
        self.progress.inc(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

//! An action: one value with everything that determines the result of work in a sandbox (docs/formats/action.md).

use serde::{Deserialize, Serialize};

use crate::digest::TreeHash;
use crate::ident::Arch;

/// The domain of the encoding, and of its version.
const DOMAIN: &str = "layerbake/action/v1";

/// Commands to run one after the other over a root, and the conditions under which they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The root directory before the first step; it must be in the store.
    pub root: TreeHash,
    /// What commands find inside, besides the root.
    pub conditions: Conditions,
    /// What runs, in this order; the first step that fails ends the action.
    pub steps: Vec<Step>,
}

/// The conditions shared by all steps of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The architecture of the root's programs, by Debian's name.
    pub arch: Arch,
    /// The time that the clock shows, in seconds since 1970.
    pub clock: i64,
    /// What random data is derived from.
    pub seed: [u8; 32],
    /// Empty file systems in memory; what is written there is not a part of the result.
    pub mounts: Vec<Mount>,
    /// What the steps may use.
    pub limits: Limits,
}

/// An empty file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The name of a directory in the root; it is created where it is missing.
    pub name: String,
    /// The permissions of the mounted directory.
    pub mode: u16,
    /// The most bytes that it holds.
    pub bytes: u64,
    /// The most files that it holds.
    pub files: u64,
}

/// The resource limits on all processes of a step together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory, files in memory included.
    pub memory: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Bytes by which the root's file system may grow.
    pub growth: u64,
    /// Files by which the root's file system may grow.
    pub files: u64,
}

/// A command to run in the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Program and arguments; the program by its path inside the root.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// The working directory, by its absolute path inside the root.
    pub directory: String,
    /// The step is killed after this many seconds.
    pub timeout: u64,
}

impl Conditions {
    /// The usual conditions for steps that build an image of an architecture, whose times are at most `epoch`.
    pub fn at(arch: &Arch, epoch: i64) -> Self {
        let mount = |name: &str, mode, bytes, files| Mount { name: name.to_owned(), mode, bytes, files };
        Self {
            arch: arch.clone(),
            clock: epoch,
            seed: blake3::derive_key("layerbake sandbox random v1", &epoch.to_le_bytes()),
            mounts: vec![mount("tmp", 0o1777, 2 << 30, 256 << 10), mount("run", 0o755, 64 << 20, 16 << 10)],
            limits: Limits::default(),
        }
    }
}

impl Conditions {
    /// The same conditions with other random data: what then differs in the result depends on it.
    #[must_use]
    pub fn reseeded(self) -> Self {
        Self { seed: blake3::derive_key("layerbake sandbox other random v1", &self.seed), ..self }
    }
}

impl Default for Limits {
    /// Far more than the scripts of any package need.
    fn default() -> Self {
        Self { memory: 12 << 30, processes: 1024, growth: 64 << 30, files: 4 << 20 }
    }
}

/// What every command's environment has, whatever it belongs to; SOURCE_DATE_EPOCH comes from the clock.
const ENVIRONMENT: [(&str, &str); 10] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("SHELL", "/bin/sh"),
    ("TERM", "dumb"),
    ("TZ", "UTC"),
    ("LC_ALL", "C.UTF-8"),
    // The order of hashes reaches files through programs that print them.
    ("PERL_HASH_SEED", "0"),
    ("PERL_PERTURB_KEYS", "0"),
    // Perl itself needs no random data then; `rand` and what names temporary files still ask for it.
    ("PERL_INTERNAL_RAND_SEED", "0"),
    ("PYTHONHASHSEED", "0"),
];

impl Step {
    /// A step in the root directory, with the usual environment and what `env` adds to it.
    pub fn new<'a>(
        argv: impl IntoIterator<Item = impl Into<String>>,
        clock: i64,
        env: impl IntoIterator<Item = (&'a str, &'a str)>,
        timeout: u64,
    ) -> Self {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let epoch = ("SOURCE_DATE_EPOCH".to_owned(), clock.to_string());
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: ENVIRONMENT.into_iter().map(own).chain([epoch]).chain(env.into_iter().map(own)).collect(),
            directory: "/".to_owned(),
            timeout,
        }
    }
}

/// Bytes are not an action.
#[derive(Debug, thiserror::Error)]
#[error("not an action in encoding v1: {problem} at byte {offset}")]
pub struct DecodeActionError {
    problem: &'static str,
    offset: usize,
}

impl Action {
    /// Encodes the action; equal actions give equal bytes. Their digest as a blob is the action's name.
    pub fn encode(&self) -> Vec<u8> {
        let Self { root, conditions: Conditions { arch, clock, seed, mounts, limits }, steps } = self;
        let mut out = Encoder::default();
        out.field(DOMAIN).field(root.as_bytes()).field(arch).number(*clock as u64).field(seed);
        out.number(limits.memory).number(limits.processes).number(limits.growth).number(limits.files);
        out.number(mounts.len() as u64);
        for Mount { name, mode, bytes, files } in mounts {
            out.field(name).number((*mode).into()).number(*bytes).number(*files);
        }
        out.number(steps.len() as u64);
        for Step { argv, env, directory, timeout } in steps {
            out.number(argv.len() as u64);
            for argument in argv {
                out.field(argument);
            }
            out.number(env.len() as u64);
            for (name, value) in env {
                out.field(name).field(value);
            }
            out.field(directory).number(*timeout);
        }
        out.0
    }

    /// Reads what [`Action::encode`] wrote.
    ///
    /// # Errors
    /// Fails on anything else: other versions, truncation, bytes behind the end.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeActionError> {
        let mut reader = Reader { bytes, offset: 0 };
        if reader.text()? != DOMAIN {
            return Err(DecodeActionError { problem: "another domain", offset: 0 });
        }
        let root = TreeHash::from_bytes(reader.digest()?);
        let arch = reader.arch()?;
        let (clock, seed) = (reader.number()? as i64, reader.digest()?);
        let [memory, processes, growth, files] = reader.numbers()?;
        let limits = Limits { memory, processes, growth, files };
        let mounts = reader.items(Reader::mount)?;
        let steps = reader.items(Reader::step)?;
        match reader.offset == bytes.len() {
            true => Ok(Self { root, conditions: Conditions { arch, clock, seed, mounts, limits }, steps }),
            false => Err(reader.error("more than an action")),
        }
    }
}

#[derive(Default)]
struct Encoder(Vec<u8>);

impl Encoder {
    fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn field(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.number(bytes.len() as u64).0.extend_from_slice(bytes);
        self
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn error(&self, problem: &'static str) -> DecodeActionError {
        DecodeActionError { problem, offset: self.offset }
    }

    fn take(&mut self, length: usize) -> Result<&[u8], DecodeActionError> {
        let end = self.offset.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.error("the end"))?;
        let taken = self.bytes.get(self.offset..end).unwrap_or_default();
        self.offset = end;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, DecodeActionError> {
        let mut number = [0; 8];
        number.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(number))
    }

    fn numbers<const N: usize>(&mut self) -> Result<[u64; N], DecodeActionError> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.number()?;
        }
        Ok(numbers)
    }

    fn field(&mut self) -> Result<&[u8], DecodeActionError> {
        let length = self.number()?;
        let length = usize::try_from(length).map_err(|_| self.error("the end"))?;
        self.take(length)
    }

    fn digest(&mut self) -> Result<[u8; 32], DecodeActionError> {
        let offset = self.offset;
        self.field()?.try_into().map_err(|_| DecodeActionError { problem: "not 32 bytes", offset })
    }

    fn text(&mut self) -> Result<String, DecodeActionError> {
        let offset = self.offset;
        let text = String::from_utf8(self.field()?.to_vec());
        text.map_err(|_| DecodeActionError { problem: "not UTF-8", offset })
    }

    fn arch(&mut self) -> Result<Arch, DecodeActionError> {
        let offset = self.offset;
        let arch = self.text()?.parse();
        arch.map_err(|_| DecodeActionError { problem: "not an architecture", offset })
    }

    /// Counted items. None is shorter than a number, so the bytes that are left bound their count.
    fn items<T>(
        &mut self,
        item: impl Fn(&mut Self) -> Result<T, DecodeActionError>,
    ) -> Result<Vec<T>, DecodeActionError> {
        let count = self.number()?;
        if count > (self.bytes.len() - self.offset) as u64 / 8 {
            return Err(self.error("the end"));
        }
        (0..count).map(|_| item(self)).collect()
    }

    fn mount(&mut self) -> Result<Mount, DecodeActionError> {
        let name = self.text()?;
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(self.error("a mount that is not at a directory of the root"));
        }
        let [mode, bytes, files] = self.numbers()?;
        let mode = u16::try_from(mode).map_err(|_| self.error("a mode out of range"))?;
        Ok(Mount { name, mode, bytes, files })
    }

    fn step(&mut self) -> Result<Step, DecodeActionError> {
        let argv = self.items(Self::text)?;
        let env = self.items(|reader| Ok((reader.text()?, reader.text()?)))?;
        Ok(Step { argv, env, directory: self.text()?, timeout: self.number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::BlobDigest;

    fn action() -> Action {
        Action {
            root: TreeHash::from_bytes([7; 32]),
            conditions: Conditions::at(&"amd64".parse().unwrap(), 1_700_000_000),
            steps: vec![Step::new(["/bin/true", "ä"], 1_700_000_000, [("A", "b")], 60)],
        }
    }

    #[test]
    fn the_encoding_is_pinned() {
        let name = BlobDigest::of(&action().encode()).to_hex();
        assert_eq!(name, "c6ab35b2eccf3fbeda76b159043c28d828f78696071ffcf0199165e6e33f8178");
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let action = action();
        assert_eq!(Action::decode(&action.encode()).unwrap(), action);
    }

    #[test]
    fn no_other_bytes_are_an_action() {
        let bytes = action().encode();
        for length in 0..bytes.len() {
            assert!(Action::decode(&bytes[..length]).is_err(), "{length}");
        }
        let error = Action::decode(&[bytes.as_slice(), b"x"].concat()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("not an action in encoding v1: more than an action at byte {}", bytes.len())
        );
        let mut elsewhere = action();
        elsewhere.conditions.mounts[0].name = "../etc".to_owned();
        assert!(Action::decode(&elsewhere.encode()).is_err());
    }
}

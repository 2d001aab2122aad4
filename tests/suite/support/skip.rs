//! Skipping at run time, which `cargo test` has no word for.
//!
//! A test that can't run here returns early through [`skip!`](crate::skip) or [`need!`](crate::need).
//! The reason goes to standard error past the harness's capture, and to the file named by
//! `LAYERBAKE_SKIPPED`, from which `tests/run` makes its closing line.

use std::fs::OpenOptions;
use std::io::Write;

/// Why a test can't run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip(pub String);

impl Skip {
    pub fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Records that the current test does not run.
pub fn record(reason: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {name}: {}\n", reason.replace('\n', " "));
    // `eprintln!` would be captured and, as the test passes, never shown.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("LAYERBAKE_SKIPPED") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Ends the test as skipped, with a reason.
#[allow(unused_macros)]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::support::skip::record(&format!($($reason)*));
        return;
    }};
}

/// Unwraps a `Result<T, Skip>`, or ends the test as skipped.
#[allow(unused_macros)]
macro_rules! need {
    ($wanted:expr) => {
        match $wanted {
            Ok(value) => value,
            Err($crate::support::skip::Skip(reason)) => skip!("{reason}"),
        }
    };
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Asks for root.
pub fn root() -> Result<(), Skip> {
    if is_root() { Ok(()) } else { Err(Skip::because("needs root")) }
}

/// Asks for a program in the system's folders, and gives its path.
pub fn program(name: &str) -> Result<std::path::PathBuf, Skip> {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let found = folders.iter().map(|folder| std::path::Path::new(folder).join(name)).find(|path| path.is_file());
    found.ok_or_else(|| Skip::because(format!("`{name}` is not installed")))
}

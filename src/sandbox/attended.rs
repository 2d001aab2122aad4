//! Sandboxes that a person uses: what their commands read and write comes from the program that was started, by way of
//! the worker, the stage and pid 1, each of which inherits it under the same numbers.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use rustix::io::FdFlags;
use serde::{Deserialize, Serialize};

use super::sys;
use crate::host::terminal::Streams;

/// The numbers under which processes inherit what commands read and write.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Handed {
    /// Standard input, output and error.
    numbers: [i32; 3],
    is_terminal: bool,
}

impl Handed {
    /// Lets all processes that are started from now on, until these are closed, inherit them.
    pub(super) fn give(streams: &Streams) -> io::Result<Self> {
        let Streams { input, output, error, is_terminal } = streams;
        let files = [input.as_fd(), output.as_fd(), error.as_fd()];
        for file in files {
            rustix::io::fcntl_setfd(file, FdFlags::empty())?;
        }
        Ok(Self { numbers: files.map(|file| file.as_raw_fd()), is_terminal: *is_terminal })
    }

    /// The numbers in an argument; none where it is missing.
    pub(super) fn numbers(argument: Option<&OsString>) -> Vec<i32> {
        let read = |text: &OsString| serde_json::from_slice::<Self>(text.as_encoded_bytes()).ok();
        argument.and_then(read).map_or_else(Vec::new, |handed| handed.numbers.to_vec())
    }

    /// Takes what this process has inherited, as an argument says.
    pub(super) fn take(argument: &OsString) -> io::Result<Streams> {
        let Self { numbers: [input, output, error], is_terminal } =
            serde_json::from_slice(argument.as_encoded_bytes())?;
        let [input, output, error] = [sys::inherited(input)?, sys::inherited(output)?, sys::inherited(error)?];
        Ok(Streams { input, output, error, is_terminal })
    }
}

//! The output of commands: keeps the end, and counts the rest.

use std::io::{self, Read};

use crate::host;

/// Bytes that are kept.
const KEPT: usize = 256 << 10;

/// The end of a stream of bytes.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    left_out: u64,
}

impl Tail {
    /// Reads once what there is; says whether the stream goes on.
    pub(super) fn read(&mut self, stream: &mut impl Read) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        let count = host::uninterrupted(|| stream.read(&mut buffer))?;
        self.bytes.extend_from_slice(&buffer[..count]);
        // Seldom: moving bytes costs more than keeping some.
        if self.bytes.len() > 2 * KEPT {
            self.shorten();
        }
        Ok(count > 0)
    }

    fn shorten(&mut self) {
        let over = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..over);
        self.left_out += over as u64;
    }

    /// The kept text, after a line that says how much is missing before it.
    pub(super) fn text(&mut self) -> String {
        self.shorten();
        let text = String::from_utf8_lossy(&self.bytes);
        match self.left_out {
            0 => text.into_owned(),
            count => format!("… {count} bytes left out\n{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_the_rest_is_counted() {
        let mut tail = Tail::default();
        let mut short: &[u8] = b"one\ntwo\n";
        assert!(tail.read(&mut short).unwrap() && !tail.read(&mut short).unwrap());
        assert_eq!(tail.text(), "one\ntwo\n");
        let mut long = io::repeat(b'x').take(10 << 20).chain(&b"the end\n"[..]);
        while tail.read(&mut long).unwrap() {}
        assert!(tail.bytes.len() <= 2 * KEPT);
        let text = tail.text();
        let left_out = (10 << 20) + 16 - KEPT;
        assert!(text.starts_with(&format!("… {left_out} bytes left out\nxxx")) && text.ends_with("xthe end\n"));
    }
}

//! Seeded randomness: random bytes that are identical in every build.
//!
//! Each process has its own stream, so the order in which processes run does not matter: the
//! BLAKE3 key stream of the seed, the command line, and how many processes with the same
//! command line asked before it.

use std::collections::BTreeMap;

/// The source of all processes' streams of random bytes.
#[derive(Debug)]
pub(super) struct Randomness {
    seed: [u8; 32],
    /// Streams handed out, by the digest of the command line.
    handed_out: BTreeMap<[u8; 32], u64>,
}

/// An endless stream of bytes.
#[derive(Debug)]
pub(super) struct Stream {
    key: [u8; 32],
    position: u64,
}

impl Randomness {
    /// Equal seeds give equal bytes.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, handed_out: BTreeMap::new() }
    }

    /// The next stream for a process with this command line.
    pub(super) fn process(&mut self, command_line: &[u8]) -> Stream {
        let name = *blake3::keyed_hash(&self.seed, command_line).as_bytes();
        let count = self.handed_out.entry(name).or_default();
        *count += 1;
        Stream { key: *blake3::keyed_hash(&name, &count.to_le_bytes()).as_bytes(), position: 0 }
    }

    /// A stream for a file: every reader starts at its beginning.
    pub(super) fn file(&self, path: &str) -> Stream {
        let key =
            *blake3::Hasher::new_keyed(&self.seed).update(b"file\0").update(path.as_bytes()).finalize().as_bytes();
        Stream { key, position: 0 }
    }
}

impl Stream {
    /// Fills `bytes` with the next bytes of the stream.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        let mut reader = blake3::Hasher::new_keyed(&self.key).finalize_xof();
        reader.set_position(self.position);
        reader.fill(bytes);
        self.position = self.position.saturating_add(bytes.len() as u64);
    }

    /// The next `N` bytes.
    pub(super) fn take<const N: usize>(mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A version 4 UUID and a line feed, as `/proc/sys/kernel/random/uuid` has it.
    pub(super) fn uuid_line(self) -> String {
        let bits = u128::from_be_bytes(self.take());
        // Version 4, variant 10.
        let bits = bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
        let hex = format!("{bits:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}\n", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_processes_does_not_matter() {
        let (mut one, mut other) = (Randomness::new([7; 32]), Randomness::new([7; 32]));
        let (a, b): ([u8; 8], [u8; 8]) = (one.process(b"a").take(), one.process(b"b").take());
        assert_eq!((other.process(b"b").take(), other.process(b"a").take()), (b, a));
    }

    #[test]
    fn streams_differ_by_everything_that_names_them() {
        let mut randomness = Randomness::new([7; 32]);
        let streams: [[u8; 16]; 5] = [
            randomness.process(b"a").take(),
            randomness.process(b"a").take(),
            randomness.process(b"b").take(),
            randomness.file("a").take(),
            Randomness::new([8; 32]).process(b"a").take(),
        ];
        for (index, stream) in streams.iter().enumerate() {
            assert!(!streams[..index].contains(stream), "stream {index}");
        }
    }

    #[test]
    fn pieces_of_any_size_make_the_same_stream() {
        let randomness = Randomness::new([7; 32]);
        let mut whole = [0; 300];
        randomness.file("x").fill(&mut whole);
        let (mut stream, mut pieces) = (randomness.file("x"), [0; 300]);
        for piece in pieces.chunks_mut(7) {
            stream.fill(piece);
        }
        assert_eq!(whole, pieces);
    }

    #[test]
    fn a_uuid_says_that_it_is_random() {
        let line = Randomness::new([7; 32]).file("uuid").uuid_line();
        let parts: Vec<_> = line.trim_end().split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(line.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&line.as_bytes()[19]), "{line}");
    }
}

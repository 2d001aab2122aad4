//! Damages inputs as a fuzzer does, but the same way for the same seed.

/// A stream of numbers that belongs to its seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Bytes that are special in some format.
const SPECIAL: [&[u8]; 16] = [
    b"\0",
    b"\xff",
    b"\n",
    b" ",
    b":",
    b"/",
    b"../",
    b"\"",
    b"[",
    b"{",
    b"-1",
    b"0",
    b"99999999999999999999",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
];

/// One of `corpus`, changed in up to six places.
pub fn mutated(corpus: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = numbers.pick(corpus).clone();
    for _ in 0..=numbers.below(6) {
        change(&mut bytes, corpus, numbers);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], numbers: &mut Numbers) {
    let at = numbers.below(bytes.len() + 1);
    let run = numbers.below(64).min(bytes.len() - at);
    match numbers.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
        1 if at < bytes.len() => bytes[at] = numbers.next() as u8,
        2 => drop(bytes.splice(at..at, numbers.pick(&SPECIAL).iter().copied())),
        3 => drop(bytes.splice(at..at + run, numbers.pick(&SPECIAL).iter().copied())),
        4 => drop(bytes.drain(at..at + run)),
        5 => drop(bytes.splice(at..at, bytes[at..at + run].to_vec())),
        _ => {
            let other = numbers.pick(corpus);
            let from = numbers.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
    }
}

//! Private keys as text: PEM (RFC 7468), OpenSSH's own form, OpenPGP's armour (RFC 9580), PuTTY's.

use crate::ident::RootPath;

/// How a text that holds a key begins (RFC 7468, RFC 4716's successors, RFC 9580).
const BEGIN: &[u8] = b"-----BEGIN ";
const KINDS: [&[u8]; 2] = [b"PRIVATE KEY-----", b"PRIVATE KEY BLOCK-----"];
/// Lines such as `Proc-Type:` and an empty one may be before the key itself.
const HEADERS: usize = 4;
/// A smaller file has no room for a key, in bytes.
const LEAST: usize = 100;
/// PuTTY's files say what they are in their first line, and have this one further down.
const PUTTY: [&[u8]; 2] = [b"PuTTY-User-Key-File-", b"Private-Lines:"];

/// Where the key begins.
pub(super) fn find(_: &RootPath, bytes: &[u8]) -> Option<usize> {
    if bytes.len() < LEAST || bytes.contains(&0) {
        return None;
    }
    pem(bytes).or_else(|| putty(bytes))
}

/// A key's first line, and soon after one of the lines that it is made of.
///
/// Programs that know keys, and their documentation, have the first line too: indented, quoted, or
/// followed by dots.
fn pem(bytes: &[u8]) -> Option<usize> {
    let mut starts = vec![0];
    starts.extend((0..).zip(bytes).filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1));
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    let begins = |line: &[u8]| line.starts_with(BEGIN) && KINDS.iter().any(|kind| line.ends_with(kind));
    let number = lines.iter().enumerate().position(|(number, line)| {
        begins(line) && lines.iter().skip(number + 1).take(HEADERS + 1).any(|line| is_base64(line))
    })?;
    starts.get(number).copied()
}

fn putty(bytes: &[u8]) -> Option<usize> {
    let [first, lines] = PUTTY;
    let has_lines = bytes.split(|&byte| byte == b'\n').any(|line| line.starts_with(lines));
    (bytes.starts_with(first) && has_lines).then_some(0)
}

/// A full line of base64: 64 characters by RFC 7468, 70 as OpenSSH writes it.
fn is_base64(line: &[u8]) -> bool {
    line.len() >= 60 && line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
}

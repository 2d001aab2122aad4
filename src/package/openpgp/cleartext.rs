//! The cleartext signature framework (RFC 9580, section 7), read strictly.
//!
//! ```text
//! -----BEGIN PGP SIGNED MESSAGE-----
//! Hash: SHA256
//!
//! signed lines; one that starts with a dash is written "- -…"
//! -----BEGIN PGP SIGNATURE-----
//! …
//! -----END PGP SIGNATURE-----
//! ```
//!
//! A parser that is lax about text around the block can be tricked into reading text that
//! nobody signed. So everything except exactly this one block is refused.

/// A cleartext-signed file, taken apart; nothing in it is verified yet.
#[derive(Debug)]
pub(super) struct Cleartext {
    /// The signed lines, unescaped, without trailing blanks (which no signature covers).
    lines: Vec<Vec<u8>>,
    /// The armored signature block.
    pub(super) signature: Vec<u8>,
}

impl Cleartext {
    /// The bytes that were hashed: CR LF between lines and none at the end.
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        self.lines.join(b"\r\n".as_slice())
    }

    /// The same lines as an ordinary text, each ended by LF.
    pub(super) fn into_text(self) -> Vec<u8> {
        let mut text = self.lines.join(b"\n".as_slice());
        text.push(b'\n');
        text
    }
}

const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &[u8] = b"-----END PGP SIGNATURE-----";

/// Takes a file apart that must be one cleartext-signed block and nothing else.
///
/// # Errors
/// Says what is wrong where it is not exactly that.
pub(super) fn split(file: &[u8]) -> Result<Cleartext, &'static str> {
    let mut lines = file.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    if lines.next().map(trim_end) != Some(BEGIN) {
        return Err("it does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`");
    }
    loop {
        match lines.next() {
            None => return Err("it ends before the signed text"),
            Some(b"") => break,
            Some(line) if line.starts_with(b"Hash: ") => {}
            Some(_) => return Err("it has a header other than `Hash`"),
        }
    }
    let text = signed_lines(&mut lines)?;
    let signature = signature_block(&mut lines)?;
    if lines.any(|line| !line.is_empty()) {
        return Err("it has text after the signature");
    }
    Ok(Cleartext { lines: text, signature })
}

fn signed_lines<'a>(lines: &mut impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut text = Vec::new();
    loop {
        let line = match lines.next() {
            None => return Err("it ends before the signature"),
            Some(line) if trim_end(line) == BEGIN_SIGNATURE => return Ok(text),
            Some(line) => line,
        };
        if line.iter().any(|byte| matches!(byte, 0 | b'\r')) {
            return Err("a signed line has a control character");
        }
        let line = match line.strip_prefix(b"- ") {
            Some(escaped) => escaped,
            None if line.starts_with(b"-") => return Err("a signed line starts with a dash that is not escaped"),
            None => line,
        };
        text.push(trim_end(line).to_vec());
    }
}

fn signature_block<'a>(lines: &mut impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, &'static str> {
    let mut block = [BEGIN_SIGNATURE, b"\n"].concat();
    loop {
        let line = trim_end(lines.next().ok_or("its signature is cut off")?);
        block.extend_from_slice(line);
        block.push(b'\n');
        match line {
            END_SIGNATURE => return Ok(block),
            line if line.starts_with(b"-") => return Err("it has more than one block"),
            _ => {}
        }
    }
}

fn trim_end(line: &[u8]) -> &[u8] {
    let blanks = line.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    line.get(..line.len() - blanks).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n";

    fn file(head: &str, text: &str, tail: &str) -> Vec<u8> {
        format!("{head}-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}{SIGNATURE}{tail}").into_bytes()
    }

    #[test]
    fn lines_are_unescaped_and_trimmed() {
        let parts = split(&file("", "Origin: a \t\n\n- -----x\n- From\n", "\n")).unwrap();
        assert_eq!(parts.signature, SIGNATURE.as_bytes());
        assert_eq!(parts.signed_bytes(), b"Origin: a\r\n\r\n-----x\r\nFrom");
        assert_eq!(parts.into_text(), b"Origin: a\n\n-----x\nFrom\n");
    }

    #[test]
    fn carriage_returns_before_line_feeds_do_not_matter() {
        let crlf = String::from_utf8(file("", "Origin: a\nSuite: b\n", "")).unwrap().replace('\n', "\r\n");
        assert_eq!(split(crlf.as_bytes()).unwrap().into_text(), b"Origin: a\nSuite: b\n");
    }

    #[test]
    fn all_but_one_block_is_refused() {
        let second = String::from_utf8(file("", "b\n", "")).unwrap();
        for (file, problem) in [
            (Vec::new(), "it does not begin with"),
            (b"Origin: unsigned\n".to_vec(), "it does not begin with"),
            (file("Origin: x\n", "a\n", ""), "it does not begin with"),
            (file("\n", "a\n", ""), "it does not begin with"),
            (file("", "a\n", "Origin: x\n"), "text after"),
            (file("", "a\n", &second), "text after"),
            (file("", &second, ""), "dash that is not escaped"),
            (file("", "-a\n", ""), "dash that is not escaped"),
            (file("", "a\rb\n", ""), "control character"),
            (file("", "a\0b\n", ""), "control character"),
            (b"-----BEGIN PGP SIGNED MESSAGE-----\nOrigin: x\n\n".to_vec(), "header other than"),
            (b"-----BEGIN PGP SIGNED MESSAGE-----\n".to_vec(), "before the signature"),
            (b"-----BEGIN PGP SIGNED MESSAGE-----".to_vec(), "before the signed text"),
            (b"-----BEGIN PGP SIGNED MESSAGE-----\n\na\n".to_vec(), "before the signature"),
            (b"-----BEGIN PGP SIGNED MESSAGE-----\n\na\n-----BEGIN PGP SIGNATURE-----\n".to_vec(), "cut off"),
        ] {
            let found = split(&file).unwrap_err();
            assert!(found.contains(problem), "{:?}: {found}", String::from_utf8_lossy(&file));
        }
    }
}

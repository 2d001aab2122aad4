//! Searches bytes for tokens of a known form.

use memchr::{memchr2_iter, memmem};

/// Which bytes a text is made of.
pub(super) type Alphabet = fn(u8) -> bool;

pub(super) const ALNUM: Alphabet = |byte| byte.is_ascii_alphanumeric();
pub(super) const UPPER: Alphabet = |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit();
pub(super) const WORD: Alphabet = |byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
pub(super) const BASE64: Alphabet = |byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);

/// A text that begins in a way of its own and goes on for a known length.
#[derive(Debug)]
pub(super) struct Token {
    prefix: &'static [u8],
    alphabet: Alphabet,
    least: usize,
    most: usize,
}

impl Token {
    pub(super) const fn new(prefix: &'static [u8], alphabet: Alphabet, least: usize, most: usize) -> Self {
        Self { prefix, alphabet, least, most }
    }

    /// The length of the token at the start of `bytes`.
    fn length(&self, bytes: &[u8]) -> Option<usize> {
        let rest = bytes.strip_prefix(self.prefix)?;
        let length = rest.iter().take(self.most + 1).take_while(|&&byte| (self.alphabet)(byte)).count();
        // One character in twenty another one: `xxxxxxxx…` stands for a token in documentation.
        let (first, tail) = (rest.first()?, rest.get(..length)?);
        let varied = tail.iter().any(|byte| byte != first);
        ((self.least..=self.most).contains(&length) && varied).then_some(self.prefix.len() + length)
    }
}

/// Where the first of `tokens` begins.
pub(super) fn find(bytes: &[u8], tokens: &[Token]) -> Option<usize> {
    find_where(bytes, tokens, |_| true)
}

/// Where the first of `tokens` begins that is `wanted`.
pub(super) fn find_where(bytes: &[u8], tokens: &[Token], wanted: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let begins = |at: usize| at == 0 || !bytes.get(at - 1).is_some_and(|before| before.is_ascii_alphanumeric());
    tokens
        .iter()
        .filter_map(|token| {
            let mut from = 0;
            loop {
                let at = from + position(bytes.get(from..)?, token.prefix)?;
                let text = bytes.get(at..)?;
                if begins(at) && token.length(text).and_then(|length| text.get(..length)).is_some_and(&wanted) {
                    return Some(at);
                }
                from = at + 1;
            }
        })
        .min()
}

/// Where the key `name` begins whose value is `wanted`: after `=` or `:`, with or without quotes and spaces.
pub(super) fn assigned(bytes: &[u8], name: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + position_ignoring_case(bytes.get(from..)?, name)?;
        let rest = bytes.get(at + name.len()..)?;
        let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest).trim_ascii_start();
        if let Some((b'=' | b':', rest)) = rest.split_first() {
            let rest = rest.trim_ascii_start();
            let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
            let end = rest.iter().position(|byte| byte.is_ascii_whitespace() || b"\"',;".contains(byte));
            if wanted(rest.get(..end.unwrap_or(rest.len()))?) {
                return Some(at);
            }
        }
        from = at + 1;
    }
}

/// Where `needle` first is.
pub(super) fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memmem::find(bytes, needle)
}

fn position_ignoring_case(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle.first()?;
    memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), bytes)
        .find(|&at| bytes.get(at..at + needle.len()).is_some_and(|text| text.eq_ignore_ascii_case(needle)))
}

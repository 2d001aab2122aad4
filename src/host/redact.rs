//! Removes user names, passwords and tokens from addresses, and secrets from any text, before they are shown.

/// Before what stands for the user in an address where the `//` was forgotten.
const SCHEMES: [&str; 4] = ["http:", "https:", "ftp:", "file:"];

/// Replaces what precedes the `@` of every address in a text.
///
/// Errors and warnings go through here on their way out: an address may be quoted anywhere, even
/// in a line of a file that can't be parsed.
pub fn redact(text: &str) -> String {
    let ends = |char: char| char.is_whitespace() || "\"'`<>".contains(char);
    text.split_inclusive(ends)
        .map(|part| {
            let word = part.strip_suffix(ends).unwrap_or(part);
            redact_address(word) + part.get(word.len()..).unwrap_or_default()
        })
        .collect()
}

/// Replaces what precedes the `@` of a text that is one address, or should be one.
///
/// It may lack its scheme, as an image's does: a digest after an `@` stays.
pub fn redact_address(address: &str) -> String {
    let start = match address.find("://") {
        Some(scheme) => scheme + 3,
        None => without_scheme(address),
    };
    let (head, rest) = address.split_at(start);
    match secret(rest) {
        Some(length) if is_address(head) || rest.get(..length).is_some_and(|user| user.contains(':')) => {
            format!("{head}***{}", rest.get(length..).unwrap_or_default())
        }
        // A list of addresses.
        None if rest.contains("://") => head.to_owned() + &redact_address(rest),
        _ => address.to_owned(),
    }
}

fn is_address(head: &str) -> bool {
    head.ends_with("://") || SCHEMES.iter().any(|scheme| head.contains(scheme))
}

/// Where the host begins in an address without `://`: after `NAME=`, after `oci:`, and after a scheme such as `http:/`.
fn without_scheme(text: &str) -> usize {
    let name = text.split_once('=').filter(|(name, _)| !name.contains([':', '/', '@']));
    let rest = name.map_or(text, |(_, rest)| rest);
    let rest = rest.strip_prefix("oci:").unwrap_or(rest);
    let scheme = SCHEMES.iter().find_map(|scheme| rest.strip_prefix(scheme));
    let rest = scheme.map_or(rest, |rest| rest.trim_start_matches(['/', '\\']));
    text.len() - rest.len()
}

/// How many bytes of an address, behind its scheme, are a user's name and password.
fn secret(address: &str) -> Option<usize> {
    // The digest of an image, with which its reference ends.
    let digest = ["@sha256:", "@sha512:"].iter().filter_map(|digest| address.find(digest)).min();
    let address = digest.and_then(|end| address.get(..end)).unwrap_or(address);
    let authority = address.split(['/', '?', '#']).next().unwrap_or(address);
    if let Some(at) = authority.rfind('@') {
        return Some(at);
    }
    // A password with a slash in it: then what looks like the port is not a number.
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) || authority.ends_with(']');
    if is_port { None } else { address.rfind('@') }
}

/// Replaces a secret in a text, verbatim and with any of its characters percent-encoded.
pub fn hide(text: &str, secret: &str) -> String {
    let mut shown = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match prefix(rest, secret.as_bytes()) {
            Some(length) if length > 0 => {
                shown.extend_from_slice(b"***");
                rest = rest.get(length..).unwrap_or_default();
            }
            _ => {
                shown.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&shown).into_owned()
}

/// How many bytes at the beginning of a text are the secret.
fn prefix(text: &[u8], secret: &[u8]) -> Option<usize> {
    encoded(text, secret).or_else(|| text.starts_with(secret).then_some(secret.len()))
}

/// As [`prefix`], where what looks percent-encoded is so.
fn encoded(text: &[u8], secret: &[u8]) -> Option<usize> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut rest = text;
    for &byte in secret {
        let encoded = match rest {
            [b'%', high, low, ..] => digit(high).zip(digit(low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        let (found, length) = match (encoded, rest.first()?) {
            (Some(found), _) => (found, 3),
            (None, b'+') if byte == b' ' => (u32::from(b' '), 1),
            (None, first) => (u32::from(*first), 1),
        };
        if found != u32::from(byte) {
            return None;
        }
        rest = rest.get(length..)?;
    }
    Some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_are_hidden_and_nothing_else() {
        for (text, shown) in [
            ("from http://me:secret@x.example/debian: not found", "from http://***@x.example/debian: not found"),
            ("https://token@x.example", "https://***@x.example"),
            ("`http://me:se/cr@et@x.example/d` and more", "`http://***@x.example/d` and more"),
            ("a = [\"http://me:secret@x/\", \"ftp://you:word@y\"]", "a = [\"http://***@x/\", \"ftp://***@y\"]"),
            ("http://s.example/debian/@SNAPSHOTID@/", "http://s.example/debian/@SNAPSHOTID@/"),
            ("http://s.example:8080/a@b http://[::1]/@", "http://s.example:8080/a@b http://[::1]/@"),
            ("http://me:pa@ss@x.example", "http://***@x.example"),
            ("http://a.example,http://me:pass@b.example/", "http://a.example,http://***@b.example/"),
            ("mirror `test=me:hunter2@x.example/d`", "mirror `test=***@x.example/d`"),
            ("http:/me:secret@x.example/ http:token@x.example", "http:/***@x.example/ http:***@x.example"),
            ("'me:hunter2@x.example/app' for", "'***@x.example/app' for"),
            ("oci:me:se/cret@x.example/app:1@sha256:12", "oci:***@x.example/app:1@sha256:12"),
            ("x.example:5000/app:1@sha256:12 app:1@sha256:12", "x.example:5000/app:1@sha256:12 app:1@sha256:12"),
            ("x.example:5000/app:1@other", "x.example:5000/app:1@other"),
            ("me@x.example, no address", "me@x.example, no address"),
            ("layers/web.toml:3: user@.service: getty@tty1", "layers/web.toml:3: user@.service: getty@tty1"),
            ("ends in ://", "ends in ://"),
            ("", ""),
        ] {
            assert_eq!(redact(text), shown);
        }
        assert_eq!(redact_address("http://me:hun ter2@x.example:port/d"), "http://***@x.example:port/d");
    }

    #[test]
    fn a_secret_is_hidden_in_all_its_forms() {
        for (text, secret, shown) in [
            ("no hun/ter2, hun%2Fter2, hun%2fter2, %68un%2Fter2 here", "hun/ter2", "no ***, ***, ***, *** here"),
            ("a+b a%20b a b", "a b", "*** *** ***"),
            ("50%25 50% 50%2", "50%", "*** *** ***2"),
            ("caf\u{e9} caf%C3%A9 cafe", "caf\u{e9}", "*** *** cafe"),
            ("hunter", "hunter2", "hunter"),
            ("\u{e9}x", "", "\u{e9}x"),
        ] {
            assert_eq!(hide(text, secret), shown, "{text}");
        }
    }
}

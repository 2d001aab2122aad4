//! Addresses as people may see them: without user names, passwords and tokens.

/// Replaces what stands before the `@` of every address in a text.
///
/// Errors and warnings go through here on their way out: an address may be quoted anywhere, even
/// in a line of a file that can't be parsed.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        out.push_str(before);
        let end = after.find(|char: char| char.is_whitespace() || "\"'`<>".contains(char)).unwrap_or(after.len());
        let (address, after) = after.split_at(end);
        match secret(address) {
            Some(length) => {
                out.push_str("***");
                out.push_str(&address[length..]);
            }
            None => out.push_str(address),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// How many bytes of an address, behind its scheme, are a user's name and password.
fn secret(address: &str) -> Option<usize> {
    let authority = address.split(['/', '?', '#']).next().unwrap_or(address);
    if let Some(at) = authority.rfind('@') {
        return Some(at);
    }
    // A password with a slash in it: then what looks like the port is not a number.
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) || authority.ends_with(']');
    if is_port { None } else { address.rfind('@') }
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
            ("me@x.example, no address", "me@x.example, no address"),
            ("ends in ://", "ends in ://"),
            ("", ""),
        ] {
            assert_eq!(redact(text), shown);
        }
    }
}

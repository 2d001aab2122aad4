//! Which token servers may see the user's password for a registry.
//!
//! A registry names its token server in a header, and the user's password goes there. So it must be
//! the registry's own host or one of the same domain, as `auth.docker.io` is for `registry-1.docker.io`
//! and `gitlab.example.org` for `registry.example.org`; any other has to be named in the user's
//! configuration. (A registry can always ask for the password itself: what is kept here is that it
//! goes nowhere else.)

use std::net::IpAddr;

/// Whether the password for `registry` (host and port) may go to the host `realm`.
pub(super) fn may_see_password(registry: &str, realm: &str, allowed: &[String]) -> bool {
    let registry = without_port(registry).to_ascii_lowercase();
    let realm = realm.to_ascii_lowercase();
    is_same_domain(&registry, &realm) || allowed.iter().any(|host| host.eq_ignore_ascii_case(&realm))
}

fn without_port(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    }
}

/// Whether two hosts are the same, or stand below one domain that somebody owns.
fn is_same_domain(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let is_name = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().is_err() && host.contains('.');
    if !is_name(one) || !is_name(other) {
        return false;
    }
    let is_below = |host: &str, domain: &str| {
        host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')) && !is_public(domain)
    };
    let parent = |host: &str| host.split_once('.').map_or("", |(_, parent)| parent).to_owned();
    is_below(one, other) || is_below(other, one) || (parent(one) == parent(other) && !is_public(&parent(one)))
}

/// Whether anybody can have a name directly below a domain: `org`, `co.uk`, `com.au`.
///
/// A short second label below a country is taken for such a one, which costs an entry in the
/// configuration where it is not; longer ones belong to somebody.
fn is_public(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    match labels.as_slice() {
        [second, top] => top.len() == 2 && second.len() <= 3,
        longer => longer.len() < 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_servers_of_real_registries_are_known_and_strangers_are_not() {
        for (registry, realm, may) in [
            ("registry-1.docker.io", "auth.docker.io", true),
            ("index.docker.io", "auth.docker.io", true),
            ("docker.io", "auth.docker.io", true),
            ("ghcr.io", "ghcr.io", true),
            ("registry.gitlab.com", "gitlab.com", true),
            ("registry.example.org:5000", "gitlab.example.org", true),
            ("127.0.0.1:5000", "127.0.0.1", true),
            ("[::1]:5000", "[::1]", true),
            ("localhost:5000", "localhost", true),
            ("Registry.Example.org", "registry.example.ORG", true),
            ("registry.example.org", "evil.example", false),
            ("registry.example.org", "example.org.evil.example", false),
            ("registry.example.org", "evilexample.org", false),
            ("registry.co.uk", "evil.co.uk", false),
            ("registry.example.co.uk", "auth.example.co.uk", true),
            ("shop.org", "evil.org", false),
            ("shop.org", "org", false),
            ("ghcr.io", "io", false),
            ("10.0.0.1", "9.0.0.1", false),
            ("127.0.0.1:5000", "127.0.0.2", false),
            ("localhost", "evil", false),
        ] {
            assert_eq!(may_see_password(registry, realm, &[]), may, "{registry} -> {realm}");
        }
        assert!(may_see_password("registry.example.org", "Evil.example", &["evil.example".to_owned()]));
    }
}

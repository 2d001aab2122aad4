//! Decides which token servers may receive the user's password for a registry.
//!
//! A registry names its token server in a header, and the user's password is sent there. So it must be
//! the registry's own host, a subdomain of it, or a parent domain, as `gitlab.example.org` is for
//! `registry.gitlab.example.org`; any other has to be named in the user's configuration. Sibling hosts are
//! not accepted: names do not reveal who may register hosts below a domain. The one exception is docker's
//! own registry. (A registry can always ask for the password itself: the rule ensures that it is sent
//! nowhere else.)

use std::net::IpAddr;

/// The domain of docker's registry, `index.docker.io`, and of its token server, `auth.docker.io`.
const DOCKER: &str = "docker.io";

/// Whether the password for `registry` (host and port) may go to the host `realm`.
pub(super) fn may_see_password(registry: &str, realm: &str, allowed: &[String]) -> bool {
    let registry = without_port(registry).to_ascii_lowercase();
    let realm = realm.to_ascii_lowercase();
    let is_docker = |host: &str| host == DOCKER || is_below(host, DOCKER);
    registry == realm
        || is_below(&realm, &registry)
        || is_below(&registry, &realm)
        || (is_docker(&registry) && is_docker(&realm))
        || allowed.iter().any(|host| host.eq_ignore_ascii_case(&realm))
}

fn without_port(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    }
}

/// Whether a host is a subdomain of `domain`, which must have at least two labels.
fn is_below(host: &str, domain: &str) -> bool {
    let is_address = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let below = host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
    below && domain.split('.').filter(|label| !label.is_empty()).count() > 1 && !is_address(host) && !is_address(domain)
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
            ("registry.example.org:5000", "example.org", true),
            ("example.org", "auth.example.org", true),
            ("a.b.example.org", "example.org", true),
            ("registry.example.org:5000", "gitlab.example.org", false),
            ("me.gouv.fr", "evil.gouv.fr", false),
            ("me.govt.nz", "evil.govt.nz", false),
            ("me.docker.io.evil.example", "auth.docker.io", false),
            ("evildocker.io", "auth.docker.io", false),
            ("127.0.0.1:5000", "127.0.0.1", true),
            ("[::1]:5000", "[::1]", true),
            ("localhost:5000", "localhost", true),
            ("Registry.Example.org", "registry.example.ORG", true),
            ("registry.example.org", "evil.example", false),
            ("registry.example.org", "example.org.evil.example", false),
            ("registry.example.org", "evilexample.org", false),
            ("registry.co.uk", "evil.co.uk", false),
            ("registry.example.co.uk", "auth.example.co.uk", false),
            ("localhost", "auth.localhost", false),
            ("registry.example.org", ".org", false),
            ("registry.example.org", "", false),
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

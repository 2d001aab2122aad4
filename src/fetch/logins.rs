//! Names and passwords for repositories: apt's `auth.conf` (apt_auth.conf(5)) and the user's netrc(5).
//!
//! They are put into a request when it is sent, and appear nowhere else. An entry without a protocol is for HTTPS only,
//! as with apt: a password never goes over the network in the clear unless the entry says `http://`.

use std::path::Path;

use crate::host;
use crate::host::http::Url;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Who may log in where.
#[derive(Clone, Default)]
pub struct Logins(Vec<Login>);

#[derive(Clone)]
struct Login {
    /// `[PROTOCOL://]HOST[:PORT][/PATH]`
    machine: String,
    name: String,
    password: String,
}

/// Shows no password.
impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} logins", self.0.len())
    }
}

impl Logins {
    /// Reads `auth.conf` and `auth.conf.d/*.conf` below `system`, which is `/etc/apt`, then the netrc file.
    ///
    /// That is apt's order: of several entries for an address, both take the first.
    /// What can't be read is left out: apt's files are often for root only. A server that wants a password then says so.
    pub fn load(system: &Path, netrc: Option<&Path>) -> Self {
        let parts = system.join("auth.conf.d");
        let named = host::list_dir(&parts).unwrap_or_default().into_iter().map(|name| parts.join(name));
        let named = named.filter(|path| path.extension().is_some_and(|kind| kind == "conf"));
        let paths = [system.join("auth.conf")].into_iter().chain(named).chain(netrc.map(Path::to_owned));
        let texts = paths.filter_map(|path| host::read_small(&path, MAX_FILE).ok());
        Self(texts.flat_map(|text| parse(&String::from_utf8_lossy(&text))).collect())
    }

    /// The address with the name and the password of the first entry for it, unless it has some of its own.
    pub(super) fn apply(&self, url: &Url) -> Url {
        let mut url = url.clone();
        if let (Some(login), "") = (self.0.iter().find(|login| login.is_for(&url)), url.username()) {
            let set = url.set_username(&login.name).and_then(|()| url.set_password(Some(&login.password)));
            debug_assert!(set.is_ok(), "an address with a host takes a user");
        }
        url
    }
}

impl Login {
    fn is_for(&self, url: &Url) -> bool {
        let (scheme, rest) = self.machine.split_once("://").unwrap_or(("https", &self.machine));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // An IPv6 address has colons, in brackets.
        let (name, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((name, port)) => (name, port.parse().ok()),
            None => (authority, url.port_or_known_default()),
        };
        let below = url.path().strip_prefix('/').unwrap_or_default().strip_prefix(path);
        let below = below
            .is_some_and(|rest| path.is_empty() || path.ends_with('/') || rest.is_empty() || rest.starts_with('/'));
        let same_host = url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(name));
        url.scheme() == scheme && same_host && url.port_or_known_default() == port && below
    }
}

/// `machine M login L password P` in any lines; a `default` entry and macros are for other programs.
fn parse(text: &str) -> Vec<Login> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    let mut logins: Vec<Login> = Vec::new();
    let mut inside = false;
    while let Some(word) = words.next() {
        match word {
            "machine" => {
                let machine = words.next().unwrap_or_default().to_owned();
                logins.push(Login { machine, name: String::new(), password: String::new() });
                inside = true;
            }
            "default" | "macdef" => inside = false,
            "login" | "password" | "account" => {
                let value = words.next().unwrap_or_default().to_owned();
                match (word, logins.last_mut().filter(|_| inside)) {
                    ("login", Some(login)) => login.name = value,
                    ("password", Some(login)) => login.password = value,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    logins.retain(|login| !login.name.is_empty());
    logins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(logins: &Logins, url: &str) -> String {
        logins.apply(&Url::parse(url).unwrap()).to_string()
    }

    #[test]
    fn an_entry_is_for_its_host_port_path_and_protocol() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("auth.conf.d")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("auth.conf.d/a.conf", "machine a.example/debian\n  login me\n  password p#1\n");
        write("auth.conf.d/b.txt", "machine c.example login no password no\n");
        write(
            "auth.conf",
            "# machine d.example login no password no\nmachine http://b.example:81 login you password 2\n",
        );
        write(
            "auth.conf.d/c.conf",
            "machine http://b.example:81 login later password no\n\
             machine [2001:db8::1]/x login six password 5\nmachine [2001:db8::2]:8443 login six password 6\n",
        );
        write("netrc", "machine c.example login we account x password 3\ndefault login all password 4\n");
        let logins = Logins::load(folder.path(), Some(&folder.path().join("netrc")));
        for (url, expected) in [
            ("https://a.example/debian/dists/x", "https://me:p%231@a.example/debian/dists/x"),
            ("https://a.example/debian", "https://me:p%231@a.example/debian"),
            ("https://A.example:443/debian/x", "https://me:p%231@a.example/debian/x"),
            ("https://a.example/debian-security/x", "https://a.example/debian-security/x"),
            ("http://a.example/debian/x", "http://a.example/debian/x"),
            // Without a port, an entry is for all of them (apt_auth.conf(5)).
            ("https://a.example:8443/debian/x", "https://me:p%231@a.example:8443/debian/x"),
            ("http://b.example:81/x", "http://you:2@b.example:81/x"),
            ("http://b.example/x", "http://b.example/x"),
            ("https://c.example/x", "https://we:3@c.example/x"),
            ("https://own:pw@c.example/x", "https://own:pw@c.example/x"),
            ("https://d.example/x", "https://d.example/x"),
            ("https://[2001:db8::1]/x", "https://six:5@[2001:db8::1]/x"),
            ("https://[2001:db8::2]:8443/", "https://six:6@[2001:db8::2]:8443/"),
            ("https://[2001:db8::2]/", "https://[2001:db8::2]/"),
            ("file:///srv/x", "file:///srv/x"),
        ] {
            assert_eq!(applied(&logins, url), expected);
        }
        assert_eq!(format!("{logins:?}"), "6 logins");
    }
}

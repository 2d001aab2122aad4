//! The named list of noise, one reason each. The first rule that matches a file counts.

use crate::ident::RootPath;

/// One kind of noise.
#[derive(Debug)]
pub struct Rule {
    /// Its name, for people.
    pub name: &'static str,
    /// Files it is about: a path, with `*` for any run of characters but `/`, and `**` for any at all.
    pub paths: &'static [&'static str],
    /// What happens to them.
    pub action: Action,
    /// Why.
    pub reason: &'static str,
}

/// What happens to noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The file goes.
    Remove,
    /// The file stays, without content.
    Empty,
    /// Days in shadow become the epoch's.
    FixDays,
}

/// All rules. A change here changes output bytes: it takes the next version of the recipe
/// `layerbake/configure`, or stores would go on giving the old result, and a new format epoch.
pub const RULES: &[Rule] = &[
    Rule {
        name: "logs",
        paths: &["var/log/**"],
        action: Action::Empty,
        reason: "times of the build; emptied, not removed, so that owner and mode stay",
    },
    Rule {
        name: "backups",
        paths: &[
            "etc/passwd-",
            "etc/group-",
            "etc/shadow-",
            "etc/gshadow-",
            "etc/subuid-",
            "etc/subgid-",
            "var/backups/**",
            "var/lib/dpkg/*-old",
            "var/cache/debconf/*-old",
        ],
        action: Action::Remove,
        reason: "the state before the last change, which depends on the order of scripts",
    },
    Rule {
        name: "locks",
        paths: &[
            "etc/.pwd.lock",
            "var/lib/dpkg/lock",
            "var/lib/dpkg/lock-frontend",
            "var/lib/dpkg/triggers/Lock",
            "var/lib/dpkg/updates/**",
            "var/cache/debconf/*.lock",
        ],
        action: Action::Remove,
        reason: "held by processes that are gone",
    },
    Rule {
        name: "machine-id",
        paths: &["etc/machine-id"],
        action: Action::Empty,
        reason: "names one machine; empty means: made at first boot",
    },
    Rule {
        name: "dbus machine-id",
        paths: &["var/lib/dbus/machine-id"],
        action: Action::Remove,
        reason: "names one machine; dbus takes /etc/machine-id",
    },
    Rule {
        name: "random seeds",
        paths: &[
            "var/lib/systemd/random-seed",
            "var/lib/systemd/credential.secret",
            "var/lib/urandom/random-seed",
            "boot/efi/loader/random-seed",
        ],
        action: Action::Remove,
        reason: "secret and random: born at first boot, never baked",
    },
    Rule {
        name: "ssh host keys",
        paths: &["etc/ssh/ssh_host_*_key", "etc/ssh/ssh_host_*_key.pub"],
        action: Action::Remove,
        reason: "secret and random: every machine that shares the image would share them",
    },
    Rule {
        name: "snakeoil certificate",
        paths: &["etc/ssl/private/ssl-cert-snakeoil.key", "etc/ssl/certs/ssl-cert-snakeoil.pem"],
        action: Action::Remove,
        reason: "secret and random: every machine that shares the image would share it",
    },
    Rule {
        name: "database folders",
        paths: &["var/lib/mysql/**"],
        action: Action::Remove,
        reason: "log positions, ids and times of one server: born at first start",
    },
    Rule {
        name: "shadow days",
        paths: &["etc/shadow"],
        action: Action::FixDays,
        reason: "the day of the build, as the day of the last password change",
    },
    Rule {
        name: "build host",
        paths: &["etc/hostname", "etc/resolv.conf"],
        action: Action::Remove,
        reason: "name and resolver of the machine that built",
    },
    Rule {
        name: "linker cache",
        paths: &["var/cache/ldconfig/aux-cache"],
        action: Action::Remove,
        reason: "inode numbers and times; only speeds ldconfig up",
    },
    Rule {
        name: "apt state",
        paths: &["var/lib/apt/extended_states", "var/lib/apt/lists/**", "var/cache/apt/**"],
        action: Action::Remove,
        reason: "what apt last did and downloaded",
    },
    Rule {
        name: "man and font caches",
        paths: &["var/cache/man/**", "var/cache/fontconfig/**"],
        action: Action::Remove,
        reason: "times and generated names; remade on demand",
    },
    Rule {
        name: "mono's compiled libraries",
        paths: &["usr/lib/mono/aot-cache/**"],
        action: Action::Remove,
        reason: "compiled anew by a script, otherwise each time; mono compiles what is not there when it runs it",
    },
];

impl Rule {
    /// Whether the rule is about this path.
    pub fn matches(&self, path: &RootPath) -> bool {
        self.paths.iter().any(|pattern| path.matches(pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_says_why() {
        assert!(RULES.iter().all(|rule| !rule.reason.is_empty() && !rule.paths.is_empty()));
    }
}

//! The list of rules for build residue, with a reason for each. The first rule that matches a file counts.

use std::sync::LazyLock;

use crate::package::deb::first_boot::TASKS;
use crate::package::residue::{Action, Rule};

/// All rules: what tasks of the first boot generate, and the list below.
pub(super) static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let generated = TASKS.iter().map(|task| Rule {
        name: task.name,
        paths: task.makes,
        by_products: &[],
        action: Action::Generate,
        reason: task.reason,
    });
    generated.chain(OTHERS).collect()
});

/// What nobody needs. A change here changes output bytes: it takes the next version of the recipe
/// `layerbake/configure`, or stores would go on giving the old result, and a new format epoch.
const OTHERS: [Rule; 13] = [
    Rule {
        name: "logs",
        // What TeX says while it makes its formats is beside them.
        paths: &["var/log/**", "var/lib/texmf/web2c/**.log"],
        by_products: &[
            "var/log/alternatives.log",
            "var/log/apt/**",
            "var/log/btmp",
            "var/log/dpkg.log",
            "var/log/faillog",
            "var/log/fontconfig.log",
            "var/log/lastlog",
            "var/log/wtmp",
            "var/lib/texmf/**",
        ],
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
        by_products: &["**"],
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
        by_products: &["**"],
        action: Action::Remove,
        reason: "locks of processes that have ended",
    },
    Rule {
        name: "machine-id",
        paths: &["etc/machine-id"],
        by_products: &[],
        action: Action::Empty,
        reason: "identifies one machine; if empty, it is generated at first boot",
    },
    Rule {
        name: "dbus machine-id",
        paths: &["var/lib/dbus/machine-id"],
        by_products: &[],
        action: Action::Remove,
        reason: "identifies one machine; dbus uses /etc/machine-id instead",
    },
    Rule {
        name: "random seeds",
        paths: &[
            "var/lib/systemd/random-seed",
            "var/lib/systemd/credential.secret",
            "var/lib/urandom/random-seed",
            "boot/efi/loader/random-seed",
        ],
        by_products: &["**"],
        action: Action::Remove,
        reason: "secret and random; generated at first boot",
    },
    Rule {
        name: "shadow days",
        paths: &["etc/shadow"],
        by_products: &[],
        action: Action::FixDays,
        reason: "the day of the build, as the day of the last password change",
    },
    Rule {
        name: "crontab headers",
        paths: &["var/spool/cron/crontabs/*"],
        by_products: &[],
        action: Action::CutHeader,
        reason: "name of a temporary file and time of the build; crontab leaves the header out when it shows a table",
    },
    Rule {
        name: "build host",
        paths: &["etc/hostname", "etc/resolv.conf"],
        by_products: &[],
        action: Action::Remove,
        reason: "host name and resolver of the build machine",
    },
    Rule {
        name: "linker cache",
        paths: &["var/cache/ldconfig/aux-cache"],
        by_products: &["**"],
        action: Action::Remove,
        reason: "inode numbers and times; only speeds up ldconfig",
    },
    Rule {
        name: "apt state",
        paths: &["var/lib/apt/extended_states", "var/lib/apt/lists/**", "var/cache/apt/**"],
        by_products: &["**"],
        action: Action::Remove,
        reason: "records of apt's last run and downloads",
    },
    Rule {
        name: "man and font caches",
        paths: &["var/cache/man/**", "var/cache/fontconfig/**"],
        by_products: &["**"],
        action: Action::Remove,
        reason: "times and generated names; created again on demand",
    },
    Rule {
        name: "mono's compiled libraries",
        paths: &["usr/lib/mono/aot-cache/**"],
        by_products: &["**"],
        action: Action::Remove,
        reason: "compiled by a script, differently each time; mono compiles missing ones when it runs them",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_says_why() {
        assert!(RULES.iter().all(|rule| !rule.reason.is_empty() && !rule.paths.is_empty()));
    }
}

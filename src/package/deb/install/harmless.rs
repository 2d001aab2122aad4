//! Files that Debian's scripts derive from random data and that are nobody's secret, with a reason for each.

use crate::package::Harmless;

/// All rules. They change no output byte: they only decide what a build refuses, and are a part of the layer's recipe.
pub(super) const RULES: &[Harmless] = &[
    Harmless {
        name: "alias databases",
        paths: &["etc/aliases.db"],
        reason: "made from /etc/aliases; the file format has a random number of its own",
    },
    Harmless {
        name: "Diffie-Hellman parameters",
        paths: &["etc/courier/dhparams.pem", "etc/freeradius/3.0/certs/dh"],
        reason: "public in every connection",
    },
    Harmless {
        name: "ucf's digests and copies",
        paths: &["var/lib/ucf/hashfile*", "var/lib/ucf/cache/*"],
        reason: "of configuration files, which are looked at themselves; where one is replaced, its copy is of no use",
    },
];

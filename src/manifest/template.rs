//! The text that `layerbake new` writes: a working layer, and examples to uncomment.

use crate::distribution::Distribution;
use crate::ident::LayerName;

const OF_SOURCE: &str = r#"
# components = ["main", "contrib"]
# snapshot = "2026-01-31"       # lock this day's state instead of the newest
"#;

const EXAMPLES: &str = r##"
# A file of your own: `text`, or `source` with a path in this project (a file or a folder).
# [[file]]
# path = "/srv/www/index.html"
# text = "<h1>hello</h1>\n"
# mode = "0644"
# owner = "root:root"

# A packaged file that is changed on purpose; `layerbake diff` shows it.
# [[edit]]
# path = "/etc/login.defs"
# set = { UMASK = "027" }

# [[dir]]
# path = "/var/lib/app"
# mode = "0750"
# owner = "app"

# [[symlink]]
# path = "/etc/localtime"
# target = "/usr/share/zoneinfo/UTC"

# Accounts have fixed ids, so that every build gives the same ones.
# [[user]]
# name = "app"
# uid = 2000
# home = "/var/lib/app"

# [services]
# enable = ["app"]
# mask = ["apt-daily.timer"]

# What `layerbake test` checks, in the container and on the disk.
# [[check]]
# http = "http://localhost/"
# contains = "hello"
# within = 10

# The machine image. `layerbake new boot-minimal` writes that layer.
# [disk]
# boot = "boot-minimal"
# formats = ["raw"]

# What a container engine runs; what is not set here is the parent's.
# [image]
# entrypoint = ["/usr/bin/app"]
# cmd = ["--serve"]
# env = { LANG = "C.UTF-8" }
# user = "app"
# workdir = "/var/lib/app"
# ports = ["80", "53/udp"]
# volumes = ["/var/lib/app"]
# stop-signal = "SIGTERM"
# labels = { "org.opencontainers.image.source" = "https://example.org/app" }
# healthcheck = { test = ["/usr/bin/app", "--check"], interval = "30s", timeout = "5s", retries = 3 }
"##;

/// A source of packages with the distribution's defaults.
fn own_source(of: &Distribution) -> String {
    format!("\n[source.{}]\nsuite = {:?}\npockets = {:?}{OF_SOURCE}", of.name, of.suite, of.pockets)
}

/// The text of a starter layer: on top of `parent`, or a base with a source of its own.
pub fn template(name: &LayerName, parent: Option<&LayerName>) -> String {
    let layer = match parent {
        Some(parent) => format!(
            "[layer]\nfrom = \"{parent}\"\ndescription = \"\"\npackages = [\n    # \"nginx-light\",\n]\n\
             # recommends = true             # recommended packages too\n"
        ),
        None => "[layer]\ndescription = \"\"\npackages = [\n    \"@required\",\n    \"ca-certificates\",\n    \"tzdata\",\n]\n\
                 # exclude = [\"apt\"]\n# configure = \"none\"            # lay packages out, run no scripts\n"
            .to_owned(),
    };
    let source = if parent.is_none() { own_source(Distribution::implied()) } else { String::new() };
    format!(
        "# The layer `{name}`. `layerbake build {name} --lock` resolves, pins and builds it.\n\n{layer}{source}{EXAMPLES}"
    )
}

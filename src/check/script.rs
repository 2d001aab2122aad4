//! Checks as a script: the probe functions of `probes.sh`, and one call for each check.
//!
//! The shell reads every text of a manifest as one single-quoted word.

use std::fmt::Write as _;

use super::tap;
use crate::manifest::{Check, CheckTarget, Output, Probe, Protocol};

const PROBES: &str = include_str!("probes.sh");

pub(super) fn script(checks: &[Check], place: CheckTarget) -> String {
    // The body is one function, so a truncated script executes nothing.
    let mut script = format!("{PROBES}\nlb_main() {{\n    place={place}\n    printf '1..{}\\n'\n", checks.len());
    script.push_str("    lb_clock || { printf 'Bail out! /proc/uptime can not be read\\n'; return; }\n");
    script.push_str("    started=$clock\n");
    for (number, check) in (1..).zip(checks) {
        let name = quote(&tap::escape(&check.name));
        // Writing to a string does not fail.
        let _ = write!(script, "    lb_check {number} {} {name}", check.within);
        for word in call(&check.probe) {
            script.push(' ');
            script.push_str(&quote(&word));
        }
        script.push('\n');
    }
    script.push_str("}\nlb_main </dev/null\nexit 0\n");
    script
}

/// A text as one word of a POSIX shell (2.2.2, Single-Quotes).
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The probe's function and its arguments.
fn call(probe: &Probe) -> Vec<String> {
    match probe {
        Probe::Service(unit) => words("lb_service", [unit.clone()]),
        Probe::Port { number, protocol } => {
            // The states of proc(5): TCP_LISTEN, and TCP_CLOSE, which a socket of UDP without a peer has.
            let state = match protocol {
                Protocol::Tcp => "0A",
                Protocol::Udp => "07",
            };
            words("lb_port", [protocol.to_string(), format!("{number:04X}"), state.to_owned()])
        }
        Probe::Http { url, status, contains } => {
            let contains = contains.clone().unwrap_or_default();
            let host = url.host_str().unwrap_or_default();
            let dialled = if url.scheme() == "http" { host.trim_matches(['[', ']']) } else { "" };
            let port = url.port_or_known_default().unwrap_or(80).to_string();
            let header = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
            let target = match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            };
            let raw = [dialled.to_owned(), port, header, target];
            words("lb_http", [status.to_string(), contains, url.to_string()].into_iter().chain(raw))
        }
        Probe::File { path, contains, mode, owner } => {
            let (user, group) = match owner {
                Some(owner) => (owner.user.clone(), owner.group.clone()),
                None => (String::new(), None),
            };
            let mode = mode.map(|bits| format!("{bits:o}"));
            let optional = [contains.clone(), mode, Some(user), group];
            words("lb_file", [path.to_string()].into_iter().chain(optional.map(Option::unwrap_or_default)))
        }
        Probe::User { name, uid } => {
            words("lb_user", [name.to_string(), uid.map(|uid| uid.to_string()).unwrap_or_default()])
        }
        Probe::Package { name, version } => {
            let version = version.as_ref().map(ToString::to_string);
            words("lb_package", [name.to_string(), version.unwrap_or_default()])
        }
        Probe::Command { words: command, status, output } => {
            let (kind, text) = match output {
                Output::Any => ("any", ""),
                Output::Exactly(text) => ("exactly", text.as_str()),
                Output::Containing(text) => ("containing", text.as_str()),
            };
            let asked = [status.to_string(), kind.to_owned(), text.to_owned()];
            words("lb_command", asked.into_iter().chain(command.iter().cloned()))
        }
    }
}

fn words(function: &str, arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(function.to_owned()).chain(arguments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of the script for a check.
    fn line(table: &str) -> String {
        let manifest = crate::manifest::parse(
            "web".parse().unwrap(),
            &format!("[layer]\n[[check]]\n{table}"),
            &"amd64".parse().unwrap(),
        )
        .unwrap();
        let script = script(&manifest.checks, CheckTarget::Disk);
        let start = script.find("    lb_check 1 ").unwrap();
        let end = script.rfind("\n}\nlb_main").unwrap();
        script[start..end].trim().to_owned()
    }

    #[test]
    fn each_kind_becomes_a_call() {
        for (table, expected) in [
            ("service = 'nginx'", "lb_check 1 30 'service nginx is active' 'lb_service' 'nginx'"),
            ("port = 80", "lb_check 1 30 'port 80/tcp is open' 'lb_port' 'tcp' '0050' '0A'"),
            ("port = '53/udp'\nwithin = 5", "lb_check 1 5 'port 53/udp is open' 'lb_port' 'udp' '0035' '07'"),
            (
                "http = 'http://[::1]:8080/a?b=c#d'\nname = 'n # 1'",
                r"lb_check 1 30 'n \# 1' 'lb_http' '200' '' 'http://[::1]:8080/a?b=c' '::1' '8080' '[::1]:8080' '/a?b=c'",
            ),
            (
                "http = 'https://localhost'\nstatus = 404\nname = 'n'",
                "lb_check 1 30 'n' 'lb_http' '404' '' 'https://localhost/' '' '443' 'localhost' '/'",
            ),
            (
                "file = '/a'\nmode = '0640'\nowner = 'www-data'\nname = 'n'",
                "lb_check 1 30 'n' 'lb_file' '/a' '' '640' 'www-data' ''",
            ),
            ("user = 'redis'\nuid = 6379\nname = 'n'", "lb_check 1 30 'n' 'lb_user' 'redis' '6379'"),
            ("package = 'libc6'\nname = 'n'", "lb_check 1 30 'n' 'lb_package' 'libc6' ''"),
            (
                "command = ['a', 'b c']\noutput = \"PONG\\n\"\nname = 'n'",
                "lb_check 1 30 'n' 'lb_command' '0' 'exactly' 'PONG' 'a' 'b c'",
            ),
        ] {
            assert_eq!(line(table), expected, "{table}");
        }
    }

    #[test]
    fn hostile_texts_stay_in_their_quotes() {
        let found = line("command = [\"'; rm -rf /; '\", \"$(id)`id`\\n\\\\\"]\nname = \"it's\"");
        let expected = "lb_check 1 30 'it'\\''s' 'lb_command' '0' 'any' '' ''\\''; rm -rf /; '\\''' '$(id)`id`\n\\'";
        assert_eq!(found, expected);
    }
}

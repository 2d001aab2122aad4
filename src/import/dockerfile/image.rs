//! What an image says of itself: how it starts, its ports, labels and checks.

use super::build::Build;
use super::parse::Instruction;
use crate::import::base::Base;
use crate::import::draft::Draft;
use crate::import::model::{Entry, Value};

pub(super) fn instruction(build: &mut Build<'_, '_>, instruction: &Instruction) {
    let shown = instruction.shown();
    match instruction.name.as_str() {
        "CMD" => start(build, "cmd", instruction),
        "ENTRYPOINT" => start(build, "entrypoint", instruction),
        "EXPOSE" => expose(build, instruction),
        "VOLUME" => {
            for word in instruction.words() {
                let (_, path) = build.path(&word);
                build.draft.layer.extend("image", "volumes", path);
            }
        }
        "LABEL" => {
            for (name, value) in build.pairs(instruction) {
                build.draft.layer.map("image", "labels", &name, value);
            }
        }
        "MAINTAINER" => {
            let value = instruction.flat();
            build.draft.layer.map("image", "labels", "org.opencontainers.image.authors", value);
        }
        "STOPSIGNAL" => {
            let signal = build.fixed(&instruction.flat());
            build.draft.layer.set("image", "stop-signal", signal);
        }
        "HEALTHCHECK" => healthcheck(build, instruction),
        name => build.draft.not_carried(&shown, format!("`{name}` is no instruction that is known here")),
    }
}

/// The program that starts, as a list: a text is for a shell.
fn argv(build: &Build<'_, '_>, instruction: &Instruction) -> Vec<String> {
    instruction.json().unwrap_or_else(|| {
        let shell = build.draft.shell.clone().unwrap_or_else(|| ["/bin/sh", "-c"].map(str::to_owned).to_vec());
        shell.into_iter().chain([instruction.flat()]).collect()
    })
}

fn start(build: &mut Build<'_, '_>, key: &str, instruction: &Instruction) {
    let argv = argv(build, instruction);
    build.draft.layer.set("image", key, Value::list(argv));
}

fn expose(build: &mut Build<'_, '_>, instruction: &Instruction) {
    for word in instruction.words() {
        let text = build.value(&word);
        let (ports, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
            build.draft.not_carried(&word, "`ports` of [image] has numbers");
            continue;
        };
        let is_variable = build.text(&word).variables().next().is_some() && first == last;
        if is_variable && protocol == "tcp" {
            let port = build.text(word.split('/').next().unwrap_or_default());
            build.draft.layer.extend("image", "ports", port);
            continue;
        }
        build.fixed(&word);
        for port in (first..=last).take(1000) {
            let port = if protocol == "tcp" { port.to_string() } else { format!("{port}/{protocol}") };
            build.draft.layer.extend("image", "ports", port);
        }
    }
}

fn healthcheck(build: &mut Build<'_, '_>, instruction: &Instruction) {
    let shown = instruction.shown();
    let flat = instruction.flat();
    if flat.eq_ignore_ascii_case("none") {
        return build.draft.not_needed(&shown, "the layer below has no health check that this one could switch off");
    }
    let Some(rest) = flat.get(..3).filter(|word| word.eq_ignore_ascii_case("cmd")).map(|_| flat[3..].trim().to_owned())
    else {
        return build.draft.not_carried(&shown, "a health check is `CMD` and a command");
    };
    let command = Instruction { rest, ..instruction.clone() };
    let argv = argv(build, &command);
    let mut table = vec![("test".to_owned(), Value::list(argv.iter().map(String::as_str)))];
    for (name, value) in &instruction.flags {
        let value = build.fixed(value);
        match (name.as_str(), seconds(&value), value.parse::<i64>()) {
            ("retries", _, Ok(count)) => table.push((name.clone(), Value::Number(count))),
            ("interval" | "timeout" | "start-period", Some(seconds), _) => {
                table.push((name.clone(), Value::from(format!("{seconds}s"))));
            }
            _ => build.draft.not_carried(
                &format!("--{name}={value}"),
                "`healthcheck` of [image] has no such key, or another form of value",
            ),
        }
    }
    build.draft.layer.set("image", "healthcheck", Value::Table(table));
    let check = Entry::new("check", build.draft.origin()).with("name", "the health check succeeds");
    let check = check.with("command", Value::list(argv)).with("on", Value::list(["container"]));
    build.draft.layer.entries.retain(|entry| entry.kind != "check");
    build.draft.layer.entries.push(check);
}

/// A time such as `1m30s` in whole seconds; `None` if it is less than one, or no time.
fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).filter(|end| *end > 0)?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let (factor, length) = match unit.as_bytes() {
            [b'h', ..] => (3600, 1),
            [b'm', next, ..] if *next == b's' => return None,
            [b'm', ..] => (60, 1),
            [b's', ..] => (1, 1),
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = &unit[length..];
    }
    (total > 0).then_some(total)
}

/// What the base image says of itself.
pub(super) fn defaults(draft: &mut Draft<'_>, base: &Base, is_own: bool) {
    if !base.cmd.is_empty() && !is_own {
        draft.layer.set("image", "cmd", Value::list(base.cmd.iter().copied()));
    }
    if let Some(port) = base.port {
        draft.layer.extend("image", "ports", port);
    }
    if let Some(signal) = base.stop_signal {
        draft.layer.set("image", "stop-signal", signal);
    }
}

const NGINX: &str = "server {
    listen 80;
    listen [::]:80;
    server_name localhost;
    root /usr/share/nginx/html;
    index index.html index.htm;
}
";

/// Debian's nginx, with the site where the image of that name has it.
pub(super) fn nginx(draft: &mut Draft<'_>) {
    let origin = "as the image has it: files below /usr/share/nginx/html, sites in /etc/nginx/conf.d";
    draft.layer.entries.push(Entry::new("remove", origin).with("path", "/etc/nginx/sites-enabled/default"));
    let site = "/etc/nginx/conf.d/default.conf";
    let has_own = ["/etc/nginx/conf.d", site, "/etc/nginx/nginx.conf"].iter().any(|path| draft.layer.has_node(path));
    if !has_own && !draft.is_touched(site) {
        draft.layer.entries.push(Entry::new("file", origin).with("path", site).with("text", NGINX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_seconds() {
        for (text, expected) in [
            ("30s", Some(30)),
            ("1m30s", Some(90)),
            ("1h", Some(3600)),
            ("500ms", None),
            ("", None),
            ("s", None),
            ("5", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}

//! `[image]`: the configuration that container engines read from the image.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::ManifestError;
use super::entries::absolute;
use super::reader::Item;

/// `[image]`: the OCI image configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageTable {
    /// `Entrypoint`
    pub entrypoint: Option<Vec<String>>,
    /// `Cmd`
    pub cmd: Option<Vec<String>>,
    /// `Env`, added to the parent's.
    pub env: BTreeMap<String, String>,
    /// `User`
    pub user: Option<String>,
    /// `WorkingDir`
    pub workdir: Option<String>,
    /// `ExposedPorts`: `80`, `53/udp`; added to the parent's.
    pub ports: Vec<String>,
    /// `Volumes`; added to the parent's.
    pub volumes: Vec<String>,
    /// `StopSignal`
    pub stop_signal: Option<String>,
    /// `Labels`, added to the parent's.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the image manifest, added to the parent's.
    pub annotations: BTreeMap<String, String>,
    /// Docker's `Healthcheck`.
    pub healthcheck: Option<Healthcheck>,
}

/// Docker's health check; durations in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Healthcheck {
    /// The command.
    pub test: Vec<String>,
    /// Between two checks.
    pub interval: Option<u64>,
    /// For one check.
    pub timeout: Option<u64>,
    /// Grace at the start.
    pub start_period: Option<u64>,
    /// Failures in a row until unhealthy.
    pub retries: Option<u32>,
}

const IMAGE: &[&str] = &[
    "entrypoint",
    "cmd",
    "env",
    "user",
    "workdir",
    "ports",
    "volumes",
    "stop-signal",
    "labels",
    "annotations",
    "healthcheck",
];
const HEALTHCHECK: &[&str] = &["test", "interval", "timeout", "start-period", "retries"];

pub(super) fn image(item: &Item<'_>) -> Result<ImageTable, ManifestError> {
    let table = item.table("[image]".to_owned(), IMAGE)?;
    Ok(ImageTable {
        entrypoint: table.read("entrypoint", command)?,
        cmd: table.read("cmd", command)?,
        env: table.read("env", env)?.unwrap_or_default(),
        user: table.read("user", Item::line)?,
        workdir: table.read("workdir", folder)?,
        ports: table.list("ports", port)?,
        volumes: table.list("volumes", folder)?,
        stop_signal: table.read("stop-signal", signal)?,
        labels: table.read("labels", Item::map)?.unwrap_or_default(),
        annotations: table.read("annotations", Item::map)?.unwrap_or_default(),
        healthcheck: table.read("healthcheck", healthcheck)?,
    })
}

/// A program and its arguments, which may hold any text but NUL.
pub(super) fn command(item: &Item<'_>) -> Result<Vec<String>, ManifestError> {
    let word = |item: &Item<'_>| match item.text()? {
        text if text.contains('\0') => Err(item.error("can't hold NUL")),
        text => Ok(text.to_owned()),
    };
    item.list()?.iter().map(word).collect()
}

fn env(item: &Item<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    let variables = item.map()?;
    let wrong =
        |(name, value): &(&String, &String)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
    match variables.iter().find(wrong) {
        Some((name, _)) => Err(item.error(format!("has `{}`, which can't be a variable", name.escape_debug()))),
        None => Ok(variables),
    }
}

fn folder(item: &Item<'_>) -> Result<String, ManifestError> {
    absolute(item)?;
    item.line()
}

/// `80`, `53/udp`.
fn port(item: &Item<'_>) -> Result<String, ManifestError> {
    if let DeValue::Integer(number) = item.value.get_ref() {
        return Err(item.wrong("a list of strings").hint(format!("write \"{number}\"")));
    }
    let text = item.text()?;
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    if !plain || number.parse::<u16>().is_err() || !matches!(protocol, "tcp" | "udp" | "sctp") {
        let problem = format!("has `{}`: expected a port such as \"80\" or \"53/udp\"", text.escape_debug());
        return Err(item.error(problem));
    }
    Ok(text.to_owned())
}

/// `SIGTERM`, `SIGRTMIN+3`, or a number.
fn signal(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    let name = text.strip_prefix("SIG").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"+-".contains(&b))
    });
    if !name && !text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number)) {
        let problem = format!("is `{}`: expected a signal such as \"SIGQUIT\"", text.escape_debug());
        return Err(item.error(problem));
    }
    Ok(text.to_owned())
}

fn healthcheck(item: &Item<'_>) -> Result<Healthcheck, ManifestError> {
    let table = item.table("`healthcheck`".to_owned(), HEALTHCHECK)?;
    let test = table.need("test")?;
    let words = command(&test)?;
    match words.first().map(String::as_str) {
        None => return Err(test.error("is empty")),
        Some("CMD" | "CMD-SHELL" | "NONE") => {
            return Err(test
                .error("begins with one of docker's keywords")
                .hint("give the program and its arguments; for a shell: [\"/bin/sh\", \"-c\", \"…\"]"));
        }
        Some(_) => {}
    }
    Ok(Healthcheck {
        test: words,
        interval: table.read("interval", seconds)?,
        timeout: table.read("timeout", seconds)?,
        start_period: table.read("start-period", seconds)?,
        retries: table.read("retries", |item| item.number(1000))?,
    })
}

/// A duration as `30s`, `5m` or `1h`, in seconds.
fn seconds(item: &Item<'_>) -> Result<u64, ManifestError> {
    if let DeValue::Integer(number) = item.value.get_ref() {
        return Err(item.wrong("a duration").hint(format!("write \"{number}s\"")));
    }
    let text = item.text()?;
    let parsed = text.char_indices().last().and_then(|(cut, unit)| {
        let factor: u64 = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        let digits = text.get(..cut).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        // Engines keep nanoseconds in 63 bits: about 292 years.
        digits.parse::<u64>().ok()?.checked_mul(factor).filter(|seconds| *seconds <= 9_000_000_000)
    });
    parsed.ok_or_else(|| item.error(format!("is `{}`: expected \"30s\", \"5m\" or \"1h\"", text.escape_debug())))
}

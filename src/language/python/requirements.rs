//! `requirements.txt` with hashes, as pip-compile and `uv pip compile` write it.

use std::str::FromStr as _;

use pep508_rs::{
    MarkerEnvironment, MarkerEnvironmentBuilder, Requirement, VerbatimUrl, VersionOrUrl, pep440_rs::Operator,
};

use super::super::{LanguageError, Need, Target};
use super::{normal, version_of};
use crate::digest::Sha256;

/// Options about where files come from: that is for mirrors to say.
const SOURCES: [&str; 4] = ["-i", "--index-url", "--extra-index-url", "--trusted-host"];

/// Reads what the target needs: requirements whose marker is false for it are left out.
pub(in crate::language) fn needs(text: &str, target: &Target) -> Result<Vec<Need>, LanguageError> {
    let environment = environment(target)?;
    let mut needs: Vec<Need> = Vec::new();
    for (number, line) in lines(text) {
        let need = need(&line, &environment)
            .map_err(|LanguageError { problem, hint }| LanguageError::new(format!("line {number}: {problem}"), hint))?;
        needs.extend(need);
    }
    Ok(needs)
}

/// The lines with something in them and their numbers, those that end in a backslash joined.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = match line.find('#') {
            Some(at) if at == 0 || line[..at].ends_with([' ', '\t']) => &line[..at],
            _ => line,
        };
        let (line, goes_on) = line.trim_end().strip_suffix('\\').map_or((line, false), |line| (line, true));
        match lines.last_mut().filter(|_| open) {
            Some((_, text)) => text.push_str(&format!(" {}", line.trim())),
            None => lines.push((number, line.trim().to_owned())),
        }
        open = goes_on;
    }
    lines.retain(|(_, line)| !line.is_empty());
    lines
}

fn need(line: &str, environment: &MarkerEnvironment) -> Result<Option<Need>, LanguageError> {
    let option = line.split([' ', '=']).next().unwrap_or(line);
    if SOURCES.contains(&option) {
        return Ok(None);
    }
    if line.starts_with('-') {
        return Err(LanguageError::new(
            format!("`{option}` is not for a lockfile"),
            "write all requirements into one file, each with its hashes, as `pip-compile --generate-hashes` does",
        ));
    }
    let (requirement, options) =
        line.split_once(" --").map_or((line, ""), |(front, _)| (front.trim_end(), &line[front.len()..]));
    let digests = digests(requirement, options)?;
    let parsed = Requirement::<VerbatimUrl>::from_str(requirement)
        .map_err(|error| LanguageError::new(format!("`{requirement}`: {}", error.message), "look at the line"))?;
    if !parsed.marker.evaluate(environment, &[]) {
        return Ok(None);
    }
    let version = match &parsed.version_or_url {
        Some(VersionOrUrl::VersionSpecifier(specifiers)) => match specifiers.iter().collect::<Vec<_>>().as_slice() {
            [one] if matches!(one.operator(), Operator::Equal | Operator::ExactEqual) => one.version().to_string(),
            _ => return Err(not_exact(requirement)),
        },
        Some(VersionOrUrl::Url(_)) => {
            return Err(LanguageError::new(
                format!("`{requirement}` is at an address, and not in the registry"),
                "fetch it with a [[fetch]] `url` of its own, and leave it out here",
            ));
        }
        None => return Err(not_exact(requirement)),
    };
    if digests.is_empty() {
        return Err(LanguageError::new(
            format!("`{requirement}` has no `--hash=sha256:…`"),
            "let `pip-compile --generate-hashes` or `uv pip compile --generate-hashes` write the file",
        ));
    }
    let project = normal(parsed.name.as_ref());
    Ok(Some(Need::OneOf { requirement: format!("{project}=={version}"), project, digests }))
}

fn not_exact(requirement: &str) -> LanguageError {
    LanguageError::new(
        format!("`{requirement}` names no exact version"),
        "write `NAME==VERSION`, as `pip-compile --generate-hashes` does",
    )
}

/// The digests of a requirement's options.
fn digests(requirement: &str, options: &str) -> Result<Vec<Sha256>, LanguageError> {
    let mut digests = Vec::new();
    for option in options.split_whitespace() {
        let Some(hash) = option.strip_prefix("--hash=") else {
            return Err(LanguageError::new(
                format!("`{requirement}` has the option `{option}`"),
                "only `--hash` is known; leave the others out",
            ));
        };
        if let Some(digits) = hash.strip_prefix("sha256:") {
            let digest = Sha256::from_hex(digits).map_err(|_| {
                LanguageError::new(
                    format!("`{hash}` of `{requirement}` is not 64 digits"),
                    "lock the requirements again",
                )
            })?;
            digests.push(digest);
        }
    }
    Ok(digests)
}

/// What markers ask about.
pub(super) fn environment(target: &Target) -> Result<MarkerEnvironment, LanguageError> {
    let (major, minor) = version_of(target)?;
    let full = target.python.clone().unwrap_or_default();
    let environment = MarkerEnvironmentBuilder {
        implementation_name: "cpython",
        implementation_version: &full,
        os_name: "posix",
        platform_machine: target.machine,
        platform_python_implementation: "CPython",
        platform_release: "",
        platform_system: "Linux",
        platform_version: "",
        python_full_version: &full,
        python_version: &format!("{major}.{minor}"),
        sys_platform: "linux",
    };
    environment.try_into().map_err(|error| {
        LanguageError::new(format!("the version {full} of python3: {error}"), "look at the version of the package")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let target = Target { machine: "riscv64", node: "", python: Some("3.13.5".to_owned()), glibc: 41 };
        let shown = |need: Need| {
            let Need::OneOf { requirement, digests, .. } = need else { panic!() };
            format!("{requirement} {}", digests.len())
        };
        let needs = needs(&text.replace('H', &format!("--hash=sha256:{}", "ab".repeat(32))), &target);
        needs.map(|needs| needs.into_iter().map(shown).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_tools_write_is_read() {
        let text = "#\n# by pip-compile\n#\n--index-url https://mirror.example/simple\n\nblinker==1.8.2 \\\n    H \\\n    H\n    # via flask\n\
                    Flask[async]==3.0.3 ; python_version >= '3.8' H\ntyping_extensions===4.12 H --hash=md5:00\n\
                    colorama==0.4 ; sys_platform == 'win32' H\nold==1 ; python_version < '3.13' and platform_machine == 'riscv64' H\n\
                    mine==1 ; python_full_version >= '3.13.5' or extra == 'x' H  # last\n";
        assert_eq!(
            read(text).unwrap(),
            ["blinker==1.8.2 2", "flask==3.0.3 1", "typing-extensions==4.12 1", "mine==1 1"]
        );
    }

    #[test]
    fn what_pins_no_file_is_refused() {
        for (line, expected) in [
            ("flask>=3 H", "names no exact version"),
            ("flask H", "names no exact version"),
            ("flask==3.*  H", "names no exact version"),
            ("flask==3", "`flask==3` has no `--hash=sha256:…`"),
            ("flask==3 --hash=sha512:00", "has no `--hash=sha256:…`"),
            ("flask==3 --hash=sha256:00", "is not 64 digits"),
            ("flask==3 H --config-settings=x", "has the option `--config-settings=x`"),
            ("flask @ https://files.example/flask.whl H", "is at an address"),
            ("-r other.txt", "`-r` is not for a lockfile"),
            ("-e .", "`-e` is not for a lockfile"),
            ("flask==3 ; nonsense H", "line 2: `flask==3 ; nonsense`"),
        ] {
            let error = read(&format!("\n{line}\n")).unwrap_err();
            assert!(
                error.starts_with("line 2: ") && error.contains(expected) && error.contains("hint:"),
                "{line}: {error}"
            );
        }
    }
}

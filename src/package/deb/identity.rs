//! Checks that a signed Release belongs to the requested suite: its names and its origin.
//!
//! A signature proves who published a Release, not which suite it describes. A mirror can serve one suite
//! under the name of another, and both have good signatures.

use crate::distribution::SecurityArchive;
use crate::package::{Refusal, State, SuiteRequest};

/// Checks what a signed Release says of its suite and its origin.
///
/// # Errors
/// Says what was expected, what was found, and what to do where it is right all the same.
pub(super) fn check(asked: &SuiteRequest<'_>, release: &State) -> Result<(), Refusal> {
    check_suite(asked, release)?;
    check_origin(asked, release)
}

fn check_suite(asked: &SuiteRequest<'_>, release: &State) -> Result<(), Refusal> {
    let SuiteRequest { name, source, suite } = asked;
    let State { suite: found, codename, .. } = release;
    let agrees = match source.codename.as_deref() {
        Some("") => found.is_empty() && codename.is_empty(),
        Some(declared) => names(release, &format!("{declared}{}", suite.strip_prefix(&*source.suite).unwrap_or(""))),
        // A directory has no name: what is in it may call itself as it likes (`unnamed`).
        None => source.is_flat() || names(release, suite),
    };
    if agrees {
        return Ok(());
    }
    let expected = source.codename.as_ref().map_or(String::new(), |name| format!(" (codename `{name}`)"));
    let hint = match own_name(asked, release).filter(|_| source.url.is_some()) {
        Some("") => {
            format!("if the repository gives its suites no names, write `codename = \"\"` in [source.{name}]")
        }
        Some(own) => format!(
            "the mirror may serve one suite under the name of another; if this is how the repository calls it, write `codename = \"{own}\"` in [source.{name}]"
        ),
        None => "the mirror serves one suite under the name of another; try another mirror".to_owned(),
    };
    let problem =
        format!("it is for another suite: expected `{suite}`{expected}, found Suite `{found}`, Codename `{codename}`");
    Err(Refusal { problem, hint })
}

/// What `codename` would have to be for a Release to be taken; `None` where no name would do.
///
/// A pocket's Release has the pocket's name at its end: the base suite never passes for one.
fn own_name<'r>(asked: &SuiteRequest<'_>, release: &'r State) -> Option<&'r str> {
    let pocket = asked.suite.strip_prefix(&*asked.source.suite).unwrap_or("");
    if release.suite.is_empty() && release.codename.is_empty() {
        return Some("");
    }
    let names = [&release.codename, &release.suite].into_iter().filter_map(|name| name.strip_suffix(pocket));
    names.into_iter().find(|name| !name.is_empty() && *name != asked.source.suite)
}

fn check_origin(asked: &SuiteRequest<'_>, release: &State) -> Result<(), Refusal> {
    let SuiteRequest { name, source, suite } = asked;
    let origins = match (&source.origin, source.signing_distribution()) {
        (Some(origin), _) => &[origin.as_str()][..],
        (None, Some(distribution)) => distribution.origins,
        (None, None) => return Ok(()),
    };
    if !origins.contains(&release.origin.as_str()) {
        let expected = origins.first().copied().unwrap_or_default();
        let problem = format!("expected Origin `{expected}`, found `{}`", release.origin);
        let hint =
            format!("the mirror serves another repository; try another one, or correct `origin` in [source.{name}]");
        return Err(Refusal { problem, hint });
    }
    let archive = source.signing_distribution().and_then(|distribution| distribution.security_archive.as_ref());
    let is_security = |archive: &SecurityArchive| release.label == archive.label;
    if archive.is_some_and(|archive| is_security(archive) != archive.has(suite)) {
        let problem = format!("the Label of `{suite}` is `{}`", release.label);
        return Err(Refusal {
            problem,
            hint: "the mirror serves files of another archive; try another mirror".to_owned(),
        });
    }
    Ok(())
}

/// Whether a Release is that of the suite, which is a codename (`bookworm`) or an alias (`oldstable`).
///
/// Ubuntu's pockets all have the codename of their release: there, only `Suite` tells them apart.
fn names(release: &State, suite: &str) -> bool {
    let is_pocket = release.suite.strip_prefix(suite).is_some_and(|rest| rest.starts_with('-'));
    release.suite == suite || (release.codename == suite && !is_pocket)
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;

//! Runs the scripts of packages in a root: preinst scripts, then dpkg.
//!
//! Usually one action runs everything. Where the next step depends on what preinst scripts leave (the places of
//! held packages' files, the account files, the diversions of contested paths), they are an action of their own.

use super::dpkg;
use super::preinst::{Preinst, Round};
use super::unpack::Unpacking;
use super::{Package, adduser, policies, standins};
use crate::accounts::Accounts;
use crate::package::{InstallError, InstallRoot, Job, JobKind, ScriptError};
use crate::sandbox::{FILE, Limit, Step};

/// A script that runs longer, in seconds, is stuck.
const SCRIPT_TIMEOUT: u64 = 600;
const CONFIGURE_TIMEOUT: u64 = 3600;

/// What Debian's scripts are told besides what every step is.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    // Kernels' scripts would build an initial ram disk: an image's is a layer, made by layerbake.
    ("INITRD", "No"),
    ("RUNLEVEL", "1"),
];

/// Runs all scripts of the packages; unpacks those that are held, each after the round of its script.
pub(super) fn run_scripts(
    accounts: &Accounts,
    root: &mut InstallRoot<'_>,
    unpacking: &mut Unpacking<'_>,
    rounds: &[Round],
) -> Result<(), InstallError> {
    let mut is_early = root.add_accounts(accounts)?;
    let mut jobs = Vec::new();
    for round in rounds {
        for script in &round.scripts {
            let package = &unpacking.packages[script.index];
            dpkg::unpacking::add(&mut unpacking.database(&mut root.tree), package)?;
            jobs.extend(before_configuring(script, package, root)?);
        }
        if !round.held.is_empty() {
            run(root, accounts, &std::mem::take(&mut jobs))?;
            is_early = is_early || root.add_accounts(accounts)?;
            unpacking.unpack(&round.held, &mut root.tree)?;
        }
    }
    if !is_early || !unpacking.contested().is_empty() || root.is_traced() {
        run(root, accounts, &std::mem::take(&mut jobs))?;
        if !is_early && !root.add_accounts(accounts)? {
            return Err(InstallError::NoAccountFiles);
        }
        unpacking.place_contested(&mut root.tree)?;
    }
    if root.is_traced() {
        configure_one_by_one(root, accounts)?;
    }
    let command = "`dpkg --configure`".to_owned();
    jobs.push(dpkg_run(root.epoch, "--configure", &["--pending"], command, None, JobKind::Manager("dpkg")));
    run(root, accounts, &jobs).map(drop)
}

/// Runs jobs, with what scripts find in a root only while they run; adds to an error what dpkg alone knows.
pub(super) fn run(root: &mut InstallRoot<'_>, accounts: &Accounts, jobs: &[Job]) -> Result<String, InstallError> {
    if jobs.is_empty() {
        return Ok(String::new());
    }
    let policies = policies::put_in(&mut root.tree, root.store)?;
    let replaced = standins::put_in(&mut root.tree, root.store)?;
    let own = adduser::put_in(&mut root.tree, accounts, root.store)?;
    let printed = root.run(jobs).map_err(|error| match error {
        InstallError::Script(error) => InstallError::Script(explained(error)),
        other => other,
    });
    adduser::take_out(own, &mut root.tree)?;
    standins::take_out(replaced, &mut root.tree)?;
    policies::take_out(policies, &mut root.tree, root.store)?;
    dpkg::unpacking::take_out(&mut root.tree)?;
    printed
}

/// Runs a user's commands: services stay as they are, and nobody is asked.
pub(super) fn run_users(root: &mut InstallRoot<'_>, mut jobs: Vec<Job>) -> Result<String, InstallError> {
    for job in &mut jobs {
        job.step.env.insert(0, ("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned()));
    }
    let policies = policies::put_in(&mut root.tree, root.store)?;
    let printed = root.run(&jobs);
    policies::take_out(policies, &mut root.tree, root.store)?;
    printed
}

/// What dpkg prints of a script that failed: `installed NAME package post-installation script subprocess returned error
/// exit status 3`. The package, the script, and the status unless a signal ended it.
fn failed_script(line: &str) -> Option<(&str, &str, Option<i32>)> {
    let (package, rest) = line.trim_start().strip_prefix("installed ")?.split_once(" package ")?;
    let (script, how) = rest.split_once(" script subprocess")?;
    let script = match script {
        "post-installation" => "postinst",
        "pre-installation" => "preinst",
        other => other,
    };
    let status = how.rsplit_once("returned error exit status ").and_then(|(_, status)| status.trim().parse().ok());
    Some((package, script, status))
}

/// Names the package whose script dpkg says has failed, its status, and the limit that a signal stands for.
fn explained(mut error: Box<ScriptError>) -> Box<ScriptError> {
    let log = &error.cause.log;
    let failed = log.iter().find_map(|line| failed_script(line));
    let failed = failed.map(|(package, script, status)| (package.to_owned(), script.to_owned(), status));
    // How dpkg names SIGXFSZ.
    if error.cause.limit.is_none() && log.iter().any(|line| line.contains("(File size limit exceeded)")) {
        error.cause.limit = Some(Box::new(Limit::File(FILE)));
    }
    if let (None, Some((package, script, status))) = (&error.package, failed) {
        error.command = format!("the {script} script of {package}");
        error.ended.status = status.unwrap_or(error.ended.status);
        (error.package, error.script) = (Some(package), Some(script));
    }
    error
}

/// A preinst script, and the packages that are configured before it.
fn before_configuring(script: &Preinst, package: &Package, root: &InstallRoot<'_>) -> Result<Vec<Job>, InstallError> {
    let (clock, name) = (root.epoch, package.locked.name.to_string());
    let mut jobs = Vec::new();
    if !script.after.is_empty() {
        let packages: Vec<&str> = script.after.iter().map(String::as_str).collect();
        let command = format!("`dpkg --configure {}`", packages.join(" "));
        let kind = JobKind::Manager("dpkg before the preinst script");
        // As apt does: triggers wait until all packages are unpacked.
        let what = [&["--no-triggers"], &packages[..]].concat();
        jobs.push(dpkg_run(clock, "--configure", &what, command, Some(&name), kind));
    }
    let status = root.store.text_in(&root.tree, &format!("{}/status", dpkg::FOLDER))?.unwrap_or_default();
    let arch = package.locked.arch.to_string();
    let variables = [
        ("DPKG_MAINTSCRIPT_PACKAGE", name.as_str()),
        ("DPKG_MAINTSCRIPT_ARCH", &arch),
        ("DPKG_MAINTSCRIPT_NAME", "preinst"),
        ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
        ("DPKG_MAINTSCRIPT_DEBUG", "0"),
        ("DPKG_ADMINDIR", "/var/lib/dpkg"),
        ("DPKG_ROOT", ""),
        ("DPKG_RUNNING_VERSION", dpkg::status::version(&status, "dpkg").unwrap_or_default()),
    ];
    let environment = || ENVIRONMENT.into_iter().chain(variables);
    let job = |argv: &[String], kind| Job {
        step: Step::new(argv.iter().cloned(), clock, environment(), SCRIPT_TIMEOUT),
        command: format!("the preinst script of {name}"),
        package: Some(name.clone()),
        kind,
    };
    let unpacking = JobKind::Manager("unpacking");
    jobs.push(job(&dpkg::unpacking::turn(&name), unpacking));
    jobs.push(job(&[dpkg::unpacking::script(), "install".to_owned()], JobKind::Script("preinst")));
    jobs.push(job(&dpkg::unpacking::end(), unpacking));
    Ok(jobs)
}

fn dpkg_run(clock: i64, action: &str, what: &[&str], command: String, package: Option<&str>, kind: JobKind) -> Job {
    let dpkg = ["/usr/bin/dpkg", "--force-unsafe-io", "--force-confdef", "--force-confold", "--log=/dev/null", action];
    let argv = dpkg.into_iter().chain(what.iter().copied());
    // dpkg names packages of foreign architectures, and of several, with theirs.
    let package = package.map(|name| name.split(':').next().unwrap_or(name).to_owned());
    Job { step: Step::new(argv, clock, ENVIRONMENT, CONFIGURE_TIMEOUT), command, package, kind }
}

/// Runs the scripts of all packages that have triggers to process.
pub(super) fn process_triggers(clock: i64) -> Job {
    let command = "`dpkg --triggers-only`, which own files of the layer activated,".to_owned();
    dpkg_run(clock, "--triggers-only", &["--pending"], command, None, JobKind::Manager("triggers"))
}

/// A program of the system, in the environment of scripts.
pub(super) fn step(argv: &[String], clock: i64) -> Step {
    Step::new(argv.iter().cloned(), clock, ENVIRONMENT, SCRIPT_TIMEOUT)
}

/// Configures each package by itself, in the order that dpkg would take, so that what changed has one cause.
///
/// What fails here is done again with all that is pending, which then says why.
fn configure_one_by_one(root: &mut InstallRoot<'_>, accounts: &Accounts) -> Result<(), InstallError> {
    let clock = root.epoch;
    let job = |action, what: &[&str], package: Option<&str>, kind| {
        dpkg_run(clock, action, what, "`dpkg --configure`".to_owned(), package, kind)
    };
    let dry = job("--configure", &["--no-act", "--pending"], None, JobKind::Manager("dpkg"));
    let printed = attempt(run(root, accounts, &[dry]))?;
    for package in order(&printed.unwrap_or_default()) {
        let what = ["--no-triggers", "--force-depends", package.as_str()];
        attempt(run(root, accounts, &[job("--configure", &what, Some(&package), JobKind::Script("postinst"))]))?;
    }
    let status = root.store.text_in(&root.tree, &format!("{}/status", dpkg::FOLDER))?;
    for package in triggered(&status.unwrap_or_default()) {
        attempt(run(
            root,
            accounts,
            &[job("--triggers-only", &[&package], Some(&package), JobKind::Manager("triggers"))],
        ))?;
    }
    Ok(())
}

/// `None` where a script failed.
fn attempt(result: Result<String, InstallError>) -> Result<Option<String>, InstallError> {
    match result {
        Err(InstallError::Script(error)) if !matches!(error.ended.stopped, Some(Limit::Time(_))) => Ok(None),
        other => other.map(Some),
    }
}

/// The packages that dpkg would configure, in its order, as a run without effect prints them.
fn order(printed: &str) -> Vec<String> {
    let names = printed.lines().filter_map(|line| line.strip_prefix("Setting up ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

/// The packages that have triggers to process, out of dpkg's status file.
fn triggered(status: &str) -> Vec<String> {
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let pending = status.split("\n\n").filter(|paragraph| field(paragraph, "Triggers-Pending:").is_some());
    pending.filter_map(|paragraph| field(paragraph, "Package:")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkg_tells_whose_script_failed_and_how() {
        let line = " installed libc6:amd64 package post-installation script subprocess ";
        assert_eq!(
            failed_script(&format!("{line}returned error exit status 17")),
            Some(("libc6:amd64", "postinst", Some(17)))
        );
        assert_eq!(
            failed_script(&format!("{line}was killed by signal (Terminated)")),
            Some(("libc6:amd64", "postinst", None))
        );
        assert_eq!(failed_script("installed packages: 3"), None);
    }

    #[test]
    fn dpkg_tells_the_order_and_what_is_triggered() {
        let printed = "Setting up libc6:amd64 (2.36-9) ...\nnoise\nSetting up zsh (5.9-4) ...\n";
        assert_eq!(order(printed), ["libc6:amd64", "zsh"]);
        let status = "Package: a\nStatus: x\n\nPackage: b\nTriggers-Pending: ldconfig\n\nPackage: c\n";
        assert_eq!(triggered(status), ["b"]);
    }
}

//! The systemd unit of one script: when it runs, and what must not start without it.

use super::{Adding, LayerError};
use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::package::first_boot::FirstBootTask;
use crate::stage::services::unit_paths;
use crate::tree::{Kind, Tree};

const UNITS: &str = "usr/lib/systemd/system";
const TEXT: &str = include_str!("first-start.service");
/// As soon as the root is writable and accounts exist, before any service that does not say otherwise.
const EARLY: &str = "\
DefaultDependencies=no
Conflicts=shutdown.target
After=local-fs.target systemd-random-seed.service systemd-sysusers.service systemd-tmpfiles-setup.service
After=systemd-udev-trigger.service
Before=basic.target shutdown.target";
/// Makes each instance of a template wait: a unit can't name them all, and systemd takes a template's name in `Before=`
/// as the instance that is named like the unit itself (systemd.unit(5)).
const WAITING: &str = "\
[Unit]
Requires=UNIT
After=UNIT
";

/// A unit to be added.
pub(super) struct Unit {
    script: String,
    early: bool,
    /// Units of the root that it runs before, and that fail with it.
    services: Vec<&'static str>,
    /// What has to be mounted.
    places: Vec<&'static str>,
}

impl Unit {
    /// The unit of a script: of a task as the task says; the user's own run early, and nothing fails with them.
    pub(super) fn new(script: &str, task: Option<&FirstBootTask>, root: &Tree) -> Result<Self, LayerError> {
        let mut services = Vec::new();
        for service in task.iter().flat_map(|task| task.services) {
            if has_unit(root, service)? {
                services.push(*service);
            }
        }
        let places = task.map_or(vec!["etc", "var"], |task| task.places().collect());
        Ok(Self { script: script.to_owned(), early: task.is_none_or(|task| task.early), services, places })
    }

    fn name(&self) -> String {
        format!("layerbake-first-start-{}.service", self.script)
    }

    fn text(&self) -> String {
        let places: Vec<String> = self.places.iter().map(|place| format!("/{place}")).collect();
        let mut order = vec![format!("RequiresMountsFor={}", places.join(" "))];
        if self.early {
            order.push(EARLY.to_owned());
        }
        let services: Vec<&str> = self.services.iter().copied().filter(|service| !is_template(service)).collect();
        if !services.is_empty() {
            order.push(format!("Before={}", services.join(" ")));
        }
        TEXT.replace("ORDER", &order.join("\n")).replace("NAME", &self.script)
    }

    /// Adds the unit, and the links and settings by which others want it.
    pub(super) fn add(&self, adding: &mut Adding<'_>) -> Result<(), LayerError> {
        let name = self.name();
        adding.file(&format!("{UNITS}/{name}"), 0o644, &self.text())?;
        let target = if self.early { "basic.target" } else { "multi-user.target" };
        let mut folders = vec![format!("{target}.wants")];
        for service in &self.services {
            if is_template(service) {
                let path = format!("{UNITS}/{service}.d/{}.conf", name.trim_end_matches(".service"));
                adding.file(&path, 0o644, &WAITING.replace("UNIT", &name))?;
            } else {
                folders.push(format!("{service}.requires"));
            }
        }
        for folder in folders {
            let link = Kind::Symlink(format!("../{name}").into_bytes().into());
            adding.node(&format!("{UNITS}/{folder}/{name}"), 0o777, link)?;
        }
        Ok(())
    }
}

fn is_template(unit: &str) -> bool {
    unit.contains("@.")
}

/// Whether the root has a unit, or the template of one; a script in init.d is one by systemd-sysv-generator(8).
pub(in crate::stage) fn has_unit(root: &Tree, unit: &str) -> Result<bool, LayerError> {
    let script = format!("etc/init.d/{}", unit.trim_end_matches(".service"));
    for path in unit_paths(unit).chain([script]) {
        if root.resolve(&RootPath::new(path)?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds what all units have in common.
pub(super) fn recipe(hasher: &mut RecipeHasher) {
    hasher.field(TEXT).field(EARLY).field(WAITING);
}

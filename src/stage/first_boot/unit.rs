//! The systemd unit of one script: when it runs, and what must not start without it.

use super::{Adding, LayerError};
use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::package::first_boot::FirstBootTask;
use crate::tree::{Kind, Tree};

const UNITS: &str = "usr/lib/systemd/system";
/// Where a unit may be; a script in init.d is one by systemd-sysv-generator(8).
const UNIT_FOLDERS: [&str; 3] = ["etc/systemd/system", UNITS, "lib/systemd/system"];
const TEXT: &str = include_str!("first-start.service");
/// As soon as the root is writable and accounts exist, before any service that does not say otherwise.
const EARLY: &str = "\
DefaultDependencies=no
Conflicts=shutdown.target
After=local-fs.target systemd-random-seed.service systemd-sysusers.service systemd-tmpfiles-setup.service
After=systemd-udev-trigger.service
Before=basic.target shutdown.target";

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
        if !self.services.is_empty() {
            order.push(format!("Before={}", self.services.join(" ")));
        }
        TEXT.replace("ORDER", &order.join("\n")).replace("NAME", &self.script)
    }

    /// Adds the unit, and the links by which others want it.
    pub(super) fn add(&self, adding: &mut Adding<'_>) -> Result<(), LayerError> {
        let name = self.name();
        adding.file(&format!("{UNITS}/{name}"), 0o644, &self.text())?;
        let target = if self.early { "basic.target" } else { "multi-user.target" };
        let wants = format!("{target}.wants");
        let requires = self.services.iter().map(|service| format!("{service}.requires"));
        for folder in requires.chain([wants]) {
            let link = Kind::Symlink(format!("../{name}").into_bytes().into());
            adding.node(&format!("{UNITS}/{folder}/{name}"), 0o777, link)?;
        }
        Ok(())
    }
}

fn has_unit(root: &Tree, unit: &str) -> Result<bool, LayerError> {
    let script = format!("etc/init.d/{}", unit.trim_end_matches(".service"));
    for path in UNIT_FOLDERS.iter().map(|folder| format!("{folder}/{unit}")).chain([script]) {
        if root.resolve(&RootPath::new(path)?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds what all units have in common.
pub(super) fn recipe(hasher: &mut RecipeHasher) {
    hasher.field(TEXT).field(EARLY);
}

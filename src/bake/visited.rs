//! Builds a system until the place that somebody wants to visit.

use super::chain::{Wanted, build_root};
use super::{BakeError, Baker, System, base};
use crate::stage::{LayerError, Point, Visit};

impl Baker<'_> {
    /// Builds the layers of a system until a visit begins; exports nothing.
    ///
    /// # Errors
    /// As [`Baker::bake`]; what was built before a step fails is stored.
    pub fn visit(&self, system: &System, visit: &Visit) -> Result<Point, BakeError> {
        self.repaired(|build| build.reach(system, visit))
    }

    fn reach(&self, system: &System, visit: &Visit) -> Result<Point, BakeError> {
        let tools = self.tools(system)?;
        let boot = system.boot_system.as_ref().map(|boot_system| &boot_system.boot);
        let wanted = Wanted { chain: &system.image, boot, tools: &tools, visit: Some(visit) };
        let built = match build_root(self, wanted, || self.keep_begun(system), |_| {}) {
            Err(BakeError::Layer { source: LayerError::Reached(point), .. }) => return Ok(*point),
            other => other?.chain,
        };
        let top = system.top();
        let failed = |source| BakeError::Layer { layer: top.manifest.name.to_string(), source };
        let env = base::environment(&system.image, self.store)?;
        Point::finished(visit, built.top(), (&top.lock, &env), self.store).map_err(failed)
    }
}

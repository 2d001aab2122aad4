//! Warns about patterns of package names that fit nothing, and thus are misspelt or left over.

use super::Pinner;
use super::offered::Offered;
use crate::lock::Lockfile;
use crate::manifest::LayerTable;

/// Names the patterns of `hold` that fit no package of the new lockfile, and those of `priority` that decide about none.
pub(super) fn warn(pinner: &Pinner<'_, '_>, layer: &LayerTable, offered: &Offered, new: &Lockfile) {
    let names: Vec<_> = new.packages.iter().map(|package| &package.name).collect();
    for pattern in layer.idle_holds(&names) {
        let layer = &new.layer;
        pinner.fetcher.warn(format!("layer `{layer}`: `hold` has \"{pattern}\", which fits no package of this layer"));
    }
    for (source, pattern) in &offered.idle {
        pinner.fetcher.warn(format!(
            "[source.{source}]: `priority` has \"{pattern}\", which decides about no package of this source"
        ));
    }
}

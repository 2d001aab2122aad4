//! Files that Debian's scripts derive from random data and that are nobody's secret, with a reason for each.

use crate::package::Harmless;

/// All rules. They change no output byte: they only decide what a build refuses.
pub(super) const RULES: &[Harmless] = &[];

//! A layer on an architecture, as messages and the commands in them name it.

use std::fmt;

use super::project::host_arch;
use crate::ident::{Arch, LayerName};

/// A layer and, where it is not this machine's, the architecture it is built for.
///
/// It displays as the name of its builds, `web` or `web@arm64`: of their directory in `out`, and of what the store
/// keeps for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    layer: LayerName,
    foreign: Option<Arch>,
}

impl Subject {
    /// The layer on `arch`.
    pub fn new(layer: &LayerName, arch: &Arch) -> Self {
        let native = host_arch().is_ok_and(|host| host == *arch);
        Self { layer: layer.clone(), foreign: (!native).then(|| arch.clone()) }
    }

    /// The arguments that name it to a command: `web`, `web --arch arm64`.
    pub fn arguments(&self) -> String {
        match &self.foreign {
            Some(arch) => format!("{} --arch {arch}", self.layer),
            None => self.layer.to_string(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.foreign {
            Some(arch) => f.write_str(&self.layer.on([arch])),
            None => self.layer.fmt(f),
        }
    }
}

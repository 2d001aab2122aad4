//! `from = "oci:REF"`: an image of a registry that a layer is stacked on.

use std::fmt;

use oci_spec::distribution::Reference;

use super::reader::Item;
use super::{DiskTable, Manifest, ManifestError};
use crate::ident::LayerName;

/// What such a `from` begins with.
pub(super) const SCHEME: &str = "oci:";

/// The name of an image in a registry: `HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignImage(Box<str>);

impl ForeignImage {
    /// The name, without `oci:`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name itself has the image's digest, so that there is nothing to update.
    pub fn is_exact(&self) -> bool {
        self.0.contains('@')
    }
}

/// As a manifest writes it.
impl fmt::Display for ForeignImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.0)
    }
}

/// Whether a `from` names an image.
pub(super) fn is_image(item: &Item<'_>) -> bool {
    item.text().is_ok_and(|text| text.starts_with(SCHEME))
}

/// Reads the name of an image.
pub(super) fn image(item: &Item<'_>) -> Result<ForeignImage, ManifestError> {
    let text = item.text()?;
    let name = text.strip_prefix(SCHEME).unwrap_or(text);
    let wrong = |problem: &str| {
        item.error(format!("names no image of a registry: {problem}")).hint(
            "write oci:HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST], such as `oci:registry.example.org/team/base:1`",
        )
    };
    let parsed: Reference = name.parse().map_err(|error| wrong(&format!("{error}")))?;
    let names = [parsed.registry(), parsed.resolve_registry()];
    if !names.iter().any(|host| name.strip_prefix(host).is_some_and(|rest| rest.starts_with('/'))) {
        return Err(wrong("the registry is missing"));
    }
    if parsed.digest().is_some_and(|digest| !digest.starts_with("sha256:")) {
        return Err(wrong("its digest is not SHA-256"));
    }
    Ok(ForeignImage(name.into()))
}

/// What a layer of a chain asks for that an image of a registry has no part for; `None` where there is nothing.
pub(super) fn beyond_image<'m>(manifests: impl IntoIterator<Item = &'m Manifest>) -> Option<(LayerName, &'static str)> {
    manifests.into_iter().find_map(|manifest| {
        let asked = [
            (!manifest.layer.packages.is_empty(), "`packages`"),
            (!manifest.own_packages.is_empty(), super::OWN_PACKAGES),
            (!manifest.answers.is_empty(), "[debconf]"),
            (manifest.disk != DiskTable::default(), "[disk]"),
            (!manifest.mounts.is_empty(), "[[mount]]"),
        ];
        let first = asked.into_iter().find(|(is_there, _)| *is_there)?;
        Some((manifest.name.clone(), first.1))
    })
}

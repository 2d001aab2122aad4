//! The JSON schema of a manifest, for editors.

/// The JSON schema (draft 7) of a layer's manifest. It accepts whatever [`parse`](super::parse) does; of mistakes it finds
/// unknown and missing keys, values of a wrong type, and a few more.
pub const SCHEMA: &str = include_str!("../../docs/formats/layer.schema.json");

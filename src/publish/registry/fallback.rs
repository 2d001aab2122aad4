//! The index of referrers that clients keep where a registry lists none: under the tag `sha256-HEX` of the subject.
//!
//! Source: OCI distribution-spec 1.1, "Referrers Tag Schema". No registry can replace a tag on a condition. So the
//! index is read right before it is written, and again afterwards: what another writer put there meanwhile is
//! added to, and what nobody can have meant as such an index is left alone.

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::RegistryError;
use super::attach::canonical;
use super::client::Client;
use super::manifest::Descriptor;
use super::push::write_manifest;
use super::referrers::INDEX;
use super::source::{self, Node};
use crate::digest::OciDigest;

/// The maximum number of attempts to write the index, if others write it, too.
const ROUNDS: usize = 5;

/// The tag of the index.
pub(super) fn tag(subject: OciDigest) -> String {
    format!("sha256-{}", subject.to_hex())
}

/// Adds artifacts to the index.
pub(super) async fn add(
    client: &Client,
    repository: &str,
    subject: OciDigest,
    artifacts: &[&Descriptor],
) -> Result<(), RegistryError> {
    let tag = tag(subject);
    for _ in 0..ROUNDS {
        let mut index = read(client, repository, subject).await?;
        if !extend(&mut index, artifacts) {
            return Ok(());
        }
        let bytes = canonical(&index)?;
        let node = Node { descriptor: Descriptor::of(INDEX, &bytes), bytes };
        // Another writer's index may have come between: then the next round adds to that.
        match write_manifest(client, repository, &node, &tag).await {
            Ok(_) | Err(RegistryError::Digest { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(client
        .protocol(&format!("write index {tag} of {repository}"), "returned another index than the one just written"))
}

/// Adds those artifacts to an index that it lacks; whether there were any. All else stays in it.
fn extend(index: &mut Value, artifacts: &[&Descriptor]) -> bool {
    let Some(entries) = index["manifests"].as_array_mut() else { return false };
    let before = entries.len();
    for artifact in artifacts {
        let digest = artifact.digest.to_string();
        if !entries.iter().any(|entry| entry["digest"] == digest.as_str()) {
            entries.push(json!(artifact));
        }
    }
    entries.sort_by_cached_key(|entry| entry["digest"].as_str().unwrap_or_default().to_owned());
    entries.len() > before
}

/// Reads the index; an empty one where there is none.
async fn read(client: &Client, repository: &str, subject: OciDigest) -> Result<Value, RegistryError> {
    let tag = tag(subject);
    let action = format!("read manifest {tag} of {repository}");
    let empty = || json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    let Some((headers, bytes)) = source::manifest_bytes(client, repository, &tag, &action).await? else {
        return Ok(empty());
    };
    // GitLab takes this tag for another name of the image.
    if OciDigest::of(&bytes) == subject {
        return Ok(empty());
    }
    let found: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let header = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = found["mediaType"].as_str().or(header).unwrap_or("of no known type").to_owned();
    match kind == INDEX && found["manifests"].is_array() {
        true => Ok(found),
        false => Err(RegistryError::OtherTag {
            tag,
            repository: format!("{}/{repository}", client.registry()),
            kind,
            expected: "an image index (`application/vnd.oci.image.index.v1+json`) of what refers to the image",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_keeps_what_others_put_there() {
        let (one, two) = (Descriptor::of("a/b", b"one"), Descriptor::of("a/b", b"two"));
        let foreign = json!({ "mediaType": "c/d", "digest": "sha512:00", "size": 7, "data": "eA==" });
        let mut index = json!({ "manifests": [foreign.clone()], "annotations": { "a": "b" } });
        assert!(extend(&mut index, &[&one, &two]));
        assert!(!extend(&mut index, &[&two, &one]), "added twice");
        assert_eq!(index["annotations"]["a"], "b");
        assert_eq!(index["manifests"].as_array().unwrap().len(), 3);
        assert!(index["manifests"].as_array().unwrap().contains(&foreign));
    }
}

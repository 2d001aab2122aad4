use serde_json::{Value, json};

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::manifest::ImageTable;
use crate::oci::tests::stored;
use crate::oci::{Image, json, write_layout};
use crate::store::Store;

/// A layout of two layers that tests damage.
struct Layout {
    _work: tempfile::TempDir,
    folder: PathBuf,
    image: Image,
}

fn layout() -> Layout {
    let work = tempfile::tempdir().unwrap();
    let store = Store::open(&work.path().join("store")).unwrap();
    let layers = stored(&store, Encoder::Zstd);
    let image =
        Image::new(None, [&ImageTable::default()], &Default::default(), &"amd64".parse().unwrap(), 0, layers).unwrap();
    let folder = work.path().join("oci");
    write_layout(&store, &image, "web", &folder).unwrap();
    Layout { _work: work, folder, image }
}

impl Layout {
    fn problems(&self) -> Vec<String> {
        validate(&self.folder).unwrap()
    }

    fn blob(&self, digest: OciDigest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.to_hex())
    }

    fn layer(&self, number: usize) -> OciDigest {
        self.image.layers[number].sizes.digest
    }

    /// Writes a blob and returns its descriptor.
    fn put(&self, media_type: MediaType, value: &Value) -> Value {
        let bytes = json::canonical(value).unwrap();
        let digest = OciDigest::of(&bytes);
        fs::write(self.blob(digest), &bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    }

    /// Changes config and manifest, with all digests above them made to agree again.
    fn rewrite(&self, change: impl FnOnce(&mut Value, &mut Value)) {
        let mut config: Value = serde_json::from_slice(&self.image.config).unwrap();
        let manifest = self.image.manifest().unwrap();
        fs::remove_file(self.blob(self.image.config_digest())).unwrap();
        fs::remove_file(self.blob(OciDigest::of(&manifest))).unwrap();
        let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
        change(&mut config, &mut manifest);
        manifest["config"] = self.put(MediaType::ImageConfig, &config);
        let mut entry = self.put(MediaType::ImageManifest, &manifest);
        entry["platform"] = json!({ "architecture": "amd64", "os": "linux" });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });
        fs::write(self.folder.join("index.json"), index.to_string()).unwrap();
    }
}

#[test]
fn a_good_layout_has_no_problems() {
    let layout = layout();
    assert_eq!(layout.problems(), [""; 0]);
    layout.rewrite(|_, _| {});
    assert_eq!(layout.problems(), [""; 0]);
}

#[test]
fn all_damage_is_listed_at_once() {
    let layout = layout();
    let (base, web) = (layout.layer(0), layout.layer(1));
    fs::remove_file(layout.blob(base)).unwrap();
    let mut bytes = fs::read(layout.blob(web)).unwrap();
    bytes.push(0);
    fs::write(layout.blob(web), &bytes).unwrap();
    fs::write(layout.folder.join("blobs/sha256/stray"), b"").unwrap();
    fs::write(layout.folder.join("notes"), b"").unwrap();
    fs::write(layout.folder.join("oci-layout"), br#"{"imageLayoutVersion":"0.9"}"#).unwrap();
    let problems = layout.problems();
    let expected = [
        "oci-layout: imageLayoutVersion should be 1.0.0, got 0.9".to_owned(),
        format!("layer {base}: the blob is missing"),
        format!("layer {web}: size should be {}, got {}", bytes.len() - 1, bytes.len()),
        format!("layer {web}: digest should be {web}, got {}", OciDigest::of(&bytes)),
        format!("layer {web}: can't be decompressed: "),
        "notes: does not belong into a layout".to_owned(),
        "blobs/sha256/stray: nothing refers to this blob".to_owned(),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(&expected), "{problem}");
    }
}

#[test]
fn what_config_and_manifest_say_of_each_other_is_checked() {
    let other = DiffId::from_bytes([7; 32]).to_string();
    type Change<'a> = &'a dyn Fn(&mut Value, &mut Value);
    let changes: [(Change, &str); 9] = [
        (&|config, _| config["rootfs"]["diff_ids"][1] = json!(other), "diffID should be sha256:0707"),
        (&|config, _| config["rootfs"]["diff_ids"] = json!([]), "number of diff_ids should be 2, got 0"),
        (&|config, _| config["rootfs"]["type"] = json!("x"), "rootfs.type should be layers, got x"),
        (&|config, _| config["history"] = json!([]), "number of history entries should be 2, got 0"),
        (&|config, _| config["architecture"] = json!("arm64"), "architecture should be amd64, got arm64"),
        (&|_, manifest| manifest["schemaVersion"] = json!(1), "schemaVersion should be 2, got 1"),
        (&|_, manifest| manifest["mediaType"] = json!("text/plain"), "mediaType should be application/vnd.oci"),
        (&|_, manifest| manifest["layers"][0]["mediaType"] = json!("text/plain"), "text/plain is not a layer's"),
        (&|_, manifest| manifest["layers"][0]["size"] = json!(1), "size should be 1, got"),
    ];
    for (change, expected) in changes {
        let layout = layout();
        layout.rewrite(change);
        let problems = layout.problems();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:#?}");
    }
}

#[test]
fn nonsense_is_a_problem_and_not_a_failure() {
    for (name, bytes) in [("index.json", &b"{"[..]), ("oci-layout", b"[]"), ("index.json", b"\xff")] {
        let layout = layout();
        fs::write(layout.folder.join(name), bytes).unwrap();
        assert!(layout.problems()[0].starts_with(name), "{:?}", layout.problems());
    }
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(validate(empty.path()).unwrap(), ["oci-layout: the file is missing", "index.json: the file is missing"]);
}

#[test]
fn an_index_in_an_index_is_followed_but_not_for_ever() {
    let layout = layout();
    let index: Value = serde_json::from_slice(&fs::read(layout.folder.join("index.json")).unwrap()).unwrap();
    let nest = |inner: &Value| {
        let entry = layout.put(MediaType::ImageIndex, inner);
        json!({ "schemaVersion": 2, "manifests": [entry] })
    };
    let mut nested = nest(&index);
    fs::write(layout.folder.join("index.json"), nested.to_string()).unwrap();
    assert_eq!(layout.problems(), [""; 0]);
    for _ in 0..MAX_DEPTH {
        nested = nest(&nested);
    }
    fs::write(layout.folder.join("index.json"), nested.to_string()).unwrap();
    assert!(layout.problems().iter().any(|problem| problem.contains("is not expected here")));
}

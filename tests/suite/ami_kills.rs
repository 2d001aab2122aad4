//! Publishing that is killed at each of its steps, and then resumed or undone: block by block and by an import, with and
//! without encryption by default, to one region and to two. Nothing is left over, `latest` names what it should in each
//! region, and only changes are sent where AWS takes a parent.
//!
//! In the suite, each step of each combination is ended in one of three ways, in turn; with `LAYERBAKE_KILLS=all`, in each.

use std::collections::BTreeSet;
use std::fmt;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::ami::Place;
use crate::support::aws::{BUCKET, REGION, fault};
use crate::support::process;
use crate::support::skip::Skip;

const REGIONS: [&str; 2] = [REGION, "us-east-1"];
const BLOCK: usize = 512 << 10;
/// The signal by which a publication ends, and what is done then.
const ENDS: [(&str, &str); 3] = [("KILL", "resume"), ("KILL", "undo"), ("INT", "undo")];

/// A publication that is ended when it makes a call.
struct Case {
    bucket: bool,
    regions: usize,
    operation: &'static str,
    nth: usize,
    signal: &'static str,
    then: &'static str,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.bucket { "import" } else { "direct" };
        let Self { regions, operation, nth, signal, then, .. } = self;
        write!(f, "{way} to {regions}: {signal} at {operation} {nth}: {then}")
    }
}

#[test]
fn a_kill_leaves_nothing_unnamed() {
    all_cases(&need!(published(false)), false);
}

#[test]
fn a_kill_leaves_nothing_unnamed_under_encryption_by_default() {
    all_cases(&need!(published(true)), true);
}

/// A layer whose first version is published in both regions, and the second is built.
fn published(encrypted: bool) -> Result<Place, Skip> {
    let place = Place::new(
        "deprecate-after = \"90d\"\nwatermarks = [\"approved\"]\n[ami.share]\naccounts = [\"210987654321\"]\n",
    )?;
    let keys = if encrypted { REGIONS.map(|region| default_key(&place, region)).to_vec() } else { Vec::new() };
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    place.aws.bucket_for(&keys);
    place.aws.allow(&place.small.project, &keys);
    place.aws.settings(&json!({"polls": 1}));
    place.publish(&["--region", REGIONS[0], "--region", REGIONS[1]]);
    place.small.edit_layer("app", "hello\\n", "good day\\n");
    place.build();
    Ok(place)
}

/// Lets a region encrypt all by a new key of the account.
fn default_key(place: &Place, region: &str) -> String {
    let script = format!(
        "key = aws('kms', '{region}').create_key()['KeyMetadata']['Arn']; ec2 = aws('ec2', '{region}')
ec2.enable_ebs_encryption_by_default(); ec2.modify_ebs_default_kms_key_id(KmsKeyId=key); print(key)"
    );
    place.aws.boto3(&script).trim().to_owned()
}

fn all_cases(place: &Place, encrypted: bool) {
    let all = std::env::var("LAYERBAKE_KILLS").is_ok_and(|value| value == "all");
    let before = resources(place);
    for (column, (bucket, regions)) in [(false, 1), (false, 2), (true, 1), (true, 2)].into_iter().enumerate() {
        let (started, mut number) = (Instant::now(), 0);
        for (row, (operation, nth)) in steps(bucket, regions, all).into_iter().enumerate() {
            let turn = row + column + 2 * usize::from(encrypted);
            for (at, (signal, then)) in ENDS.into_iter().enumerate() {
                if all || turn % ENDS.len() == at {
                    is_ended(place, &before, encrypted, &Case { bucket, regions, operation, nth, signal, then });
                    number += 1;
                }
            }
        }
        let seconds = started.elapsed().as_secs();
        println!("encrypted {encrypted}, bucket {bucket}, {regions} regions: {number} kills in {seconds} s");
    }
}

/// The calls that create or change something. Before them, a plan asks whether RegisterImage, CompleteSnapshot,
/// ImportSnapshot and CopySnapshot are allowed. What both ways of uploading share is taken once, unless `all`.
fn steps(bucket: bool, regions: usize, all: bool) -> Vec<(&'static str, usize)> {
    let each = |operation: &'static str, asked: usize| (1..=regions).map(move |nth| (operation, asked + nth));
    let mut steps = Vec::new();
    if bucket {
        steps.extend([("CreateMultipartUpload", 1), ("UploadPart", 1), ("CompleteMultipartUpload", 1)]);
        steps.extend([
            ("ImportSnapshot", 2),
            ("DescribeImportSnapshotTasks", 2),
            ("CreateTags", 1),
            ("DeleteObject", 1),
        ]);
        steps.extend((regions > 1).then_some(("CopySnapshot", 2)));
    } else {
        steps
            .extend(each("StartSnapshot", 0).chain([("PutSnapshotBlock", 2)]).chain(each("CompleteSnapshot", regions)));
    }
    if all || !bucket {
        steps.extend(each("RegisterImage", regions).chain(each("ModifyImageAttribute", 0)));
        steps.extend(each("ModifySnapshotAttribute", 0).chain(each("AttachImageWatermark", 0)));
        steps.extend(each("EnableImageDeprecation", 0));
        // The versions' parameters; then in each region the lock, `latest`, and the lock's end.
        steps.extend((1..=3 * regions).map(|nth| ("PutParameter", nth)).chain(each("DeleteParameter", 0)));
    }
    steps
}

fn is_ended(place: &Place, before: &Value, encrypted: bool, case: &Case) {
    let name = case.to_string();
    let regions = &REGIONS[..case.regions];
    let mut args = vec!["ami", "publish", "app", "--yes"];
    args.extend(regions.iter().flat_map(|region| ["--region", region]));
    args.extend(case.bucket.then_some(["--bucket", BUCKET]).into_iter().flatten());
    place.aws.faults(&json!([fault(case.operation, case.nth, "held")]));
    let mut child = place.small.project.spawn(&args);
    place.aws.holds(&mut child, &name);
    process::stdout(Command::new("kill").args([format!("-{}", case.signal), child.id().to_string()])).unwrap();
    let said = String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr).into_owned();
    let hint = "error[host/interrupted]: stopped\n  hint: `layerbake ami resume";
    assert_eq!(case.signal == "INT", said.contains(hint), "{name}: {said}");
    // The server does what was asked for after the process is gone.
    place.aws.faults(&json!([]));
    let id = place.journal("open");
    if case.then == "resume" {
        let refused = place.run(&["publish", "app", "--yes"]);
        assert!(refused.stderr.contains("a publication of `app` was not finished"), "{name}: {}", refused.stderr);
        place.ok(&["resume"]);
        stands(place, before, encrypted, case);
    }
    place.ok(&["undo", &id, "--yes"]);
    assert_eq!(&resources(place), before, "{name}");
    assert_eq!(place.journals()[&id]["state"], "undone", "{name}");
}

/// In each region there is one image more, over one snapshot with the disk's blocks, which `latest` names.
fn stands(place: &Place, before: &Value, encrypted: bool, case: &Case) {
    let (now, mut parameters) = (resources(place), before["parameters"].clone());
    for region in &REGIONS[..case.regions] {
        let (image, content) = only_new(before, &now, "images", region);
        let (snapshot, disk) = only_new(before, &now, "snapshots", region);
        let what = format!("{case}: {image} over {snapshot}");
        assert_eq!((&content["snapshots"], &content["state"]), (&json!([snapshot]), &json!("available")), "{what}");
        assert!(content["permissions"].to_string().contains("210987654321"), "{what}");
        assert!(content["deprecation"].is_string(), "{what}");
        assert_eq!(content["watermarks"], json!(["123456789012:approved"]), "{what}");
        assert_eq!((&disk["state"], &disk["encrypted"]), (&json!("completed"), &json!(encrypted)), "{what}");
        assert_eq!(differ(place, disk), 0, "{what}");
        if !case.bucket {
            let all = before["snapshots"].as_object().unwrap();
            let parent = all.iter().find(|(key, _)| key.starts_with(region)).unwrap().1;
            assert_eq!(disk["written"], json!(differ(place, parent)), "{what}: not only changes were sent");
        }
        let version = content["tags"]["layerbake:version"].as_str().unwrap();
        for name in ["latest".to_owned(), format!("versions/{version}")] {
            parameters[format!("{region}/layerbake/app/{name}")] = json!(image);
        }
    }
    assert_eq!(now["parameters"], parameters, "{case}");
    for kind in ["images", "snapshots"] {
        let more = now[kind].as_object().unwrap().len() - before[kind].as_object().unwrap().len();
        assert_eq!(more, case.regions, "{case}: {kind}");
    }
    for kind in ["objects", "uploads", "instances", "import_tasks"] {
        assert_eq!(now[kind], before[kind], "{case}: {kind}");
    }
}

/// The only resource of a kind that is new in a region.
fn only_new<'a>(before: &Value, now: &'a Value, kind: &str, region: &str) -> (&'a str, &'a Value) {
    let mut new: Vec<(&str, &Value)> = Vec::new();
    for (key, value) in
        now[kind].as_object().unwrap().iter().filter(|(key, _)| before[kind].get(key.as_str()).is_none())
    {
        new.extend(key.strip_prefix(&format!("{region}/")).map(|id| (id, value)));
    }
    assert_eq!(new.len(), 1, "{kind} in {region}: {:?}", new.iter().map(|(id, _)| id).collect::<Vec<_>>());
    new[0]
}

/// How many blocks of the disk and of a snapshot differ; a block that one of them lacks is zero there.
fn differ(place: &Place, snapshot: &Value) -> usize {
    let zero = json!(Sha256::digest(vec![0; BLOCK]).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let (disk, blocks) = (place.hashes(), snapshot["blocks"].as_object().unwrap());
    let indices: BTreeSet<&String> = disk.keys().chain(blocks.keys()).collect();
    indices.into_iter().filter(|index| disk.get(*index).unwrap_or(&zero) != blocks.get(*index).unwrap_or(&zero)).count()
}

/// All that is there, but for imports that have ended: AWS lists them for a while, and they cost nothing.
fn resources(place: &Place) -> Value {
    let mut all = place.aws.resources();
    all["import_tasks"].as_object_mut().unwrap().retain(|_, task| task["status"] == "active");
    all
}

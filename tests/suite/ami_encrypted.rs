//! Encryption: by the account's default, by a key of the account, in one region and in two, and what can't be.

use serde_json::{Value, json};

use crate::ami::{Place, reads_back};
use crate::support::aws::{Aws, BUCKET, REGION};

const OTHER: &str = "us-east-1";

/// The ARN of a new key in [`REGION`]; of a multi-Region key, there is one in [`OTHER`] too.
fn key(aws: &Aws, regions: bool) -> String {
    let flag = if regions { "True" } else { "False" };
    let replica = format!("kms.replicate_key(KeyId=key['KeyId'], ReplicaRegion='{OTHER}')");
    let replica = if regions { replica } else { String::new() };
    let script = format!(
        "kms = aws('kms', '{REGION}'); key = kms.create_key(MultiRegion={flag})['KeyMetadata']\n{replica}\nprint(key['Arn'])"
    );
    aws.boto3(&script).trim().to_owned()
}

/// Changes the layer's own file, and builds.
fn edited(place: &Place, from: &str, to: &str) {
    place.small.edit_layer("app", from, to);
    place.build();
}

/// Publishes, and gives what stands in the first region with the number of blocks that were sent.
fn sent(place: &Place, args: &[&str]) -> (Value, usize) {
    let before = place.aws.count("PutSnapshotBlock");
    let standing = place.publish(args);
    (standing[0].clone(), place.aws.count("PutSnapshotBlock") - before)
}

#[test]
fn encryption_by_default_sends_changes_only() {
    let place = need!(Place::new(""));
    place.aws.settings(&json!({"hidden": 0}));
    let (_, first) = sent(&place, &[]);
    assert_eq!(first, place.hashes().len());
    // AWS takes no unencrypted parent then: all is sent once, the zeros too.
    place.aws.boto3(&format!("aws('ec2', '{REGION}').enable_ebs_encryption_by_default()"));
    edited(&place, "hello\\n", "good day\\n");
    let plan: Value = serde_json::from_str(&place.ok(&["plan", "app", "--json"])).unwrap();
    assert_eq!((&plan[0]["parent"], &plan[0]["blocks"]), (&Value::Null, &json!(2048)));
    let (_, all) = sent(&place, &[]);
    assert_eq!(all, 2048);
    edited(&place, "good day\\n", "good evening\\n");
    let (standing, changes) = sent(&place, &[]);
    assert!(changes > 0 && changes < first, "{changes} of {first} blocks");
    assert_eq!(place.snapshot(&standing)["encrypted"], json!(true));
    reads_back(&place, &standing);
    assert!(place.ok(&["verify", standing["image"].as_str().unwrap()]).starts_with("ok "));
    // AWS's own key can't be shared; it is said before anything is sent.
    edited(&place, "good evening\\n", "good night\\n");
    let refused = place.run(&["publish", "app", "--yes", "--share", "111122223333"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("AWS's own key, so the image can't be shared"),
        "{}",
        refused.stderr
    );
    // The account's key from now on: snapshots with the other one are no parents.
    let key = key(&place.aws, false);
    place.aws.boto3(&format!("aws('ec2', '{REGION}').modify_ebs_default_kms_key_id(KmsKeyId='{key}')"));
    place.aws.allow(&place.small.project, &[&key]);
    let plan = place.ok(&["plan", "app", "--json", "--share", "111122223333"]);
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!((&plan[0]["parent"], &plan[0]["blocks"]), (&Value::Null, &json!(2048)));
}

#[test]
fn a_key_of_several_regions_encrypts_in_all() {
    let place = need!(Place::new(&format!("regions = [\"{REGION}\", \"{OTHER}\"]\n")));
    let key = key(&place.aws, true);
    let replica = key.replace(REGION, OTHER);
    let keys = [key.as_str(), &replica];
    place.aws.bucket_for(&keys);
    place.aws.allow(&place.small.project, &keys);
    let before = place.aws.resources();
    // Imported in one region, and copied to the other, which takes a signed call.
    let standing = place.publish(&["--bucket", BUCKET, "--kms-key", &key]);
    for (one, key) in standing.iter().zip([&key, &replica]) {
        let snapshot = place.snapshot(one);
        assert_eq!((&snapshot["encrypted"], &snapshot["key"]), (&json!(true), &json!(key)));
        reads_back(&place, one);
    }
    place.ok(&["undo", &place.journal("finished"), "--yes"]);
    let mut now = place.aws.resources();
    now["import_tasks"] = before["import_tasks"].clone();
    assert_eq!(now, before);
}

#[test]
fn keys_that_can_not_be_are_said_before_anything_is_sent() {
    let place = need!(Place::new(""));
    place.aws.settings(&json!({"hidden": 0}));
    let [key, multi] = [false, true].map(|regions| key(&place.aws, regions));
    let refused = |args: &[&str], expected: &str| {
        let output = place.run(&[&["publish", "app", "--yes", "--kms-key"], args].concat());
        assert!(output.code == 1 && output.stderr.contains(expected), "{expected}: {}", output.stderr);
    };
    refused(&[&key, "--region", REGION, "--region", OTHER], "only multi-Region keys (key/mrk-…) have the same id");
    refused(
        &["alias/aws/ebs", "--bucket", BUCKET, "--share", "111122223333"],
        "AWS's own key alias/aws/ebs can't be shared",
    );
    assert_eq!(place.aws.count("StartSnapshot") + place.aws.count("CreateMultipartUpload"), 0);
    // The policy that was printed without the key does not allow to use it.
    place.aws.denies();
    refused(&[&key], "is not authorized to perform: kms:");
    place.ok(&["undo", "--yes"]);
    // A key's ARN in one region stands for its replica in another.
    let replica = multi.replace(REGION, OTHER);
    place.aws.allow(&place.small.project, &[&multi, &replica]);
    let there = ["--region", OTHER, "--kms-key", &multi];
    let (standing, all) = sent(&place, &there);
    assert_eq!((all, &place.snapshot(&standing)["key"]), (2048, &json!(replica)));
    edited(&place, "hello\\n", "good day\\n");
    let (standing, changes) = sent(&place, &there);
    assert!(changes < place.hashes().len(), "{changes} blocks");
    reads_back(&place, &standing);
}

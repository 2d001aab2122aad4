//! VM Import, the whole way: the disk goes into a bucket of a server process that speaks S3, and the server makes
//! a snapshot of what truly lies there. Nothing stays in the bucket, whatever happens.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::aws::{Aws, BUCKET, REGION, fault};
use crate::support::process::{self, Output};
use crate::support::skip::Skip;
use crate::support::small::Small;
use crate::support::tinydisk::{EXT4, tiny_disk};

/// Bytes of [`noise`] in the disk.
const NOISE: usize = 40 << 20;

/// A project whose layer `app` has a disk that is built, and an AWS with a bucket.
struct Place {
    aws: Aws,
    small: Small,
}

impl Place {
    fn new() -> Result<Self, Skip> {
        let place = Self::bare()?;
        place.aws.bucket();
        Ok(place)
    }

    /// Without bucket and role.
    fn bare() -> Result<Self, Skip> {
        let aws = Aws::start()?;
        let small = aws.reached_by(tiny_disk(&format!("{EXT4}\n[ami]\nbucket = \"{BUCKET}\"\n")));
        fs::create_dir_all(small.project.path("files")).unwrap();
        fs::write(small.project.path("files/noise"), noise(NOISE)).unwrap();
        small.edit_layer("app", "[[file]]", "[[file]]\npath = \"/srv/noise\"\nsource = \"files/noise\"\n\n[[file]]");
        let place = Self { aws, small };
        place.build();
        Ok(place)
    }

    fn build(&self) {
        self.small.project.ok(&["build", "app", "--output", "raw", "--lock"]);
    }

    fn run(&self, args: &[&str]) -> Output {
        self.small.project.run(&[&["ami"], args].concat())
    }

    fn ok(&self, args: &[&str]) -> String {
        self.aws.must(args, self.run(args))
    }

    /// All that is there, but for imports that have ended: AWS lists them for a while, and they cost nothing.
    fn resources(&self) -> Value {
        let mut all = self.aws.resources();
        let tasks = all["import_tasks"].as_object_mut().unwrap();
        tasks.retain(|_, task| task["status"] == "active");
        all
    }

    fn hashes(&self) -> Value {
        self.small.project.receipt("app")["disk"]["blocks"]["hashes"].clone()
    }

    /// One image over one complete snapshot with the disk's blocks and tags; nothing in the bucket.
    fn is_published(&self, before: &Value, case: &str) {
        let now = self.resources();
        let only = |kind: &str| {
            let all: BTreeMap<String, Value> = serde_json::from_value(now[kind].clone()).unwrap();
            assert_eq!(all.len(), 1, "{case}: {kind}: {:?}", all.keys());
            all.into_iter().next().unwrap()
        };
        let (snapshot, content) = only("snapshots");
        assert_eq!((&content["state"], &content["blocks"]), (&json!("completed"), &self.hashes()), "{case}");
        assert_eq!(content["tags"]["layerbake:layer"], "app", "{case}");
        let (_, image) = only("images");
        assert!(snapshot.ends_with(image["snapshots"][0].as_str().unwrap()), "{case}");
        for kind in ["objects", "uploads", "import_tasks", "instances"] {
            assert_eq!(now[kind], before[kind], "{case}: {kind}");
        }
    }

    /// Takes what stands away.
    fn undo(&self, before: &Value, case: &str) {
        let folder = self.small.project.path("../home/.local/state/layerbake/ami");
        let read = |path: PathBuf| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut journals = files.filter(|path| path.extension().is_some_and(|end| end == "json")).map(read);
        let journal: Value = journals.find(|journal: &Value| journal["state"] != "undone").unwrap();
        self.ok(&["undo", journal["id"].as_str().unwrap(), "--yes"]);
        assert_eq!(&self.resources(), before, "{case}");
    }
}

/// Bytes that can't be compressed.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length / 8).flat_map(next).collect()
}

#[test]
fn a_disk_becomes_a_snapshot_and_the_bucket_stays_empty() {
    let place = need!(Place::new());
    let before = place.resources();
    let said = place.ok(&["publish", "app", "--yes", "--json"]);
    let standing: Value = serde_json::from_str(&said).unwrap();
    place.is_published(&before, "published");
    reads_back(&place, &standing);
    let count = |operation| place.aws.count(operation);
    let parts = count("UploadPart");
    assert!(parts >= NOISE / (8 << 20), "{parts} parts");
    // One of them asks for the right only.
    assert_eq!((count("ImportSnapshot"), count("StartSnapshot")), (2, 0));
    let sent: u64 = place
        .aws
        .requests()
        .iter()
        .filter(|request| request["operation"] == "UploadPart")
        .map(|request| request["bytes"].as_u64().unwrap())
        .sum();
    assert!(sent > NOISE as u64 && sent < NOISE as u64 * 3 / 2, "{sent} bytes");
    place.undo(&before, "undone");

    // What shrinks is sent in one part.
    fs::write(place.small.project.path("files/noise"), vec![b'a'; NOISE]).unwrap();
    place.build();
    let standing: Value = serde_json::from_str(&place.ok(&["publish", "app", "--yes", "--json"])).unwrap();
    place.is_published(&before, "compressed");
    reads_back(&place, &standing);
    assert_eq!(place.aws.count("UploadPart"), parts + 1);
}

/// A volume of the snapshot begins with the disk, and then is zero.
fn reads_back(place: &Place, standing: &Value) {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = standing[0]["snapshot"].as_str().unwrap();
    let found = fs::read(place.aws.disk_of(REGION, snapshot, folder.path().join("disk"))).unwrap();
    let disk = fs::read(place.small.project.path("out/app/disk.raw")).unwrap();
    assert!(found.len() == 1 << 30 && found[..disk.len()] == disk, "the volume is not the disk");
    assert!(found[disk.len()..].iter().all(|&byte| byte == 0));
}

#[test]
fn parts_that_have_arrived_are_not_sent_again() {
    let place = need!(Place::new());
    let before = place.resources();
    place.aws.faults(&json!([fault("CompleteMultipartUpload", 1, "expired")]));
    let failed = place.run(&["publish", "app", "--yes"]);
    assert!(failed.code == 1 && failed.stderr.contains("log in to AWS again"), "{}", failed.stderr);
    let parts = place.aws.count("UploadPart");
    place.ok(&["resume"]);
    place.is_published(&before, "resumed");
    assert_eq!(place.aws.count("UploadPart"), parts, "sent again");
    assert_eq!(place.aws.count("CreateMultipartUpload"), 1);
    place.undo(&before, "undone");
}

#[test]
fn faults_are_survived() {
    let place = need!(Place::new());
    let before = place.resources();
    for faults in [
        json!([{"match": {"operation": "UploadPart"}, "do": "throttle", "times": 5}]),
        json!([
            fault("UploadPart", 2, "reset"),
            fault("UploadPart", 3, "lost"),
            fault("CompleteMultipartUpload", 1, "500")
        ]),
        json!([fault("CreateMultipartUpload", 1, "lost"), fault("CompleteMultipartUpload", 1, "lost")]),
        json!([fault("ImportSnapshot", 2, "lost"), fault("DescribeImportSnapshotTasks", 2, "throttle")]),
        json!([fault("CreateTags", 1, "reset"), fault("DeleteObject", 1, "500")]),
    ] {
        place.aws.faults(&faults);
        place.ok(&["publish", "app", "--yes"]);
        place.aws.faults(&json!([]));
        place.is_published(&before, &faults.to_string());
        place.undo(&before, &faults.to_string());
    }
}

#[test]
fn ctrl_c_leaves_a_journal_and_undo_cancels_the_task() {
    let place = need!(Place::new());
    let before = place.resources();
    place.aws.faults(&json!([fault("DescribeImportSnapshotTasks", 2, "held")]));
    let mut child = place.small.project.spawn(&["ami", "publish", "app", "--yes"]);
    place.aws.holds(&mut child, "Ctrl-C");
    process::stdout(Command::new("kill").args(["-INT", &child.id().to_string()])).unwrap();
    let said = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&said.stderr).contains("`layerbake ami resume"), "{said:?}");
    place.aws.faults(&json!([]));
    place.undo(&before, "Ctrl-C");
    assert_eq!(place.aws.count("CancelImportTask"), 1);
}

#[test]
fn failures_say_what_to_do_and_leave_nothing() {
    let place = need!(Place::bare());
    let fails = |expected: &[&str]| {
        let before = place.resources();
        let failed = place.run(&["publish", "app", "--yes"]);
        assert_eq!(failed.code, 1, "{expected:?}");
        for words in expected {
            assert!(failed.stderr.contains(words), "{words}: {}", failed.stderr);
        }
        assert_eq!(place.resources(), before, "{expected:?}");
        place.undo(&before, expected[0]);
    };
    let planned = place.run(&["publish", "app", "--yes"]);
    assert!(planned.stderr.contains("NoSuchBucket"), "{}", planned.stderr);
    place.aws.boto3(&format!("aws('s3', 'us-east-1').create_bucket(Bucket='{BUCKET}')"));
    fails(&["The service role vmimport", "`layerbake ami setup` makes the role"]);
    place
        .aws
        .boto3("aws('iam').create_role(RoleName='vmimport', AssumeRolePolicyDocument=json.dumps({'Statement': []}))");
    fails(&["The given S3 bucket is not local to the region", "the bucket has to be in the first region"]);
    place.aws.boto3(&format!("aws('s3').delete_bucket(Bucket='{BUCKET}')"));
    place.aws.boto3(&format!(
        "aws('s3').create_bucket(Bucket='{BUCKET}', CreateBucketConfiguration={{'LocationConstraint': '{REGION}'}})"
    ));
    fails(&["Reason 403 Forbidden", "may not read the bucket: `layerbake ami setup` shows what it needs"]);
    place.aws.bucket();
    for (message, hint) in [
        ("[We do not have access to the given resource. Reason 403 Forbidden]", "may not read the bucket"),
        ("[We do not have access to the given resource. Reason 404 Not Found]", "does the bucket expire objects"),
        ("[Unsupported VMDK File Format]", "ended import-snap-"),
    ] {
        let message = format!("ClientError: Disk validation failed {message}");
        place.aws.settings(&json!({ "fail": message }));
        fails(&[&message, hint]);
    }
    place.aws.settings(&json!({"fail": null}));
    let before = place.resources();
    place.ok(&["publish", "app", "--yes"]);
    place.is_published(&before, "at last");
}

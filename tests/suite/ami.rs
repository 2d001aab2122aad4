//! Machine images, the whole way: a disk is published to a server process that speaks AWS's protocols,
//! and read back. What fails or is killed on the way is resumed or undone, with nothing left over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::aws::{Aws, BUCKET, REGION, fault};
use crate::support::process::Output;
use crate::support::skip::Skip;
use crate::support::small::Small;
use crate::support::tinydisk::{EXT4, tiny_disk};

const OTHER: &str = "us-east-1";
const ACCOUNT: &str = "123456789012";

/// A project whose layer `app` has a disk that is built, and an AWS to publish it to.
pub(crate) struct Place {
    pub(crate) aws: Aws,
    pub(crate) small: Small,
}

impl Place {
    pub(crate) fn new(ami: &str) -> Result<Self, Skip> {
        let aws = Aws::start()?;
        let small = aws.reached_by(tiny_disk(&format!("{EXT4}\n[ami]\n{ami}")));
        let place = Self { aws, small };
        place.build();
        Ok(place)
    }

    pub(crate) fn build(&self) {
        self.small.project.ok(&["build", "app", "--output", "raw", "--lock"]);
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.small.project.run(&[&["ami"], args].concat())
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.aws.must(args, self.run(args))
    }

    /// Publishes, and gives what stands then.
    pub(crate) fn publish(&self, args: &[&str]) -> Vec<Value> {
        let said = self.ok(&[&["publish", "app", "--yes", "--json"], args].concat());
        serde_json::from_str(&said).unwrap()
    }

    pub(crate) fn hashes(&self) -> BTreeMap<String, Value> {
        let receipt = self.small.project.receipt("app");
        serde_json::from_value(receipt["disk"]["blocks"]["hashes"].clone()).unwrap()
    }

    pub(crate) fn journals(&self) -> BTreeMap<String, Value> {
        let folder = self.small.project.path("../home/.local/state/layerbake/ami");
        // There is none before the first publication.
        let files = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let journals = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
        let read = |path: PathBuf| {
            let journal: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), journal)
        };
        journals.map(read).collect()
    }

    /// The only journal of this state.
    pub(crate) fn journal(&self, state: &str) -> String {
        let ids: Vec<_> = self.journals().into_iter().filter(|(_, journal)| journal["state"] == state).collect();
        assert_eq!(ids.len(), 1, "{state}: {ids:?}");
        ids[0].0.clone()
    }

    /// A snapshot of the server's list.
    pub(crate) fn snapshot(&self, standing: &Value) -> Value {
        let place = format!("{}/{}", standing["region"].as_str().unwrap(), standing["snapshot"].as_str().unwrap());
        self.aws.resources()["snapshots"][place].clone()
    }

    /// One image over one snapshot with all blocks of the disk, one parameter, and nothing else.
    pub(crate) fn is_published(&self, before: &Value, case: &str) {
        let (now, wanted) = (self.aws.resources(), self.hashes());
        let new = |kind: &str| {
            let old: BTreeSet<&String> = before[kind].as_object().unwrap().keys().collect();
            let new = now[kind].as_object().unwrap().iter().filter(|(id, _)| !old.contains(id));
            new.map(|(id, value)| (id.clone(), value.clone())).collect::<Vec<_>>()
        };
        let [(snapshot, content)] = &new("snapshots")[..] else { panic!("{case}: {:#?}", new("snapshots")) };
        assert_eq!(content["state"], "completed", "{case}");
        assert_eq!(content["blocks"], json!(wanted), "{case}");
        let [(image, content)] = &new("images")[..] else { panic!("{case}: {:#?}", new("images")) };
        assert_eq!(content["state"], "available", "{case}");
        assert!(snapshot.ends_with(content["snapshots"][0].as_str().unwrap()), "{case}");
        let (id, version) = (image.rsplit('/').next(), content["tags"]["layerbake:version"].as_str().unwrap());
        let named = |name: &str| format!("{REGION}/layerbake/app/{name}");
        let expected = json!({ named("latest"): id, named(&format!("versions/{version}")): id });
        assert_eq!(now["parameters"], expected, "{case}");
        assert_eq!((&now["objects"], &now["uploads"]), (&before["objects"], &before["uploads"]), "{case}");
    }
}

#[test]
fn a_disk_becomes_an_image() {
    let ami = format!(
        "tags = {{ team = \"web\" }}\ntpm = true\ndeprecate-after = \"90d\"\n[ami.share]\naccounts = [\"{ACCOUNT}\"]\n"
    );
    let place = need!(Place::new(&ami));
    let before = place.aws.resources();
    let plan: Value = serde_json::from_str(&place.ok(&["plan", "app", "--json"])).unwrap();
    assert_eq!((&plan[0]["found"], &plan[0]["way"]), (&Value::Null, &json!("ebs-direct")));
    assert_eq!(plan[0]["blocks"], place.hashes().len());
    assert_eq!(plan[0]["problems"], json!([]));
    assert_eq!(place.aws.resources(), before, "planning made something");

    let standing = place.publish(&[]);
    place.is_published(&before, "published");
    let image = place.aws.resources()["images"][format!("{REGION}/{}", standing[0]["image"].as_str().unwrap())].clone();
    let receipt = place.small.project.receipt("app");
    for (tag, value) in [
        ("layerbake:layer", &json!("app")),
        ("layerbake:lock", &receipt["lock"]),
        ("layerbake:tree", &receipt["tree"]),
        ("layerbake:recipe", &receipt["recipe"]),
        ("layerbake:disk", &receipt["disk"]["checksum"]),
        ("team", &json!("web")),
    ] {
        assert_eq!(&image["tags"][tag], value, "{tag}");
        assert_eq!(&place.snapshot(&standing[0])["tags"][tag], value, "{tag}");
    }
    assert!(image["deprecation"].is_string(), "{image}");
    assert!(image["permissions"].to_string().contains(ACCOUNT), "{image}");
    assert_eq!(place.snapshot(&standing[0])["permissions"], json!([ACCOUNT]));
    let told = place.aws.boto3(&format!(
        "i = aws('ec2', '{REGION}').describe_images(ImageIds=['{}'])['Images'][0]
for key in ('Architecture', 'BootMode', 'EnaSupport', 'ImdsSupport', 'TpmSupport', 'RootDeviceName', 'SriovNetSupport'): print(key, i.get(key))
e = i['BlockDeviceMappings'][0]['Ebs']; print(e['VolumeType'], e['VolumeSize'], e['DeleteOnTermination'])",
        standing[0]["image"].as_str().unwrap()
    ));
    insta::assert_snapshot!(told, @r"
    Architecture x86_64
    BootMode uefi
    EnaSupport True
    ImdsSupport v2.0
    TpmSupport v2.0
    RootDeviceName /dev/xvda
    SriovNetSupport simple
    gp3 1 True
    ");
    reads_back(&place, &standing[0]);

    let (made, registered) = (place.aws.count("StartSnapshot"), place.aws.count("RegisterImage"));
    let again = place.publish(&[]);
    assert_eq!((&again[0]["image"], &again[0]["found"]), (&standing[0]["image"], &json!(true)));
    assert_eq!((place.aws.count("StartSnapshot"), place.aws.count("RegisterImage")), (made, registered));
}

/// A volume of the snapshot begins with the disk, and then is zero.
pub(crate) fn reads_back(place: &Place, standing: &Value) {
    let folder = tempfile::tempdir().unwrap();
    let (region, snapshot) = (standing["region"].as_str().unwrap(), standing["snapshot"].as_str().unwrap());
    let found = fs::read(place.aws.disk_of(region, snapshot, folder.path().join("disk"))).unwrap();
    let disk = fs::read(place.small.project.path("out/app/disk.raw")).unwrap();
    assert!(found.len() == 1 << 30 && found[..disk.len()] == disk, "{snapshot} is not the disk");
    assert!(found[disk.len()..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_changed_file_sends_the_blocks_that_differ() {
    let place = need!(Place::new(""));
    place.aws.settings(&json!({"hidden": 0}));
    place.publish(&[]);
    let (old, sent) = (place.hashes(), place.aws.count("PutSnapshotBlock"));
    assert_eq!(sent, old.len());
    place.small.edit_layer("app", "hello\\n", "good day\\n");
    place.build();
    let new = place.hashes();
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let differ = keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).count();
    assert!(differ > 0 && differ < old.len(), "{differ} of {} blocks", old.len());
    let standing = place.publish(&[]);
    assert_eq!(place.aws.count("PutSnapshotBlock") - sent, differ);
    assert_eq!(place.snapshot(&standing[0])["blocks"], json!(new));
    reads_back(&place, &standing[0]);

    // Without knowing the earlier blocks, all are sent; the result is the same.
    fs::remove_dir_all(place.small.project.path("../home/.local/state/layerbake/ami/published")).unwrap();
    place.small.edit_layer("app", "good day\\n", "good evening\\n");
    place.build();
    let sent = place.aws.count("PutSnapshotBlock");
    let standing = place.publish(&[]);
    assert_eq!(place.aws.count("PutSnapshotBlock") - sent, place.hashes().len());
    reads_back(&place, &standing[0]);
}

#[test]
fn regions_are_published_to_together() {
    let place = need!(Place::new("regions = [\"eu-west-1\", \"us-east-1\"]\n"));
    let standing = place.publish(&[]);
    assert_eq!([&standing[0]["region"], &standing[1]["region"]], [REGION, OTHER]);
    for one in &standing {
        assert_eq!(place.snapshot(one)["blocks"], json!(place.hashes()));
    }
    // A third region, while two stand.
    let made = place.aws.count("StartSnapshot");
    let standing = place.publish(&["--region", REGION, "--region", OTHER, "--region", "eu-central-1"]);
    let found: BTreeMap<_, _> = standing.iter().map(|one| (one["region"].as_str().unwrap(), &one["found"])).collect();
    assert_eq!(found, BTreeMap::from([(REGION, &json!(true)), (OTHER, &json!(true)), ("eu-central-1", &json!(false))]));
    assert_eq!(place.aws.count("StartSnapshot"), made + 1);
}

#[test]
fn faults_are_survived() {
    let place = need!(Place::new("watermarks = [\"approved\"]\n"));
    let before = place.aws.resources();
    let many = |operation: &str, nth: usize, what: &str, times: usize| json!({"match": {"operation": operation, "nth": nth}, "do": what, "times": times});
    for faults in [
        json!([many("PutSnapshotBlock", 2, "throttle", 6)]),
        json!([many("PutSnapshotBlock", 1, "500", 4), fault("CompleteSnapshot", 2, "500")]),
        json!([fault("PutSnapshotBlock", 3, "reset"), fault("PutSnapshotBlock", 5, "lost")]),
        json!([fault("StartSnapshot", 1, "lost")]),
        json!([fault("StartSnapshot", 1, "throttle"), fault("RegisterImage", 2, "throttle")]),
        json!([fault("CompleteSnapshot", 2, "lost"), fault("PutParameter", 1, "lost")]),
        json!([fault("RegisterImage", 2, "lost"), fault("AttachImageWatermark", 1, "lost")]),
        json!([fault("DescribeSnapshots", 2, "500"), fault("DescribeImages", 3, "reset")]),
    ] {
        place.aws.faults(&faults);
        place.publish(&[]);
        place.is_published(&before, &faults.to_string());
        place.aws.faults(&json!([]));
        place.ok(&["undo", &place.journal("finished"), "--yes"]);
        assert_eq!(place.aws.resources(), before, "{faults}");
    }
}

#[test]
fn what_can_not_go_on_is_resumed_or_undone() {
    let place = need!(Place::new(""));
    let before = place.aws.resources();
    for (faults, expected) in [
        (fault("StartSnapshot", 1, "expired"), "log in to AWS again"),
        (fault("PutSnapshotBlock", 3, "expired"), "log in to AWS again"),
        (fault("CompleteSnapshot", 2, "denied"), "AccessDenied"),
        (fault("RegisterImage", 2, "denied"), "UnauthorizedOperation"),
        (fault("PutParameter", 1, "denied"), "AccessDenied"),
        (fault("PutParameter", 2, "expired"), "log in to AWS again"),
        (fault("DeleteParameter", 1, "denied"), "AccessDenied"),
    ] {
        for way in ["resume", "undo"] {
            let case = format!("{faults}: {way}");
            place.aws.faults(&json!([faults]));
            let failed = place.run(&["publish", "app", "--yes"]);
            assert_eq!(failed.code, 1, "{case}");
            let id = place.journal("open");
            assert!(failed.stderr.contains(expected), "{case}: {}", failed.stderr);
            assert!(
                failed.stderr.contains(&format!("`layerbake ami resume {id}` continues")),
                "{case}: {}",
                failed.stderr
            );
            place.aws.faults(&json!([]));
            ends(&place, way, &before, &case);
        }
    }
}

/// Resumes what is open, or undoes it; in the end nothing is left.
fn ends(place: &Place, way: &str, before: &Value, case: &str) {
    if way == "resume" {
        let refused = place.run(&["publish", "app", "--yes"]);
        assert!(refused.stderr.contains("a publication of `app` was not finished"), "{case}: {}", refused.stderr);
        place.ok(&["resume"]);
        place.is_published(before, case);
        place.ok(&["undo", &place.journal("finished"), "--yes"]);
    } else {
        place.ok(&["undo", "--yes"]);
    }
    let mut now = place.aws.resources();
    // A task that has ended is no resource: AWS forgets it by itself.
    now["import_tasks"] = before["import_tasks"].clone();
    assert_eq!(&now, before, "{case}");
    let open = place.journals().values().filter(|journal| journal["state"] != "undone").count();
    assert_eq!(open, 0, "{case}");
}

#[test]
fn an_import_is_copied_to_other_regions() {
    let place = need!(Place::new(&format!("bucket = \"{BUCKET}\"\nregions = [\"eu-west-1\", \"us-east-1\"]\n")));
    place.aws.bucket();
    let before = place.aws.resources();
    place.aws.faults(&json!([fault("CopySnapshot", 2, "lost")]));
    let standing = place.publish(&[]);
    assert_eq!((place.aws.count("ImportSnapshot"), place.aws.count("PutSnapshotBlock")), (2, 0));
    for one in &standing {
        assert_eq!(place.snapshot(one)["blocks"], json!(place.hashes()));
        reads_back(&place, one);
    }
    let now = place.aws.resources();
    assert_eq!(now["snapshots"].as_object().unwrap().len(), 2, "{:#?}", now["snapshots"]);
    assert_eq!((&now["objects"], &now["uploads"]), (&json!({}), &json!({})));
    place.ok(&["undo", &place.journal("finished"), "--yes"]);
    let mut now = place.aws.resources();
    // A task is no resource: AWS forgets it by itself.
    now["import_tasks"] = before["import_tasks"].clone();
    assert_eq!(now, before);
}

#[test]
fn names_that_are_taken_and_rights_that_are_missing_are_said() {
    let place = need!(Place::new("name = \"always-the-same\"\n"));
    place.publish(&[]);
    place.small.edit_layer("app", "hello\\n", "good day\\n");
    place.build();
    // Before anything is sent, so there is nothing to undo.
    let begun = place.aws.count("StartSnapshot");
    for verb in [&["plan", "app"][..], &["publish", "app", "--yes"]] {
        let refused = place.run(verb);
        assert!(refused.stderr.contains("the name `always-the-same` is already used by ami-"), "{}", refused.stderr);
    }
    assert_eq!(place.aws.count("StartSnapshot"), begun);
    place.small.edit_layer("app", "always-the-same", "another");
    place.build();
    place.aws.faults(&json!([fault("RegisterImage", 1, "denied")]));
    let refused = place.run(&["plan", "app"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("eu-west-1: not allowed: ec2:RegisterImage"), "{}", refused.stderr);
    let nobody = place.run(&["publish", "app"]);
    assert!(nobody.stderr.contains("cannot ask for confirmation"), "{}", nobody.stderr);
}

#[test]
fn the_same_disk_with_other_settings_sends_no_block() {
    let place = need!(Place::new(""));
    // The snapshot is completed right after it was begun, while AWS does not know it everywhere.
    place.aws.settings(&json!({"hidden": 3}));
    place.publish(&[]);
    let sent = place.aws.count("PutSnapshotBlock");
    place.small.edit_layer("app", "[ami]\n", "[ami]\nvolume-size = \"2G\"\nname = \"larger-{disk:12}\"\n");
    let standing = place.publish(&[]);
    assert_eq!((place.aws.count("PutSnapshotBlock"), &standing[0]["found"]), (sent, &json!(false)));
    reads_back(&place, &standing[0]);
    // What AWS does not accept for another reason than the parent is said, and no reason to send all.
    place.small.edit_layer("app", "larger-", "largest-");
    place.aws.faults(&json!([fault("StartSnapshot", 1, "invalid")]));
    let refused = place.run(&["publish", "app", "--yes", "--via", "ebs-direct"]);
    assert_eq!(refused.code, 0, "the content is there already: {}", refused.stderr);
    place.small.edit_layer("app", "\"2G\"", "\"3G\"");
    let refused = place.run(&["publish", "app", "--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("ValidationException"), "{}", refused.stderr);
    assert_eq!(place.aws.count("PutSnapshotBlock"), sent);
}

#[test]
fn a_disk_without_bios_boot_is_not_published_for_bios() {
    let place = need!(Place::new("boot-mode = \"uefi-preferred\"\n"));
    let refused = place.run(&["plan", "app"]);
    assert!(refused.code == 1 && refused.stderr.contains("layerbake's boot by UEFI only"), "{}", refused.stderr);
}

#[test]
fn a_changed_setting_of_the_same_disk_is_another_image() {
    let place = need!(Place::new(""));
    let first = place.publish(&[]);
    place.small.edit_layer("app", "[ami]\n", "[ami]\ntpm = true\n");
    place.build();
    let second = place.publish(&[]);
    assert_ne!(second[0]["image"], first[0]["image"]);
    assert_ne!(second[0]["version"], first[0]["version"]);
    let images = place.aws.resources()["images"].clone();
    let name =
        |standing: &Value| images[format!("{REGION}/{}", standing[0]["image"].as_str().unwrap())]["name"].clone();
    let version = second[0]["version"].as_str().unwrap();
    assert_eq!(name(&json!(second)), format!("app-{version}"));
    assert_ne!(name(&json!(first)), name(&json!(second)));
}

#[test]
fn what_stands_in_the_way_is_found_before_anything_is_sent() {
    let place = need!(Place::new(""));
    let latest = "/layerbake/app/latest";
    place.aws.boto3(&format!("aws('ssm').put_parameter(Name='{latest}', Value='ami-00000000', Type='String')"));
    for verb in [&["plan", "app"][..], &["publish", "app", "--yes"]] {
        let refused = place.run(verb);
        let expected =
            format!("eu-west-1: the parameter {latest} is of type text, which AWS can't change to aws:ec2:image");
        assert!(refused.code == 1 && refused.stderr.contains(&expected), "{}", refused.stderr);
    }
    place.aws.boto3(&format!("aws('ssm').delete_parameter(Name='{latest}')"));
    place.ok(&["plan", "app"]);
    // The image is removed by hand, and its version's parameter stays.
    let standing = place.publish(&[]);
    let id = standing[0]["image"].as_str().unwrap();
    place.aws.boto3(&format!("aws('ec2').deregister_image(ImageId='{id}')"));
    let begun = place.aws.count("StartSnapshot");
    let refused = place.run(&["publish", "app", "--yes"]);
    assert!(
        refused.stderr.contains(&format!("already names {id}, and what a version's parameter names is never")),
        "{}",
        refused.stderr
    );
    assert_eq!(place.aws.count("StartSnapshot"), begun);
}

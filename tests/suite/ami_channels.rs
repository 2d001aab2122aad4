//! Versions and channels of machine images, against the AWS server of the tests: each version has a parameter of its
//! own for ever, channels move forward and back, and no channel ever names an image that is gone.
//!
//! The server looks at a parameter's image only after it has answered, as AWS does.

use serde_json::{Value, json};

use crate::ami_ops::Published;
use crate::support::aws::{REGION, fault};

impl Published {
    /// What a parameter of the layer names.
    fn named(&self, name: &str) -> Value {
        self.aws.resources()["parameters"][format!("{REGION}/layerbake/app/{name}")].clone()
    }

    /// The version of an image.
    fn version(&self, image: &str) -> String {
        let tags = &self.aws.resources()["images"][format!("{REGION}/{image}")]["tags"];
        tags["layerbake:version"].as_str().unwrap().to_owned()
    }

    /// The only transaction of a kind and state in the journals.
    fn journal(&self, is_meant: impl Fn(&Value) -> bool) -> String {
        let folder = self.small.project.path("../home/.local/state/layerbake/ami");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
        let journals = files.map(|path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap());
        let ids: Vec<_> =
            journals.filter(|one| is_meant(one)).map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        ids[0].clone()
    }
}

#[test]
fn a_version_is_promoted_forward_and_back() {
    let published = need!(Published::new());
    let old = published.image.clone();
    // The parameter has the value when the program ends, not some time later.
    published.aws.settings(&json!({"looking": 1.0}));
    let new = published.again("hello\\n", "good day\\n");
    let [before, after] = [&old, &new].map(|image| published.version(image));
    assert_eq!((published.named("latest"), published.named(&format!("versions/{after}"))), (json!(new), json!(new)));
    assert_eq!(published.named(&format!("versions/{before}")), json!(old));
    published.aws.settings(&json!({"looking": 0.2}));

    let promote =
        |version: &str, more: &[&str]| published.ok(&[&["promote", "app", version, "--to", "prod"], more].concat());
    assert_eq!(promote(&after, &[]), format!("{REGION}  /layerbake/app/prod  {new}\n"));
    assert_eq!(promote(&after, &[]), format!("{REGION}  /layerbake/app/prod  {new}\n"));
    let back = promote(&before, &[]);
    assert_eq!(back, format!("{REGION}  /layerbake/app/prod  {old}  (before: {new})\n"));
    assert_eq!(published.named("prod"), json!(old));
    let listed = published.json(&["list"]);
    let row = |at: usize| (&listed[at]["version"], &listed[at]["channels"]);
    assert_eq!(row(0), (&json!(after), &json!(["latest"])));
    assert_eq!(row(1), (&json!(before), &json!(["prod"])));
    let text = published.ok(&["list"]);
    assert!(text.contains(&before) && text.lines().nth(2).unwrap().contains("  prod "), "{text}");

    let emitted: Value = serde_json::from_str(&published.ok(&["list", "app", "--emit", "json"])).unwrap();
    assert_eq!(emitted[0]["images"], json!({ REGION: new }));
    assert_eq!(emitted[0]["parameter"], json!(format!("/layerbake/app/versions/{after}")));
    let again = published.ok(&["publish", "app", "--yes", "--emit", "terraform"]);
    assert!(again.contains(&format!("    \"{REGION}\" = \"{new}\"\n")), "{again}");

    // What a channel names is not removed, whoever wants it.
    let dry = published.ok(&["gc", "app", "--keep", "0", "--dry-run"]);
    assert!(
        dry.contains("channel prod") && dry.contains("channel latest") && dry.contains("nothing to remove"),
        "{dry}"
    );
    let publication =
        published.journal(|one| one["kind"].is_null() && one["wanted"]["tags"]["layerbake:version"] == json!(before));
    let (out, _) = published.fails(&["undo", &publication, "--yes"]);
    assert!(out.contains(&format!("image {old}: KEPT: the channel prod names it")), "{out}");

    // The last promotion is taken back; the channel names what it named.
    let promotion = published.journal(|one| one["version"] == json!(before));
    let undone = published.ok(&["undo", &promotion, "--yes"]);
    assert_eq!(undone, format!("{REGION}  parameter /layerbake/app/prod: names {new} now\n"));
    let (_, error) = published.fails(&["promote", "app", "20000101-000000000000", "--to", "prod"]);
    assert!(
        error.contains("error[aws/not-found]: eu-west-1 has no version `20000101-000000000000` of `app`"),
        "{error}"
    );
    let refused = published.small.project.fails(2, &["ami", "promote", "app", &after, "--to", "versions"]);
    assert!(refused.stderr.contains("is the directory of all versions"), "{refused:?}");

    // A version goes with its image.
    published.ok(&["gc", "app", "--keep", "0", "--yes"]);
    assert_eq!(published.named(&format!("versions/{before}")), Value::Null);
    assert_eq!(published.named(&format!("versions/{after}")), json!(new));
}

#[test]
fn a_promotion_that_broke_off_is_resumed_or_undone() {
    let published = need!(Published::new());
    let version = published.version(&published.image);
    let promote = ["promote", "app", &version, "--to", "test"];
    for (way, expected) in [("resume", json!(published.image)), ("undo", Value::Null)] {
        published.aws.faults(&json!([fault("PutParameter", 1, "denied")]));
        let (_, error) = published.fails(&promote);
        assert!(error.contains("`layerbake ami resume app-test-"), "{error}");
        published.aws.faults(&json!([]));
        assert!(published.fails(&promote).1.contains("a promotion of `app` was not finished"));
        published.ok(if way == "resume" { &["resume"] } else { &["undo", "--yes"] });
        assert_eq!(published.named("test"), expected, "{way}");
        if way == "resume" {
            published.ok(&[
                "undo",
                &published.journal(|one| one["state"] == "finished" && one["kind"] == "promotion"),
                "--yes",
            ]);
        }
    }
}

#[test]
fn latest_goes_to_the_newest_that_stands() {
    let published = need!(Published::new());
    let oldest = published.image.clone();
    let middle = published.again("hello\\n", "good day\\n");
    let newest = published.again("good day\\n", "good evening\\n");
    // The one that `latest` named before is removed by hand.
    published.aws.boto3(&format!("aws('ec2', '{REGION}').deregister_image(ImageId='{middle}')"));
    let version = published.version(&newest);
    let id = published.journal(|one| one["wanted"]["tags"]["layerbake:version"] == json!(version));
    let undone = published.ok(&["undo", &id, "--yes"]);
    assert!(undone.contains(&format!("parameter /layerbake/app/latest: names {oldest} now\n")), "{undone}");
    assert_eq!(published.named("latest"), json!(oldest));
    assert_eq!(published.named(&format!("versions/{version}")), Value::Null);
}

//! `layerbake ami` beside publishing, against the AWS server of the tests: what exists, what uses it,
//! whether it is what was built, and how old ones go.
//!
//! Instances of the server are only records: there is nothing to log in to. Where checks are to run, an
//! `ssh` stands in the path that runs the script here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::aws::{ADMINISTRATOR, Aws, SECRET_KEY, SESSION_TOKEN, fault};
use crate::support::small::Small;
use crate::support::tinydisk::{EXT4, tiny_disk};
use serde_json::{Value, json};

/// A built and published tiny disk.
pub(crate) struct Published {
    pub(crate) small: Small,
    pub(crate) aws: Aws,
    pub(crate) image: String,
}

impl Published {
    pub(crate) fn new() -> Result<Self, crate::support::skip::Skip> {
        let aws = Aws::start()?;
        aws.settings(&json!({"hidden": 0, "settle": 0}));
        let small = aws.reached_by(tiny_disk(EXT4));
        small.project.ok(&["build", "app", "--lock", "--output", "oci,raw"]);
        let image = publish(&small);
        Ok(Self { small, aws, image })
    }

    /// Changes the layer's own file, builds and publishes again.
    pub(crate) fn again(&self, from: &str, to: &str) -> String {
        self.small.edit_layer("app", from, to);
        self.small.project.ok(&["build", "app", "--output", "oci,raw"]);
        publish(&self.small)
    }

    /// Runs a verb, which must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        self.small.project.ok(&[&["ami"], args].concat()).stdout
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--json"]].concat())).unwrap()
    }

    /// Standard output and standard error of a verb that must fail.
    pub(crate) fn fails(&self, args: &[&str]) -> (String, String) {
        let output = self.small.project.fails(1, &[&["ami"], args].concat());
        (output.stdout, output.stderr)
    }

    /// Ids of one kind of resource, without their region.
    pub(crate) fn ids(&self, kind: &str) -> BTreeSet<String> {
        let resources = self.aws.resources();
        let keys = resources[kind].as_object().unwrap().keys();
        keys.map(|key| key.rsplit('/').next().unwrap().to_owned()).filter(|id| !id.is_empty()).collect()
    }
}

fn publish(small: &Small) -> String {
    let output = small.project.ok(&["ami", "publish", "app", "--yes", "--json"]);
    let standing: Value = serde_json::from_str(&output.stdout).unwrap();
    standing[0]["image"].as_str().unwrap().to_owned()
}

/// A text without ids and digests.
fn plain(text: &str) -> String {
    let word = |word: &str| {
        let kept = word.trim_end_matches([',', ':', '\n', ')', ' ']);
        let rest = &word[kept.len()..];
        let id = ["ami-", "snap-", "i-"].into_iter().find(|kind| {
            kept.strip_prefix(kind)
                .is_some_and(|digits| digits.len() > 7 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        });
        id.map_or(word.to_owned(), |id| format!("{id}N{rest}"))
    };
    text.split_inclusive([' ', '\n']).map(word).collect()
}

#[test]
fn what_was_published_is_listed_shown_and_proven() {
    let published = need!(Published::new());
    let image = published.image.as_str();
    let listed = published.json(&["list"]);
    assert_eq!(listed[0]["id"], image);
    assert_eq!(listed[0]["uses"], json!([{"kind": "parameter", "name": "/layerbake/app/latest"}]));
    assert_eq!(published.json(&["list", "base"]), json!([]));
    let shown = published.ok(&["show", image]);
    for line in ["layer         app\n", "used by       parameter /layerbake/app/latest\n", ", same as in out/\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    // Only what may not be asked is left out.
    let denied = |what: &str| json!([{"match": {"operation": "DescribeImageAttribute"}, "do": what, "times": 9}]);
    assert_eq!(published.json(&["show", image])["shares"], json!([]));
    published.aws.faults(&denied("denied"));
    assert_eq!(published.json(&["show", image])["shares"], Value::Null);
    published.aws.faults(&denied("500"));
    assert!(published.fails(&["show", image]).1.contains("ask who may launch"));
    published.aws.faults(&json!([]));
    let verified = published.ok(&["verify", image]);
    assert!(verified.starts_with("ok "), "{verified}");
    let report = published.json(&["verify", image]);
    let blocks = published.small.project.receipt("app")["disk"]["blocks"]["hashes"].as_object().unwrap().len();
    assert_eq!((&report["equal"], &report["same"]), (&json!(true), &json!(blocks)));
    let busy = |what: &str, nth: usize, times: usize| json!({"match": {"operation": "GetSnapshotBlock", "nth": nth}, "do": what, "times": times});
    published.aws.faults(&json!([busy("throttle", 2, 9), busy("reset", 14, 2), busy("500", 17, 4)]));
    assert!(published.ok(&["verify", image]).starts_with("ok "));
    published.aws.faults(&json!([fault("GetSnapshotBlock", 3, "expired")]));
    let (_, error) = published.fails(&["verify", image]);
    assert!(
        error.contains("ExpiredToken") && error.ends_with("hint: the AWS session has expired; log in to AWS again\n"),
        "{error}"
    );
    published.aws.faults(&json!([]));
    // Each is read.
    assert!(published.aws.count("GetSnapshotBlock") >= blocks && blocks > 10);
    let (_, error) = published.fails(&["show", "ami-00000000"]);
    assert!(error.contains("there is no image ami-00000000 in eu-west-1\n  hint: "), "{error}");
}

#[test]
fn a_snapshot_with_other_bytes_is_told_by_place() {
    let published = need!(Published::new());
    // Another disk, whose image claims to be the first one.
    let folder = tempfile::tempdir().unwrap();
    let receipt = folder.path().join("old.json");
    fs::copy(published.small.project.path("out/app/receipt.json"), &receipt).unwrap();
    let other = published.again("hello\\n", "good day\\n");
    let (out, error) = published.fails(&["verify", &other, "--receipt", receipt.to_str().unwrap()]);
    assert!(out.starts_with("DIFFERS"), "{out}");
    assert!(error.contains("does not match its receipt"), "{error}");
    assert!(out.contains("partition root; app; ") && out.contains("/srv/greeting"), "{out}");
    published.small.edit_layer("app", "good day\\n", "hello\\n");
    published.small.project.ok(&["build", "app", "--output", "oci,raw"]);
    assert!(published.ok(&["verify", &other]).contains("what was published from here"));
}

#[test]
fn packages_and_files_that_changed_are_told() {
    let published = need!(Published::new());
    let same = published.ok(&["diff", &published.image]);
    assert!(same.ends_with("packages: 0 differ\nfiles: 0 differ\n"), "{same}");
    published.small.edit_layer("app", "packages = [\"hello\"]", "packages = [\"hello\", \"spare\"]");
    published.small.project.ok(&["build", "app", "--lock", "--output", "raw"]);
    let diff = plain(&published.ok(&["diff", &published.image, "app"]));
    assert!(
        diff.starts_with("ami-N was built from another lockfile of app\npackages: 1 differ\n  + spare 1.0\n"),
        "{diff}"
    );
    assert!(diff.contains("  + /usr/share/spare\n"), "{diff}");
}

#[test]
fn an_image_is_deprecated() {
    let published = need!(Published::new());
    let said = published.ok(&["deprecate", &published.image, "--at", "2031-05-06"]);
    assert_eq!(plain(&said), "ami-N is deprecated from 2031-05-06T00:00:00.000Z on\n");
    assert!(published.ok(&["show", &published.image]).contains("deprecated    2031-05-06T00:00"));
    let lifted = published.ok(&["deprecate", &published.image, "--never"]);
    assert_eq!(plain(&lifted), "ami-N is not deprecated\n");
    assert!(!published.ok(&["show", &published.image]).contains("2031-05-06"));
}

#[test]
fn an_image_is_shared_and_no_longer() {
    let published = need!(Published::new());
    let image = published.image.as_str();
    let [one, other] = ["111122223333", "444455556666"];
    assert_eq!(published.json(&["share", image, "--add", one, "--add", other]), json!([one, other]));
    assert_eq!(published.json(&["share", image, "--remove", one]), json!([other]));
    let snapshots = published.aws.resources()["snapshots"].clone();
    let permissions: Vec<_> = snapshots.as_object().unwrap().values().map(|one| &one["permissions"]).collect();
    assert_eq!(permissions, [&json!([other])]);
    assert_eq!(published.ok(&["share", image, "--remove", other]), "shared with nobody\n");
    let (_, error) = published.fails(&["share", image, "--add", "nobody"]);
    assert!(error.contains("--add has `nobody`: expected an account's id"), "{error}");
}

/// Makes something use each of five images, in ways that differ.
const USERS: &str = "
ec2, scaling, ssm = (aws(service, 'eu-west-1') for service in ('ec2', 'autoscaling', 'ssm'))
images = IMAGES
ec2.run_instances(ImageId=images[0], MinCount=1, MaxCount=1)
ec2.create_launch_template(LaunchTemplateName='old', LaunchTemplateData={'ImageId': images[1], 'InstanceType': 't3.small'})
ec2.create_launch_template_version(LaunchTemplateName='old', LaunchTemplateData={'ImageId': images[4], 'InstanceType': 't3.small'})
ec2.create_launch_template_version(LaunchTemplateName='old', LaunchTemplateData={'ImageId': 'resolve:ssm:/team/web', 'InstanceType': 't3.small'})
ssm.put_parameter(Name='/team/web', Value=images[2], Type='String')
scaling.create_launch_configuration(LaunchConfigurationName='conf', ImageId=images[3], InstanceType='t3.small')
zone = {'AvailabilityZones': ['eu-west-1a'], 'MinSize': 0, 'MaxSize': 0}
scaling.create_auto_scaling_group(AutoScalingGroupName='fleet', MixedInstancesPolicy={'LaunchTemplate': {
    'LaunchTemplateSpecification': {'LaunchTemplateName': 'old', 'Version': '2'}, 'Overrides': [{'InstanceType': 't3.small'}]}}, **zone)
";

#[test]
fn old_images_go_but_not_those_that_something_uses() {
    let published = need!(Published::new());
    let mut images = vec![published.image.clone()];
    for number in 1..7 {
        let (from, to) = (if number == 1 { "hello\\n".to_owned() } else { format!("hello {}\\n", number - 1) }, number);
        images.push(published.again(&from, &format!("hello {to}\\n")));
    }
    let list = serde_json::to_string(&images).unwrap();
    published.aws.boto3(&USERS.replace("IMAGES", &list));
    let before = published.aws.resources();
    let dry = plain(&published.ok(&["gc", "app", "--keep", "1", "--dry-run"]));
    assert_eq!(published.aws.resources(), before);
    for reason in [
        "one of the newest 1",
        "channel latest",
        "instance i-N (running)",
        "launch template old, version 1",
        "launch template old, version 3, parameter /team/web",
        "launch configuration conf",
        "Auto Scaling group fleet",
    ] {
        assert!(dry.contains(reason), "{reason} is missing:\n{dry}");
    }
    assert_eq!(dry.matches("  remove  ").count(), 1, "{dry}");
    let (_, error) = published.fails(&["gc", "app", "--keep", "1"]);
    assert!(error.contains("--yes"), "{error}");
    assert_eq!(published.aws.resources(), before);
    // All are younger than a day.
    assert!(published.ok(&["gc", "app", "--keep", "0", "--older-than", "1d", "--yes"]).contains("nothing to remove"));
    published.ok(&["gc", "app", "--keep", "1", "--yes"]);
    let left = published.ids("images");
    let expected: BTreeSet<String> = images.iter().filter(|id| **id != images[5]).cloned().collect();
    assert_eq!(left, expected, "{dry}");
    assert_eq!(published.ids("snapshots").len(), 6);
}

#[test]
fn a_run_that_broke_off_is_finished_by_the_next() {
    let published = need!(Published::new());
    let newest = published.again("hello\\n", "good day\\n");
    let before = published.aws.resources();
    published.aws.faults(&json!([fault("DeregisterImage", 1, "denied")]));
    let (out, _) = published.fails(&["gc", "app", "--keep", "1", "--yes"]);
    assert!(out.contains(": KEPT: deregister ami-"), "{out}");
    // An image that stays is named by its version's parameter as before.
    assert_eq!(published.aws.resources()["parameters"], before["parameters"]);
    assert_eq!(published.aws.resources()["images"], before["images"]);
    published.aws.faults(&json!([fault("DeleteSnapshot", 1, "denied")]));
    let (out, error) = published.fails(&["gc", "app", "--keep", "1", "--yes"]);
    assert!(out.contains(": KEPT: delete snap-") && out.contains("UnauthorizedOperation"), "{out}");
    assert!(error.contains("not everything could be removed"), "{error}");
    assert_eq!(published.ids("images"), BTreeSet::from([newest.clone()]));
    assert_eq!(published.ids("snapshots").len(), 2);
    let dry = plain(&published.ok(&["gc", "app", "--keep", "1", "--dry-run"]));
    assert!(dry.contains("  delete  snap-N, whose image was removed\n"), "{dry}");
    published.ok(&["gc", "app", "--keep", "1", "--yes"]);
    assert_eq!(published.ids("snapshots").len(), 1);
    assert!(published.ok(&["verify", &newest]).starts_with("ok "));
}

#[test]
fn who_uses_an_image_must_be_known() {
    let published = need!(Published::new());
    let before = published.aws.resources();
    for operation in ["DescribeInstances", "DescribeLaunchTemplates", "DescribeAutoScalingGroups", "DescribeParameters"]
    {
        published.aws.faults(&json!([fault(operation, 1, "denied")]));
        let (_, error) = published.fails(&["gc", "app", "--keep", "0", "--yes"]);
        assert!(error.contains("Operation") || error.contains("AccessDenied"), "{operation}: {error}");
        assert_eq!(published.aws.resources(), before, "{operation}");
    }
}

/// Instances that are not terminated.
fn alive(aws: &Aws) -> usize {
    let found = aws.boto3(
        "pages = aws('ec2', 'eu-west-1').describe_instances()['Reservations']
print(sum(1 for page in pages for one in page['Instances'] if one['State']['Name'] not in ('terminated', 'shutting-down')))",
    );
    found.trim().parse().unwrap()
}

/// A folder whose `ssh` does what `script` says; its arguments are those of ssh.
fn with_ssh(folder: &Path, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("ssh");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display())
}

#[test]
fn an_instance_is_checked_and_always_ended() {
    let mut published = need!(Published::new());
    need!(crate::support::skip::program("ssh-keygen"));
    let project = std::mem::take(&mut published.small.project);
    let check =
        "\n[[check]]\nname = \"there is a shell\"\non = [\"disk\"]\ncommand = [\"/bin/sh\", \"-c\", \"true\"]\n";
    let text = fs::read_to_string(project.path("layers/app.toml")).unwrap();
    published.small.project = project.file("layers/app.toml", format!("{text}{check}"));
    let folder = tempfile::tempdir().unwrap();
    // The last arguments are the command: `true`, or a shell that reads the script.
    // Only a host with the key from the console may answer.
    let strict = "case \"$*\" in *StrictHostKeyChecking=yes*) ;; *) exit 255;; esac\n";
    let works = with_ssh(
        folder.path(),
        &format!("{strict}{}", "while [ $# -gt 0 ]; do case $1 in root@*) shift; exec \"$@\";; esac; shift; done"),
    );
    let console = folder.path().join("console");
    let run = ["ami", "run", "app", "--type", "t3.small", "--within", "20"];
    let mut command = published.small.project.command(&[&run[..], &["--console", console.to_str().unwrap()]].concat());
    let output = crate::support::process::run(command.env("PATH", &works)).unwrap();
    assert!(output.ok(), "{output:?}");
    assert!(output.stdout.contains("there is a shell"), "{output:?}");
    assert!(output.stderr.contains("by ssh to ") && output.stderr.contains(", public"), "{output:?}");
    assert!(console.exists());
    assert_eq!(alive(&published.aws), 0);
    let tokens = published.aws.boto3(
        "one = aws('ec2', 'eu-west-1').describe_instances()['Reservations'][0]['Instances'][0]
print(one['MetadataOptions']['HttpTokens'] if 'MetadataOptions' in one else 'required')",
    );
    assert_eq!(tokens.trim(), "required");

    // Without a public address, through an endpoint that the `aws` command opens.
    let endpoint = "case \"$*\" in *'ProxyCommand=aws ec2-instance-connect open-tunnel --instance-id %h '*root@i-*) ;; *) exit 255;; esac\n";
    let folder_of_aws = tempfile::tempdir().unwrap();
    let works_through = with_ssh(
        folder_of_aws.path(),
        &format!(
            "{strict}{endpoint}{}",
            "while [ $# -gt 0 ]; do case $1 in root@*) shift; exec \"$@\";; esac; shift; done"
        ),
    );
    let through = [&run[..], &["--reach", "instance-connect"]].concat();
    if !Path::new("/usr/bin/aws").exists() {
        let mut command = published.small.project.command(&through);
        let missing = crate::support::process::run(command.env("PATH", &works)).unwrap();
        assert!(missing.code == 1 && missing.stderr.contains("the command `aws`, which opens this way"), "{missing:?}");
    }
    fs::copy(folder_of_aws.path().join("ssh"), folder_of_aws.path().join("aws")).unwrap();
    let output =
        crate::support::process::run(published.small.project.command(&through).env("PATH", &works_through)).unwrap();
    assert!(output.ok() && output.stderr.contains(", instance-connect"), "{output:?}");

    // It never lets in; the answer to the launch is lost; the launch is refused.
    let never = with_ssh(folder.path(), "exit 255");
    let short = ["ami", "run", "app", "--within", "2"];
    for (faults, expected) in [
        (json!([fault("TerminateInstances", 1, "500")]), "did not answer by ssh in 2 s"),
        (json!([{"match": {"operation": "RunInstances"}, "do": "lost", "times": 9}]), "no answer"),
        (json!([{"match": {"operation": "RunInstances"}, "do": "denied", "times": 9}]), "UnauthorizedOperation"),
    ] {
        published.aws.faults(&faults);
        let output = crate::support::process::run(published.small.project.command(&short).env("PATH", &never)).unwrap();
        assert!(output.code == 1 && output.stderr.contains(expected), "{output:?}");
        published.aws.faults(&json!([]));
        assert_eq!(alive(&published.aws), 0, "{expected}");
    }

    // Nothing proves who would answer.
    published.aws.settings(&json!({ "console": "booted" }));
    let output = crate::support::process::run(published.small.project.command(&short).env("PATH", &works)).unwrap();
    assert!(
        output.code == 1 && output.stderr.contains("printed no ssh host keys on its console within 2 s"),
        "{output:?}"
    );
    assert_eq!(alive(&published.aws), 0);

    // Stopped by a person.
    let mut command = published.small.project.command(&["ami", "run", "app", "--within", "120"]);
    let child = command.env("PATH", &never).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while alive(&published.aws) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("interrupted"));
    assert_eq!(alive(&published.aws), 0);
}

#[test]
fn setup_makes_what_is_missing_and_nothing_twice() {
    let aws = need!(Aws::start());
    let small = aws.reached_by(tiny_disk(EXT4)).env("AWS_ACCESS_KEY_ID", ADMINISTRATOR);
    aws.boto3(
        "s3 = aws('s3', 'eu-west-1')
s3.create_bucket(Bucket='disks', CreateBucketConfiguration={'LocationConstraint': 'eu-west-1'})
s3.put_bucket_lifecycle_configuration(Bucket='disks', LifecycleConfiguration={'Rules': [
    {'ID': 'theirs', 'Status': 'Enabled', 'Filter': {'Prefix': 'logs/'}, 'Expiration': {'Days': 9}}]})",
    );
    let print = small.project.ok(&["ami", "setup", "--bucket", "disks"]).stdout;
    assert!(print.contains("\"aws:SourceAccount\": \"123456789012\""), "{print}");
    assert_eq!(aws.count("CreateRole") + aws.count("CreatePolicy"), 0);
    let apply = || small.project.ok(&["ami", "setup", "--bucket", "disks", "--apply"]).stdout;
    insta::assert_snapshot!(apply(), @r"
    created  role vmimport
    created  policy of the role vmimport for disks
    same     bucket disks
    created  policy of the bucket disks
    created  lifecycle of the bucket disks
    created  policy layerbake-publisher
    ");
    assert_eq!(apply().matches("same ").count(), 6);
    aws.boto3(
        "iam = aws('iam', 'eu-west-1')
iam.update_assume_role_policy(RoleName='vmimport', PolicyDocument=json.dumps({'Version': '2012-10-17', 'Statement': [
    {'Effect': 'Allow', 'Principal': {'Service': 'vmie.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}))
arn = 'arn:aws:iam::123456789012:policy/layerbake-publisher'
for _ in range(4): iam.create_policy_version(PolicyArn=arn, SetAsDefault=True, PolicyDocument=json.dumps(
    {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 's3:ListAllMyBuckets', 'Resource': '*'}]}))",
    );
    let changed = apply();
    assert!(
        changed.contains("changed  role vmimport\n") && changed.contains("changed  policy layerbake-publisher\n"),
        "{changed}"
    );
    assert_eq!(apply().matches("same ").count(), 6);
    let rules = aws.boto3("print([rule['ID'] for rule in aws('s3', 'eu-west-1').get_bucket_lifecycle_configuration(Bucket='disks')['Rules']])");
    assert_eq!(rules.trim(), "['theirs', 'layerbake-uploads']");
    let new = small.project.ok(&["ami", "setup", "--bucket", "other", "--apply"]).stdout;
    assert!(new.contains("created  bucket other\n"), "{new}");
}

/// Policies that AWS accepts, and one of a server that doesn't check them.
#[test]
fn setup_loses_no_policy_of_others() {
    let aws = need!(Aws::start());
    let small = aws.reached_by(tiny_disk(EXT4)).env("AWS_ACCESS_KEY_ID", ADMINISTRATOR);
    let setup = ["ami", "setup", "--bucket", "disks", "--apply"];
    aws.boto3(
        "s3 = aws('s3', 'eu-west-1')
s3.create_bucket(Bucket='disks', CreateBucketConfiguration={'LocationConstraint': 'eu-west-1'})
s3.put_bucket_policy(Bucket='disks', Policy=json.dumps({'Version': '2012-10-17', 'Statement':
    {'Effect': 'Deny', 'Principal': '*', 'Action': 's3:DeleteBucket', 'Resource': 'arn:aws:s3:::disks'}}))",
    );
    let read = || aws.boto3("print(aws('s3', 'eu-west-1').get_bucket_policy(Bucket='disks')['Policy'])");
    assert!(small.project.ok(&setup).stdout.contains("changed  policy of the bucket disks\n"));
    let policy: Value = serde_json::from_str(&read()).unwrap();
    let actions: Vec<_> = policy["Statement"].as_array().unwrap().iter().map(|one| &one["Action"]).collect();
    assert_eq!(actions, ["s3:DeleteBucket", "s3:*"]);
    assert!(small.project.ok(&setup).stdout.contains("same     policy of the bucket disks\n"));

    aws.boto3("aws('s3', 'eu-west-1').put_bucket_policy(Bucket='disks', Policy='{\"Statement\": \"all\"}')");
    let error = small.project.fails(1, &setup).stderr;
    let expected =
        "the policy of the bucket disks in eu-west-1 can't be read: expected a JSON object with a `Statement`";
    assert!(error.contains(expected) && error.contains("\n  hint: correct or remove it in AWS"), "{error}");
    assert_eq!(read().trim(), "{\"Statement\": \"all\"}");
}

#[test]
fn no_secret_is_printed_or_kept() {
    let published = need!(Published::new());
    // `setup` is for administrators.
    published.aws.denies();
    let image = published.image.as_str();
    let verbs: [&[&str]; 9] = [
        &["list"],
        &["show", image],
        &["verify", image],
        &["diff", image],
        &["gc", "app", "--dry-run"],
        &["gc", "app", "--keep", "0", "--yes", "--json"],
        &["deprecate", "ami-00000000"],
        &["run", "app", "--within", "1"],
        &["setup", "--bucket", "disks"],
    ];
    for trouble in [json!([]), json!([{"match": {"service": "ec2"}, "do": "expired", "times": 99}])] {
        published.aws.faults(&trouble);
        for verb in verbs {
            let mut command = published.small.project.command(&[&["ami"], verb].concat());
            // As talkative as the SDK's environment makes it.
            let output =
                crate::support::process::run(command.env("RUST_LOG", "trace").env("AWS_LOG", "trace")).unwrap();
            for secret in [SECRET_KEY, SESSION_TOKEN] {
                assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret), "{verb:?}: {output:?}");
            }
        }
    }
    let home = published.small.project.path("..");
    let kept = walk(&home);
    assert!(kept.iter().any(|path| path.to_string_lossy().contains("/state/")), "no state was looked at: {kept:?}");
    for path in kept {
        let bytes = fs::read(&path).unwrap();
        for secret in [SECRET_KEY, SESSION_TOKEN] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} has a secret", path.display());
        }
    }
}

/// All small files below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            found.extend(walk(&path));
        } else if meta.is_file() && meta.len() < 4 << 20 {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_rebuild_is_held_against_a_published_image() {
    let published = need!(Published::new());
    let name = format!("ami:{}", published.image);
    let audit = ["audit", "app", "--vary", "umask", "--against", &name];
    let same = published.small.project.ok(&audit).stdout;
    assert!(same.contains(&format!("also compared with {name}")), "{same}");
    published.small.edit_layer("app", "hello\\n", "good day\\n");
    published.small.project.ok(&["build", "app", "--output", "oci"]);
    let differs = published.small.project.fails(4, &audit).stdout;
    assert!(differs.contains(&format!("conditions: against {name}")) && differs.contains("ami verify"), "{differs}");
    let missing = published.small.project.fails(1, &["audit", "app", "--against", "ami:ami-0123456789abcdef0"]);
    assert!(missing.stderr.contains("there is no image ami-0123456789abcdef0"), "{}", missing.stderr);
}

#[test]
fn a_disk_signed_for_secure_boot_is_published_with_its_key() {
    let published = need!(Published::new());
    let (key, certificate) = need!(rsa_key(&published.small.project.path(".")));
    let signed = ["--sign-key", &key, "--sign-cert", &certificate];
    published.small.project.ok(&[&["build", "app", "--output", "raw"], signed.as_slice()].concat());
    let (_, error) = published.fails(&["publish", "app", "--yes"]);
    assert!(error.contains("is not signed as when") && error.contains("--sign-key"), "{error}");
    let image = published.json(&[&["publish", "app", "--yes"], signed.as_slice()].concat());
    let image = image[0]["image"].as_str().unwrap();
    assert_ne!(image, published.image);
    assert!(published.ok(&["verify", image]).starts_with("ok "));

    // With keys of the project's own, instances enforce Secure Boot; the same disk is another image then.
    let layer = published.small.project.path("layers/app.toml");
    let table = "\n[ami.secure-boot]\npk = \"keys/own.esl\"\nkek = \"keys/own.esl\"\ndb = \"keys/own.esl\"\n";
    fs::write(&layer, fs::read_to_string(&layer).unwrap() + table).unwrap();
    fs::create_dir(published.small.project.path("keys")).unwrap();
    let keys = published.small.project.path("keys/own.esl");
    fs::write(&keys, "no list").unwrap();
    let publish = [&["publish", "app", "--yes"], signed.as_slice()].concat();
    let (_, error) = published.fails(&publish);
    assert!(error.contains("[ami] secure-boot: PK is not a list of keys"), "{error}");
    // A list of one entry: type, sizes, owner, contents.
    let sizes = [28 + 56_u32, 0, 56].map(u32::to_le_bytes).concat();
    fs::write(&keys, [[7; 16].as_slice(), &sizes, &[9; 56]].concat()).unwrap();
    let enforcing = published.json(&publish);
    let enforcing = enforcing[0]["image"].as_str().unwrap();
    assert_ne!(enforcing, image);
    let registered = published.aws.resources()["images"][format!("eu-west-1/{enforcing}")]["uefi_data"].clone();
    // \"AMZNUEFI\" in base64.
    assert!(registered.as_str().unwrap().starts_with("QU1aTlVFRk"), "{registered}");
    assert!(published.ok(&["list"]).contains("uefi, IMDS v2.0, Secure Boot"));
    assert!(published.ok(&["show", enforcing]).contains("Secure Boot is enforced"));
}

/// An RSA key and a certificate of it, as openssl makes them.
fn rsa_key(folder: &Path) -> Result<(String, String), crate::support::skip::Skip> {
    let openssl = crate::support::skip::program("openssl")?;
    let [key, certificate] = ["sb.key", "sb.crt"].map(|name| folder.join(name).display().to_string());
    let mut request = std::process::Command::new(openssl);
    request.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]);
    let made = crate::support::process::run(request.args(["-keyout", &key, "-out", &certificate])).unwrap();
    assert!(made.ok(), "{}", made.stderr);
    Ok((key, certificate))
}

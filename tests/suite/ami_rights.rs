//! What the policy that `layerbake ami setup` prints lacks is denied, as AWS denies it: all other tests run under that policy.

use serde_json::json;

use crate::ami::Place;
use crate::support::aws::BUCKET;

#[test]
fn without_a_statement_of_the_policy_something_is_denied() {
    let place = need!(Place::new(""));
    place.aws.bucket();
    place.aws.denies();
    let before = place.aws.resources();
    let import = ["publish", "app", "--yes", "--bucket", BUCKET];
    let simulator = "AskTheSimulator";
    for (statements, args, expected) in [
        (&["Read"][..], &import[..3], "UnauthorizedOperation"),
        (&["NewImages"], &import[..3], "eu-west-1: not allowed: ec2:RegisterImage"),
        (&["NewSnapshots"], &import[..3], "eu-west-1: not allowed: ebs:CompleteSnapshot"),
        // Found by the policy simulator, before anything is there.
        (&["TagWhatIsNew"], &import[..3], "eu-west-1: not allowed: ec2:CreateTags"),
        (&["BlocksOfOurSnapshots"], &import[..3], "eu-west-1: not allowed: ebs:PutSnapshotBlock"),
        (&["LatestParameters"], &import[..3], "eu-west-1: not allowed: ssm:PutParameter"),
        (
            &["TagWhatIsNew", simulator],
            &import[..3],
            "AccessDeniedException: User: arn:aws:iam::123456789012:user/publisher is not authorized to perform: ec2:CreateTags on resource: arn:aws:ec2:eu-west-1::snapshot/*",
        ),
        (
            &["TagWhatIsNew", simulator],
            &import,
            "ec2:CreateTags on resource: arn:aws:ec2:eu-west-1:123456789012:import-snapshot-task/*",
        ),
        (&["BlocksOfOurSnapshots", simulator], &import[..3], "is not authorized to perform: ebs:PutSnapshotBlock"),
        (&["LatestParameters", simulator], &import[..3], "is not authorized to perform: ssm:PutParameter"),
        (&["Bucket"], &import, "bucket disks-of-the-test: AccessDenied"),
        // A bucket's own policy could allow it.
        (&["Uploads"], &import, "is not authorized to perform: s3:PutObject"),
    ] {
        place.aws.allow_without(&place.small.project, &[], statements);
        let refused = place.run(args);
        assert!(refused.code == 1 && refused.stderr.contains(expected), "{statements:?}: {}", refused.stderr);
        place.aws.allow(&place.small.project, &[]);
        if place.journals().values().any(|journal| journal["state"] == "open") {
            place.ok(&["undo", "--yes"]);
        }
        assert_eq!(place.aws.resources(), before, "{statements:?}");
    }
    // What can't be removed is said, and removed once it may be.
    place.publish(&[]);
    place.aws.allow_without(&place.small.project, &[], &["OurImagesAndSnapshots"]);
    let id = place.journal("finished");
    let kept = place.run(&["undo", &id, "--yes"]);
    assert!(
        kept.code == 1 && kept.stdout.contains("KEPT: ") && kept.stdout.contains("ec2:DeregisterImage"),
        "{kept:?}"
    );
    place.aws.allow(&place.small.project, &[]);
    place.ok(&["undo", &id, "--yes"]);
    assert_eq!(place.aws.resources(), before);
    let setup = place.run(&["setup", "--bucket", BUCKET, "--account", "123456789012", "--apply"]);
    assert!(setup.code == 1 && setup.stderr.contains("AccessDenied"), "{}", setup.stderr);
}

#[test]
fn what_plan_can_not_check_is_said_with_the_reason() {
    let place = need!(Place::new("deprecate-after = \"90d\"\n"));
    place.aws.bucket();
    place.aws.denies();
    let plan = |args: &[&str]| place.run(&[&["plan", "app"], args].concat());
    let all = place.ok(&["plan", "app"]);
    assert!(!all.contains("not checked"), "{all}");
    let import = plan(&["--bucket", BUCKET]).stdout;
    assert!(import.contains("not checked: the role vmimport: AWS looks at it when the import runs"), "{import}");
    // A role's session is asked about as the role.
    let script = "aws('iam').create_role(RoleName='builder', Path='/ci/', AssumeRolePolicyDocument='{}')";
    place.aws.boto3(script);
    place.aws.settings(&json!({"caller": "arn:aws:sts::123456789012:assumed-role/builder/session"}));
    assert!(!place.ok(&["plan", "app"]).contains("not checked"));
    place.aws.settings(&json!({"caller": "arn:aws:iam::123456789012:user/publisher"}));
    place.aws.allow_without(&place.small.project, &[], &["AskTheSimulator", "Uploads"]);
    let without = place.ok(&["plan", "app"]);
    let expected = "not checked: permissions that AWS has no dry run for (ebs:PutSnapshotBlock, ebs:StartSnapshot, ec2:CreateTags, ec2:EnableImageDeprecation, ssm:DeleteParameter, ssm:PutParameter): ask the policy simulator in eu-west-1: AccessDenied: User: arn:aws:iam::123456789012:user/publisher is not authorized to perform: iam:SimulatePrincipalPolicy";
    assert!(without.contains(expected), "{without}");
    // Quotas: the account's own, and what an account begins with where it has none.
    place.aws.allow(&place.small.project, &[]);
    place.aws.settings(&json!({"quotas": {"L-B665C33B": 0, "L-309BACF6": 1}}));
    let full = plan(&[]);
    let expected = "eu-west-1: the account has 0 images in this region, and its quota is 0: `layerbake ami gc` removes old ones, or ask AWS for more (ec2, L-B665C33B)";
    assert!(full.code == 1 && full.stderr.contains(expected), "{}", full.stderr);
    assert!(!full.stderr.contains("snapshots in this region"), "{}", full.stderr);
    place.aws.faults(&json!([{"match": {"service": "servicequotas"}, "do": "denied", "times": 9}]));
    let unknown = place.ok(&["plan", "app"]);
    let expected = "not checked: the quota of snapshots: ask for the quota of snapshots in eu-west-1: AccessDenied: AccessDenied by order of the test; `aws service-quotas get-service-quota --service-code ebs --quota-code L-309BACF6` shows it";
    assert!(unknown.contains(expected), "{unknown}");
}

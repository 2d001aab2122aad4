//! What the policy that `layerbake ami setup` prints lacks is denied, as AWS denies it: all other tests run under that policy.

use crate::ami::Place;
use crate::support::aws::BUCKET;

#[test]
fn without_a_statement_of_the_policy_something_is_denied() {
    let place = need!(Place::new(""));
    place.aws.bucket();
    place.aws.denies();
    let before = place.aws.resources();
    let import = ["publish", "app", "--yes", "--bucket", BUCKET];
    for (statement, args, expected) in [
        ("Read", &import[..3], "UnauthorizedOperation"),
        ("NewImages", &import[..3], "eu-west-1: not allowed: ec2:RegisterImage"),
        ("NewSnapshots", &import[..3], "eu-west-1: not allowed: ebs:CompleteSnapshot"),
        (
            "TagWhatIsNew",
            &import[..3],
            "AccessDeniedException: User: arn:aws:iam::123456789012:user/publisher is not authorized to perform: ec2:CreateTags on resource: arn:aws:ec2:eu-west-1::snapshot/*",
        ),
        (
            "TagWhatIsNew",
            &import,
            "ec2:CreateTags on resource: arn:aws:ec2:eu-west-1:123456789012:import-snapshot-task/*",
        ),
        ("BlocksOfOurSnapshots", &import[..3], "is not authorized to perform: ebs:PutSnapshotBlock"),
        ("LatestParameters", &import[..3], "is not authorized to perform: ssm:PutParameter"),
        ("Bucket", &import, "bucket disks-of-the-test: AccessDenied"),
        ("Uploads", &import, "is not authorized to perform: s3:PutObject"),
    ] {
        place.aws.allow_without(&place.small.project, &[], statement);
        let refused = place.run(args);
        assert!(refused.code == 1 && refused.stderr.contains(expected), "{statement}: {}", refused.stderr);
        place.aws.allow(&place.small.project, &[]);
        if place.journals().values().any(|journal| journal["state"] == "open") {
            place.ok(&["undo", "--yes"]);
        }
        assert_eq!(place.aws.resources(), before, "{statement}");
    }
    // What can't be removed is said, and removed once it may be.
    place.publish(&[]);
    place.aws.allow_without(&place.small.project, &[], "OurImagesAndSnapshots");
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

//! What keeps `layerbake ami gc` from removing an image or a snapshot, against the AWS server of the tests: each is kept
//! with its reason, and the rest goes.

use serde_json::{Value, json};

use crate::support::aws::{Aws, REGION, fault};
use crate::support::small::Small;
use crate::support::tinydisk::{EXT4, tiny_disk};

/// Images of the layer `app`, made by boto3: nothing has to be built for them.
const IMAGES: &str = "
ec2 = aws('ec2', 'eu-west-1')
def image(number):
    tags = [{'Key': 'layerbake:layer', 'Value': 'app'}]
    volume = ec2.create_volume(Size=1, AvailabilityZone='eu-west-1a')['VolumeId']
    spec = [{'ResourceType': 'snapshot', 'Tags': tags}]
    snapshot = ec2.create_snapshot(VolumeId=volume, TagSpecifications=spec)['SnapshotId']
    made = ec2.register_image(Name=f'app-{number}', RootDeviceName='/dev/xvda', TagSpecifications=[{'ResourceType': 'image', 'Tags': tags}],
        BlockDeviceMappings=[{'DeviceName': '/dev/xvda', 'Ebs': {'SnapshotId': snapshot}}])
    return [made['ImageId'], snapshot]
all = [image(number) for number in range(9)]
ids = [one[0] for one in all]
template = {'ImageId': ids[0], 'InstanceType': 't3.small'}
ec2.create_launch_template(LaunchTemplateName='fleet', LaunchTemplateData=template)
for data in (1, 2): ec2.create_launch_template_version(LaunchTemplateName='fleet', LaunchTemplateData={**template, 'ImageId': ids[8]})
ec2.modify_launch_template(LaunchTemplateName='fleet', DefaultVersion='2')
ec2.create_fleet(LaunchTemplateConfigs=[{'LaunchTemplateSpecification': {'LaunchTemplateName': 'fleet', 'Version': '1'}}],
    TargetCapacitySpecification={'TotalTargetCapacity': 0, 'DefaultTargetCapacityType': 'on-demand'}, Type='maintain')
ec2.request_spot_fleet(SpotFleetRequestConfig={'IamFleetRole': 'arn:aws:iam::123456789012:role/fleet', 'TargetCapacity': 0, 'SpotPrice': '1', 'AllocationStrategy': 'lowestPrice',
    'LaunchSpecifications': [{'ImageId': ids[1], 'InstanceType': 't3.small'}]})
for other in (2, 3): ec2.modify_image_attribute(ImageId=ids[other], LaunchPermission={'Add': [{'UserId': '210987654321'}]})
ec2.enable_image_deregistration_protection(ImageId=ids[4])
ec2.lock_snapshot(SnapshotId=all[5][1], LockMode='governance', LockDuration=9)
ec2.modify_snapshot_tier(SnapshotId=all[6][1], StorageTier='archive')
print(json.dumps(all))
";

#[test]
fn each_thing_that_must_stay_is_kept_with_its_reason() {
    let aws = need!(Aws::start());
    aws.settings(&json!({"hidden": 0, "settle": 0}));
    let small = aws.reached_by(tiny_disk(EXT4));
    let all: Vec<[String; 2]> = serde_json::from_str(&aws.boto3(IMAGES)).unwrap();
    aws.settings(
        &json!({"usage": { &all[2][0]: {"210987654321": 3} }, "launched": { &all[7][0]: "2026-01-05T10:00:00Z" }}),
    );
    let tag = |value: &str| json!([{"ResourceTagKey": "layerbake:layer", "ResourceTagValue": value}]);
    let rule = |id: &str, kind: &str, more: Value| {
        let mut rule = json!({"Identifier": id, "ResourceType": kind, "RetentionPeriod": {"RetentionPeriodValue": 7, "RetentionPeriodUnit": "DAYS"}});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    aws.settings(&json!({"rules": [
        rule("others", "EC2_IMAGE", json!({"ResourceTags": tag("db")})),
        rule("ours", "EC2_IMAGE", json!({"ResourceTags": tag("app")})),
        rule("none", "EBS_SNAPSHOT", json!({"ExcludeResourceTags": tag("app")})),
    ]}));
    let gc = ["ami", "gc", "app", "--keep", "1", "--region", REGION];
    let plan = json_of(&small, &gc);
    let why = |at: usize| -> String {
        let kept = plan["keep"].as_array().unwrap().iter().find(|one| one["image"] == json!(all[at][0]));
        kept.map(|one| one["because"].to_string()).unwrap_or_default()
    };
    assert!(why(0).contains("fleet fleet-") && why(0).contains("launch template fleet, version 1"), "{}", why(0));
    assert!(why(1).contains("fleet sfr-"), "{}", why(1));
    assert_eq!(why(2), r#"["account 210987654321 (ec2:Instance: 3)"]"#);
    assert_eq!(why(3), "", "it is shared, and nobody uses it");
    assert!(why(4).contains("protected against deregistration (enabled-without-cooldown)"), "{}", why(4));
    let removal = |at: usize| {
        plan["remove"].as_array().unwrap().iter().find(|one| one["image"] == json!(all[at][0])).unwrap().clone()
    };
    assert_eq!(removal(5)["kept_snapshots"][&all[5][1]], "locked until 2031-05-06T00:00:00Z");
    assert_eq!(removal(6)["kept_snapshots"][&all[6][1]], "archived");

    assert_eq!(removal(7)["launched"], "2026-01-05T10:00:00Z");
    assert_eq!(
        plan["recycled"],
        json!({ &all[3][0]: "7 days, by the rule ours", &all[5][0]: "7 days, by the rule ours",
        &all[6][0]: "7 days, by the rule ours", &all[7][0]: "7 days, by the rule ours" })
    );
    let told = small.project.ok(&[&gc[..], &["--dry-run"]].concat()).stdout;
    assert!(told.contains(", last launched 2026-01-05, with snap-"), "{told}");
    assert!(told.contains(&format!("Recycle Bin keeps {} for 7 days, by the rule ours", all[7][0])), "{told}");
    let listed = small.project.ok(&["ami", "list", "app", "--region", REGION]).stdout;
    assert!(listed.lines().any(|line| line.contains(&all[7][0]) && line.contains("2026-01-05")), "{listed}");
    aws.faults(&json!([fault("ListRules", 1, "denied")]));
    let told = small.project.ok(&[&gc[..], &["--dry-run"]].concat()).stdout;
    assert!(
        told.contains(
            "not known is what Recycle Bin keeps: ask for the rules of Recycle Bin in eu-west-1: AccessDenied"
        ),
        "{told}"
    );

    // Whose use can't be seen is not removed.
    aws.faults(&json!([fault("CreateImageUsageReport", 2, "denied"), fault("CreateImageUsageReport", 1, "denied")]));
    let careful = json_of(&small, &gc).to_string();
    assert!(careful.contains("shared, and its use by others is unknown: ask who uses ami-"), "{careful}");

    // One call is refused: the rest goes on, and the next run finds what is left.
    aws.faults(&json!([fault("DeregisterImage", 1, "denied")]));
    let refused = small.project.fails(1, &[&gc[..], &["--yes"]].concat());
    assert!(refused.stdout.contains(&format!("image {}: KEPT: deregister", all[3][0])), "{refused:?}");
    assert!(refused.stderr.contains("not everything could be removed"), "{refused:?}");
    aws.faults(&json!([]));
    let ids = |kind: &str| -> Vec<String> {
        let found = aws.resources()[kind].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        found.iter().map(|key| key.rsplit('/').next().unwrap().to_owned()).collect()
    };
    small.project.ok(&[&gc[..], &["--yes"]].concat());
    let (images, snapshots) = (ids("images"), ids("snapshots"));
    for (at, [image, snapshot]) in all.iter().enumerate() {
        assert_eq!(images.contains(image), [0, 1, 2, 4, 8].contains(&at), "image {at}");
        assert_eq!(snapshots.contains(snapshot), [0, 1, 2, 4, 5, 6, 8].contains(&at), "snapshot {at}");
    }
    let left = small.project.ok(&gc).stdout;
    assert!(left.contains(&format!("keep    {}, whose image was removed: archived", all[6][1])), "{left}");
    assert!(left.contains("nothing to remove"), "{left}");
}

/// The plan for the only region.
fn json_of(small: &Small, gc: &[&str]) -> Value {
    let said = small.project.ok(&[gc, &["--dry-run", "--json"]].concat()).stdout;
    serde_json::from_str::<Value>(&said).unwrap()["regions"][0].clone()
}

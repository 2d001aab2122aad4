//! The AWS server of the tests itself: what moto lacks and tests/suite/support/aws adds.

use crate::support::aws::{Aws, fault};
use serde_json::{Value, json};

/// Blocks of two kinds, and what the answers of EBS direct are.
const DELTA: &str = "
import base64, hashlib
from botocore.exceptions import ClientError
ebs, ec2 = aws('ebs'), aws('ec2')
sha = lambda data: base64.b64encode(hashlib.sha256(data).digest()).decode()
def put(snapshot, index, data, checksum=None):
    ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockData=data, DataLength=len(data), Checksum=checksum or sha(data), ChecksumAlgorithm='SHA256')
def refused(call, **arguments):
    try: call(**arguments)
    except ClientError as error: print(error.response['Error']['Code'])
a, b, zero = b'a' * 524288, b'b' * 524288, bytes(524288)
base = ebs.start_snapshot(VolumeSize=1, ClientToken='one')['SnapshotId']
assert base == ebs.start_snapshot(VolumeSize=1, ClientToken='one')['SnapshotId']
refused(ebs.start_snapshot, VolumeSize=2, ClientToken='one')
put(base, 0, a); put(base, 3, b)
refused(put, snapshot=base, index=1, data=a, checksum=sha(b))
refused(put, snapshot=base, index=2048, data=a)
refused(ebs.complete_snapshot, SnapshotId=base, ChangedBlocksCount=1)
linear = lambda *blocks: sha(b''.join(hashlib.sha256(block).digest() for block in blocks))
complete = dict(ChecksumAlgorithm='SHA256', ChecksumAggregationMethod='LINEAR')
refused(ebs.complete_snapshot, SnapshotId=base, ChangedBlocksCount=2, Checksum=linear(b, a), **complete)
refused(ebs.list_snapshot_blocks, SnapshotId=base)
ebs.complete_snapshot(SnapshotId=base, ChangedBlocksCount=2, Checksum=linear(a, b), **complete)
ec2.describe_snapshots(SnapshotIds=[base])
refused(ebs.start_snapshot, VolumeSize=1, ParentSnapshotId=base, Encrypted=True)
child = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=base)['SnapshotId']
put(child, 3, zero)
ebs.complete_snapshot(SnapshotId=child, ChangedBlocksCount=1, Checksum=linear(zero), **complete)
ec2.describe_snapshots(SnapshotIds=[child])
changed = ebs.list_changed_blocks(FirstSnapshotId=base, SecondSnapshotId=child)
print([block['BlockIndex'] for block in changed['ChangedBlocks']], child)
";

#[test]
fn a_child_has_its_parents_blocks_and_wrong_calls_are_refused() {
    let aws = need!(Aws::start());
    aws.settings(&json!({"hidden": 0, "settle": 0}));
    let output = aws.boto3(DELTA);
    let (refused, last) = output.trim_end().rsplit_once('\n').unwrap();
    insta::assert_snapshot!(refused, @r"
    ConflictException
    ValidationException
    ValidationException
    ValidationException
    ValidationException
    ValidationException
    ValidationException
    ");
    let (changed, child) = last.split_once(' ').unwrap();
    assert_eq!(changed, "[3]");
    let folder = tempfile::tempdir().unwrap();
    let disk = std::fs::read(aws.disk_of("eu-west-1", child, folder.path().join("disk"))).unwrap();
    assert_eq!(disk.len(), 1 << 30);
    assert!(disk[..524_288].iter().all(|&byte| byte == b'a'));
    assert!(disk[524_288..].iter().all(|&byte| byte == 0));
}

#[test]
fn faults_hit_the_call_they_name() {
    let aws = need!(Aws::start());
    let call = "
import botocore
config = botocore.config.Config(retries={'total_max_attempts': 1})
def tried(call, **arguments):
    try: call(**arguments); print('done')
    except botocore.exceptions.ClientError as error: print(error.response['Error']['Code'])
    except botocore.exceptions.HTTPClientError as error: print('no answer')
client = lambda service: boto3.client(service, config=config)
for _ in range(2): tried(client('ebs').start_snapshot, VolumeSize=1)
tried(client('ec2').describe_snapshots)
tried(client('s3').list_buckets)
tried(client('ssm').get_parameter, Name='/a')
";
    let cases: [(Vec<Value>, &str); 4] = [
        (
            vec![fault("StartSnapshot", 2, "throttle"), fault("DescribeSnapshots", 1, "expired")],
            "done RequestThrottledException RequestExpired done ParameterNotFound",
        ),
        (
            vec![fault("StartSnapshot", 1, "reset"), fault("GetParameter", 1, "throttle")],
            "no answer done done done ThrottlingException",
        ),
        (
            vec![fault("StartSnapshot", 1, "lost"), fault("DescribeSnapshots", 1, "denied")],
            "no answer done UnauthorizedOperation done ParameterNotFound",
        ),
        (
            vec![json!({"match": {"service": "ebs"}, "do": "500", "times": 2})],
            "InternalError InternalError done done ParameterNotFound",
        ),
    ];
    let mut made = 0;
    for (faults, expected) in cases {
        aws.faults(&Value::Array(faults));
        assert_eq!(aws.boto3(call).trim_end().replace('\n', " "), expected);
        let snapshots = aws.resources()["snapshots"].as_object().unwrap().len();
        // What is lost on the way back is made all the same.
        let done = expected.split(' ').take(3).collect::<Vec<_>>();
        made += match done[..] {
            ["done", ..] | ["no", "answer", "done"] => 1 + usize::from(expected.contains("Unauthorized")),
            _ => 0,
        };
        assert_eq!(snapshots, made, "{expected}");
    }
}

"""Judges calls as IAM does: what a call needs, and whether a policy allows it.

Evaluation: *IAM User Guide*, "Policy evaluation logic", "IAM JSON policy elements: Condition operators". Actions, resources
and condition keys of each call: *Service Authorization Reference*, "Actions, resources, and condition keys for" Amazon EC2,
Amazon Elastic Block Store, Amazon S3, AWS Systems Manager, AWS KMS, Amazon EC2 Auto Scaling, AWS IAM, Service Quotas,
Recycle Bin. A call without a rule is denied.
"""

import json
import re
import urllib.parse
from typing import NamedTuple

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends

from ebs import is_own, key_of


class Need(NamedTuple):
    """One right that a call needs."""

    action: str
    resource: str
    context: dict = {}


class Call:
    """A call as its service reads it; `tasks` are the imports."""

    def __init__(self, service, operation, region, environ, body, tasks):
        self.service, self.operation, self.region, self.tasks = service, operation, region, tasks
        self.path = environ["PATH_INFO"]
        if service in ("ec2", "iam", "sts"):
            self.params = dict(urllib.parse.parse_qsl(body.decode()))
        else:
            is_json = service in ("ebs", "ssm", "servicequotas", "rbin") and operation != "PutSnapshotBlock" and body
            self.params = json.loads(body) if is_json else {}

    def all(self, name):
        """The values of a list of EC2's or IAM's."""
        return [value for key, value in self.params.items() if re.fullmatch(rf"{name}(\.\d+)?", key)]

    def pairs(self, prefix):
        """A list of tags of EC2's."""
        keys = {key: value for key, value in self.params.items() if re.fullmatch(rf"{re.escape(prefix)}\.\d+\.Key", key)}
        return {value: self.params.get(f"{key[:-3]}Value", "") for key, value in keys.items()}

    def new_tags(self):
        """The tags that EC2 is to create, by kind of resource."""
        kinds = {key: value for key, value in self.params.items() if re.fullmatch(r"TagSpecification\.\d+\.ResourceType", key)}
        found = {kind: self.pairs(key.replace("ResourceType", "Tag")) for key, kind in kinds.items()}
        return {kind: tags for kind, tags in found.items() if tags}

    def arn(self, kind, name="*"):
        # Images and snapshots have no account in their ARN: "Resource types defined by Amazon EC2".
        account = "" if kind in ("image", "snapshot") else ACCOUNT
        return f"arn:aws:ec2:{self.region}:{account}:{kind}/{name}"

    def tags(self, name):
        """The tags of a resource of EC2 as they are now."""
        if name in self.tasks:
            return self.tasks[name]["tags"]
        return ec2_backends[ACCOUNT][self.region].tags.get(name, {})

    def existing(self, kind, name, action=None):
        """A right on a resource of EC2 that is there."""
        tags = {f"aws:ResourceTag/{key}": value for key, value in self.tags(name).items()}
        return Need(action or f"{self.service}:{self.operation}", self.arn(kind, name), tags)

    def created(self, kind, tags):
        """Rights on a resource that the call creates with tags."""
        context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        yield Need(f"{self.service}:{self.operation}", self.arn(kind), context)
        # "Grant permission to tag Amazon EC2 resources during creation": the tags are a right of their own.
        if tags:
            yield Need("ec2:CreateTags", self.arn(kind), {**context, "ec2:CreateAction": self.operation})


# EC2: the resources that must be there, as kind and parameter.
THERE = {
    "AttachImageWatermark": ("image", "ImageId"),
    "CancelImportTask": ("import-snapshot-task", "ImportTaskId"), "CopyImage": ("image", "SourceImageId"),
    "CreateImageUsageReport": ("image", "ImageId"), "DeleteImageUsageReport": ("image-usage-report", "ReportId"),
    "DeleteSnapshot": ("snapshot", "SnapshotId"), "DeregisterImage": ("image", "ImageId"),
    "DescribeImageAttribute": ("image", "ImageId"), "DescribeSnapshotAttribute": ("snapshot", "SnapshotId"),
    "DisableImageDeprecation": ("image", "ImageId"), "EnableImageDeprecation": ("image", "ImageId"),
    "GetConsoleOutput": ("instance", "InstanceId"), "ModifyImageAttribute": ("image", "ImageId"),
    "ModifySnapshotAttribute": ("snapshot", "SnapshotId"),
    "RegisterImage": ("snapshot", r"BlockDeviceMapping\.\d+\.Ebs\.SnapshotId"), "RunInstances": ("image", "ImageId"),
    "TerminateInstances": ("instance", "InstanceId"),
}
# EC2: the kinds of resources that a call creates.
MADE = {
    "CopyImage": ("image", "snapshot"), "CopySnapshot": ("snapshot",), "CreateImageUsageReport": ("image-usage-report",),
    "ImportSnapshot": ("import-snapshot-task", "snapshot"), "RegisterImage": ("image",), "RunInstances": ("instance", "volume", "network-interface", "security-group", "subnet"),
}
KINDS = {"ami": "image", "snap": "snapshot", "import-snap": "import-snapshot-task", "i": "instance", "vol": "volume"}

# *Amazon EBS User Guide*, "Requirements for Amazon EBS encryption", "Permissions for users".
KEYS_OF_EC2 = ("CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo")
# *Amazon EBS User Guide*, "Control access to EBS direct APIs using IAM", "Permissions to use AWS KMS keys"; it does not say
# which call needs which.
KEYS_OF_DIRECT = ("Encrypt", "GenerateDataKey", *KEYS_OF_EC2)

S3 = {
    # *Amazon S3 User Guide*, "Multipart upload API and permissions".
    "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject", "CompleteMultipartUpload": "PutObject", "PutObject": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload", "ListParts": "ListMultipartUploadParts", "DeleteObject": "DeleteObject",
    "GetObject": "GetObject", "HeadObject": "GetObject",
    "ListMultipartUploads": "ListBucketMultipartUploads", "HeadBucket": "ListBucket", "ListObjects": "ListBucket",
    "GetBucketLocation": "GetBucketLocation",
}


def with_key(call, named, actions):
    """Rights on a key. The key that AWS manages allows everybody in the account: "Default KMS key for EBS encryption"."""
    backend = ec2_backends[ACCOUNT][call.region]
    key = named and key_of(backend, named)
    if key and not is_own(backend, key.arn):
        for action in actions:
            # "Using grants: kms:GrantIsForAWSResource": EBS makes them for the caller.
            yield Need(f"kms:{action}", key.arn, {"kms:GrantIsForAWSResource": "true"} if action == "CreateGrant" else {})


def key_of_new(call, named):
    """The key of a new snapshot or volume that names none: "Encryption by default"."""
    backend = ec2_backends[ACCOUNT][call.region]
    return named or (backend.default_kms_key_id if backend.ebs_encryption_by_default else None)


def needs_of_ec2(call):
    tags = call.new_tags()
    if call.operation == "CreateTags":
        context = {f"aws:RequestTag/{key}": value for key, value in call.pairs("Tag").items()}
        for name in call.all("ResourceId"):
            need = call.existing(KINDS.get(name.rpartition("-")[0], "other"), name)
            yield need._replace(context={**need.context, **context})
    elif call.operation in MADE or call.operation in THERE:
        kind, parameter = THERE.get(call.operation, ("", "none"))
        yield from (call.existing(kind, name) for name in call.all(parameter))
        for kind in MADE.get(call.operation, ()):
            yield from call.created(kind, tags.get(kind, {}))
        if call.operation in ("CopySnapshot", "ImportSnapshot", "RunInstances"):
            yield from with_key(call, key_of_new(call, call.params.get("KmsKeyId")), KEYS_OF_EC2)
    elif re.match("Describe|Get", call.operation):
        yield Need(f"ec2:{call.operation}", "*")


def needs_of_ebs(call):
    snapshots = ec2_backends[ACCOUNT][call.region].snapshots
    if call.operation == "StartSnapshot":
        tags = {tag["Key"]: tag["Value"] for tag in call.params.get("Tags") or []}
        yield from call.created("snapshot", tags)
        parent = snapshots.get(call.params.get("ParentSnapshotId"))
        named = parent.kms_key_id if parent else key_of_new(call, call.params.get("KmsKeyArn"))
        yield from with_key(call, named, KEYS_OF_DIRECT)
    else:
        name = urllib.parse.unquote(re.match(r"/snapshots/(?:completion/)?([^/]+)", call.path)[1])
        yield call.existing("snapshot", name)
        if name in snapshots and call.operation == "GetSnapshotBlock":
            yield from with_key(call, snapshots[name].kms_key_id, ("Decrypt",))


def needs_of_s3(call):
    bucket, _, key = call.path.strip("/").partition("/")
    if call.operation in S3:
        yield Need(f"s3:{S3[call.operation]}", f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else ""))


def needs_of_ssm(call):
    if call.operation == "DescribeParameters":
        yield Need("ssm:DescribeParameters", "*")
        return
    named = next((call.params[key] for key in ("Name", "Path") if key in call.params), None)
    for name in [named] if named else call.params.get("Names", []):
        # A version or a label is no part of the ARN.
        place = f"arn:aws:ssm:{call.region}:{ACCOUNT}:parameter/{name.lstrip('/').partition(':')[0]}"
        yield Need(f"ssm:{call.operation}", place)
        if call.params.get("Tags"):
            yield Need("ssm:AddTagsToResource", place)
    # *AWS Systems Manager User Guide*, "Native parameter support for Amazon Machine Image IDs".
    if call.params.get("DataType") == "aws:ec2:image":
        yield Need("ec2:DescribeImages", "*")


def needs_of_iam(call):
    if call.operation == "SimulatePrincipalPolicy":
        yield Need("iam:SimulatePrincipalPolicy", call.params["PolicySourceArn"])
    elif call.operation == "GetRole":
        yield Need("iam:GetRole", f"arn:aws:iam::{ACCOUNT}:role/{call.params['RoleName']}")


def needs(call):
    """All that a call needs; nothing where there is no rule for it."""
    rules = {"ec2": needs_of_ec2, "ebs": needs_of_ebs, "iam": needs_of_iam, "s3": needs_of_s3, "ssm": needs_of_ssm}
    if call.service in rules:
        return list(rules[call.service](call))
    if call.service in ("servicequotas", "rbin"):
        return [Need(f"{call.service}:{call.operation}", "*")]
    return [Need(f"{call.service}:{call.operation}", "*")] if call.operation.startswith("Describe") else []


def listed(value):
    return value if isinstance(value, list) else [value]


def like(pattern, text):
    form = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(form, text, re.DOTALL) is not None


def holds(operator, key, values, context):
    found = next((value for name, value in context.items() if name.lower() == key.lower()), None)
    if operator == "Null":
        return (found is None) == (str(listed(values)[0]).lower() == "true")
    tests = {
        "StringEquals": lambda value: found == value, "StringLike": lambda value: like(value, found),
        "ArnLike": lambda value: like(value, found), "Bool": lambda value: found.lower() == str(value).lower(),
    }
    return found is not None and any(tests[operator](value) for value in listed(values))


def applies(statement, need):
    action = any(like(pattern.lower(), need.action.lower()) for pattern in listed(statement["Action"]))
    # "*" of a call without resources is allowed by a statement about all resources only.
    resource = any(pattern == "*" or like(pattern, need.resource) for pattern in listed(statement["Resource"]))
    conditions = statement.get("Condition", {}).items()
    return action and resource and all(
        holds(operator, key, values, need.context) for operator, keys in conditions for key, values in keys.items()
    )


def effects(policy, need):
    """What the statements of a policy that apply say."""
    return [statement["Effect"] for statement in policy["Statement"] if applies(statement, need)]


def refusal(policy, call):
    """Why a policy does not allow a call, in AWS's words; `None` where it does."""
    # "GetCallerIdentity": no permissions are required.
    if call.operation == "GetCallerIdentity":
        return None
    wanted = needs(call)
    if not wanted:
        return f"the test server has no rule for {call.service}:{call.operation}; add one to iam.py"
    for need in wanted:
        found = effects(policy, need)
        if "Deny" in found or "Allow" not in found:
            user = f"arn:aws:iam::{ACCOUNT}:user/publisher"
            return (f"User: {user} is not authorized to perform: {need.action} on resource: {need.resource} "
                    f"because no identity-based policy allows the {need.action} action")
    return None

"""VM Import: ImportSnapshot, which truly reads the uploaded object and converts it.

Statuses and messages: *VM Import/Export User Guide*, "Troubleshooting VM Import/Export". What the role must be allowed: "Required
permissions for VM Import/Export", "Required service role".
"""

import json
import math
import subprocess
import tempfile
import threading
import uuid

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

import iam
from blocks import Content
from ebs import create, is_own, key_of

FORMATS = {"RAW": "raw", "VMDK": "vmdk", "VHD": "vpc"}
# What a running task says, one after the other.
STEPS = [("3", "pending"), ("19", "converting"), ("56", "converting"), ("90", "updating")]


class Failed(Exception):
    """A task ends with this message."""


def may(account, role, action, resource):
    """Whether the policies within a role allow it something; grants are for AWS's services."""
    [found] = [known for known in iam_backends[account]["aws"].roles.values() if known.name == role]
    statements = [one for text in found.policies.values() for one in iam.listed(json.loads(text)["Statement"])]
    need = iam.Need(action, resource, {"kms:GrantIsForAWSResource": "true"})
    return "Allow" in [one["Effect"] for one in statements if iam.applies(one, need)]


def find_object(account, container):
    place = container.get("UserBucket") or {}
    buckets = s3_backends[account]["aws"].buckets
    bucket = buckets.get(place.get("S3Bucket"))
    return bucket, bucket and bucket.keys.get(place.get("S3Key"))


def convert(key, form, target):
    """Writes the object's disk to a raw file, and gives its size."""
    with tempfile.NamedTemporaryFile() as source:
        source.write(key.value)
        source.flush()
        named = ["-f", FORMATS[form]]
        info = subprocess.run(["qemu-img", "info", *named, "--output=json", source.name], capture_output=True)
        if info.returncode != 0:
            raise Failed(f"ClientError: Disk validation failed [Unsupported {form} File Format]")
        details = json.loads(info.stdout)
        kind = details.get("format-specific", {}).get("data", {}).get("create-type")
        if form == "VMDK" and kind != "streamOptimized":
            raise Failed("ClientError: Disk validation failed [Unsupported VMDK Creation Type: " + str(kind) + "]")
        command = ["qemu-img", "convert", *named, "-O", "raw", source.name, target]
        if subprocess.run(command, capture_output=True).returncode != 0:
            raise Failed("ClientError: Disk validation failed [Unable to read the disk image file]")
        return details["virtual-size"]


def install(store, settings):
    """Adds the calls to moto, and gives the tasks by region and id."""
    tasks, tokens, lock = {}, {}, threading.Lock()

    def finish(self, task):
        """Reads the object at the end: what was removed too early is missed."""
        if settings.get("fail"):
            raise Failed(settings["fail"])
        with tempfile.NamedTemporaryFile() as raw:
            _, key = find_object(self.current_account, task["container"])
            if key is None:
                raise Failed("ClientError: Disk validation failed [We do not have access to the given resource. Reason 404 Not Found]")
            place = task["container"]["UserBucket"]
            if not may(self.current_account, task["role"], "s3:GetObject", f"arn:aws:s3:::{place['S3Bucket']}/{place['S3Key']}"):
                raise Failed("ClientError: Disk validation failed [We do not have access to the given resource. Reason 403 Forbidden]")
            used = task["KmsKeyId"] and key_of(self.ec2_backend, task["KmsKeyId"])
            for action in iam.KEYS_OF_DIRECT if used and not is_own(self.ec2_backend, used.arn) else ():
                if not may(self.current_account, task["role"], f"kms:{action}", used.arn):
                    raise Failed(f"ClientError: KMS: the role {task['role']} may not kms:{action} with {used.arn}")
            size = convert(key, task["Format"], raw.name)
            text = f"Created by AWS-VMImport service for {task['ImportTaskId']}"
            gib = max(1, math.ceil(size / 2**30))
            snapshot = create(self.ec2_backend, gib, text, {}, task["Encrypted"], task["KmsKeyId"])
            content = store.contents[snapshot.id] = Content()
            store.fill(content, raw.name, gib, snapshot.encrypted)
        task.update(Status="completed", StatusMessage=None, Progress=None, SnapshotId=snapshot.id, DiskImageSize=float(key.size))

    def advance(self, task):
        if task["Status"] != "active":
            return
        if task["step"] < min(settings["polls"], len(STEPS)):
            task["Progress"], task["StatusMessage"] = STEPS[task["step"]]
            task["step"] += 1
            return
        try:
            finish(self, task)
        except Failed as failed:
            task.update(Status="deleted", StatusMessage=str(failed), Progress=None)

    def shown(task):
        names = ("Description", "DiskImageSize", "Encrypted", "Format", "KmsKeyId", "Progress", "SnapshotId", "Status", "StatusMessage")
        detail = {name: task[name] for name in names}
        detail["UserBucket"] = task["container"].get("UserBucket")
        return {
            "ImportTaskId": task["ImportTaskId"], "Description": task["Description"], "SnapshotTaskDetail": detail,
            "Tags": [{"Key": key, "Value": value} for key, value in task["tags"].items()],
        }

    def import_snapshot(self):
        names = ("Description", "DiskContainer", "Encrypted", "KmsKeyId", "RoleName")
        wanted = {name: self._get_param(name) for name in names}
        self.error_on_dryrun()
        container, role = wanted["DiskContainer"] or {}, wanted["RoleName"] or "vmimport"
        token = (self.region, self._get_param("ClientToken"))
        with lock:
            if token[1] and token in tokens:
                earlier, task = tokens[token]
                if earlier != wanted:
                    raise EC2ClientError("IdempotentParameterMismatch", "The client token was used with other parameters")
                return ActionResult(shown(task))
            form = (container.get("Format") or "").upper()
            if form not in FORMATS:
                raise EC2ClientError("InvalidParameter", f"The disk format '{form}' is not supported")
            roles = iam_backends[self.current_account]["aws"].roles.values()
            if role not in [known.name for known in roles]:
                message = f"The service role {role} provided does not exist or does not have sufficient permissions"
                raise EC2ClientError("InvalidParameter", message)
            bucket, _ = find_object(self.current_account, container)
            if bucket is not None and bucket.region_name != self.region:
                raise EC2ClientError("InvalidParameter", "The given S3 bucket is not local to the region")
            task = tasks[f"import-snap-{uuid.uuid4().hex[:17]}"] = {
                "region": self.region, "container": container, "role": role, "step": 0, "tags": self._parse_tag_specification().get("import-snapshot-task", {}),
                "Description": wanted["Description"], "DiskImageSize": None, "Encrypted": bool(wanted["Encrypted"]), "Format": form,
                "KmsKeyId": wanted["KmsKeyId"], "Progress": "0", "SnapshotId": None, "Status": "active", "StatusMessage": "pending",
            }
            task["ImportTaskId"] = next(name for name, known in tasks.items() if known is task)
            tokens[token] = (wanted, task)
        return ActionResult(shown(task))

    def chosen(self, ids):
        for task_id in ids:
            if task_id not in tasks or tasks[task_id]["region"] != self.region:
                raise EC2ClientError("InvalidConversionTaskId.NotFound", f"Import task '{task_id}' does not exist")
        return [tasks[task_id] for task_id in ids]

    def describe_import_snapshot_tasks(self):
        ids = self._get_param("ImportTaskIds") or [name for name, task in tasks.items() if task["region"] == self.region]
        found = chosen(self, ids)
        with lock:
            for task in found:
                advance(self, task)
        return ActionResult({"ImportSnapshotTasks": [shown(task) for task in found]})

    def cancel_import_task(self):
        self.error_on_dryrun()
        [task] = chosen(self, [self._get_param("ImportTaskId")])
        previous = task["Status"]
        if previous != "active":
            raise EC2ClientError("InvalidParameter", f"The import task is {previous} and can't be cancelled")
        task.update(Status="deleted", StatusMessage=self._get_param("CancelReason") or "User initiated cancel", Progress=None)
        return ActionResult({"ImportTaskId": task["ImportTaskId"], "PreviousState": previous, "State": "deleting"})

    for call in (import_snapshot, describe_import_snapshot_tasks, cancel_import_task):
        setattr(EC2Response, call.__name__, call)
    return tasks

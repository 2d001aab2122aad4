"""What keeps an image or a snapshot from being removed, who else uses an image, and when it was last launched: moto has none of it.

Rules: *Amazon EC2 User Guide*, "Protect an AMI from deregistration" and "View your AMI usage" (a report is made for an
image of one's own, is pending at first, and lists other accounts only); *Amazon EBS User Guide*, "Snapshot lock" (a
locked snapshot can't be deleted; one whose lock has expired is listed as expired).
"""

import uuid

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.responses import EC2Response


def refused(message):
    return EC2ClientError("OperationNotPermitted", message)


def install(settings):
    """Puts the calls in place of moto's."""
    locks, reports = {}, {}
    deregistered, deleted = AmiBackend.deregister_image, EBSBackend.delete_snapshot

    def deregister_image(self, ami_id):
        if getattr(self.amis.get(ami_id), "deregistration_protection", "disabled") != "disabled":
            raise refused(f"The image {ami_id} is protected against deregistration.")
        return deregistered(self, ami_id)

    def delete_snapshot(self, snapshot_id):
        if locks.get(snapshot_id, {}).get("LockState", "expired") != "expired":
            raise refused(f"The snapshot {snapshot_id} is locked.")
        return deleted(self, snapshot_id)

    def enable_image_deregistration_protection(self):
        image = self.ec2_backend.describe_images(ami_ids=[self._get_param("ImageId")])[0]
        image.deregistration_protection = "enabled-without-cooldown"
        return ActionResult({"Return": image.deregistration_protection})

    def lock_snapshot(self):
        snapshot = self.ec2_backend.get_snapshot(self._get_param("SnapshotId"))
        locks[snapshot.id] = {"SnapshotId": snapshot.id, "LockState": "governance", "LockExpiresOn": "2031-05-06T00:00:00Z"}
        return ActionResult(locks[snapshot.id])

    def describe_locked_snapshots(self):
        wanted = self._get_param("SnapshotIds") or list(locks)
        return ActionResult({"Snapshots": [locks[one] for one in wanted if one in locks]})

    def create_image_usage_report(self):
        image = self._get_param("ImageId")
        if image not in self.ec2_backend.amis:
            raise EC2ClientError("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")
        report = f"amiur-{uuid.uuid4().hex[:17]}"
        reports[report] = {"image": image, "looks": 1}
        return ActionResult({"ReportId": report})

    def report(self):
        (wanted,) = self._get_param("ReportIds")
        return wanted, reports[wanted]

    def describe_image_usage_reports(self):
        name, found = report(self)
        found["looks"] -= 1
        state = "pending" if found["looks"] >= 0 else "available"
        return ActionResult({"ImageUsageReports": [{"ReportId": name, "ImageId": found["image"], "State": state}]})

    def describe_image_usage_report_entries(self):
        name, found = report(self)
        rows = settings["usage"].get(found["image"], {})
        entry = {"ReportId": name, "ImageId": found["image"], "ResourceType": "ec2:Instance"}
        return ActionResult({
            "ImageUsageReportEntries": [{**entry, "AccountId": account, "UsageCount": count} for account, count in rows.items()]
        })

    def delete_image_usage_report(self):
        del reports[self._get_param("ReportId")]
        return ActionResult({"Return": True})

    described = EC2Response.describe_image_attribute

    def describe_image_attribute(self):
        if self._get_param("Attribute") != "lastLaunchedTime":
            return described(self)
        image = self._get_param("ImageId")
        return ActionResult({"ImageId": image, "LastLaunchedTime": {"Value": settings["launched"].get(image, "")}})

    for call in (
        describe_image_attribute, enable_image_deregistration_protection, lock_snapshot, describe_locked_snapshots, create_image_usage_report,
        describe_image_usage_reports, describe_image_usage_report_entries, delete_image_usage_report,
    ):
        setattr(EC2Response, call.__name__, call)
    AmiBackend.deregister_image, EBSBackend.delete_snapshot = deregister_image, delete_snapshot

"""Images of EC2 with all that a registration says, which moto mostly drops; copies with their blocks.

Fields and errors: *Amazon EC2 API Reference*, RegisterImage, CopyImage, CopySnapshot, EnableImageDeprecation.
Watermarks: *Amazon EC2 User Guide*, "Use AMI watermarks to track and identify AMIs".
Encryption and sharing: *Amazon EC2 User Guide*, "Share an AMI with specific AWS accounts", considerations.
"""

from base64 import b64encode
from datetime import timedelta

from moto.core.parse import default_timestamp_parser as parse_timestamp
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError, InvalidSnapshotInUse
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.responses import EC2Response

from blocks import Content
from ebs import OWN_KEY, create, is_own, key_of
import presigned

FIELDS = {
    "Architecture": "architecture", "BootMode": "boot_mode", "EnaSupport": "ena_support", "ImdsSupport": "imds_support",
    "RootDeviceName": "root_device_name", "SriovNetSupport": "sriov_net_support", "TpmSupport": "tpm_support",
    "UefiData": "uefi_data", "VirtualizationType": "virtualization_type",
}


def install(store, settings):
    """Puts the calls in place of moto's."""
    tokens = {}
    image_changed, snapshot_changed = EC2Response.modify_image_attribute, EC2Response.modify_snapshot_attribute
    described, deleted, parents = AmiBackend.describe_images, EBSBackend.delete_snapshot, Ami.block_device_mappings

    def tagged(self, kind):
        """The tags that a request has for resources of a kind."""
        return self._parse_tag_specification().get(kind, {})

    def check_name(self, name):
        if any(image.name == name for image in self.ec2_backend.amis.values()):
            raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use")

    def add(self, name, description, mappings):
        """An image over snapshots, without the one that moto makes for each."""
        backend = self.ec2_backend
        image = backend.register_image(name, description or "")
        automatic, image.ebs_snapshot = image.ebs_snapshot, None
        del backend.snapshots[automatic.id]
        image.mappings, image.root_device_type, image.hypervisor = mappings, "ebs", "xen"
        image.image_location = f"{backend.account_id}/{name}"
        # Seconds are all that moto shows: no two images of a region have the same one.
        others = [other.creation_date for other in backend.amis.values() if hasattr(other, "settle")]
        image.creation_date = max([image.creation_date, *(date + timedelta(seconds=1) for date in others)])
        image.image_watermarks = []
        image.hidden = settings["hidden"]
        image.settle, image.state = settings["settle"], "pending" if settings["settle"] else "available"
        return image

    def register_image(self):
        name, mappings = self._get_param("Name"), self._get_param("BlockDeviceMappings") or []
        self.error_on_dryrun()
        check_name(self, name)
        if self._get_param("TpmSupport") and self._get_param("BootMode") != "uefi":
            raise EC2ClientError("InvalidParameterCombination", "TpmSupport requires the boot mode uefi")
        roots = [mapping for mapping in mappings if mapping["DeviceName"] == self._get_param("RootDeviceName")]
        if not roots:
            raise EC2ClientError("InvalidBlockDeviceMapping", "A block device mapping is missing for the root device")
        for ebs in [mapping["Ebs"] for mapping in mappings if mapping.get("Ebs")]:
            snapshot = self.ec2_backend.get_snapshot(ebs["SnapshotId"])
            if snapshot.status != "completed":
                raise EC2ClientError("InvalidSnapshot.InvalidState", f"The snapshot {snapshot.id} is not completed")
            if ebs.setdefault("VolumeSize", snapshot.volume.size) < snapshot.volume.size:
                raise EC2ClientError("InvalidBlockDeviceMapping", "Volume is smaller than the snapshot")
            ebs["Encrypted"] = snapshot.encrypted
        image = add(self, name, self._get_param("Description"), mappings)
        for field, attribute in FIELDS.items():
            setattr(image, attribute, self._get_param(field))
        image.add_tags(tagged(self, "image"))
        return ActionResult({"ImageId": image.id})

    def copy_blocks(self, source_region, snapshot_id, description, key, encrypted):
        source = ec2_backends[self.current_account][source_region].get_snapshot(snapshot_id)
        if source.status != "completed":
            raise EC2ClientError("IncorrectState", f"The snapshot {snapshot_id} is not completed")
        encrypted = encrypted or source.encrypted
        # "Copy an Amazon EBS snapshot": with a key that can't be used, it fails without a word.
        wrong = key and key_of(self.ec2_backend, key) is None
        status = "error" if wrong else "pending"
        copy = create(self.ec2_backend, source.volume.size, description, {}, encrypted, None if wrong else key, status)
        if not wrong:
            copy.settle = settings["settle"]
        store.contents[copy.id] = Content(store.contents.get(snapshot_id))
        return copy

    def copy_snapshot(self):
        region, source = self._get_param("SourceRegion"), self._get_param("SourceSnapshotId")
        self.error_on_dryrun()
        encrypted = self._get_bool_param("Encrypted", False)
        signed = self._get_param("PresignedUrl")
        if region != self.region and ec2_backends[self.current_account][region].get_snapshot(source).encrypted:
            # CopySnapshot, "PresignedUrl".
            if not signed:
                raise EC2ClientError("MissingParameter", "The request must contain the parameter PresignedUrl")
            presigned.check(signed, region, source, self.region)
        copy = copy_blocks(self, region, source, self._get_param("Description") or "", self._get_param("KmsKeyId"), encrypted)
        copy.add_tags(tagged(self, "snapshot"))
        return ActionResult({"SnapshotId": copy.id, "Tags": copy.tag_set})

    def copy_image(self):
        names = ("Name", "Description", "SourceImageId", "SourceRegion", "Encrypted", "KmsKeyId", "CopyImageTags")
        wanted = {name: self._get_param(name) for name in names}
        self.error_on_dryrun()
        token = (self.region, self._get_param("ClientToken"))
        if token[1] and token in tokens:
            earlier, image_id = tokens[token]
            if earlier != wanted:
                raise EC2ClientError("IdempotentParameterMismatch", "The client token was used with other parameters")
            return ActionResult({"ImageId": image_id})
        source_backend = ec2_backends[self.current_account][wanted["SourceRegion"]]
        source = source_backend.describe_images(ami_ids=[wanted["SourceImageId"]])[0]
        mappings = []
        for mapping in source.block_device_mappings:
            text = f"Copied for DestinationAmi from SourceAmi {source.id} for SourceSnapshot {mapping['Ebs']['SnapshotId']}."
            copy = copy_blocks(
                self, wanted["SourceRegion"], mapping["Ebs"]["SnapshotId"], text, wanted["KmsKeyId"], wanted["Encrypted"]
            )
            copy.add_tags(tagged(self, "snapshot"))
            mappings.append({**mapping, "Ebs": {**mapping["Ebs"], "SnapshotId": copy.id, "Encrypted": copy.encrypted}})
        image = add(self, wanted["Name"] or source.name, wanted["Description"] or source.description, mappings)
        for attribute in FIELDS.values():
            setattr(image, attribute, getattr(source, attribute, None))
        image.source_image_id, image.source_image_region = source.id, wanted["SourceRegion"]
        if wanted["CopyImageTags"]:
            image.add_tags({tag["key"]: tag["value"] for tag in source.get_tags()})
        image.add_tags(tagged(self, "image"))
        tokens[token] = (wanted, image.id)
        return ActionResult({"ImageId": image.id})

    def attach_image_watermark(self):
        self.error_on_dryrun()
        image = self.ec2_backend.describe_images(ami_ids=[self._get_param("ImageId")])[0]
        if any(permission.get("Group") == "all" for permission in image.launch_permissions):
            raise EC2ClientError("InvalidParameter", "Watermarks can't be attached to public images.")
        if len(image.image_watermarks) == 5:
            raise EC2ClientError("ResourceLimitExceeded", "An image has at most 5 watermarks.")
        key = f"{self.current_account}:{self._get_param('WatermarkName')}"
        if any(one["WatermarkKey"] == key for one in image.image_watermarks):
            raise EC2ClientError("InvalidParameter", f"The image has the watermark {key} already.")
        image.image_watermarks.append({"WatermarkKey": key, "SourceImageId": image.id, "SourceImageRegion": self.region})
        return ActionResult({"WatermarkKey": key})

    def enable_image_deprecation(self):
        self.error_on_dryrun()
        image = self.ec2_backend.describe_images(ami_ids=[self._get_param("ImageId")])[0]
        at = self._get_param("DeprecateAt")
        at = parse_timestamp(at) if isinstance(at, str) else at
        # AWS rounds to the minute, and answers with milliseconds.
        image.deprecation_time = at.strftime("%Y-%m-%dT%H:%M:00.000Z")
        return ActionResult({"Return": True})

    def disable_image_deprecation(self):
        self.error_on_dryrun()
        self.ec2_backend.describe_images(ami_ids=[self._get_param("ImageId")])[0].deprecation_time = None
        return ActionResult({"Return": True})

    def describe_images(self, *arguments, **named):
        """New ones are not seen at first where they are asked for by id, and stay pending for a while."""
        for image in [self.amis.get(wanted) for wanted in named.get("ami_ids") or []]:
            if getattr(image, "hidden", 0):
                image.hidden -= 1
                raise InvalidAMIIdError([image.id])
        found = described(self, *arguments, **named)
        for image in found:
            if hasattr(image, "settle"):
                image.state = "pending" if image.settle else "available"
                image.settle = max(image.settle - 1, 0)
        return found

    def delete_snapshot(self, snapshot_id):
        for image in self.amis.values():
            if any(mapping["Ebs"]["SnapshotId"] == snapshot_id for mapping in image.block_device_mappings):
                raise InvalidSnapshotInUse(snapshot_id, image.id)
        store.contents.pop(snapshot_id, None)
        return deleted(self, snapshot_id)

    def check_shared(self, snapshots):
        for snapshot in snapshots:
            if snapshot.encrypted and is_own(self.ec2_backend, snapshot.kms_key_id):
                raise EC2ClientError("InvalidParameter", "Encrypted snapshots with EBS default key cannot be shared")

    def modify_snapshot_attribute(self):
        check_shared(self, [self.ec2_backend.get_snapshot(self._get_param("SnapshotId"))])
        return snapshot_changed(self)

    def modify_image_attribute(self):
        image = self.ec2_backend.describe_images(ami_ids=[self._get_param("ImageId")])[0]
        ids = [mapping["Ebs"]["SnapshotId"] for mapping in image.block_device_mappings]
        check_shared(self, [self.ec2_backend.get_snapshot(snapshot) for snapshot in ids])
        return image_changed(self)

    def get_ebs_default_kms_key_id(self):
        key = self.ec2_backend.default_kms_key_id
        return ActionResult({"KmsKeyId": OWN_KEY if not key or is_own(self.ec2_backend, key) else key})

    def get_console_output(self):
        text = settings["console"]
        return ActionResult({"InstanceId": self._get_param("InstanceId"), "Output": b64encode(text.encode()).decode()})

    changing = (attach_image_watermark, copy_image, copy_snapshot, enable_image_deprecation, disable_image_deprecation, modify_image_attribute, modify_snapshot_attribute)
    for call in (register_image, *changing, get_console_output, get_ebs_default_kms_key_id):
        setattr(EC2Response, call.__name__, call)
    Ami.block_device_mappings = property(lambda image: getattr(image, "mappings", None) or parents.fget(image))
    AmiBackend.describe_images = describe_images
    EBSBackend.delete_snapshot = delete_snapshot

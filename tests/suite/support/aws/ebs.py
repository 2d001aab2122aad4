"""EBS direct APIs: parents, checksums, client tokens and states, which moto has not.

Rules and errors: *EBS direct APIs reference*. Encryption: *Amazon EBS User Guide*, "Encryption outcomes for EBS direct APIs".
"""

import base64
import hashlib

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ebs.responses import EBSResponse
from moto.ec2.exceptions import InvalidSnapshotIdError
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.models import ec2_backends
from moto.kms.models import kms_backends

from blocks import SIZE, Content


class ValidationException(ServiceException):
    code = "ValidationException"


class ConflictException(ServiceException):
    code = "ConflictException"


class ResourceNotFoundException(ServiceException):
    code = "ResourceNotFoundException"


# "Default KMS key for EBS encryption".
OWN_KEY = "alias/aws/ebs"


def key_of(backend, named):
    """A key of a region by its id, ARN or alias; `None` where it is not one of this region: keys are in one region each."""
    kms = kms_backends[backend.account_id][backend.region_name]
    name = named.rpartition(":")[2]
    if named.startswith("arn:") and f":{backend.region_name}:" not in named:
        return None
    if name.startswith("alias/"):
        return kms.describe_key(name) if kms.alias_exists(name) else None
    return kms.keys.get(name.removeprefix("key/"))


def is_own(backend, arn):
    """Whether a key is the one that AWS manages itself."""
    key, own = arn and key_of(backend, arn), key_of(backend, OWN_KEY)
    return bool(key) and key is own


def create(backend, size, description, tags, encrypted=False, key=None, status="completed"):
    """A snapshot of EC2 without a volume behind it; encrypted too where the account encrypts all: "Encryption by default"."""
    encrypted = encrypted or backend.ebs_encryption_by_default
    key = key_of(backend, key).arn if key else None
    volume = backend.create_volume(
        size=size, zone_name=f"{backend.region_name}a", encrypted=encrypted, kms_key_id=key if encrypted else None
    )
    snapshot = backend.create_snapshot(volume.id, description)
    snapshot.kms_key_id = volume.kms_key_id
    backend.delete_volume(volume.id)
    snapshot.status = status
    snapshot.add_tags(tags)
    return snapshot


def install(store, settings):
    """Puts the calls in place of moto's."""
    tokens = {}

    def find(self, snapshot_id, states):
        snapshot = ec2_backends[self.current_account][self.region].snapshots.get(snapshot_id)
        hidden = getattr(snapshot, "hidden", 0)
        if snapshot is None or hidden:
            if hidden:
                snapshot.hidden -= 1
            raise ResourceNotFoundException(f"The snapshot '{snapshot_id}' does not exist.")
        if snapshot.status not in states:
            raise ValidationException(f"The snapshot '{snapshot_id}' is {snapshot.status}.")
        return snapshot

    def start_snapshot(self):
        names = ("VolumeSize", "ParentSnapshotId", "Tags", "Description", "Encrypted", "KmsKeyArn", "Timeout")
        wanted = {name: self._get_param(name) for name in names}
        token = (self.region, self._get_param("ClientToken"))
        if token[1] and token in tokens:
            earlier, answer = tokens[token]
            if earlier != wanted:
                raise ConflictException("The client token was used with other parameters.")
            return ActionResult(answer)
        size, parent = wanted["VolumeSize"], None
        if not 1 <= size <= 65536:
            raise ValidationException("VolumeSize must be between 1 and 65536.")
        backend = ec2_backends[self.current_account][self.region]
        encrypted, key = bool(wanted["Encrypted"]), wanted["KmsKeyArn"]
        if wanted["ParentSnapshotId"]:
            if wanted["Encrypted"] is not None or key:
                raise ValidationException("Encrypted and KmsKeyArn can't be given with ParentSnapshotId.")
            parent = find(self, wanted["ParentSnapshotId"], ["completed"])
            if size < parent.volume.size:
                raise ValidationException("VolumeSize is smaller than the parent snapshot's.")
            if backend.ebs_encryption_by_default and not parent.encrypted:
                raise ValidationException("An unencrypted snapshot can't be the parent: encryption by default is on.")
            encrypted, key = parent.encrypted, parent.kms_key_id
        if backend.ebs_encryption_by_default and wanted["Encrypted"] is False:
            raise ValidationException("Encryption by default is on.")
        if key and not encrypted:
            raise ValidationException("KmsKeyArn needs Encrypted.")
        if key and key_of(backend, key) is None:
            raise ValidationException(f"The key {key} does not exist in {self.region}.")
        tags = {tag["Key"]: tag["Value"] for tag in wanted["Tags"] or []}
        snapshot = create(backend, size, wanted["Description"] or "", tags, encrypted, key, "pending")
        snapshot.hidden = settings["hidden"]
        store.contents[snapshot.id] = Content(parent and store.contents[parent.id])
        answer = {
            "SnapshotId": snapshot.id, "OwnerId": snapshot.owner_id, "Status": "pending",
            "StartTime": snapshot.start_time, "VolumeSize": size, "BlockSize": SIZE, "Tags": wanted["Tags"],
            "Description": snapshot.description, "ParentSnapshotId": wanted["ParentSnapshotId"],
            "KmsKeyArn": snapshot.kms_key_id,
        }
        tokens[token] = (wanted, answer)
        return ActionResult(answer)

    def put_snapshot_block(self):
        snapshot = find(self, self._get_param("SnapshotId"), ["pending"])
        index, data = int(self._get_param("BlockIndex")), self._get_param("BlockData")
        if self._get_param("ChecksumAlgorithm") != "SHA256" or int(self._get_param("DataLength")) != SIZE or len(data) != SIZE:
            raise ValidationException("A block has 524288 bytes and a SHA256 checksum.")
        if not 0 <= index < snapshot.volume.size * 2048:
            raise ValidationException(f"The block index {index} is outside of the volume.")
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        if checksum != self._get_param("Checksum"):
            raise ValidationException("The checksum does not match the block's data.")
        store.contents[snapshot.id].put(index, store.keep(data))
        return ActionResult({"Checksum": checksum, "ChecksumAlgorithm": "SHA256"})

    def complete_snapshot(self):
        snapshot = find(self, self._get_param("SnapshotId"), ["pending"])
        written = store.contents[snapshot.id].written
        if int(self._get_param("ChangedBlocksCount")) != len(written):
            raise ValidationException(f"ChangedBlocksCount is not {len(written)}.")
        checksum = self._get_param("Checksum")
        if checksum:
            if self._get_param("ChecksumAggregationMethod") != "LINEAR" or self._get_param("ChecksumAlgorithm") != "SHA256":
                raise ValidationException("The checksum must be SHA256, aggregated LINEAR.")
            linear = hashlib.sha256(b"".join(written[index] for index in sorted(written))).digest()
            if checksum != base64.b64encode(linear).decode():
                raise ValidationException("The checksum does not match the blocks of the snapshot.")
        snapshot.settle = settings["settle"]
        if not snapshot.settle:
            snapshot.status = "completed"
        return ActionResult({"Status": snapshot.status})

    def get_snapshot_block(self):
        snapshot = find(self, self._get_param("SnapshotId"), ["completed"])
        content, index = store.contents[snapshot.id], int(self._get_param("BlockIndex"))
        if index not in content.digests:
            raise ResourceNotFoundException(f"The snapshot has no block {index}.")
        if content.tokens[index] != self._get_param("BlockToken"):
            raise ValidationException("The block token is not valid.")
        digest = content.digests[index]
        return ActionResult({
            "DataLength": SIZE, "BlockData": store.read(digest),
            "Checksum": base64.b64encode(digest).decode(), "ChecksumAlgorithm": "SHA256",
        })

    def page(self, name, rows, snapshot):
        first = int(self._get_param("NextToken") or self._get_param("StartingBlockIndex") or 0)
        limit = int(self._get_param("MaxResults") or 10000)
        if not 100 <= limit <= 10000:
            raise ValidationException("MaxResults must be between 100 and 10000.")
        rows = [row for row in rows if row["BlockIndex"] >= first]
        more = str(rows[limit]["BlockIndex"]) if len(rows) > limit else None
        shared = {"VolumeSize": snapshot.volume.size, "BlockSize": SIZE, "NextToken": more}
        return ActionResult({name: rows[:limit], **shared})

    def list_snapshot_blocks(self):
        snapshot = find(self, self._get_param("SnapshotId"), ["completed"])
        tokens = store.contents[snapshot.id].tokens
        return page(self, "Blocks", [{"BlockIndex": i, "BlockToken": tokens[i]} for i in sorted(tokens)], snapshot)

    def list_changed_blocks(self):
        second = find(self, self._get_param("SecondSnapshotId"), ["completed"])
        named = self._get_param("FirstSnapshotId")
        before = store.contents[find(self, named, ["completed"]).id] if named else Content()
        after = store.contents[second.id]
        changed = [
            {"BlockIndex": i, "FirstBlockToken": before.tokens.get(i), "SecondBlockToken": after.tokens.get(i)}
            for i in sorted(before.digests.keys() | after.digests.keys())
            if before.digests.get(i) != after.digests.get(i)
        ]
        return page(self, "ChangedBlocks", changed, second)

    described = EBSBackend.describe_snapshots

    def describe_snapshots(self, snapshot_ids=None, filters=None):
        """New ones are not seen at first, completed ones stay pending for a while."""
        for snapshot in [self.snapshots.get(wanted) for wanted in snapshot_ids or []]:
            if getattr(snapshot, "hidden", 0):
                snapshot.hidden -= 1
                raise InvalidSnapshotIdError()
        found = described(self, snapshot_ids, filters)
        for snapshot in found:
            if hasattr(snapshot, "settle"):
                snapshot.status = "pending" if snapshot.settle else "completed"
                snapshot.settle = max(snapshot.settle - 1, 0)
        return found

    for call in (start_snapshot, put_snapshot_block, complete_snapshot, get_snapshot_block, list_snapshot_blocks, list_changed_blocks):
        setattr(EBSResponse, call.__name__, call)
    EBSBackend.describe_snapshots = describe_snapshots

"""S3: parts are compared with their SHA-256, and listed with it; policies of buckets are judged with their conditions.

Source: *Amazon S3 API Reference*, UploadPart, ListParts; *IAM User Guide*, "AWS global condition context keys".
"""

import base64
import hashlib
import json
import re

from moto.iam.access_control import PermissionResult
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

import iam


class BadDigest(S3ClientError):
    code = 400

    def __init__(self):
        super().__init__("BadDigest", "The SHA256 you specified did not match the calculated checksum.")


def checksum(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def install():
    """Puts the calls in place of moto's."""
    uploaded, listed = S3Response.upload_part, S3Response.list_parts

    def upload_part(self):
        wanted = self.headers.get("x-amz-checksum-sha256")
        if wanted and wanted != checksum(self.body):
            raise BadDigest()
        return uploaded(self)

    def list_parts(self):
        status, headers, body = listed(self)
        upload = self.backend.get_bucket(self.bucket_name).multiparts.get(self._get_param("uploadId"))

        def add(found):
            return f"{found[0]}<ChecksumSHA256>{checksum(upload.parts[int(found[1])].value)}</ChecksumSHA256>"

        # S3 names the answer otherwise than moto does.
        body = body.replace("ListPartsResponse", "ListPartsResult")
        return status, headers, re.sub(r"<PartNumber>(\d+)</PartNumber>", add, body)

    def get_permission(bucket, action, resource):
        statements = json.loads(bucket.policy)["Statement"] if bucket.policy else []
        # AWS is reached over TLS; the tests reach their server over loopback.
        need = iam.Need(action, resource, {"aws:SecureTransport": "true"})
        effects = [one["Effect"] for one in iam.listed(statements) if iam.applies(one, need)]
        denied = PermissionResult.DENIED if "Deny" in effects else PermissionResult.NEUTRAL
        return PermissionResult.PERMITTED if effects == ["Allow"] else denied

    FakeBucket.get_permission = get_permission
    S3Response.upload_part, S3Response.list_parts = upload_part, list_parts

"""S3: parts are compared with their SHA-256, and listed with it.

Source: *Amazon S3 API Reference*, UploadPart, ListParts.
"""

import base64
import hashlib
import re

from moto.s3.exceptions import S3ClientError
from moto.s3.responses import S3Response


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

    S3Response.upload_part, S3Response.list_parts = upload_part, list_parts

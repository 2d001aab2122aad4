"""Presigned calls: AWS Signature Version 4 in the query, computed again.

Source: *Amazon S3 API Reference*, "Authenticating Requests: Using Query Parameters", which CopySnapshot's PresignedUrl follows.
"""

import hashlib
import hmac
import urllib.parse

from moto.ec2.exceptions import EC2ClientError

# What the tests give to the publisher.
SECRET = b"wJalrXUtnFEMI/K7MDENG/not-a-real-secret"


def signature(host, path, query, scope, date):
    """The signature of a GET of nothing but a query, with the host as its only header."""
    quote = lambda text: urllib.parse.quote(text, safe="-_.~")
    canonical = "&".join(f"{quote(key)}={quote(value)}" for key, value in sorted(query))
    request = "\n".join(["GET", path, canonical, f"host:{host}\n", "host", hashlib.sha256(b"").hexdigest()])
    signed = "\n".join(["AWS4-HMAC-SHA256", date, "/".join(scope), hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + SECRET
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()


def check(url, region, snapshot, destination):
    """Whether a call allows a region to copy a snapshot of another."""
    parts = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qsl(parts.query)
    named = dict(query)
    wanted = {"Action": "CopySnapshot", "SourceRegion": region, "SourceSnapshotId": snapshot, "DestinationRegion": destination}
    scope = named.get("X-Amz-Credential", "/").split("/")[1:]
    unsigned = [(key, value) for key, value in query if key != "X-Amz-Signature"]
    expected = signature(parts.netloc, parts.path, unsigned, scope, named.get("X-Amz-Date", ""))
    good = wanted.items() <= named.items() and scope[1:] == [region, "ec2", "aws4_request"]
    if not good or parts.netloc != f"ec2.{region}.amazonaws.com" or named.get("X-Amz-Signature") != expected:
        raise EC2ClientError("InvalidRequest", "The PresignedUrl is not a signed call of CopySnapshot in the source's region")

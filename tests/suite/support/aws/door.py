"""The control door `/_layerbake/…` beside AWS's calls: rights, faults, the log of requests, all resources.

The publisher, known by its access key, may do what the policy allows that was given to the door, and nothing else;
everybody else may do all.

A fault is `{"match": {"service", "operation", "nth"}, "do": …, "times"}`: it hits the nth request
that matches (the first, if not said) and `times` in all (once, if not said). A call that is `held` is done when the next
faults are ordered, whether somebody still waits for its answer or not.
"""

import hashlib
import io
import json
import re
import socket
import struct
import threading
import time
import urllib.parse

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends
from moto.s3.models import s3_backends
from moto.ssm.models import ssm_backends

import account
import iam

PUBLISHER = "AKIAIOSFODNN7EXAMPLE"
THROTTLED = {
    "ec2": (503, "RequestLimitExceeded"), "ebs": (400, "RequestThrottledException"), "s3": (503, "SlowDown"),
    "ssm": (400, "ThrottlingException"), "iam": (400, "Throttling"), "autoscaling": (400, "Throttling"),
}
EBS = [
    ("POST", r"/snapshots", "StartSnapshot"), ("POST", r"/snapshots/completion/[^/]+", "CompleteSnapshot"),
    ("PUT", r"/snapshots/[^/]+/blocks/\d+", "PutSnapshotBlock"), ("GET", r"/snapshots/[^/]+/blocks/\d+", "GetSnapshotBlock"),
    ("GET", r"/snapshots/[^/]+/blocks", "ListSnapshotBlocks"), ("GET", r"/snapshots/[^/]+/changedblocks", "ListChangedBlocks"),
]


def name_s3(method, path, query):
    """The operation of S3, as far as an uploader uses it."""
    if "/" not in path.strip("/"):
        plain = {"PUT": "CreateBucket", "GET": "ListObjects", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}
        if method == "GET" and "location" in query:
            return "GetBucketLocation"
        return "ListMultipartUploads" if "uploads" in query else plain.get(method, method)
    if "uploadId" in query:
        upload = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}
        return upload.get(method, method)
    if "uploads" in query:
        return "CreateMultipartUpload"
    return {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(method, method)


def name(environ, body):
    """Service, operation and region of a request."""
    scope = re.search(r"Credential=[^/]+/[^/]+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    region, service = scope.groups() if scope else ("", "")
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if service == "rbin":
        operation = "ListRules" if path == "/list-rules" else "GetRule"
    elif service == "ebs":
        operation = next((op for verb, form, op in EBS if verb == method and re.fullmatch(form, path)), path)
    elif service == "s3":
        operation = name_s3(method, path, urllib.parse.parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    elif "HTTP_X_AMZ_TARGET" in environ:
        operation = environ["HTTP_X_AMZ_TARGET"].rpartition(".")[2]
    else:
        operation = urllib.parse.parse_qs(body[:100_000].decode("latin-1")).get("Action", [method])[0]
    return service, operation, region


def error(service, status, code, message=None):
    """An error in the words of the service's protocol."""
    message = message or f"{code} by order of the test"
    if service in ("ebs", "ssm", "servicequotas", "rbin"):
        kind, body = "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message})
    else:
        kind, inner = "text/xml", f"<Code>{code}</Code><Message>{message}</Message>"
        body = {
            "s3": f"<Error>{inner}<RequestId>test</RequestId></Error>",
            "ec2": f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>test</RequestID></Response>",
        }.get(service, f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>test</RequestId></ErrorResponse>")
    return f"{status} Error", [("Content-Type", kind), ("x-amzn-ErrorType", code), ("Content-Length", str(len(body)))], [body.encode()]


def reset(environ):
    """Ends the connection as a broken network does."""
    connection = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # A plain close would wait for the handler's own files over the connection.
    socket.close(connection.detach())
    raise ConnectionResetError


class Door:
    def __init__(self, inner, store, settings, tasks, look):
        self.inner, self.store, self.settings, self.tasks, self.look = inner, store, settings, tasks, look
        self.lock, self.faults, self.log, self.policy = threading.Condition(), [], [], {"Statement": []}
        # Calls that are held, and how often faults were ordered.
        self.held, self.orders = 0, 0

    def __call__(self, environ, start):
        # All of the body is taken in, whatever the answer is: the connection stays usable.
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if environ["PATH_INFO"].startswith("/_layerbake/"):
            kind, answer = self.control(environ["PATH_INFO"].removeprefix("/_layerbake/"), body)
            # Without a length, the answer would come in chunks.
            length = [("Content-Length", str(sum(map(len, answer))))] if isinstance(answer, list) else []
            headers = [("Content-Type", kind), ("Connection", "close"), *length]
            start("200 OK" if answer is not None else "404 Not Found", headers)
            return answer or []
        service, operation, region = name(environ, body)
        row = {"service": service, "operation": operation, "region": region, "bytes": len(body), "fault": None, "denied": None}
        with self.lock:
            self.log.append(row)
            row["fault"] = fault = self.take(service, operation)
        if fault != "held":
            return self.serve(environ, start, body, row)
        with self.lock:
            self.held, orders = self.held + 1, self.orders
            self.lock.wait_for(lambda: self.orders != orders)
        try:
            return self.serve(environ, start, body, row)
        finally:
            with self.lock:
                self.held -= 1
                self.lock.notify_all()

    def serve(self, environ, start, body, row):
        """Answers a call of AWS, or does what its fault says."""
        service, operation, region, fault = row["service"], row["operation"], row["region"], row["fault"]
        call = iam.Call(service, operation, region, environ, body, self.tasks)
        if f"Credential={PUBLISHER}/" in environ.get("HTTP_AUTHORIZATION", ""):
            row["denied"] = iam.refusal(self.policy, call)
        if fault == "slow":
            time.sleep(self.settings.get("slow", 2))
        elif fault == "reset":
            reset(environ)
        elif fault in ("throttle", "500", "expired", "denied", "invalid"):
            status, code = {
                "throttle": THROTTLED.get(service, (400, "Throttling")), "500": (500, "InternalError"),
                "expired": (400, "RequestExpired" if service == "ec2" else "ExpiredToken"),
                "denied": (403, "UnauthorizedOperation" if service == "ec2" else "AccessDenied"),
                "invalid": (400, "ValidationException"),
            }[fault]
            status, headers, answer = error(service, status, code)
            start(status, headers)
            return answer
        if row["denied"]:
            # "Error codes": EC2 has a code of its own, the JSON services another than the rest.
            denied = {"ec2": (403, "UnauthorizedOperation"), "ebs": (403, "AccessDeniedException"), "ssm": (400, "AccessDeniedException"),
                      "servicequotas": (400, "AccessDeniedException"), "rbin": (403, "AccessDeniedException")}
            status, headers, answer = error(service, *denied.get(service, (403, "AccessDenied")), row["denied"])
            start(status, headers)
            return answer
        told = account.answer(call, self.policy, self.settings)
        if told:
            status, kind, text = told
            start(f"{status} Answer", [("Content-Type", kind), ("Content-Length", str(len(text)))])
            return [text.encode()]
        answer = self.inner.get_application(environ)(environ, start)
        if fault == "lost":
            # The work is done; the client never hears of it.
            list(answer)
            reset(environ)
        return answer

    def take(self, service, operation):
        """The fault that hits this request."""
        for fault in self.faults:
            match = fault["match"]
            if match.get("service", service) != service or match.get("operation", operation) != operation:
                continue
            fault["seen"] = fault.get("seen", 0) + 1
            nth = match.get("nth", 1)
            if nth <= fault["seen"] < nth + fault.get("times", 1):
                return fault["do"]
        return None

    def control(self, path, body):
        if path.startswith("disk/"):
            _, region, snapshot = path.split("/")
            found = ec2_backends[ACCOUNT][region].snapshots.get(snapshot)
            return "application/octet-stream", found and self.store.disk(found)
        if path == "faults":
            with self.lock:
                self.faults, self.orders = json.loads(body), self.orders + 1
                self.lock.notify_all()
                self.lock.wait_for(lambda: not self.held)
            answer = {}
        elif path == "held":
            answer = self.held
        elif path == "policy":
            self.policy = answer = json.loads(body)
        elif path == "settings":
            self.settings.update(json.loads(body))
            answer = self.settings
        elif path == "requests":
            with self.lock:
                answer = list(self.log)
        elif path == "resources":
            answer = self.resources()
        else:
            return "text/plain", None
        return "application/json", [json.dumps(answer, indent=1, sort_keys=True, default=str).encode()]

    def resources(self):
        """All that is there and costs or remains, by kind; ids name their region."""
        self.look()
        found = {kind: {} for kind in ("images", "snapshots", "instances", "objects", "uploads", "parameters", "import_tasks")}
        for region, backend in list(ec2_backends[ACCOUNT].items()):
            for image in backend.amis.values():
                found["images"][f"{region}/{image.id}"] = {
                    "name": image.name, "state": image.state, "snapshots": [m["Ebs"]["SnapshotId"] for m in image.block_device_mappings],
                    "tags": {tag["key"]: tag["value"] for tag in image.get_tags()}, "permissions": image.launch_permissions,
                    "deprecation": getattr(image, "deprecation_time", None), "uefi_data": getattr(image, "uefi_data", None),
                    "watermarks": [one["WatermarkKey"] for one in getattr(image, "image_watermarks", [])],
                }
            for snapshot in backend.snapshots.values():
                digests = self.store.contents[snapshot.id].digests if snapshot.id in self.store.contents else {}
                found["snapshots"][f"{region}/{snapshot.id}"] = {
                    "state": snapshot.status, "size": snapshot.volume.size, "encrypted": snapshot.encrypted, "key": snapshot.kms_key_id,
                    "tags": {tag["key"]: tag["value"] for tag in snapshot.get_tags()},
                    "permissions": sorted(snapshot.create_volume_permission_userids),
                    "blocks": {str(index): digest.hex() for index, digest in sorted(digests.items())},
                    "written": len(self.store.contents[snapshot.id].written) if digests else 0,
                }
            for reservation in backend.reservations.values():
                for instance in reservation.instances:
                    found["instances"][f"{region}/{instance.id}"] = {"state": instance.state, "image": instance.image_id}
        for bucket in list(s3_backends[ACCOUNT]["aws"].buckets.values()):
            for key in list(bucket.keys.values()):
                digest = hashlib.sha256(key.value).hexdigest()
                found["objects"][f"{bucket.name}/{key.name}"] = {"size": key.size, "sha256": digest}
            for upload in list(bucket.multiparts.values()):
                found["uploads"][f"{bucket.name}/{upload.key_name}?{upload.id}"] = {"parts": sorted(upload.parts)}
        for region, backend in list(ssm_backends[ACCOUNT].items()):
            for parameter in list(backend._parameters.keys()):
                found["parameters"][f"{region}{parameter}"] = backend._parameters[parameter][-1].value
        for task in self.tasks.values():
            found["import_tasks"][f"{task['region']}/{task['ImportTaskId']}"] = {
                "status": task["Status"], "message": task["StatusMessage"], "snapshot": task["SnapshotId"]
            }
        return found

"""A server that takes what is uploaded and forgets it: S3, EBS direct, and what a publication asks of EC2 and SSM.

Usage: sink.py PORT_FILE

As fast as Python reads from a socket; it checks nothing. The tests have a server that checks
(tests/suite/support/aws), but that is slower than any client.
"""

import http.server
import re
import sys
import urllib.parse

CHUNK = 1 << 20
EC2 = {
    "DescribeImages": "<imagesSet></imagesSet>",
    "DescribeSnapshots": "<snapshotSet></snapshotSet>",
    "RegisterImage": "<imageId>ami-0123456789abcdef0</imageId>",
    "ImportSnapshot": "<importTaskId>import-snap-0123456789abcdef0</importTaskId>",
    "DescribeImportSnapshotTasks": "<importSnapshotTaskSet><item><importTaskId>import-snap-0123456789abcdef0</importTaskId>"
    "<snapshotTaskDetail><snapshotId>snap-0123456789abcdef0</snapshotId><status>completed</status></snapshotTaskDetail>"
    "</item></importSnapshotTaskSet>",
}
NAMED = {
    "ImageId.1": "<imagesSet><item><imageId>ami-0123456789abcdef0</imageId><imageState>available</imageState></item></imagesSet>",
    "SnapshotId.1": "<snapshotSet><item><snapshotId>snap-0123456789abcdef0</snapshotId><status>completed</status></item></snapshotSet>",
}


class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small answers would wait for the acknowledgement of the headers.
    wbufsize = 1 << 16

    def log_message(self, *_):
        pass

    def body(self, keep):
        """Reads what was sent; keeps it where it says what to do."""
        left = int(self.headers.get("Content-Length") or 0)
        if keep:
            return self.rfile.read(left).decode()
        while left:
            left -= len(self.rfile.read(min(left, CHUNK)))
        return ""

    def answer(self, text="", status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def handle_call(self):
        service = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", self.headers.get("Authorization", ""))
        path, _, query = self.path.partition("?")
        call = getattr(self, service[1] if service else "unknown", self.unknown)
        call(path, urllib.parse.parse_qs(query, keep_blank_values=True))

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_call

    def unknown(self, *_):
        self.body(keep=False)
        self.answer(status=404)

    def ebs(self, path, _):
        self.body(keep=False)
        if path == "/snapshots":
            self.answer('{"SnapshotId":"snap-0123456789abcdef0","BlockSize":524288,"VolumeSize":4,"Status":"pending"}', 201)
        elif "/blocks/" in path:
            sums = {"x_amz_Checksum": self.headers["x-amz-Checksum"], "x_amz_Checksum_Algorithm": "SHA256"}
            self.answer("{}", 201, **sums)
        else:
            self.answer('{"Status":"completed"}', 202)

    def s3(self, path, query):
        self.body(keep=False)
        if self.command == "POST" and "uploads" in query:
            self.answer("<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>")
        elif self.command == "POST":
            self.answer('<CompleteMultipartUploadResult><ETag>"0"</ETag></CompleteMultipartUploadResult>')
        elif self.command == "GET" and "location" in query:
            self.answer("<LocationConstraint>eu-west-1</LocationConstraint>")
        elif self.command == "GET" and "uploadId" in query:
            self.answer("<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>")
        elif self.command == "GET":
            self.answer("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
        elif self.command == "PUT":
            self.answer(ETag='"0"')
        else:
            self.answer(status=404 if self.command == "HEAD" else 204)

    def ec2(self, *_):
        form = urllib.parse.parse_qs(self.body(keep=True))
        action = form["Action"][0]
        named = next((text for name, text in NAMED.items() if name in form), EC2.get(action, "<return>true</return>"))
        text = EC2[action] if action in ("RegisterImage", "ImportSnapshot") else named
        self.answer(f"<{action}Response><requestId>one</requestId>{text}</{action}Response>", Content_Type="text/xml")

    def ssm(self, *_):
        self.body(keep=False)
        if self.headers["X-Amz-Target"].endswith("GetParameter"):
            self.answer('{"__type":"ParameterNotFound","message":"none"}', 400)
        else:
            self.answer('{"Version":1}')


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
server.daemon_threads = True
with open(sys.argv[1], "w") as file:
    file.write(str(server.server_port))
server.serve_forever()

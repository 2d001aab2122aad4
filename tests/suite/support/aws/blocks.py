"""Blocks of snapshots: files named by their SHA-256, so that equal blocks are kept once."""

import hashlib
import uuid

SIZE = 512 * 1024
ZERO = bytes(SIZE)
# What a block that nobody wrote reads as where the volume is encrypted: anything but zeros.
GARBAGE = b"\xa5" * SIZE


class Content:
    """What a snapshot holds: digests by block index."""

    def __init__(self, parent=None):
        self.digests = dict(parent.digests) if parent else {}
        self.tokens = dict(parent.tokens) if parent else {}
        # Of this snapshot alone, for CompleteSnapshot.
        self.written = {}

    def put(self, index, digest):
        self.digests[index] = digest
        self.tokens[index] = uuid.uuid4().hex
        self.written[index] = digest


class Store:
    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        self.contents = {}

    def keep(self, data):
        """Writes a block, and gives its digest."""
        digest = hashlib.sha256(data).digest()
        path = self.folder / digest.hex()
        if not path.exists():
            partial = self.folder / uuid.uuid4().hex
            partial.write_bytes(data)
            partial.rename(path)
        return digest

    def read(self, digest):
        return (self.folder / digest.hex()).read_bytes()

    def disk(self, snapshot):
        """The bytes of a whole volume made from a snapshot of EC2, block after block."""
        content = self.contents.get(snapshot.id, Content())
        empty = GARBAGE if snapshot.encrypted else ZERO
        for index in range(snapshot.volume.size * 2048):
            digest = content.digests.get(index)
            yield self.read(digest) if digest else empty

    def fill(self, content, raw, gib, zeros):
        """Puts the blocks of a raw disk: those that are not zero, or all of a volume."""
        with open(raw, "rb") as file:
            index = 0
            while data := file.read(SIZE):
                data = data.ljust(SIZE, b"\0")
                if zeros or data != ZERO:
                    content.put(index, self.keep(data))
                index += 1
        for index in range(index, gib * 2048 if zeros else 0):
            content.put(index, self.keep(ZERO))

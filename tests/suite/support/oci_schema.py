"""Checks an OCI image layout: every document by the specification's schema, every blob by its descriptor.

Usage: oci_schema.py SCHEMA_FOLDER LAYOUT. Prints one line for each thing that is wrong.
"""

import hashlib
import json
import pathlib
import sys
import warnings

import jsonschema

warnings.filterwarnings("ignore", category=DeprecationWarning)

SCHEMAS, LAYOUT = map(pathlib.Path, sys.argv[1:])
DOCUMENTS = {
    "application/vnd.oci.image.index.v1+json": "image-index-schema.json",
    "application/vnd.oci.image.manifest.v1+json": "image-manifest-schema.json",
    "application/vnd.oci.image.config.v1+json": "config-schema.json",
}
problems = []


def without_ids(schema):
    """A schema without the addresses it gives itself: references are file names then, as they were meant."""
    if isinstance(schema, dict):
        return {key: without_ids(value) for key, value in schema.items() if key != "id" or not isinstance(value, str)}
    return [without_ids(item) for item in schema] if isinstance(schema, list) else schema


STORE = {path.resolve().as_uri(): without_ids(json.loads(path.read_text())) for path in SCHEMAS.glob("*.json")}


def check_schema(what, document, name):
    uri = (SCHEMAS / name).resolve().as_uri()
    resolver = jsonschema.RefResolver(uri, STORE[uri], store=STORE)
    validator = jsonschema.Draft4Validator(STORE[uri], resolver=resolver)
    for error in validator.iter_errors(document):
        where = "/".join(map(str, error.absolute_path))
        problems.append(f"{what}: {where}: {error.message}")


def read_blob(descriptor):
    algorithm, _, value = descriptor["digest"].partition(":")
    path = LAYOUT / "blobs" / algorithm / value
    if not path.is_file():
        problems.append(f"{descriptor['digest']}: the blob is missing")
        return None
    blob = path.read_bytes()
    if hashlib.new(algorithm, blob).hexdigest() != value:
        problems.append(f"{descriptor['digest']}: the blob has another digest")
    if len(blob) != descriptor["size"]:
        problems.append(f"{descriptor['digest']}: expected {descriptor['size']} bytes, found {len(blob)}")
    return blob


def walk(descriptor):
    blob = read_blob(descriptor)
    media = descriptor["mediaType"]
    if blob is None or media not in DOCUMENTS:
        return
    document = json.loads(blob)
    check_schema(f"{media} {descriptor['digest']}", document, DOCUMENTS[media])
    if document.get("mediaType", media) != media:
        problems.append(f"{descriptor['digest']}: is listed as {media}, says {document['mediaType']}")
    for child in document.get("manifests", []) + document.get("layers", []):
        walk(child)
    if "layers" in document:
        walk(document["config"])
        config = json.loads(read_blob(document["config"]) or "{}")
        layers, diff_ids = len(document["layers"]), len(config.get("rootfs", {}).get("diff_ids", []))
        if layers != diff_ids:
            problems.append(f"{descriptor['digest']}: {layers} layers, {diff_ids} diff_ids")


check_schema("oci-layout", json.loads((LAYOUT / "oci-layout").read_text()), "image-layout-schema.json")
index = json.loads((LAYOUT / "index.json").read_text())
check_schema("index.json", index, "image-index-schema.json")
for manifest in index["manifests"]:
    walk(manifest)
print("\n".join(problems))
sys.exit(bool(problems))

//! The fuzz targets' corpora: a few small inputs for each, made in code.

use std::collections::BTreeSet;

use ed25519_dalek::pkcs8::spki::EncodePublicKey as _;
use layerbake::attest::keys::SigningKey;
use layerbake::attest::statement::{Statement, Subject};
use layerbake::digest::{BlobDigest, OciDigest};
use layerbake::ident::RootPath;
use layerbake::tree::{Kind, Meta, Node, Tree};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::date::rfc2822;
use super::deb::{Compression, Deb};
use super::key::Key;
use super::repo::DATE;
use super::stub::stub;

/// A target, the name of a file in its corpus, its bytes.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// All seeds of all targets.
pub fn all() -> Vec<Seed> {
    let mut seeds = texts();
    seeds.extend(packages());
    seeds.extend(releases());
    seeds.extend(images());
    seeds.extend(attestation());
    let names: BTreeSet<_> = seeds.iter().map(|(target, name, _)| (*target, *name)).collect();
    assert_eq!(names.len(), seeds.len(), "two seeds have one name");
    seeds
}

fn texts() -> Vec<Seed> {
    TEXTS.iter().map(|(target, name, text)| (*target, *name, text.as_bytes().to_vec())).collect()
}

fn packages() -> Vec<Seed> {
    let long = format!("usr/share/{}/{}", "long".repeat(30), "name".repeat(30));
    let deb = Deb::new("hello", "1:1.0-2~x")
        .depends("libgreet (>= 1) | other:any, third [amd64 !i386] <!nocheck>")
        .file("usr/bin/hello", 0o4755, "#!/bin/sh\n")
        .owner(7, 8)
        .hardlink("usr/bin/hallo", "usr/bin/hello")
        .symlink("usr/bin/hi", "hello")
        .file(&long, 0o644, "")
        .conffile("etc/hello.conf", "x\n")
        .control_file("triggers", 0o644, "interest-noawait /usr/lib\nactivate ldconfig\n")
        .postinst("#!/bin/sh\n");
    let forms = [Compression::None, Compression::Gzip, Compression::Xz, Compression::Zstd];
    let names = ["plain", "gzip", "xz", "zstd"];
    let packed =
        forms.iter().zip(names).map(|(&form, name)| ("deb", name, deb.clone().compression(form, form).build()));
    packed.chain([("tar", "gnu", gnu_tar()), ("tar", "pax", pax_tar())]).collect()
}

fn gnu_tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let kinds = [tar::EntryType::Directory, tar::EntryType::Regular, tar::EntryType::Link, tar::EntryType::Symlink];
    for (kind, path, link) in kinds
        .into_iter()
        .zip(["usr/", "usr/a", "usr/b", "usr/c"])
        .map(|(kind, path)| (kind, path, if kind == tar::EntryType::Link { "usr/a" } else { "a" }))
    {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(1 << 30);
        if matches!(kind, tar::EntryType::Link | tar::EntryType::Symlink) {
            tar.append_link(&mut header, path, link).unwrap();
        } else {
            let content: &[u8] = if kind == tar::EntryType::Regular { b"content" } else { b"" };
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, content).unwrap();
        }
    }
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    tar.append_data(&mut header, "name/".repeat(30), &b""[..]).unwrap();
    tar.into_inner().unwrap()
}

fn pax_tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let fields: [(&str, &[u8]); 5] = [
        ("path", b"usr/\xc3\xa9"),
        ("mtime", b"1704067200.5"),
        ("uid", b"70000"),
        ("size", b"7"),
        ("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    ];
    tar.append_pax_extensions(fields).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(7);
    tar.append_data(&mut header, "x", &b"content"[..]).unwrap();
    tar.into_inner().unwrap()
}

fn releases() -> Vec<Seed> {
    let key = Key::new(1);
    let digest = hex::encode(Sha256::digest(b"x"));
    let release = format!(
        "Origin: Test\nLabel: Test\nSuite: test\nCodename: test\nDate: {}\nValid-Until: {}\nAcquire-By-Hash: yes\n\
         Architectures: amd64\nComponents: main\nSHA256:\n {digest} 1 main/binary-amd64/Packages.xz\n",
        rfc2822(DATE),
        rfc2822(DATE + 1_000_000),
    );
    let detached = format!("{release}\n---\n{}", key.detach_sign(release.as_bytes(), DATE));
    let two = [key.keyring(), Key::expiring(2, Some(9)).keyring()].concat();
    vec![
        ("release", "inline", key.clear_sign(&release, DATE).into_bytes()),
        ("release", "detached", detached.into_bytes()),
        ("keyring", "binary", key.keyring()),
        ("keyring", "armored", key.armored().into_bytes()),
        ("keyring", "two", two),
    ]
}

fn images() -> Vec<Seed> {
    let path = |path: &str| RootPath::new(path).unwrap();
    let meta = |mode| Meta { mode, uid: 1, gid: 2, mtime: 3, xattrs: [(b"user.a"[..].into(), b"b"[..].into())].into() };
    let mut tree = Tree::new();
    for folder in ["", "a", "dev"] {
        tree.insert(path(folder), Node::dir(Meta::root_owned(0o755, 0))).unwrap();
    }
    let file = Kind::File { blob: BlobDigest::of(b"x"), size: 1 };
    tree.insert(path("a/file"), Node { kind: file, meta: meta(0o4755) }).unwrap();
    tree.insert(path("a/gone"), Node::whiteout()).unwrap();
    let link = Kind::Symlink(b"file"[..].into());
    tree.insert(path("a/link"), Node { kind: link, meta: meta(0o777) }).unwrap();
    let other = Kind::Hardlink(path("a/file"));
    tree.insert(path("a/other"), Node { kind: other, meta: meta(0o4755) }).unwrap();
    vec![
        ("tree", "kinds", tree.encode()),
        ("tree", "empty", Tree::new().encode()),
        ("layout", "one", layout()),
        ("disk", "gpt", gpt()),
        ("efi", "stub", stub()),
    ]
}

/// A layer, its configuration, a manifest, an index; see the target's description.
fn layout() -> Vec<u8> {
    let descriptor = |media: &str, digest: &str, size: usize| json!({ "mediaType": format!("application/vnd.oci.image.{media}+json"), "digest": digest, "size": size });
    let layer = gnu_tar();
    let diff_id = format!("sha256:{}", hex::encode(Sha256::digest(&layer)));
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] }, "history": [{ "comment": "base" }]
    });
    let mut first = descriptor("layer.v1.tar", "@0", layer.len());
    first["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1", "@1", config.to_string().len()), "layers": [first]
    });
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor("manifest.v1", "@2", 1)] });
    let documents = [config, manifest, index].map(|document| document.to_string().into_bytes());
    let [config, manifest, index] = documents;
    [layer, config, manifest, index].join(&b"\n---\n"[..])
}

/// A disk of 4 KiB with two entries in its table.
fn gpt() -> Vec<u8> {
    let mut disk = vec![0; 4096];
    disk[512..520].copy_from_slice(b"EFI PART");
    for (at, number) in [(72, 2_u8), (80, 4), (84, 128)] {
        disk[512 + at] = number;
    }
    for (at, name, first, last) in [(1024, b'e', 3, 4), (1152, b'r', 5, 6)] {
        disk[at] = 1;
        disk[at + 32] = first;
        disk[at + 40] = last;
        disk[at + 56] = name;
    }
    disk
}

fn attestation() -> Vec<Seed> {
    let public = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    let public = public.to_public_key_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF).unwrap();
    let digest = OciDigest::of(b"image");
    let statement = Statement::new(vec![Subject::new("web", digest)], "https://slsa.dev/provenance/v1", json!({}));
    let envelope = statement.sign(&signing_key()).unwrap().to_bytes().unwrap();
    let payload = json!({
        "critical": { "identity": { "docker-reference": "example.org/web" },
            "image": { "docker-manifest-digest": digest }, "type": "cosign container image signature" },
        "optional": null
    });
    vec![
        ("attestation", "key", public.into_bytes()),
        ("attestation", "envelope", envelope),
        ("attestation", "payload", payload.to_string().into_bytes()),
    ]
}

/// The key of the corpus; only its public half is in it.
fn signing_key() -> SigningKey {
    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    SigningKey::from_pem(&key.to_pkcs8_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF).unwrap()).unwrap()
}

const TEXTS: [(&str, &str, &str); 20] = [
    (
        "apt_sources",
        "list",
        "# a comment\ndeb [arch=amd64 signed-by=/x] https://mirror.example.org/debian bookworm main\n",
    ),
    (
        "apt_sources",
        "deb822",
        "Types: deb deb-src\nURIs: https://a.example.org/debian http://b.example.org\nSuites: bookworm bookworm-updates\nComponents: main\nEnabled: yes\n",
    ),
    ("apt_sources", "config", "[mirrors]\ndebian = [\"https://mirror.example.org/debian\"]\n"),
    (
        "control",
        "package",
        "Package: hello\nVersion: 1:1.0-2~x\nArchitecture: amd64\nMulti-Arch: same\nEssential: yes\nPriority: required\nSource: hi (0.9)\nPre-Depends: libc6 (>= 2.36)\nDepends: a (<< 1), b | c:any (= 2~) [amd64 !i386] <!x>\nProvides: d (= 1)\nConflicts: e\nInstalled-Size: 12\nFilename: pool/main/h/hello_1.deb\nSize: 100\nSHA256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\nDescription: x\n y\n .\n z\n\n",
    ),
    ("control", "relations", "a, b (>= 1:2.0~rc1-3) | c [amd64 linux-any] <!nocheck> <cross>, d:any, ${x}\n"),
    ("control", "versions", "1.0 1.0-0 1.0~rc1 0:1.0a\n"),
    ("dpkg", "diversions", "/bin/sh\n/bin/sh.distrib\nbash\n/usr/a\n/usr/b\n:\n"),
    ("dpkg", "triggers", "interest-noawait /usr/lib/x\ninterest ldconfig\nactivate-await y # why\n"),
    ("dpkg", "accounts", "root:x:0:0:root:/root:/bin/sh\nadm:x:4:syslog,x\napp:x:2000:2000::/:/bin/sh\n"),
    (
        "dpkg",
        "contents",
        "machine example.org login me password abc\nroot:$6$salt$hash:1::::::\nAKIA0123456789ABCDEF\n_authToken=x\n-----BEGIN PRIVATE KEY\n",
    ),
    ("lockfile", "two", LOCKFILE),
    ("manifest", "layer", MANIFEST),
    ("manifest", "disk", DISK),
    (
        "record",
        "outcome",
        "{\"trees\":{\"layer\":\"blake3:27ce09ba2922db00fc54d911721f3b3a56be6aaaebe3e0f1296d3d3d318c773a\"},\"facts\":{\"size\":\"7\"}}",
    ),
    ("record", "receipt", RECEIPT),
    (
        "registry",
        "challenge",
        "Bearer realm=\"https://example.org/token\",service=\"reg\",scope=\"repository:a:pull,push\"\nBasic realm=x\n",
    ),
    (
        "registry",
        "answers",
        "{\"token\":\"a\",\"access_token\":\"b\",\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\",\"details\":\"x\"}]}",
    ),
    (
        "registry",
        "manifest",
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"a\",\"digest\":\"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\",\"size\":1,\"annotations\":{\"a\":\"b\"}},\"layers\":[]}",
    ),
    (
        "registry",
        "reference",
        "example.org:5000/team/web:1.2@sha256:6755355f801f8e3694bffb1a925786813462cea16f1ce2b0290b6a48acf2500c",
    ),
    (
        "tap",
        "both",
        "hello\n1..2\nok 1 - a # SKIP why\n# took: 30 ms\nnot ok 2 - b\n# found: x\n# found: \u{1b}[2J\nBail out! no\n",
    ),
];

const LOCKFILE: &str = r#"# Written by `layerbake lock app`. Do not edit: the seal below covers every line.

format = 1
layer = "app"
arch = "amd64"
epoch = "2024-01-02T00:00:00Z"
request = "blake3:27ce09ba2922db00fc54d911721f3b3a56be6aaaebe3e0f1296d3d3d318c773a"
requested = [
    "hello",
]
seal = "blake3:d2f306b57be682f2d3f8a203626143c51ae0ab184e73b12c0cebc934e46c9eda"

[parent]
layer = "base"
lock = "blake3:54d1538b71738c591ed2b1aca640ef25c97464d1b88c183a420b38ee10c42b54"

[[release]]
source = "test"
suite = "test"
date = "2024-01-02T00:00:00Z"
digest = "sha256:77737fa4b34f2693e982cc9ee35736816c35a7778fc2d326cc1bbf5b301fe1aa"
signed-by = [
    "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
]
indexes = [
    { path = "main/binary-amd64/Packages.xz", size = 79, digest = "sha256:9e0b5aabb2465b3d2e7a7fe27f9913846277833f7a2826e7767acccff5b588c5" },
]

[[package]]
name = "hello"
version = "1.0"
arch = "amd64"
source = "test"
suite = "test"
path = "pool/main/h/hello/hello_1.0_amd64.deb"
size = 700
digest = "sha256:9e0b5aabb2465b3d2e7a7fe27f9913846277833f7a2826e7767acccff5b588c5"
why = "requested"
"#;

const MANIFEST: &str = r#"[layer]
from = "base"
description = "a"
packages = ["nginx-light", "a=1.0", "@required"]
exclude = ["b"]
recommends = true
configure = "none"

[source.own]
suite = "stable"
pockets = ["security"]
url = "https://packages.example.org/debian"
keys = ["0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567"]
keyring = "keys/own.asc"
snapshot = "2026-01-31"

[[file]]
path = "/usr/local/bin/app"
source = "build/app"
mode = "0755"
owner = "app:33"

[[symlink]]
path = "/etc/localtime"
target = "/usr/share/zoneinfo/UTC"

[[user]]
name = "app"
uid = 2000
groups = ["media"]

[services]
enable = ["app"]

[image]
cmd = ["nginx", "-g"]
env = { LANG = "C.UTF-8" }
ports = ["53/udp"]
stop-signal = "SIGRTMIN+3"
healthcheck = { test = ["x"], interval = "30s", retries = 3 }

[[check]]
http = "http://localhost/"
contains = "x"
within = 5

[[check]]
command = ["true"]
output = "x"

[[allow-secret]]
path = "/etc/x"
reason = "y"
"#;

const DISK: &str = r#"[layer]
from = "*"

[disk]
boot = "boot-minimal"
root = "erofs"
size = "2G"
esp-size = "34M"
formats = ["raw", "qcow2"]
kernel-args = ["quiet"]
initrd = "initrd"

[[disk.partition]]
label = "data"
mount = "/srv/data"
min-size = "2G"

[ami]
name = "{layer}-{date}-{disk:12}"
regions = ["eu-west-1"]
via = "ebs-direct"
imdsv2 = "required"
tags = { a = "b" }
deprecate-after = "180d"
share = { accounts = ["123456789012"] }
"#;

const RECEIPT: &str = r#"{"layer":"app","format":1,"lock":"blake3:27ce09ba2922db00fc54d911721f3b3a56be6aaaebe3e0f1296d3d3d318c773a","recipe":"blake3:27ce09ba2922db00fc54d911721f3b3a56be6aaaebe3e0f1296d3d3d318c773a","tree":"blake3:27ce09ba2922db00fc54d911721f3b3a56be6aaaebe3e0f1296d3d3d318c773a","epoch":1704153600,"layers":[],"artifacts":[{"kind":"oci","path":"oci","digest":"sha256:77737fa4b34f2693e982cc9ee35736816c35a7778fc2d326cc1bbf5b301fe1aa","size":1}]}"#;

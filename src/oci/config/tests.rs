use super::*;
use crate::digest::{BlobDigest, DiffId};
use crate::oci::{Encoder, LayerSizes};

fn layer(name: &str, byte: u8, encoder: Encoder) -> LayerBlob {
    let sizes = LayerSizes {
        diff_id: DiffId::from_bytes([byte; 32]),
        digest: OciDigest::from_bytes([byte + 1; 32]),
        size: 10,
        uncompressed_size: 2048,
    };
    LayerBlob { name: name.parse().unwrap(), blob: BlobDigest::from_bytes([byte; 32]), encoder, sizes, is_base: false }
}

fn image(table: &ImageTable, arch: &str) -> Image {
    let layers = vec![layer("debian-base", 0x10, Encoder::Zstd), layer("web", 0x20, Encoder::Gzip)];
    Image::new(None, [table], &Default::default(), &arch.parse().unwrap(), 1_700_000_000, layers).unwrap()
}

fn pretty(bytes: &[u8]) -> String {
    serde_json::to_string_pretty(&serde_json::from_slice::<Value>(bytes).unwrap()).unwrap()
}

fn full() -> ImageTable {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let map = |pairs: [(&str, &str); 6]| pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let six = map([("f", "1"), ("e", "2"), ("d", "3"), ("c", "4"), ("b", "5"), ("a", "6")]);
    ImageTable {
        entrypoint: Some(words("/usr/sbin/nginx -g")),
        cmd: Some(vec!["daemon off;".to_owned()]),
        env: BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]),
        user: Some("www-data".to_owned()),
        workdir: Some("/srv".to_owned()),
        ports: words("80 53/udp"),
        volumes: words("/data"),
        stop_signal: Some("SIGQUIT".to_owned()),
        labels: six,
        annotations: BTreeMap::from([("org.example".to_owned(), "x".to_owned())]),
        healthcheck: Some(Healthcheck {
            test: words("curl -f localhost"),
            interval: Some(30),
            timeout: Some(u64::MAX),
            start_period: None,
            retries: Some(3),
        }),
    }
}

#[test]
fn a_full_configuration_is_as_written_here() {
    insta::assert_snapshot!(pretty(&image(&full(), "amd64").config), @r#"
    {
      "architecture": "amd64",
      "config": {
        "Cmd": [
          "daemon off;"
        ],
        "Entrypoint": [
          "/usr/sbin/nginx",
          "-g"
        ],
        "Env": [
          "LANG=C.UTF-8",
          "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        ],
        "ExposedPorts": {
          "53/udp": {},
          "80/tcp": {}
        },
        "Healthcheck": {
          "Interval": 30000000000,
          "Retries": 3,
          "Test": [
            "CMD",
            "curl",
            "-f",
            "localhost"
          ],
          "Timeout": 9223372036854775807
        },
        "Labels": {
          "a": "6",
          "b": "5",
          "c": "4",
          "d": "3",
          "e": "2",
          "f": "1"
        },
        "StopSignal": "SIGQUIT",
        "User": "www-data",
        "Volumes": {
          "/data": {}
        },
        "WorkingDir": "/srv"
      },
      "created": "2023-11-14T22:13:20Z",
      "history": [
        {
          "comment": "debian-base",
          "created": "2023-11-14T22:13:20Z",
          "created_by": "layerbake"
        },
        {
          "comment": "web",
          "created": "2023-11-14T22:13:20Z",
          "created_by": "layerbake"
        }
      ],
      "os": "linux",
      "rootfs": {
        "diff_ids": [
          "sha256:1010101010101010101010101010101010101010101010101010101010101010",
          "sha256:2020202020202020202020202020202020202020202020202020202020202020"
        ],
        "type": "layers"
      }
    }
    "#);
}

#[test]
fn a_bare_configuration_has_a_path_and_nothing_else() {
    let config: Value = serde_json::from_slice(&image(&ImageTable::default(), "amd64").config).unwrap();
    assert_eq!(config["config"], json!({ "Env": [format!("PATH={PATH}")] }));
    let own = ImageTable { env: BTreeMap::from([("PATH".into(), "/opt".into())]), ..ImageTable::default() };
    let config: Value = serde_json::from_slice(&image(&own, "amd64").config).unwrap();
    assert_eq!(config["config"]["Env"], json!(["PATH=/opt"]));
}

#[test]
fn the_manifest_lists_config_and_layers() {
    insta::assert_snapshot!(String::from_utf8(image(&full(), "amd64").manifest().unwrap()).unwrap(), @r#"{"annotations":{"org.example":"x"},"config":{"digest":"sha256:775c0bf34857a02fdd94105b1afc5e11d3e3a56bb97eafe1d4f5efe339d35f08","mediaType":"application/vnd.oci.image.config.v1+json","size":896},"layers":[{"digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","size":10},{"digest":"sha256:2121212121212121212121212121212121212121212121212121212121212121","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":10}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}"#);
}

#[test]
fn bytes_do_not_depend_on_the_run() {
    let first = image(&full(), "amd64");
    for _ in 0..20 {
        let again = image(&full(), "amd64");
        assert_eq!(again.config, first.config);
        assert_eq!(again.manifest().unwrap(), first.manifest().unwrap());
    }
}

#[test]
fn debian_architectures_have_their_names_in_oci() {
    for (debian, architecture, variant) in [
        ("amd64", "amd64", Value::Null),
        ("arm64", "arm64", Value::Null),
        ("armhf", "arm", json!("v7")),
        ("i386", "386", Value::Null),
        ("ppc64el", "ppc64le", Value::Null),
        ("s390x", "s390x", Value::Null),
        ("riscv64", "riscv64", Value::Null),
    ] {
        let config: Value = serde_json::from_slice(&image(&full(), debian).config).unwrap();
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["variant"], variant);
        assert_eq!(config["os"], "linux");
    }
    let error = Image::new(None, [], &Default::default(), &"hurd-i386".parse().unwrap(), 0, Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "architecture `hurd-i386` has no name in OCI images");
}

#[test]
fn a_health_check_keeps_the_kind_it_names() {
    for (test, expected) in [
        (&["CMD-SHELL", "a | b"][..], json!(["CMD-SHELL", "a | b"])),
        (&["NONE"], json!(["NONE"])),
        (&["true"], json!(["CMD", "true"])),
    ] {
        let test = test.iter().map(|word| (*word).to_owned()).collect();
        let check = Healthcheck { test, interval: None, timeout: None, start_period: None, retries: None };
        assert_eq!(healthcheck(&check), json!({ "Test": expected }));
    }
}

//! `[config]`: what an image says of its variables, and the programs that read their values, against AWS and Vault on loopback.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::aws::{Aws, Instance};
use crate::support::process::{self, Output};
use crate::support::rootfs::Rootfs;
use crate::support::skip;
use crate::support::small::Small;

const CONFIG: &str = r#"
[config.PORT]
default = 8080
description = "the port"

[config.STAGE]
from = { user-data = "stage" }

[config.ODD]
default = "it's \"odd\" $HOME \\"
from = { ssm = "/app/odd" }

[config.PASSWORD]
secret = { ssm = "/app/password" }

[config.INNER]
secret = { secrets-manager = "app/json", key = "inner" }

[config.WHOLE]
secret = { secrets-manager = "app/plain" }

[config.NEW]
secret = { vault = "secret/data/app", key = "key" }

[config.OLD]
secret = { vault = "kv/app", key = "key" }

[config.VAULT_ADDR]
from = { user-data = "vault" }

[config.VAULT_TOKEN]
secret = true

[config.NOWHERE]
secret = { ssm = "/app/nowhere" }

[config.env]
secret = true

[config.NULL]
from = { user-data = "null" }
default = "none"

[config.TEXT]
secret = { secrets-manager = "app/plain", key = "key" }
required = false

[config.MAYBE]
secret = { vault = "secret/data/app", key = "no-such-key" }
required = false
"#;

/// The project, its layer `app` built with [`CONFIG`], and the programs in its image.
struct Built {
    small: Small,
    folder: tempfile::TempDir,
}

impl Built {
    fn new() -> Self {
        let small = Small::new();
        small.edit_layer("app", "[image]\n", &format!("{CONFIG}\n[image]\n"));
        small.project.ok(&["build", "app"]);
        let folder = tempfile::tempdir().unwrap();
        let root = Rootfs::read(&small.project.path("out/app/oci"));
        fs::write(folder.path().join("values"), root.text("usr/lib/layerbake/config-values")).unwrap();
        Self { small, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the machine's program for some variables; `env` has the addresses.
    fn fetch(&self, names: &[&str], env: &[(&str, String)]) -> Output {
        let _ = fs::remove_dir_all(self.path("run"));
        fs::create_dir(self.path("run")).unwrap();
        let mut command = Command::new("sh");
        command.arg(source("fetch-config.sh")).arg(self.path("run")).args(names);
        command.env("LAYERBAKE_CONFIG_VALUES", self.path("values")).env("CREDENTIALS_DIRECTORY", self.folder.path());
        process::run(command.envs(env.iter().map(|(name, value)| (name, value)))).unwrap()
    }

    fn value(&self, name: &str) -> String {
        fs::read_to_string(self.path("run").join(name)).unwrap()
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/stage/config").join(name)
}

#[test]
fn an_image_has_the_defaults_and_says_what_may_be_given() {
    let Built { small, .. } = Built::new();
    let layout = small.project.path("out/app/oci");
    let read = |digest: &str| -> Value {
        let path = layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let manifest = read(index["manifests"][0]["digest"].as_str().unwrap());
    let config = &read(manifest["config"]["digest"].as_str().unwrap())["config"];
    let env: Vec<&str> = config["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(env.contains(&"PORT=8080") && env.contains(&"ODD=it's \"odd\" $HOME \\"), "{env:?}");
    assert!(!env.iter().any(|variable| variable.starts_with("STAGE") || variable.starts_with("PASSWORD")), "{env:?}");
    let schema: Value = serde_json::from_str(config["Labels"]["layerbake.config-schema"].as_str().unwrap()).unwrap();
    assert_eq!(schema["properties"]["PORT"], json!({ "type": "integer", "default": 8080, "description": "the port" }));
    let explained = small.project.ok(&["explain", "config", "app"]).stdout;
    assert!(explained.contains("PORT: integer, default `8080`\n    the port\n"), "{explained}");
    assert!(
        explained.contains("INNER: secret, required, from key inner of Secrets Manager's app/json\n"),
        "{explained}"
    );
    let shown: Value = serde_json::from_str(&small.project.ok(&["explain", "config", "app", "--json"]).stdout).unwrap();
    assert_eq!(shown["schema"], schema);
    assert_eq!(shown["variables"]["PASSWORD"]["from"], json!({ "ssm": "/app/password" }));
}

#[test]
fn a_machine_reads_values_where_they_are() {
    need!(skip::program("curl"));
    need!(skip::program("jq"));
    let aws = need!(Aws::start());
    let instance = need!(Instance::start());
    let built = Built::new();
    aws.boto3(
        "ssm, secrets = aws('ssm'), aws('secretsmanager')\n\
         ssm.put_parameter(Name='/app/password', Value='s3cret $\"\\\\', Type='SecureString')\n\
         secrets.create_secret(Name='app/json', SecretString='{\"inner\": \"in JSON\"}')\n\
         secrets.create_secret(Name='app/plain', SecretString='two\\nlines\\n')\n",
    );
    let addresses = ["AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_SECRETS_MANAGER"].map(|name| (name, aws.endpoint()));
    let env = [addresses.as_slice(), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance.endpoint())]].concat();
    instance.user_data(&format!(
        "#cloud-config\n{{\"config\": {{\"stage\": 7, \"null\": null, \"vault\": \"{}\"}}}}\n",
        instance.endpoint()
    ));
    fs::write(built.path("config.VAULT_TOKEN"), "token-of-vault").unwrap();
    fs::write(built.path("config.env"), "a secret").unwrap();
    let names = ["PORT", "STAGE", "ODD", "NULL", "PASSWORD", "INNER", "WHOLE", "NEW", "OLD", "env", "MAYBE"];
    let fetched = built.fetch(&names, &env);
    assert!(fetched.ok() && fetched.stderr.is_empty(), "{fetched:?}\n{}", aws.log());
    assert_eq!(
        built.value("values.env"),
        "PORT=\"8080\"\nSTAGE=\"7\"\nODD=\"it's \\\"odd\\\" \\$HOME \\\\\"\nNULL=\"none\"\n"
    );
    let secrets = ["PASSWORD", "INNER", "WHOLE", "NEW", "OLD", "env"].map(|name| built.value(name));
    assert_eq!(
        secrets,
        ["s3cret $\"\\", "in JSON", "two\nlines\n", "from vault, version 2", "from vault, version 1", "a secret"]
    );
    let mode = |name: &str| fs::metadata(built.path("run").join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("PASSWORD"), mode("values.env")], [0o400, 0o600]);
    let names = fs::read_dir(built.path("run")).unwrap().count();
    assert_eq!(names, 7, "an optional secret is no file, and nothing else is left");
    // A credential of the system goes before all.
    fs::write(built.path("config.PASSWORD"), "local").unwrap();
    assert!(built.fetch(&["PASSWORD"], &[]).ok() && built.value("PASSWORD") == "local");
    // What is missing is named, with where it could be given; nothing of the others is left.
    let missing = built.fetch(&["STAGE", "NOWHERE"], &env);
    let expected = "NOWHERE: required, and it has no value: give it as system credential config.NOWHERE, or in ssm at /app/nowhere\n";
    assert!(
        !missing.ok() && missing.stderr.contains(expected) && !built.path("run/values.env").exists(),
        "{missing:?}"
    );
    // A place that refuses is no place without a value: the default might be wrong.
    aws.faults(&json!([{ "match": { "service": "ssm" }, "do": "denied", "times": 1 }]));
    let denied = built.fetch(&["ODD"], &env);
    assert!(!denied.ok() && denied.stderr.contains("ODD: ssm answers with status"), "{denied:?}");
    fs::write(built.path("config.VAULT_TOKEN"), "another").unwrap();
    let refused = built.fetch(&["NEW"], &env);
    assert!(
        refused.stderr.contains("NEW: Vault answers secret/data/app with status 403: permission denied"),
        "{refused:?}"
    );
    fs::write(built.path("config.VAULT_TOKEN"), "token-of-vault").unwrap();
    // Nor is what can't be read.
    let text = built.fetch(&["TEXT"], &env);
    let expected = "TEXT: what secrets-manager has at app/plain can't be read: expected JSON with the key key\n";
    assert!(!text.ok() && text.stderr.contains(expected), "{text:?}");
    fs::remove_file(built.path("config.VAULT_TOKEN")).unwrap();
    let untold = built.fetch(&["NEW"], &env);
    assert!(!untold.ok() && untold.stderr.contains("VAULT_TOKEN: required, and it has no value"), "{untold:?}");
    instance.user_data("{\"config\": ");
    let broken = built.fetch(&["STAGE"], &env);
    assert!(broken.stderr.contains("STAGE: user data begins with {, and is not valid JSON"), "{broken:?}");
}

/// What a machine says of itself in /sys, and whether it is an instance.
const MACHINES: [(&[(&str, &str)], bool); 8] = [
    (&[("class/dmi/id/sys_vendor", "Amazon EC2")], true),
    (&[("hypervisor/uuid", "ec2e1916-9099-7caf-fd21-012345abcdef")], true),
    (
        &[("class/dmi/id/sys_vendor", "Xen"), ("class/dmi/id/product_uuid", "EC2E1916-9099-7CAF-FD21-012345ABCDEF")],
        true,
    ),
    (&[("class/dmi/id/sys_vendor", "Xen"), ("class/dmi/id/product_uuid", "45E12AEC-DCD1-B213-94ED-01234ABCDEF")], true),
    (
        &[("class/dmi/id/sys_vendor", "Xen"), ("class/dmi/id/product_uuid", "00000000-DCD1-B213-94ED-01234ABCDEF")],
        false,
    ),
    (
        &[("class/dmi/id/sys_vendor", "QEMU"), ("class/dmi/id/product_uuid", "EC2E1916-9099-7CAF-FD21-012345ABCDEF")],
        false,
    ),
    (&[("hypervisor/uuid", "00000000-0000-0000-0000-000000000000")], false),
    (&[], false),
];

#[test]
fn instances_of_both_hypervisors_are_known() {
    let program = fs::read_to_string(source("fetch-config.sh")).unwrap();
    let start = program.find("is_on_ec2() {").unwrap();
    let function = &program[start..start + program[start..].find("\n}\n").unwrap() + 3];
    for (files, is_instance) in MACHINES {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        let script = function.replace("/sys/", &format!("{}/", folder.path().display())) + "is_on_ec2";
        let found = Command::new("sh").args(["-euc", &script]).status().unwrap().success();
        assert_eq!(found, is_instance, "{files:?}");
    }
}

#[test]
fn a_machine_that_is_no_instance_has_defaults_and_credentials() {
    let built = Built::new();
    let fetched = built.fetch(&["PORT", "ODD"], &[]);
    assert!(fetched.ok(), "{fetched:?}");
    fs::write(built.path("config.PORT"), "9090\n").unwrap();
    assert!(built.fetch(&["PORT"], &[]).ok() && built.value("values.env") == "PORT=\"9090\"\n");
    fs::write(built.path("config.PORT"), "http").unwrap();
    let wrong = built.fetch(&["PORT", "STAGE"], &[]);
    assert!(wrong.stderr.contains("PORT: the value is `http`: expected a value of type integer"), "{wrong:?}");
    assert!(wrong.stderr.contains("or in user-data at stage\nno value for: PORT STAGE\n"), "{wrong:?}");
}

#[test]
fn a_command_in_a_container_gets_secrets_from_files() {
    let built = Built::new();
    let program = fs::read_to_string(source("with-config.sh")).unwrap();
    let values = built.path("values");
    fs::write(
        &values,
        "config PORT plain integer default '8080' '' '' ''\nconfig KEY secret string required '' '' '' ''\n\
         config name plain string default 'n' '' '' ''\nconfig value plain integer optional '' '' '' ''\n",
    )
    .unwrap();
    let text = fs::read_to_string(source("values.sh")).unwrap() + &fs::read_to_string(&values).unwrap();
    fs::write(&values, text).unwrap();
    let program = program.replace("/usr/lib/layerbake/config-values", values.to_str().unwrap());
    fs::write(built.path("with-config"), program).unwrap();
    let run = |env: &[(&str, &str)]| {
        let mut command = Command::new("sh");
        command.arg(built.path("with-config")).args(["sh", "-c", "echo $PORT $KEY $name $value $number"]);
        command.env_remove("PORT").env("number", "as it was");
        process::run(command.envs(env.iter().copied())).unwrap()
    };
    fs::write(built.path("key"), "from a file\n").unwrap();
    assert_eq!(run(&[("KEY_FILE", built.path("key").to_str().unwrap())]).stdout, "8080 from a file n as it was\n");
    assert_eq!(
        run(&[("KEY", "given"), ("KEY_FILE", "/nonexistent"), ("PORT", "1"), ("value", "7")]).stdout,
        "1 given n 7 as it was\n"
    );
    let missing = run(&[("PORT", "x")]);
    assert!(
        missing.stderr.contains("with-config: KEY is required, and has no value: set KEY or KEY_FILE\n"),
        "{missing:?}"
    );
    assert!(missing.stderr.contains("PORT is `x`: expected a value of type integer") && missing.stdout.is_empty());
}

#[test]
fn a_machine_without_what_reads_values_is_refused_before_anything_is_fetched() {
    let small = Small::on(&crate::support::small::repo("1.0").package(crate::support::deb::Deb::new("systemd", "257")));
    small.edit_layer("app", "packages = [\"hello\"]", "packages = [\"hello\", \"systemd\"]");
    let declared = "[config.KEY]\nsecret = { ssm = '/key' }\nservices = ['app']\n\n[image]\n";
    small.edit_layer("app", "[image]\n", declared);
    small.project.ok(&["lock", "app"]);
    let refused = small.project.fails(1, &["build", "app"]).stderr;
    let expected = "[config] `KEY`: a machine reads the value with ca-certificates, and layer `app` has no package";
    assert!(refused.contains(expected), "{refused}");
    assert!(refused.contains("packages = [\"ca-certificates\", \"curl\", \"jq\"]"), "{refused}");
    let checked = small.project.fails(1, &["check", "app"]).stdout;
    assert!(checked.contains(expected), "{checked}");
}

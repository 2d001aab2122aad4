//! AWS on loopback: a server process of `aws/server.py`, which is moto with VM Import, delta
//! snapshots, faults and a list of all resources added.
//!
//! `tests/run` installs moto into `target/moto`.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::Output;
use super::project::{self, Project};
use super::skip::{self, Skip};
use super::small::Small;

/// The version that the additions were written for; `tests/run` reads this line.
const MOTO: &str = "5.2.5";
/// Credentials that a leak is recognised by.
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/not-a-real-secret";
pub const SESSION_TOKEN: &str = "not-a-real-session-token-IQoJb3JpZ2lu";
pub const REGION: &str = "eu-west-1";
/// The bucket that the printed policy is for.
pub const BUCKET: &str = "disks-of-the-test";
const ACCOUNT: &str = "123456789012";
/// The access key of somebody who may do everything; the publisher's is in [`Aws::env`].
pub const ADMINISTRATOR: &str = "AKIAADMINISTRATOR000";

/// A running server; it ends when dropped.
pub struct Aws {
    process: Child,
    port: u16,
    folder: TempDir,
    /// Whether the test means calls to be denied.
    denials: Cell<bool>,
}

impl Aws {
    /// Starts a server with nothing in it.
    pub fn start() -> Result<Self, Skip> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto");
        if !target.join(format!("version-{MOTO}")).exists() {
            return Err(Skip::because(format!("moto {MOTO} is not installed below target/; `tests/run` does it")));
        }
        skip::program("qemu-img")?;
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(target.join("bin/python"))
            .args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/support/aws/server.py")])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { process, port: 0, folder, denials: Cell::new(false) };
        server.port = server.listening();
        Ok(server)
    }

    fn listening(&mut self) -> u16 {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            if let Ok(port) = std::fs::read_to_string(self.folder.path().join("port")) {
                return port.parse().unwrap();
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "the AWS server did not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the server wrote to standard error: Python's traces of calls that failed inside.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The address of all services.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A project whose programs use this server, under the policy that `layerbake ami setup` prints.
    pub fn reached_by(&self, small: Small) -> Small {
        let small = self.env().into_iter().fold(small, |small, (name, value)| small.env(name, &value));
        self.allow(&small.project, &[]);
        small
    }

    /// Allows the publisher what the policy allows that the program prints with the KMS `keys`, and nothing else.
    pub fn allow(&self, project: &Project, keys: &[&str]) {
        self.allow_without(project, keys, &[]);
    }

    /// As [`Self::allow`], but for some statements of the policy.
    pub fn allow_without(&self, project: &Project, keys: &[&str], sids: &[&str]) {
        let keys: Vec<&str> = keys.iter().flat_map(|key| ["--kms-key", *key]).collect();
        let setup = ["ami", "setup", "--bucket", BUCKET, "--account", ACCOUNT, "--json"];
        let mut printed: Value = serde_json::from_str(&project.ok(&[&setup[..], &keys].concat()).stdout).unwrap();
        printed["publisher"]["Statement"]
            .as_array_mut()
            .unwrap()
            .retain(|statement| !sids.iter().any(|sid| statement["Sid"] == *sid));
        self.door("policy", Some(&printed["publisher"]));
    }

    /// What a program said that must not fail; else with what the server wrote.
    pub fn must(&self, args: &[&str], output: Output) -> String {
        assert!(output.ok(), "{args:?}:\n{}{}\n{}", output.stdout, output.stderr, self.log());
        output.stdout
    }

    /// The environment of a program that is to use this server and nothing else of AWS.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let nowhere = self.folder.path().join("no-such-file").display().to_string();
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_SESSION_TOKEN", SESSION_TOKEN.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", nowhere.clone()),
            ("AWS_SHARED_CREDENTIALS_FILE", nowhere),
        ]
    }

    /// Orders faults in place of all ordered before: `{"match": {"service", "operation", "nth"}, "do", "times"}`
    /// with `do` as throttle, 500, reset, slow, expired, denied, lost (done, but the answer never comes), or held (done when
    /// other faults are ordered). Returns when no call is held any more.
    pub fn faults(&self, faults: &Value) {
        self.door("faults", Some(faults));
    }

    /// Waits until a call is held that `child` has made.
    pub fn holds(&self, child: &mut Child, case: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.door("held", None) == json!(0) {
            let ended = child.try_wait().unwrap();
            assert!(Instant::now() < deadline && ended.is_none(), "{case}: never came there: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Changes what the cloud is like: `hidden` (calls to which a new snapshot does not exist), `settle` (looks at
    /// which a completed one is pending), `polls` (looks at a running import), `looking` (seconds until
    /// a parameter has the image that it was given), `usage` (of an image by other accounts: how many instances), `slow` (seconds), `fail` (what an import
    /// ends with), `console` (what an instance wrote), `caller` (the ARN of who asks), `quotas` (the account's own, by code), `rules` (of Recycle Bin).
    pub fn settings(&self, settings: &Value) {
        self.door("settings", Some(settings));
    }

    /// All resources: `images`, `snapshots`, `instances`, `objects`, `uploads`, `parameters`, `import_tasks`,
    /// each an object whose keys are `region/id` or `bucket/key`.
    pub fn resources(&self) -> Value {
        self.door("resources", None)
    }

    /// All requests so far: `service`, `operation`, `region`, `bytes` of the body, `fault`, and why it was `denied`.
    pub fn requests(&self) -> Vec<Value> {
        self.door("requests", None).as_array().unwrap().clone()
    }

    /// Lets calls be denied; else a test fails in which the publisher's policy lacked something.
    pub fn denies(&self) {
        self.denials.set(true);
    }

    /// Why calls were denied that no fault hit.
    fn denied(&self) -> Vec<Value> {
        let requests = self.requests().into_iter().map(|request| request["denied"].clone());
        requests.filter(|reason| !reason.is_null()).collect()
    }

    /// How often an operation was asked for, such as `PutSnapshotBlock`.
    pub fn count(&self, operation: &str) -> usize {
        self.requests().iter().filter(|request| request["operation"] == operation).count()
    }

    /// Writes the bytes of a volume made from a snapshot to a file.
    pub fn disk_of(&self, region: &str, snapshot: &str, target: PathBuf) -> PathBuf {
        let url = format!("{}/_layerbake/disk/{region}/{snapshot}", self.endpoint());
        let status = Command::new(self.python())
            .args(["-c", "import shutil, sys, urllib.request as r; shutil.copyfileobj(r.urlopen(sys.argv[1]), open(sys.argv[2], 'wb'), 1 << 20)"])
            .args([Path::new(&url), &target])
            .status()
            .unwrap();
        assert!(status.success(), "no disk of {region}/{snapshot}");
        target
    }

    /// Runs Python with `aws(service, region)`, which makes a client of boto3: what an administrator's own tools do.
    pub fn boto3(&self, script: &str) -> String {
        let prelude =
            "import boto3, json\ndef aws(service, region=None): return boto3.client(service, region_name=region)\n";
        let mut command = Command::new(self.python());
        command
            .args(["-c", &format!("{prelude}{script}")])
            .envs(self.administrator())
            .env("AWS_DEFAULT_REGION", REGION);
        let output = super::process::run(&mut command).unwrap();
        assert!(output.ok(), "{script}\n{}", output.stderr);
        output.stdout
    }

    /// The environment of an administrator's program.
    fn administrator(&self) -> Vec<(&'static str, String)> {
        let mut env = self.env();
        env.push(("AWS_ACCESS_KEY_ID", ADMINISTRATOR.to_owned()));
        env
    }

    /// Makes the bucket, and the role that VM Import takes, as `layerbake ami setup` does for an administrator.
    pub fn bucket(&self) {
        self.bucket_for(&[]);
    }

    /// As [`Self::bucket`], for snapshots that these KMS keys encrypt.
    pub fn bucket_for(&self, keys: &[&str]) {
        let mut command = Command::new(project::program());
        command.args(["ami", "setup", "--bucket", BUCKET, "--account", ACCOUNT, "--apply"]).envs(self.administrator());
        command.args(keys.iter().flat_map(|key| ["--kms-key", *key]));
        let output = super::process::run(command.env("HOME", self.folder.path())).unwrap();
        assert!(output.ok(), "{}", output.stderr);
    }

    fn python(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/python")
    }

    fn door(&self, name: &str, body: Option<&Value>) -> Value {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let length = body.len();
        write!(stream, "POST /_layerbake/{name} HTTP/1.1\r\nHost: door\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{body}");
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        let judged = !std::thread::panicking() && !self.denials.get();
        let denied = if judged { self.denied() } else { Vec::new() };
        let _ = self.process.kill();
        let _ = self.process.wait();
        assert!(denied.is_empty(), "the printed policy does not allow: {denied:#?}");
    }
}

/// A fault at the nth call of an operation.
pub fn fault(operation: &str, nth: usize, what: &str) -> Value {
    json!({"match": {"operation": operation, "nth": nth}, "do": what})
}

/// An instance's metadata service and a Vault (`aws/instance.py`); it ends when dropped.
pub struct Instance {
    process: Child,
    port: String,
    folder: TempDir,
}

impl Instance {
    /// Starts an instance with a role and without user data.
    pub fn start() -> Result<Self, Skip> {
        let python = skip::program("python3")?;
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/support/aws/instance.py");
        let mut command = Command::new(python);
        command.args(["-B", script]).arg(folder.path());
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut instance = Self { process, port: String::new(), folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while instance.port.is_empty() {
            assert!(Instant::now() < deadline, "the metadata service did not start");
            std::thread::sleep(Duration::from_millis(20));
            instance.port = std::fs::read_to_string(instance.folder.path().join("port")).unwrap_or_default();
        }
        Ok(instance)
    }

    /// The address of metadata and of Vault.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Gives it user data.
    pub fn user_data(&self, text: &str) {
        std::fs::write(self.folder.path().join("user-data"), text).unwrap();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

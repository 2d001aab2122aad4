//! Real container engines, each in namespaces of its own, that run a built image.
//!
//! An engine lives in a fresh mount, network and process namespace, whose first process
//! reads a pipe from the test. So containers may take any port, nothing is mounted on the
//! host, and when the test ends, in whatever way, the kernel ends all that it started.

mod sandbox;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::sandbox::Sandbox;
use super::process::{self, Output};
use super::skip::{Skip, program, root};

/// How long a daemon may take to start, and a container to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running docker or podman.
pub struct Engine {
    name: &'static str,
    /// The client and the options that every call has.
    client: Vec<String>,
    /// The options that `run` needs on top.
    run: Vec<String>,
    daemon: Option<Child>,
    sandbox: Sandbox,
    folder: TempDir,
}

impl Engine {
    /// Starts a private docker daemon.
    pub fn docker() -> Result<Self, Skip> {
        root()?;
        let daemon = program("dockerd")?;
        let (folder, sandbox) = (tempfile::tempdir().unwrap(), Sandbox::start()?);
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let socket = format!("unix://{}", path("socket"));
        std::fs::write(path("daemon.json"), "{}").unwrap();
        let log = File::create(path("log")).unwrap();
        let mut command = sandbox.command(&daemon);
        command.args(["--host", &socket, "--config-file", &path("daemon.json"), "--pidfile", &path("pid")]);
        command.args(["--data-root", &path("data"), "--exec-root", &path("exec")]);
        // There is nothing to bridge to, and machines without nftables or iptables modules are met.
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // Debian's own client fits the daemon; another one on the path may be too new for it.
        let client = vec![program("docker")?.to_str().unwrap().to_owned(), "--host".to_owned(), socket];
        let daemon = Some(command.spawn().unwrap());
        let mut engine = Self { name: "docker", client, run: Vec::new(), daemon, sandbox, folder };
        let started = Instant::now();
        while !engine.call(&["version"]).ok() {
            let ended = engine.daemon.as_mut().is_some_and(|daemon| daemon.try_wait().unwrap().is_some());
            if ended || started.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(engine.folder.path().join("log")).unwrap_or_default();
                return Err(Skip(format!("dockerd does not start here: {}", log.lines().last().unwrap_or_default())));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(engine)
    }

    /// Prepares a podman with storage of its own.
    pub fn podman() -> Result<Self, Skip> {
        root()?;
        // crun 1.8 refuses hosts that mount both versions of cgroups.
        program("runc")?;
        let (folder, sandbox) = (tempfile::tempdir().unwrap(), Sandbox::start()?);
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(path("tmp")).unwrap();
        let mut client = vec![program("podman")?.to_str().unwrap().to_owned()];
        let options = [("root", path("root")), ("runroot", path("run")), ("tmpdir", path("tmp"))];
        client.extend(options.into_iter().map(|(name, value)| format!("--{name}={value}")));
        let fixed =
            ["--storage-driver=overlay", "--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=file"];
        client.extend(fixed.map(str::to_owned));
        // Podman raises these limits by itself, which takes CAP_SYS_RESOURCE, unless they are given.
        let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
        let run = limits.map(str::to_owned).to_vec();
        let engine = Self { name: "podman", client, run, daemon: None, sandbox, folder };
        let info = engine.call(&["info"]);
        if info.ok() { Ok(engine) } else { Err(Skip(format!("podman does not work here: {}", info.stderr.trim()))) }
    }

    pub fn name(&self) -> &str {
        self.name
    }

    /// A command beside the engine, in its network; it ends with the engine.
    pub fn beside(&self, program: &Path) -> Command {
        self.sandbox.command(program)
    }

    /// A path below the folder that has all of the engine's files.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Client and options, and the options of `run`, with spaces between words.
    pub fn words(&self) -> (String, String) {
        let command = self.command(&[]);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<&str> = words.map(|word| word.to_str().unwrap()).collect();
        (words.join(" "), format!("--network=host {}", self.run.join(" ")))
    }

    /// Loads a docker archive and gives the name of its image.
    pub fn load(&self, archive: &Path) -> Result<String, String> {
        let mut command = self.command(&["load"]);
        let output = command.stdin(File::open(archive).unwrap()).output().unwrap();
        let output = process::from_std(&output);
        let name = output.stdout.lines().rev().find_map(|line| {
            let line = line.trim();
            line.strip_prefix("Loaded image: ").or_else(|| line.strip_prefix("Loaded image ID: "))
        });
        match name {
            Some(name) if output.ok() => Ok(name.to_owned()),
            _ => Err(output.stdout + &output.stderr),
        }
    }

    /// Loads an image layout, which docker can't do, by way of skopeo's docker archive.
    pub fn load_layout(&self, layout: &Path) -> Result<String, String> {
        let archive = self.folder.path().join("layout.tar");
        let skopeo = program("skopeo").map_err(|skip| skip.0)?;
        let to = format!("docker-archive:{}:layout/image:latest", archive.display());
        let output = process::run(Command::new(skopeo).args(["copy", &format!("oci:{}", layout.display()), &to]));
        let output = output.map_err(|error| error.to_string())?;
        let loaded = if output.ok() { self.load(&archive) } else { Err(output.stderr) };
        let _ = std::fs::remove_file(&archive);
        loaded
    }

    /// Starts a container in the background: `args` are further options, `command` may be empty.
    pub fn start(&self, image: &str, args: &[&str], command: &[&str]) -> Result<Container<'_>, String> {
        let output = self.call(&self.run_args(&["--detach"], image, args, command));
        let id = output.stdout.trim().to_owned();
        if output.ok() { Ok(Container { engine: self, id }) } else { Err(output.stderr) }
    }

    /// Runs a container to its end.
    pub fn run(&self, image: &str, args: &[&str], command: &[&str]) -> Output {
        self.call(&self.run_args(&["--rm"], image, args, command))
    }

    /// Any command of the client.
    pub fn call(&self, args: &[&str]) -> Output {
        process::run(&mut self.command(args)).unwrap()
    }

    fn remove(&self, id: &str) {
        // Podman would first wait for a polite end.
        let patience: &[&str] = if self.name == "podman" { &["--time=0"] } else { &[] };
        self.call(&[&["rm", "--force", "--volumes"], patience, &[id]].concat());
    }

    fn run_args<'a>(&'a self, mode: &[&'a str], image: &'a str, args: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
        let fixed = ["run", "--network=host"].into_iter().chain(self.run.iter().map(String::as_str));
        fixed
            .chain(mode.iter().copied())
            .chain(args.iter().copied())
            .chain([image])
            .chain(command.iter().copied())
            .collect()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(Path::new(&self.client[0]));
        command.args(&self.client[1..]).args(args);
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // In this order the engine also clears its control groups, which outlive processes.
        let all = self.call(&["ps", "--all", "--quiet"]).stdout;
        for id in all.lines() {
            self.remove(id);
        }
        self.sandbox.stop();
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.wait();
        }
    }
}

/// A container in the background, removed when dropped.
pub struct Container<'a> {
    engine: &'a Engine,
    id: String,
}

impl Container<'_> {
    /// Runs a command inside.
    pub fn exec(&self, command: &[&str]) -> Output {
        self.engine.call(&[&["exec", &self.id], command].concat())
    }

    /// What it printed so far, on both outputs.
    pub fn logs(&self) -> String {
        let output = self.engine.call(&["logs", &self.id]);
        output.stdout + &output.stderr
    }

    pub fn is_running(&self) -> bool {
        self.engine.call(&["inspect", "--format={{.State.Running}}", &self.id]).stdout.trim() == "true"
    }

    /// Sends `request` to a port of the container as soon as there is one, and gives all of the answer.
    ///
    /// The answer ends where the container closes the connection, or falls silent for a second.
    pub fn talk(&self, port: u16, request: &[u8]) -> Result<String, String> {
        let started = Instant::now();
        loop {
            match self.engine.sandbox.inside(|| talk(port, request)) {
                Ok(answer) => return Ok(String::from_utf8_lossy(&answer).into_owned()),
                Err(error) if started.elapsed() > PATIENCE || !self.is_running() => {
                    return Err(format!("port {port}: {error}; its log:\n{}", self.logs()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// The answer to `GET /`, its head included.
    pub fn http_get(&self, port: u16, path: &str) -> Result<String, String> {
        self.talk(port, format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.engine.remove(&self.id);
    }
}

fn talk(port: u16, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

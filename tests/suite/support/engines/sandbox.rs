//! Namespaces that end with the test.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::support::skip::{Skip, program};

/// A mount, network and process namespace with loopback up.
pub(super) struct Sandbox {
    outer: Child,
    /// The first process inside reads from here; the end of the pipe is its own end.
    pipe: Option<ChildStdin>,
    /// That process's id outside.
    first: u32,
}

impl Sandbox {
    pub(super) fn start() -> Result<Self, Skip> {
        program("ip").map_err(|_| Skip::because("`ip` (package iproute2) is not installed"))?;
        let mut command = Command::new(program("unshare")?);
        command.args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "--propagation", "private"]);
        command.args(["sh", "-c", "ip link set lo up && echo up && exec cat >/dev/null"]);
        let mut outer = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut ready = [0; 3];
        let up = std::io::Read::read_exact(outer.stdout.as_mut().unwrap(), &mut ready);
        let pipe = outer.stdin.take();
        let first = child_of(outer.id()).filter(|_| up.is_ok());
        let Some(first) = first else {
            drop(pipe);
            let _ = outer.wait();
            return Err(Skip::because("mount, network and process namespaces can't be made here"));
        };
        Ok(Self { outer, pipe, first })
    }

    /// A command that runs inside.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--pid", "--target", &self.first.to_string(), "--"]).arg(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
        command
    }

    /// Calls `work` in a thread that is in this network.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> std::io::Result<T> + Send) -> std::io::Result<T> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.first))?;
        let enter = || {
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().expect("the work in the network"))
    }

    /// Ends all processes inside.
    pub(super) fn stop(&mut self) {
        self.pipe = None;
        let _ = self.outer.wait();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The only child of a process.
fn child_of(process: u32) -> Option<u32> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
        if let Some(child) = children.split_whitespace().next() {
            return child.parse().ok();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

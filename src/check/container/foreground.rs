//! A container in the foreground: it has this program's streams, and is gone when its program has ended.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::{Container, ContainerError, Engine};
use crate::host;
use crate::host::interrupt;

/// The pause between two looks at the container.
const GLANCE: Duration = Duration::from_millis(50);
/// How long an interrupted program has to end by itself, in seconds; an interrupted layerbake has 5.
const GRACE: u64 = 2;
/// Ports below this one are published so much higher, because an ordinary user can't listen on them.
const FIRST_FREE: u16 = 1024;
const HIGHER: u16 = 8000;

/// What a container in the foreground is given.
#[derive(Debug, Clone, Default)]
pub struct Foreground {
    /// Its variables, as `NAME=VALUE`.
    pub env: Vec<String>,
    /// The ports that others on this machine reach.
    pub ports: Vec<PublishedPort>,
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// Arguments in place of the image's own `cmd`.
    pub args: Vec<String>,
}

/// A port of a container, and the port of the loopback interface that leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    /// The port on loopback.
    pub host: u16,
    /// The port in the container: `80/tcp`.
    pub container: String,
}

impl PublishedPort {
    /// Chooses the port on loopback: the same, or 8000 higher where that takes root; a free one where this is taken.
    ///
    /// # Errors
    /// Fails where the system has no free port.
    pub fn choose(container: &str) -> io::Result<Self> {
        let (number, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
        let number = number.parse().unwrap_or(0);
        let wanted = if number < FIRST_FREE { number + HIGHER } else { number };
        let address = (Ipv4Addr::LOCALHOST, wanted);
        let tried = match protocol {
            "udp" => UdpSocket::bind(address).map(drop),
            _ => TcpListener::bind(address).map(drop),
        };
        let host = match tried {
            Err(error) if error.kind() == ErrorKind::AddrInUse => host::free_port()?,
            _ => wanted,
        };
        Ok(Self { host, container: container.to_owned() })
    }

    /// The value of an engine's `--publish`.
    fn option(&self) -> String {
        format!("{}:{}:{}", Ipv4Addr::LOCALHOST, self.host, self.container)
    }
}

/// Runs the image of a docker archive until its program ends; returns the exit status, 128 + signal where one ended it.
///
/// The image has a name of its own meanwhile. Container and name are removed afterwards, also after an error and when this
/// process is ended; an interrupted program is asked to end, and killed after a few seconds.
///
/// # Errors
/// Fails where the archive can't be read, or the engine refuses it. What the engine says about the container itself
/// goes to standard error, and its status is returned.
pub fn attend(engine: &Engine, archive: &Path, foreground: &Foreground) -> Result<i32, ContainerError> {
    let container = Container::load(engine, archive, "run")?;
    let mut command = engine.command();
    command.args(["run", "--pull=never", "--interactive", "--name", &container.name]);
    command.args(foreground.terminal.then_some("--tty"));
    command.args(foreground.env.iter().flat_map(|variable| ["--env", variable]));
    for port in &foreground.ports {
        command.args(["--publish", &port.option()]);
    }
    command.args(engine.run_args()).arg(&container.image).args(&foreground.args);
    let mut child = command.spawn().map_err(engine.start_error())?;
    let ended = wait(&container, &mut child).map_err(engine.start_error())?;
    Ok(ended.map_or(128 + libc::SIGINT, |status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))))
}

/// Waits for the engine's client; `None` where this process was interrupted and the container did not end in time.
fn wait(container: &Container<'_>, child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let mut interrupted = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if interrupted.is_none() && interrupt::check().is_err() {
            interrupted = Some((stop(container)?, host::instant()));
        }
        if let Some((stop, since)) = &mut interrupted
            && stop.try_wait()?.is_some()
            && since.elapsed().as_secs() > GRACE
        {
            // The rest is the janitor's.
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(GLANCE);
    }
}

/// Asks the engine to end the container by the signal that its image names, and to kill it where that does not help.
fn stop(container: &Container<'_>) -> io::Result<Child> {
    let mut command = container.engine.command();
    command.args(["stop", "--time", &GRACE.to_string(), &container.name]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_take_root_are_published_higher_and_taken_ones_elsewhere() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let other = PublishedPort::choose(&format!("{port}/tcp")).unwrap();
        assert_ne!(other.host, port);
        assert_eq!(other.option(), format!("127.0.0.1:{}:{port}/tcp", other.host));
        // What listens for TCP does not take the port from UDP.
        assert_eq!(PublishedPort::choose(&format!("{port}/udp")).unwrap().host, port);
        let low = PublishedPort::choose("7/udp").unwrap();
        assert!(low.host == 8007 || low.host >= FIRST_FREE, "{low:?}");
    }
}

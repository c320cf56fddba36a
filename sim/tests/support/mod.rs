//! A real NATS server for tests, and waiting for conditions instead of for time.

#![allow(dead_code)]

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A NATS server with `JetStream` on a free port of loopback; gone with its data when dropped.
pub struct NatsServer {
    child: Child,
    data: PathBuf,
    port: u16,
}

impl NatsServer {
    pub fn start() -> Self {
        static SERVERS: AtomicU32 = AtomicU32::new(0);
        let unique = format!(
            "{}-{}",
            std::process::id(),
            SERVERS.fetch_add(1, Ordering::Relaxed)
        );
        let data = std::env::temp_dir().join(format!("soak-sim-nats-{unique}"));
        std::fs::create_dir_all(&data).expect("a folder for the data");
        let port = free_port();
        let child = Self::spawn(&data, port);
        Self { child, data, port }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The server's process: another after every restart.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server is ours");
        self.child.wait().expect("it ends");
    }

    /// Starts it again on its data.
    pub fn restart(&mut self) {
        self.child = Self::spawn(&self.data, self.port);
    }

    /// Stops the server from answering, as a machine does that is short of everything.
    pub fn stall(&self) {
        self.signal("-STOP");
    }

    /// Ends a stall.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    pub fn crash_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    fn spawn(data: &Path, port: u16) -> Child {
        Command::new(nats_server())
            .args([
                "--jetstream",
                "--addr",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--store_dir",
            ])
            .arg(data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts")
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// The server's binary: `NATS_SERVER`, or built from its module.
fn nats_server() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        return path.into();
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/tools");
    let built = Command::new(tools)
        .arg("nats-server")
        .stderr(Stdio::inherit())
        .output()
        .expect("hack/tools runs");
    assert!(
        built.status.success(),
        "hack/tools nats-server failed; or set NATS_SERVER"
    );
    String::from_utf8(built.stdout)
        .expect("a path")
        .trim()
        .into()
}

pub fn free_addr() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// A port that nobody uses, and that no other call has returned: below those that Linux hands out
/// by itself, or a connection of ours might have it before its owner does.
fn free_port() -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let of_this_process = std::process::id().wrapping_mul(997);
    loop {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + of_this_process.wrapping_add(call) % 20_000;
        let port = u16::try_from(port).expect("below 30 000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// How long to wait for a condition that is sure to come: far longer than it takes on a machine that
/// does ten other things.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until the condition holds; panics with its name at the deadline.
pub async fn eventually<F>(what: &str, within: Duration, mut holds: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let deadline = Instant::now() + within;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a process answers at a path; none if it does not.
pub fn get(addr: SocketAddr, path: &str) -> Option<String> {
    ask("GET", addr, path)
}

/// What a process answers to a method at a path; none if it does not.
pub fn ask(method: &str, addr: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: sim\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

pub fn is_ready(addr: SocketAddr) -> bool {
    get(addr, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The sum of a metric of whole numbers over its labels; none if the process does not answer or lacks it.
pub fn metric(addr: SocketAddr, name: &str) -> Option<u64> {
    let answer = get(addr, "/metrics")?;
    let values: Vec<u64> = answer
        .lines()
        .filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        })
        .filter_map(|line| line.rsplit_once(' ')?.1.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

//! The kubectl plugin as a program of its own, built beside the tests.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::Namespace;

/// How long the plugin may take for anything.
const LIMIT: Duration = Duration::from_secs(300);

/// The plugin, running.
pub struct Plugin {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: String,
}

/// What a run of the plugin came to.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Plugin {
    /// Runs it to its end, in a namespace where the command asks a cluster, with something on stdin.
    pub async fn run(namespace: &Namespace, arguments: &[&str], input: &str) -> Ended {
        let mut plugin = Self::start(namespace, arguments);
        let mut stdin = plugin.child.stdin.take().expect("stdin is piped");
        // Where it does not read its input, it may be gone by now.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        plugin.ends().await
    }

    /// Starts it.
    pub fn start(namespace: &Namespace, arguments: &[&str]) -> Self {
        let program = program();
        let asks = !matches!(arguments.first(), Some(&"lint" | &"plan"));
        let place = ["-n", &namespace.name];
        let mut child = Command::new(&program)
            .args(arguments)
            .args(place.iter().filter(|_| asks))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "failed to run {}: {error}: hack/e2e.sh builds it",
                    program.display()
                )
            });
        let stdout = child.stdout.take().expect("stdout is piped");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
            said: String::new(),
        }
    }

    /// Waits until it has written a line with this in it.
    pub async fn says(mut self, part: &str) -> Self {
        let reading = async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("never said {part:?}: {}", self.said));
                let found = line.contains(part);
                self.said.push_str(&(line + "\n"));
                if found {
                    break;
                }
            }
        };
        let waited = tokio::time::timeout(LIMIT, reading).await;
        assert!(waited.is_ok(), "waited for {part:?}: {}", self.said);
        self
    }

    /// Ctrl-C once it has written a line with this in it, and what that came to.
    pub async fn interrupted_after(self, part: &str) -> Ended {
        let plugin = self.says(part).await;
        let id = plugin.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().await;
        assert!(
            sent.unwrap().success(),
            "it was gone before it was interrupted"
        );
        plugin.ends().await
    }

    /// Waits for its end.
    pub async fn ends(mut self) -> Ended {
        let mut stderr = self.child.stderr.take().expect("stderr is piped");
        let ending = async {
            let mut told = String::new();
            let (read, ()) = tokio::join!(stderr.read_to_string(&mut told), async {
                while let Some(line) = self.lines.next_line().await.unwrap() {
                    self.said.push_str(&(line + "\n"));
                }
            });
            read.unwrap();
            (told, self.child.wait().await.unwrap())
        };
        let Ok((stderr, status)) = tokio::time::timeout(LIMIT, ending).await else {
            panic!("it does not come to an end: {}", self.said)
        };
        Ended {
            code: status.code().expect("no signal ends it"),
            stdout: self.said,
            stderr,
        }
    }
}

/// Cargo puts programs beside the folder of the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).expect("a folder of the profile");
    profile.join("kubectl-soak")
}

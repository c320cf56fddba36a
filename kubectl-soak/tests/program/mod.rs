//! The built program, run to its end.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of the program came to.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// `kubectl soak judge`, see [`run`].
#[allow(dead_code, reason = "not every test judges")]
pub fn judge(args: &[&str], stdin: &[u8]) -> Ended {
    run(&[&["judge"], args].concat(), stdin)
}

/// `kubectl soak` in the directory of [`file`], with something on standard input.
#[allow(dead_code, reason = "not every test runs it there")]
pub fn run(args: &[&str], stdin: &[u8]) -> Ended {
    run_in(Path::new(env!("CARGO_TARGET_TMPDIR")), args, stdin)
}

/// `kubectl soak` in that directory, with something on standard input.
pub fn run_in(directory: &Path, args: &[&str], stdin: &[u8]) -> Ended {
    run_with(&[], directory, args, stdin)
}

/// The same with these variables in its environment.
pub fn run_with(
    variables: &[(&str, &Path)],
    directory: &Path,
    args: &[&str],
    stdin: &[u8],
) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-soak"))
        .args(args)
        .current_dir(directory)
        // A proxy of the machine's would not find a server of the test's.
        .env("NO_PROXY", "127.0.0.1")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Where it does not read its input, it may be gone before it is written.
    let _ = child.stdin.take().expect("piped").write_all(stdin);
    let output = child.wait_with_output().expect("the program ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ended {
        code: output.status.code().expect("no signal"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A file by its name, in the directory in which the program runs.
#[allow(dead_code, reason = "not every test needs a file")]
pub fn file(name: &str, content: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(path, content).expect("a file");
    name.to_owned()
}

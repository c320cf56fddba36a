//! What a command is given to read.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};

/// A file's name, as people call it, and its content; `-` is standard input.
pub(crate) fn read(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .context("failed to read standard input")?;
        return Ok(("standard input".to_owned(), bytes));
    }
    let name = path.display().to_string();
    if path.is_dir() {
        bail!("failed to read {name}: it is a directory, not a file");
    }
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {name}"))?;
    Ok((name, bytes))
}

//! The API of a daemon, over its socket.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::scrape::Answer;

/// How long the daemon may take for anything.
const LIMIT: Duration = Duration::from_secs(20);

/// Asks the daemon at `socket`; without a `body` by GET, else by POST.
///
/// # Errors
/// When there is no whole answer; what was asked may have happened.
pub fn ask(socket: &Path, path: &str, body: Option<&str>) -> Result<Answer> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let method = if body.is_some() { "POST" } else { "GET" };
    let body = body.unwrap_or_default();
    let length = body.len();
    let kind = "Content-Type: application/json";
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: portcullis\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("no whole answer")?;
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no header")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("the answer has no status code")?;
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    anyhow::ensure!(length.is_none_or(|length: usize| length == body.len()), "the answer is cut off");
    Ok(Answer { status, body: body.to_owned() })
}

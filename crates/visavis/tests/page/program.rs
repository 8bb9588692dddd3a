//! The real program with its page, on the demo's photos.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The program: of this build, or the path in `VISAVIS_BIN` if a test build is too slow for measurements.
fn binary() -> PathBuf {
    std::env::var_os("VISAVIS_BIN").map_or_else(|| env!("CARGO_BIN_EXE_visavis").into(), PathBuf::from)
}

/// A running `visavis live`, ended on drop.
pub(crate) struct Program {
    child: Child,
    /// Kept open, because the program reads typed commands.
    _typed: ChildStdin,
    pub(crate) address: String,
}

impl Program {
    /// Starts `visavis live` with these arguments on a free port.
    pub(crate) fn start(words: &[&str]) -> Self {
        Self::launch("live", words)
    }

    /// Starts `visavis live` with these arguments, without a page.
    pub(crate) fn silent(words: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.arg("live").args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let typed = child.stdin.take().unwrap();
        Self { child, _typed: typed, address: String::new() }
    }

    /// Starts a command of visavis that serves the page.
    pub(crate) fn launch(name: &str, words: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.arg(name).args(words).args(["--listen", "127.0.0.1:0"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (typed, said) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
        let (send, addresses) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = Vec::new();
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if let Some((_, link)) = line.split_once("the page: ") {
                    let _ = send.send(link.trim().to_owned());
                }
                lines.push(line);
            }
            lines
        });
        let address = addresses.recv_timeout(Duration::from_secs(120)).expect("the program printed no address");
        Self { child, _typed: typed, address }
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it like a crash or a power cut.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program to its end.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    said(words).map(drop)
}

/// Runs the program to its end. Returns what it printed to standard output.
pub(crate) fn said(words: &[&str]) -> Result<String, String> {
    let output = Command::new(binary()).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The demo's photos, downloaded if they are not in the cache. Returns the reason if they are not available.
pub(crate) fn photos() -> Result<PathBuf, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let film = folder.path().join("demo.mp4").display().to_string();
    run(&["demo", "--headless", "--seconds", "0.1", "--record", &film])?;
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    Ok(cache.ok_or("this user has no cache folder")?.join("visavis").join("samples"))
}

/// A folder with some of the photos under other names.
pub(crate) fn folder(to: &Path, from: &Path, files: &[(&str, &str)]) -> String {
    fs::create_dir_all(to).unwrap();
    for (file, name) in files {
        fs::copy(from.join(file), to.join(name)).unwrap();
    }
    to.display().to_string()
}

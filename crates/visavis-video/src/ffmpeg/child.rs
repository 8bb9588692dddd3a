//! A child process that ends with this process, and its standard error.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Number of lines of standard error that are kept; more are only counted.
const MOST_LINES: usize = 20;
/// Number of bytes of a line that are kept.
const MOST_LINE: u64 = 400;

/// A running program. It is killed on drop.
pub(super) struct Running {
    child: Arc<Mutex<Child>>,
    messages: Arc<Mutex<Messages>>,
    /// Reads standard error until it is closed.
    listener: Option<JoinHandle<()>>,
}

/// The standard error of a program.
#[derive(Debug, Default, Clone)]
pub(super) struct Messages {
    pub(super) lines: Vec<String>,
    /// Total number of lines.
    pub(super) count: u64,
}

/// Kills the program from any thread.
#[derive(Clone)]
pub(crate) struct Killer(Arc<Mutex<Child>>);

impl Killer {
    pub(crate) fn kill(&self) {
        // It may have ended already.
        let _ = lock(&self.0).kill();
    }

    /// Bytes of the program in memory; `None` if the system does not tell, or the program has ended.
    pub(super) fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", lock(&self.0).id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim_end_matches("kB").trim().parse::<u64>().ok()? << 10)
    }
}

impl Running {
    /// Starts `command` with a pipe from its standard output.
    pub(super) fn start(mut command: Command) -> io::Result<(Self, ChildStdout)> {
        command.stdin(Stdio::null());
        Self::listening(spawn(command)?, true)
    }

    /// Starts `command` with pipes to its standard input and from its standard output. Its standard error is kept but not
    /// logged, since it may repeat secrets of the input.
    pub(super) fn start_fed(mut command: Command) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        command.stdin(Stdio::piped());
        let mut child = spawn(command)?;
        let stdin = child.stdin.take();
        let (running, stdout) = Self::listening(child, false)?;
        let stdin = stdin.ok_or_else(|| io::Error::other("its input is not piped"))?;
        Ok((running, stdin, stdout))
    }

    fn listening(mut child: Child, logged: bool) -> io::Result<(Self, ChildStdout)> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            let _ = child.kill();
            return Err(io::Error::other("its output is not piped"));
        };
        let messages = Arc::new(Mutex::new(Messages::default()));
        let kept = Arc::clone(&messages);
        let listener =
            thread::Builder::new().name("ffmpeg-messages".into()).spawn(move || listen(stderr, &kept, logged))?;
        Ok((Self { child: Arc::new(Mutex::new(child)), messages, listener: Some(listener) }, stdout))
    }

    pub(super) fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.child))
    }

    /// What it has written to standard error so far.
    pub(super) fn messages(&self) -> Messages {
        lock(&self.messages).clone()
    }

    /// Waits for the end of a program whose standard output was read to its end. Returns all of its standard error.
    pub(super) fn wait(&mut self) -> io::Result<(ExitStatus, Messages)> {
        if let Some(listener) = self.listener.take() {
            // The thread does not panic; if it did, the lines before would be kept.
            let _ = listener.join();
        }
        let status = lock(&self.child).wait()?;
        Ok((status, lock(&self.messages).clone()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        let _ = child.kill();
        // Without this the dead child would stay in the process table.
        let _ = child.wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn listen(stderr: impl Read, messages: &Mutex<Messages>, logged: bool) {
    let mut stderr = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        let (mut more, mut rest) = (true, Vec::new());
        match (&mut stderr).take(MOST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while more && line.last() != Some(&b'\n') && rest.last() != Some(&b'\n') {
            rest.clear();
            more = (&mut stderr).take(MOST_LINE).read_until(b'\n', &mut rest).is_ok_and(|count| count > 0);
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        if logged {
            log::debug!("ffmpeg: {text}");
        }
        let mut messages = lock(messages);
        messages.count += 1;
        if messages.lines.len() < MOST_LINES {
            messages.lines.push(text.to_owned());
        }
    }
}

type Starting = (Command, Sender<io::Result<Child>>);

/// Starts a program that is killed when this process dies.
///
/// The kernel sends the signal when the *thread* that started the child ends. So all children are started by one thread that
/// never ends.
fn spawn(mut command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Option<Mutex<Sender<Starting>>>> = OnceLock::new();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    dies_with_us(&mut command);
    let starter = STARTER.get_or_init(|| {
        let (send, waiting) = mpsc::channel::<Starting>();
        let run = move || {
            for (mut command, answer) in waiting {
                // If sending fails, the caller has gone: the child is dropped, and ends because its pipes are closed.
                let _ = answer.send(command.spawn());
            }
        };
        thread::Builder::new().name("process-starter".into()).spawn(run).ok()?;
        Some(Mutex::new(send))
    });
    let starter = starter.as_ref().ok_or_else(|| io::Error::other("no thread could be started"))?;
    let (answer, child) = mpsc::channel();
    lock(starter).send((command, answer)).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

#[cfg(target_os = "linux")]
fn dies_with_us(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec there is only one system call, whose arguments are two numbers; nothing is allocated and
    // no lock is taken.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn dies_with_us(_: &mut Command) {}

/// How often the memory of a program is looked at.
pub(super) const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// Runs a program to its end and returns at most `most` bytes of its output. It is killed after `patience`.
pub(super) fn output(command: Command, most: u64, patience: Duration) -> io::Result<(Vec<u8>, ExitStatus, Messages)> {
    let (running, stdout) = Running::start(command)?;
    finish(running, stdout, most, patience, u64::MAX)
}

/// The same with `input`, a few bytes, on its standard input. It is also killed if it has more than `most_memory` bytes in memory.
pub(super) fn output_of_fed(
    command: Command,
    input: &[u8],
    most: u64,
    patience: Duration,
    most_memory: u64,
) -> io::Result<(Vec<u8>, ExitStatus, Messages)> {
    let (running, mut stdin, stdout) = Running::start_fed(command)?;
    stdin.write_all(input)?;
    drop(stdin);
    finish(running, stdout, most, patience, most_memory)
}

fn finish(
    mut running: Running,
    stdout: ChildStdout,
    most: u64,
    patience: Duration,
    most_memory: u64,
) -> io::Result<(Vec<u8>, ExitStatus, Messages)> {
    let killer = running.killer();
    let (done, finished) = mpsc::channel::<()>();
    let until = Instant::now() + patience;
    let watch = thread::Builder::new().name("ffmpeg-watch".into()).spawn(move || {
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(LOOKS_EVERY);
            if finished.recv_timeout(left) != Err(mpsc::RecvTimeoutError::Timeout) {
                return None;
            }
            let reason = if Instant::now() >= until {
                format!("it did not end within {} s", patience.as_secs())
            } else if killer.resident().is_some_and(|bytes| bytes > most_memory) {
                needs_too_much(most_memory)
            } else {
                continue;
            };
            killer.kill();
            return Some(reason);
        }
    })?;
    let mut bytes = Vec::new();
    let read = stdout.take(most + 1).read_to_end(&mut bytes);
    drop(done);
    let killed = watch.join().unwrap_or(None);
    read?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it wrote more than {most} bytes")));
    }
    if let Some(reason) = killed {
        return Err(io::Error::other(reason));
    }
    let (status, messages) = running.wait()?;
    Ok((bytes, status, messages))
}

/// The message about a stream for which a program needs more memory than it may have.
pub(super) fn needs_too_much(most: u64) -> String {
    format!(
        "ffmpeg needs more than {} MiB of memory for it: that is no stream of pictures, or a broken one",
        most >> 20
    )
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_needs_too_much_memory_is_ended() {
        let script = "cat > /dev/null; x=$(head -c 200000000 /dev/zero | tr '\\0' x); sleep 600";
        let done = output_of_fed(shell(script), b"nothing", 100, Duration::from_secs(60), 64 << 20);
        assert!(done.unwrap_err().to_string().contains("64 MiB of memory"));
    }

    #[test]
    fn what_is_said_is_kept_and_counted() {
        let script = "i=0; while [ $i -lt 50 ]; do echo line $i >&2; i=$((i+1)); done; echo out; exit 3";
        let (bytes, status, messages) = output(shell(script), 100, Duration::from_secs(60)).unwrap();
        assert_eq!((bytes.as_slice(), status.code()), (&b"out\n"[..], Some(3)));
        assert_eq!((messages.count, messages.lines.len(), messages.lines[1].as_str()), (50, MOST_LINES, "line 1"));
        let long = output(shell("head -c 5000 /dev/zero | tr '\\0' x >&2"), 9, Duration::from_secs(60)).unwrap().2;
        assert_eq!((long.count, long.lines[0].len() as u64), (1, MOST_LINE));
    }

    #[test]
    fn too_much_output_and_too_much_time_are_errors() {
        let error = output(shell("yes"), 1000, Duration::from_secs(60)).unwrap_err();
        assert!(error.to_string().contains("more than 1000"), "{error}");
        let error = output(shell("exec sleep 1000"), 10, Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }

    #[test]
    fn a_dropped_program_is_gone() {
        let (running, mut stdout) = Running::start(shell("echo $$; exec sleep 1000")).unwrap();
        let mut first = [0];
        stdout.read_exact(&mut first).unwrap();
        drop(running);
        // Its end of the pipe is closed, so this returns.
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
    }
}

//! Outputs of events: a file of JSON lines, a web hook, a command.

mod web_hook;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use visavis_cli::options::complain;
use visavis_cli::terminal::with_causes;
use visavis_web::OutputCounts;
use web_hook::WebHook;

/// Capacity of the queue of a hook. Events beyond it are dropped and reported.
const QUEUE: usize = 256;

/// How long the end of a run waits for a hook.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// A receiver that may be slow.
pub(crate) enum Receiver {
    /// Gets each event as the body of a POST request.
    WebHook {
        /// The address.
        url: String,
        /// Signs the requests.
        secret: Option<String>,
        /// PEM file of further trusted certificate authorities.
        authorities: Option<PathBuf>,
    },
    /// A shell command that gets each event on its standard input.
    Command(String),
}

/// The outputs of one kind of event. When dropped, each hook tries once more to deliver its queued events; this is given three
/// seconds.
pub(crate) struct EventOutputs {
    /// Names an event in messages.
    what: &'static str,
    log: Option<(PathBuf, File, Arc<OutputCounts>)>,
    hooks: Vec<Hook>,
}

/// A thread that delivers events to a receiver.
struct Hook {
    name: &'static str,
    counts: Arc<OutputCounts>,
    queue: Option<SyncSender<Arc<str>>>,
    /// Dropped when the run is over. The thread then retries no more.
    going_on: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Disconnected when the thread has ended.
    ended: mpsc::Receiver<()>,
}

impl EventOutputs {
    /// Opens the file and starts the threads of the receivers. `what` names an event in messages.
    pub(crate) fn open(what: &'static str, log: Option<&Path>, receivers: Vec<Receiver>) -> Result<Self> {
        let counts = |output: &str| Arc::new(OutputCounts::new(format!("{what}_{output}")));
        let log = log.map(|path| Ok::<_, anyhow::Error>((path.to_owned(), append(path, what)?, counts("log"))));
        let start = |receiver| match receiver {
            Receiver::WebHook { url, secret, authorities } => {
                let counts = counts("webhook");
                let webhook = WebHook::new(&url, secret, authorities.as_deref(), Arc::clone(&counts))?;
                Hook::start("web hook", counts, move |events, over| webhook.run(&events, &over))
            }
            Receiver::Command(command) => {
                let counts = counts("command");
                let counting = Arc::clone(&counts);
                Hook::start("alarm command", counts, move |events, over| {
                    run_command(&command, &events, &over, &counting);
                })
            }
        };
        let hooks = receivers.into_iter().map(start).collect::<Result<_>>()?;
        Ok(Self { what, log: log.transpose()?, hooks })
    }

    /// What each output has delivered and dropped.
    pub(crate) fn counts(&self) -> impl Iterator<Item = Arc<OutputCounts>> {
        let log = self.log.iter().map(|(_, _, counts)| counts);
        log.chain(self.hooks.iter().map(|hook| &hook.counts)).map(Arc::clone)
    }

    /// Sends an event to all outputs. A failure of one output is reported and does not affect the others.
    pub(crate) fn send(&mut self, json: &str) {
        let what = self.what;
        if let Some((path, file, counts)) = &mut self.log {
            let written = file.write_all(format!("{json}\n").as_bytes()).and_then(|()| file.sync_data());
            if written.is_ok() {
                counts.delivered(1);
            }
            if let Err(error) = written {
                counts.dropped(1);
                complain(&format!("{}: the {what} could not be written: {error}: {json}", path.display()));
            }
        }
        let json: Arc<str> = json.into();
        for hook in &self.hooks {
            if hook.queue.as_ref().is_none_or(|queue| queue.try_send(Arc::clone(&json)).is_err()) {
                hook.counts.dropped(1);
                complain(&format!("the {} is too slow: an event was dropped: {json}", hook.name));
            }
        }
    }
}

impl Hook {
    fn start(
        name: &'static str,
        counts: Arc<OutputCounts>,
        run: impl FnOnce(mpsc::Receiver<Arc<str>>, mpsc::Receiver<()>) + Send + 'static,
    ) -> Result<Self> {
        let (queue, events) = sync_channel(QUEUE);
        let (going_on, over) = channel();
        let (end, ended) = channel::<()>();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            run(events, over);
            drop(end);
        });
        let thread = thread.with_context(|| format!("the thread of the {name} could not be started"))?;
        Ok(Self { name, counts, queue: Some(queue), going_on: Some(going_on), thread: Some(thread), ended })
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        (self.queue, self.going_on) = (None, None);
        let Some(thread) = self.thread.take() else { return };
        if self.ended.recv_timeout(END_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            // The thread waits for a receiver that does not answer. This cannot be interrupted: it ends with the program.
            return complain(&format!("the {} did not end in time: its last events may be lost", self.name));
        }
        let _ = thread.join();
    }
}

fn append(path: &Path, what: &str) -> Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("{} cannot be opened to write {what} events", path.display()))
}

/// How long a command may run.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

fn run_command(command: &str, events: &mpsc::Receiver<Arc<str>>, over: &mpsc::Receiver<()>, counts: &OutputCounts) {
    for event in events {
        match run_once(command, &event, COMMAND_TIMEOUT) {
            Ok(()) => counts.delivered(1),
            Err(error) => {
                counts.dropped(1);
                complain(&format!("the alarm command failed: {}", with_causes(&error)));
                if is_over(over) {
                    return counts.dropped(report_dropped(events));
                }
            }
        }
    }
}

fn is_over(over: &mpsc::Receiver<()>) -> bool {
    over.try_recv() == Err(TryRecvError::Disconnected)
}

/// Reports and returns how many queued events are dropped.
fn report_dropped(events: &mpsc::Receiver<Arc<str>>) -> u64 {
    let left = events.try_iter().count();
    if left > 0 {
        complain(&format!("the run is over: {left} more events were dropped"));
    }
    left as u64
}

/// Runs `command` in a shell with an event on its standard input. Stops it and fails after `timeout`.
fn run_once(command: &str, event: &str, timeout: Duration) -> Result<()> {
    let mut shell = if cfg!(windows) { Command::new("cmd") } else { Command::new("sh") };
    let flag = if cfg!(windows) { "/C" } else { "-c" };
    let mut child = shell.args([flag, command]).stdin(Stdio::piped()).spawn().context("it could not be started")?;
    if let Some(mut input) = child.stdin.take() {
        // A command need not read its input, so a failed write is no error.
        let _ = input.write_all(event.as_bytes()).and_then(|()| input.write_all(b"\n"));
    }
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(()) } else { bail!("it ended with {status}") };
        }
        if started.elapsed() >= timeout {
            let _ = child.kill();
            let _ = child.wait();
            bail!("it took more than {} s and was stopped", timeout.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_command_gets_the_event_and_is_stopped_when_it_hangs() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("seen");
        run_once(&format!("cat > '{}'", out.display()), "{\"number\":1}", COMMAND_TIMEOUT).unwrap();
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "{\"number\":1}\n");
        let failed = run_once("exit 3", "{}", COMMAND_TIMEOUT).unwrap_err();
        assert!(failed.to_string().contains('3'), "{failed}");
        let stopped = run_once("exec sleep 60", "{}", Duration::from_millis(50)).unwrap_err();
        assert!(stopped.to_string().contains("was stopped"), "{stopped}");
    }
}

//! The outputs of alarms: a file of JSON lines, a web hook, a command.

mod web_hook;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use visavis_live::{Alarm, AlarmParams, GrowthParams};
use web_hook::WebHook;

use visavis_cli::options::complain;

/// Flags about alarms.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct AlarmArgs {
    /// Append each alarm to this file as one JSON line
    #[arg(long, value_name = "FILE")]
    pub(crate) alarm_log: Option<PathBuf>,
    /// Post each alarm as JSON to this URL; failed posts are retried
    ///
    /// An alarm that cannot be delivered is retried for four minutes and then dropped.
    #[arg(long, value_name = "URL")]
    pub(crate) alarm_webhook: Option<String>,
    /// PEM file of certificate authorities trusted for --alarm-webhook, in addition to those of the system
    #[arg(long, value_name = "FILE", requires = "alarm_webhook", hide_short_help = true)]
    pub(crate) alarm_webhook_ca: Option<PathBuf>,
    /// Secret that signs the posts of --alarm-webhook
    ///
    /// Each post gets the header `X-Visavis-Signature: sha256=…`, the HMAC-SHA-256 of its body. Without a secret, posts are
    /// not signed.
    #[arg(long, value_name = "SECRET", env = "VISAVIS_WEBHOOK_SECRET", hide_env_values = true, hide_short_help = true)]
    pub(crate) alarm_secret: Option<String>,
    /// Run this shell command for each alarm
    ///
    /// The command gets the alarm as JSON on its standard input. A command that runs for more than 30 seconds is stopped.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) alarm_command: Option<String>,
    /// Include the picture of the face in each alarm, as JPEG in base64
    #[arg(long, hide_short_help = true)]
    pub(crate) alarm_crops: bool,
    /// Number of consecutive comparisons of a face that must agree before an alarm is raised
    #[arg(long, value_name = "N", default_value_t = AlarmParams::default().confirm, hide_short_help = true)]
    pub(crate) alarm_confirm: usize,
    /// Seconds that a person must be out of view before the same person raises another alarm
    #[arg(long, value_name = "SECONDS", default_value_t = AlarmParams::default().cool_down.as_secs(), hide_short_help = true)]
    pub(crate) alarm_cool_down: u64,
    /// Share of comparisons of strangers that may be taken for a person on the watch list, 0 to 1
    ///
    /// A smaller share gives fewer false alarms: a face must then be more similar to a photo of the watched person.
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, value_parser = parse_rate, hide_short_help = true)]
    pub(crate) alarm_rate: f64,
    /// Also raise an alarm for faces that are not in the gallery
    #[arg(long)]
    pub(crate) alarm_unknown: bool,
}

/// Flags about a gallery that grows.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct GrowthArgs {
    /// Add every visitor to the gallery, once
    ///
    /// Creates the gallery if it does not exist. Visitors who turn out to be the same person are merged.
    #[arg(long, help_heading = "Gallery")]
    pub(crate) grow: bool,
    /// Delete a visitor who was not seen for this many days
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 30.0,
        value_parser = parse_days,
        requires = "grow",
        hide_short_help = true,
        help_heading = "Gallery"
    )]
    pub(crate) grow_keep: f64,
}

fn parse_rate(text: &str) -> Result<f64> {
    let rate: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(rate > 0.0 && rate < 1.0) {
        bail!("{rate} is not between 0 and 1");
    }
    Ok(rate)
}

fn parse_days(text: &str) -> Result<f64> {
    let days: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(days > 0.0 && days <= 36_500.0) {
        bail!("{days} is not between 0 and 36500");
    }
    Ok(days)
}

impl AlarmArgs {
    /// The parameters of alarms.
    pub(crate) fn alarm(&self) -> AlarmParams {
        AlarmParams {
            confirm: self.alarm_confirm,
            cool_down: Duration::from_secs(self.alarm_cool_down),
            false_alarms: Some(self.alarm_rate),
            unknown: self.alarm_unknown,
            crops: self.alarm_crops,
        }
    }
}

impl GrowthArgs {
    /// The parameters of growth; `None` if the gallery does not grow.
    pub(crate) fn growth(&self) -> Option<GrowthParams> {
        let keep = Duration::from_secs_f64(self.grow_keep * 24.0 * 3600.0);
        self.grow.then(|| GrowthParams { keep, ..GrowthParams::default() })
    }
}

/// Capacity of the queue of a hook. Alarms beyond it are dropped and reported.
const QUEUE: usize = 256;

/// How long the end of a run waits for a hook.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// The alarm outputs of a run. When dropped, each hook tries once more to deliver its queued alarms; this is given three
/// seconds.
pub(crate) struct AlarmOutputs {
    log: Option<(PathBuf, File)>,
    hooks: Vec<Hook>,
}

/// A thread that delivers alarms to a receiver that may be slow.
struct Hook {
    name: &'static str,
    queue: Option<SyncSender<Arc<str>>>,
    /// Dropped when the run is over. The thread then retries no more.
    going_on: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl AlarmOutputs {
    /// Opens the file and starts the hooks.
    pub(crate) fn open(args: &AlarmArgs) -> Result<Self> {
        let log = args.alarm_log.as_deref().map(|path| Ok::<_, anyhow::Error>((path.to_owned(), append(path)?)));
        let mut hooks = Vec::new();
        if let Some(url) = &args.alarm_webhook {
            let webhook = WebHook::new(url, args.alarm_secret.clone(), args.alarm_webhook_ca.as_deref())?;
            hooks.push(Hook::start("web hook", move |alarms, over| webhook.run(&alarms, &over))?);
        }
        if let Some(command) = args.alarm_command.clone() {
            hooks.push(Hook::start("alarm command", move |alarms, over| run_command(&command, &alarms, &over))?);
        }
        Ok(Self { log: log.transpose()?, hooks })
    }

    /// Sends an alarm to all outputs, with the name of the camera if there is one. A failure of one output is reported and does
    /// not affect the others.
    pub(crate) fn send(&mut self, alarm: &Alarm, camera: Option<&str>) {
        let json: Arc<str> = match to_json(alarm, camera) {
            Ok(json) => json.into(),
            Err(error) => return complain(&format!("alarm {} cannot be written: {error}", alarm.number)),
        };
        if let Some((path, file)) = &mut self.log {
            let written = file.write_all(format!("{json}\n").as_bytes()).and_then(|()| file.sync_data());
            if let Err(error) = written {
                complain(&format!("{}: alarm {} could not be written: {error}", path.display(), alarm.number));
            }
        }
        for hook in &self.hooks {
            if hook.queue.as_ref().is_none_or(|queue| queue.try_send(Arc::clone(&json)).is_err()) {
                complain(&format!("the {} is too slow: alarm {} was dropped", hook.name, alarm.number));
            }
        }
    }
}

impl Hook {
    fn start(name: &'static str, run: impl FnOnce(Receiver<Arc<str>>, Receiver<()>) + Send + 'static) -> Result<Self> {
        let (queue, alarms) = sync_channel(QUEUE);
        let (going_on, over) = channel();
        let (end, ended) = channel::<()>();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            run(alarms, over);
            drop(end);
        });
        let thread = thread.with_context(|| format!("the thread of the {name} could not be started"))?;
        Ok(Self { name, queue: Some(queue), going_on: Some(going_on), thread: Some(thread), ended })
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        (self.queue, self.going_on) = (None, None);
        let Some(thread) = self.thread.take() else { return };
        if self.ended.recv_timeout(END_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            // The thread waits for a receiver that does not answer. This cannot be interrupted: it ends with the program.
            return complain(&format!("the {} did not end in time: its last alarms may be lost", self.name));
        }
        let _ = thread.join();
    }
}

fn append(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("{} cannot be opened to write alarms", path.display()))
}

fn to_json(alarm: &Alarm, camera: Option<&str>) -> Result<String> {
    let mut value = serde_json::to_value(alarm)?;
    if let Some(fields) = value.as_object_mut() {
        fields.extend(alarm.crop.as_ref().map(|crop| ("crop".into(), STANDARD.encode(crop).into())));
        fields.extend(camera.map(|camera| ("camera".into(), camera.into())));
    }
    Ok(value.to_string())
}

/// How long a command may run.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

fn run_command(command: &str, alarms: &Receiver<Arc<str>>, over: &Receiver<()>) {
    for alarm in alarms {
        if let Err(error) = run_once(command, &alarm, COMMAND_TIMEOUT) {
            complain(&format!("the alarm command failed: {error:#}"));
            if is_over(over) {
                return report_dropped(alarms);
            }
        }
    }
}

fn is_over(over: &Receiver<()>) -> bool {
    over.try_recv() == Err(TryRecvError::Disconnected)
}

/// Reports how many queued alarms are dropped.
fn report_dropped(alarms: &Receiver<Arc<str>>) {
    let left = alarms.try_iter().count();
    if left > 0 {
        complain(&format!("the run is over: {left} more alarms were dropped"));
    }
}

/// Runs `command` in a shell with `alarm` on its standard input. Stops it and fails after `timeout`.
fn run_once(command: &str, alarm: &str, timeout: Duration) -> Result<()> {
    let mut shell = if cfg!(windows) { Command::new("cmd") } else { Command::new("sh") };
    let flag = if cfg!(windows) { "/C" } else { "-c" };
    let mut child = shell.args([flag, command]).stdin(Stdio::piped()).spawn().context("it could not be started")?;
    if let Some(mut input) = child.stdin.take() {
        // A command need not read its input, so a failed write is no error.
        let _ = input.write_all(alarm.as_bytes()).and_then(|()| input.write_all(b"\n"));
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
    fn a_command_gets_the_alarm_and_is_stopped_when_it_hangs() {
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

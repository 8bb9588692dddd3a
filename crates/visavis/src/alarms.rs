//! Where alarms go: a file of JSON lines, a web hook, a command.

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
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use visavis_live::{Alarm, AlarmParams, GrowthParams};

use crate::options::complain;

/// Flags about alarms and about a gallery that grows.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct AlarmArgs {
    /// Append alarms to this file, one JSON line each
    #[arg(long, value_name = "FILE")]
    pub(crate) alarm_log: Option<PathBuf>,
    /// Post alarms as JSON to this address; again and again for some minutes where it does not answer
    #[arg(long, value_name = "URL")]
    pub(crate) alarm_webhook: Option<String>,
    /// Signs what is posted: header `X-Visavis-Signature: sha256=…`, HMAC-SHA-256 of the body
    #[arg(long, value_name = "SECRET", env = "VISAVIS_WEBHOOK_SECRET", hide_env_values = true)]
    pub(crate) alarm_secret: Option<String>,
    /// Run this command for each alarm, with the alarm as JSON on its standard input
    #[arg(long, value_name = "COMMAND")]
    pub(crate) alarm_command: Option<String>,
    /// Put the face into alarms, as JPEG in base64
    #[arg(long)]
    pub(crate) alarm_crops: bool,
    /// Looks in a row that must agree before an alarm rings
    #[arg(long, value_name = "N", default_value_t = AlarmParams::default().confirm)]
    pub(crate) alarm_confirm: usize,
    /// Whoever rang rings again after so many seconds out of sight
    #[arg(long, value_name = "SECONDS", default_value_t = AlarmParams::default().cool_down.as_secs())]
    pub(crate) alarm_cool_down: u64,
    /// Share of looks at strangers that may be taken for somebody watched; sets how near a face must come
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, value_parser = parse_rate)]
    pub(crate) alarm_rate: f64,
    /// Ring for faces of nobody in the gallery too
    #[arg(long)]
    pub(crate) alarm_unknown: bool,
    /// Add everyone seen to the gallery, once
    #[arg(long)]
    pub(crate) grow: bool,
    /// Forget those added so who were not seen for so many days
    #[arg(long, value_name = "DAYS", default_value_t = 30.0, value_parser = parse_days, requires = "grow")]
    pub(crate) grow_keep: f64,
}

fn parse_rate(text: &str) -> Result<f64> {
    let rate: f64 = text.parse().with_context(|| format!("`{text}` is no number"))?;
    if !(rate > 0.0 && rate < 1.0) {
        bail!("{rate} is not between 0 and 1");
    }
    Ok(rate)
}

fn parse_days(text: &str) -> Result<f64> {
    let days: f64 = text.parse().with_context(|| format!("`{text}` is no number"))?;
    if !(days > 0.0 && days <= 36_500.0) {
        bail!("{days} is not between 0 and 36500");
    }
    Ok(days)
}

impl AlarmArgs {
    /// When an alarm rings.
    pub(crate) fn alarm(&self) -> AlarmParams {
        AlarmParams {
            confirm: self.alarm_confirm,
            cool_down: Duration::from_secs(self.alarm_cool_down),
            false_alarms: Some(self.alarm_rate),
            unknown: self.alarm_unknown,
            crops: self.alarm_crops,
        }
    }

    /// How the gallery grows, if it is to.
    pub(crate) fn growth(&self) -> Option<GrowthParams> {
        let keep = Duration::from_secs_f64(self.grow_keep * 24.0 * 3600.0);
        self.grow.then(|| GrowthParams { keep, ..GrowthParams::default() })
    }
}

/// Alarms that wait for a hook that is slow; later ones are left out and said so.
const WAITING: usize = 256;

/// The hooks of a run. Dropping it waits for what is under way and gives what waits one try, until one fails.
pub(crate) struct AlarmOutputs {
    log: Option<(PathBuf, File)>,
    hooks: Vec<Hook>,
}

/// A thread that hands alarms to somebody who may be slow.
struct Hook {
    name: &'static str,
    queue: Option<SyncSender<Arc<str>>>,
    /// Dropped when the run is over, so that nobody waits for another try.
    going_on: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AlarmOutputs {
    /// Opens the file and starts the hooks.
    pub(crate) fn open(args: &AlarmArgs) -> Result<Self> {
        let log = args.alarm_log.as_deref().map(|path| Ok::<_, anyhow::Error>((path.to_owned(), append(path)?)));
        let mut hooks = Vec::new();
        if let Some(url) = &args.alarm_webhook {
            let webhook = WebHook::new(url, args.alarm_secret.clone())?;
            hooks.push(Hook::start("web hook", move |alarms, over| webhook.run(&alarms, &over))?);
        }
        if let Some(command) = args.alarm_command.clone() {
            hooks.push(Hook::start("alarm command", move |alarms, over| run_command(&command, &alarms, &over))?);
        }
        Ok(Self { log: log.transpose()?, hooks })
    }

    /// Hands an alarm on. A hook's failure is said and stops nothing.
    pub(crate) fn ring(&mut self, alarm: &Alarm) {
        let json: Arc<str> = match to_json(alarm) {
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
                complain(&format!("the {} does not keep up: alarm {} is left out", hook.name, alarm.number));
            }
        }
    }
}

impl Hook {
    fn start(name: &'static str, run: impl FnOnce(Receiver<Arc<str>>, Receiver<()>) + Send + 'static) -> Result<Self> {
        let (queue, alarms) = sync_channel(WAITING);
        let (going_on, over) = channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || run(alarms, over));
        let thread = thread.with_context(|| format!("the thread of the {name} could not be started"))?;
        Ok(Self { name, queue: Some(queue), going_on: Some(going_on), thread: Some(thread) })
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        (self.queue, self.going_on) = (None, None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn append(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("{}: alarms cannot be written there", path.display()))
}

fn to_json(alarm: &Alarm) -> Result<String> {
    let mut value = serde_json::to_value(alarm)?;
    if let (Some(crop), Some(fields)) = (&alarm.crop, value.as_object_mut()) {
        fields.insert("crop".into(), STANDARD.encode(crop).into());
    }
    Ok(value.to_string())
}

/// A program elsewhere that is told of alarms by HTTP.
struct WebHook {
    agent: ureq::Agent,
    url: String,
    secret: Option<String>,
    /// Wait before the second try; doubled with each.
    first_wait: Duration,
}

/// Tries in all: after 1, 2, 4 … 128 seconds, about four minutes.
const TRIES: u32 = 9;

impl WebHook {
    fn new(url: &str, secret: Option<String>) -> Result<Self> {
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            bail!("an alarm web hook needs an address that begins with http:// or https://");
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .max_redirects(0)
            .http_status_as_error(false)
            .build();
        Ok(Self { agent: config.into(), url: url.to_owned(), secret, first_wait: Duration::from_secs(1) })
    }

    fn run(&self, alarms: &Receiver<Arc<str>>, over: &Receiver<()>) {
        for body in alarms {
            if let Err(reason) = self.deliver(&body, over) {
                // The address may hold a password or a token: only the host is told.
                complain(&format!("an alarm could not be posted to {}: {reason}", host(&self.url)));
                if is_over(over) {
                    return leave_out(alarms);
                }
            }
        }
    }

    fn deliver(&self, body: &str, over: &Receiver<()>) -> Result<(), String> {
        let mut wait = self.first_wait;
        for number in 1..=TRIES {
            match self.post(body) {
                Ok(()) => return Ok(()),
                Err(Refusal::ForGood(reason)) => return Err(reason),
                Err(Refusal::ForNow(reason)) if number == TRIES => return Err(format!("{reason}, {TRIES} tries")),
                // Nothing is ever sent: it waits for the time, or for the end of the run.
                Err(Refusal::ForNow(reason)) => {
                    if over.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                        return Err(format!("{reason}, and the run is over"));
                    }
                }
            }
            wait *= 2;
        }
        Ok(())
    }

    fn post(&self, body: &str) -> Result<(), Refusal> {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(secret) = &self.secret {
            request = request.header("x-visavis-signature", format!("sha256={}", signature(secret, body)));
        }
        match request.send(body) {
            Ok(answer) => match answer.status().as_u16() {
                200..300 => Ok(()),
                status @ (408 | 429 | 500..) => Err(Refusal::ForNow(format!("answered {status}"))),
                // Wrong address, wrong secret, wrong request: trying again changes nothing.
                status => Err(Refusal::ForGood(format!("answered {status}"))),
            },
            Err(error) => Err(Refusal::ForNow(error.to_string())),
        }
    }
}

/// Why a post did not arrive.
enum Refusal {
    ForGood(String),
    ForNow(String),
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// HMAC-SHA-256 in hexadecimal.
fn signature(secret: &str, body: &str) -> String {
    // HMAC takes keys of any length, so this is never empty.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Longest that a command may take.
const COMMAND_TIME: Duration = Duration::from_secs(30);

fn run_command(command: &str, alarms: &Receiver<Arc<str>>, over: &Receiver<()>) {
    for alarm in alarms {
        if let Err(error) = run_once(command, &alarm, COMMAND_TIME) {
            complain(&format!("the alarm command failed: {error:#}"));
            if is_over(over) {
                return leave_out(alarms);
            }
        }
    }
}

fn is_over(over: &Receiver<()>) -> bool {
    over.try_recv() == Err(TryRecvError::Disconnected)
}

/// Says how many alarms nobody will be told of.
fn leave_out(alarms: &Receiver<Arc<str>>) {
    let left = alarms.try_iter().count();
    if left > 0 {
        complain(&format!("{left} more alarms are left out, since the run is over"));
    }
}

fn run_once(command: &str, alarm: &str, most: Duration) -> Result<()> {
    let mut shell = if cfg!(windows) { Command::new("cmd") } else { Command::new("sh") };
    let flag = if cfg!(windows) { "/C" } else { "-c" };
    let mut child = shell.args([flag, command]).stdin(Stdio::piped()).spawn().context("it could not be started")?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read its input is free not to.
        let _ = input.write_all(alarm.as_bytes()).and_then(|()| input.write_all(b"\n"));
    }
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(()) } else { bail!("it ended with {status}") };
        }
        if started.elapsed() >= most {
            let _ = child.kill();
            let _ = child.wait();
            bail!("it took more than {} s and was stopped", most.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::net::TcpListener;

    use super::*;

    /// A signature and a body.
    type Posted = (Option<String>, String);

    /// Answers one request after the other with these status codes; gives what was posted.
    fn server(answers: Vec<u16>) -> (String, JoinHandle<Vec<Posted>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://user:word@{}/hook", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            for status in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut length, mut signed) = (0, None);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let Some((name, value)) = line.trim().split_once(": ") else {
                        if line.trim().is_empty() { break } else { continue }
                    };
                    match name.to_lowercase().as_str() {
                        "content-length" => length = value.parse().unwrap(),
                        "x-visavis-signature" => signed = Some(value.to_owned()),
                        _ => {}
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                seen.push((signed, String::from_utf8(body).unwrap()));
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
            }
            seen
        });
        (url, thread)
    }

    fn hook(url: &str, secret: Option<&str>) -> WebHook {
        let first_wait = Duration::from_millis(1);
        WebHook { first_wait, ..WebHook::new(url, secret.map(str::to_owned)).unwrap() }
    }

    #[test]
    fn a_post_is_tried_again_and_signed() {
        let (url, server) = server(vec![503, 429, 200]);
        let (_going_on, over) = channel();
        hook(&url, Some("key")).deliver("The quick brown fox jumps over the lazy dog", &over).unwrap();
        let seen = server.join().unwrap();
        assert_eq!(seen.len(), 3);
        // The example of HMAC-SHA-256 that everybody prints.
        let expected = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert!(seen.iter().all(|(signed, _)| signed.as_deref() == Some(expected)), "{seen:?}");
    }

    #[test]
    fn a_refusal_for_good_is_not_tried_again() {
        let (url, server) = server(vec![403]);
        let (_going_on, over) = channel();
        let reason = hook(&url, None).deliver("{}", &over).unwrap_err();
        assert_eq!(reason, "answered 403");
        assert_eq!(server.join().unwrap(), [(None, "{}".to_owned())]);
    }

    #[test]
    fn the_end_of_a_run_waits_for_no_further_try() {
        let (url, server) = server(vec![503]);
        let patient = WebHook { first_wait: Duration::from_secs(3600), ..WebHook::new(&url, None).unwrap() };
        let hook = Hook::start("web hook", move |alarms, over| patient.run(&alarms, &over)).unwrap();
        hook.queue.as_ref().unwrap().try_send("{}".into()).unwrap();
        assert_eq!(server.join().unwrap().len(), 1);
        // Would take an hour.
        drop(hook);
    }

    #[test]
    fn an_address_is_told_without_its_password() {
        assert_eq!(host("https://eve:secret@example.org:8443/x?token=1"), "example.org:8443");
        assert!(WebHook::new("ftp://example.org", None).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_command_gets_the_alarm_and_is_stopped_when_it_hangs() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("seen");
        run_once(&format!("cat > '{}'", out.display()), "{\"number\":1}", COMMAND_TIME).unwrap();
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "{\"number\":1}\n");
        let failed = run_once("exit 3", "{}", COMMAND_TIME).unwrap_err();
        assert!(failed.to_string().contains('3'), "{failed}");
        let stopped = run_once("exec sleep 60", "{}", Duration::from_millis(50)).unwrap_err();
        assert!(stopped.to_string().contains("was stopped"), "{stopped}");
    }
}

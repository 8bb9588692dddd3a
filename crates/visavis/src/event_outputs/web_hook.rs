//! Posts events to an HTTP address.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{QUEUE, is_over};
use crate::authorities::trusted;
use visavis_cli::options::complain;
use visavis_web::OutputCounts;

/// How long one post may take.
const POST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a failed post is retried before the event is dropped.
const PATIENCE: Duration = Duration::from_secs(240);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Posts events to an HTTP address, and retries posts that failed.
pub(super) struct WebHook {
    agent: ureq::Agent,
    url: String,
    secret: Option<String>,
    /// Wait after the first failure; doubled after each further one.
    first_wait: Duration,
    patience: Duration,
    counts: Arc<OutputCounts>,
}

/// An event that could not be posted yet.
struct Waiting {
    body: Arc<str>,
    since: Instant,
    attempts: u32,
}

impl WebHook {
    /// `authorities`: a PEM file of certificate authorities that are trusted in addition to those of the system.
    pub(super) fn new(
        url: &str,
        secret: Option<String>,
        authorities: Option<&Path>,
        counts: Arc<OutputCounts>,
    ) -> Result<Self> {
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            bail!("the address of a web hook must begin with http:// or https://");
        }
        let roots = if url.starts_with("https://") { roots(authorities)? } else { RootCerts::WebPki };
        let config = ureq::Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_global(Some(POST_TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false)
            .build();
        let first_wait = Duration::from_secs(1);
        Ok(Self { agent: config.into(), url: url.to_owned(), secret, first_wait, patience: PATIENCE, counts })
    }

    /// Posts events until `events` is disconnected and all are delivered or dropped.
    ///
    /// After a failure the event is queued and retried. The event with the fewest attempts is always posted next, so one event that
    /// the receiver refuses does not block the others. If too many wait, the oldest is dropped.
    pub(super) fn run(&self, events: &Receiver<Arc<str>>, over: &Receiver<()>) {
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        let mut wait: Option<Duration> = None;
        let mut next_try = Instant::now();
        loop {
            // Without queued events, wait for the next one; else only until the next attempt is due.
            let until = if waiting.is_empty() { None } else { Some(next_try) };
            match receive(events, until) {
                Ok(body) => waiting.push_back(Waiting { body, since: Instant::now(), attempts: 0 }),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if waiting.is_empty() => return,
                Err(RecvTimeoutError::Disconnected) => {}
            }
            if waiting.len() > QUEUE {
                waiting.pop_front();
                self.counts.dropped(1);
                self.report("too many events wait: the oldest was dropped");
            }
            let ending = is_over(over);
            if wait.is_some() && Instant::now() < next_try && !ending {
                continue;
            }
            // The first of those with the fewest attempts.
            let least = waiting.iter().enumerate().min_by_key(|(place, event)| (event.attempts, *place));
            let place = least.map_or(0, |(place, _)| place);
            let Some(mut event) = waiting.remove(place) else { continue };
            event.attempts += 1;
            match self.post(&event.body) {
                Ok(()) => {
                    wait = None;
                    self.counts.delivered(1);
                }
                Err(Refusal::Permanent(reason)) => {
                    wait = None;
                    self.counts.dropped(1);
                    self.report(&reason);
                }
                Err(Refusal::Temporary(reason)) => {
                    if ending {
                        self.counts.dropped(waiting.len() as u64 + 1);
                        self.report(&format!("{reason}; the run is over: {} events were dropped", waiting.len() + 1));
                        return;
                    }
                    if wait.is_none() {
                        self.report(&format!("{reason}; retrying for {} s", self.patience.as_secs()));
                    }
                    if event.since.elapsed() > self.patience {
                        self.counts.dropped(1);
                        self.report(&format!("{reason}, for {} s: it was dropped", self.patience.as_secs()));
                    } else {
                        waiting.push_back(event);
                    }
                    let now = wait.map_or(self.first_wait, |wait| (wait * 2).min(LONGEST_WAIT));
                    (wait, next_try) = (Some(now), Instant::now() + now);
                }
            }
            if wait.is_none() {
                next_try = Instant::now();
            }
        }
    }

    /// Reports a failure. Names only the host, since the address may contain a password or a token.
    fn report(&self, reason: &str) {
        complain(&format!("an event could not be posted to {}: {reason}", host(&self.url)));
    }

    fn post(&self, body: &str) -> Result<(), Refusal> {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(secret) = &self.secret {
            request = request.header("x-visavis-signature", format!("sha256={}", signature(secret, body)));
        }
        match request.send(body) {
            Ok(answer) => match answer.status().as_u16() {
                200..300 => Ok(()),
                status @ (408 | 429 | 500..) => Err(Refusal::Temporary(format!("answered {status}"))),
                // Wrong address, wrong secret or wrong request: retrying does not help.
                status => Err(Refusal::Permanent(format!("answered {status}"))),
            },
            Err(error) => Err(Refusal::Temporary(error.to_string())),
        }
    }
}

/// Waits for the next event, until `until` if it is given.
fn receive(events: &Receiver<Arc<str>>, until: Option<Instant>) -> Result<Arc<str>, RecvTimeoutError> {
    match until {
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(until) => events.recv_timeout(until.saturating_duration_since(Instant::now())),
    }
}

/// The trusted certificate authorities. If there are none, those that browsers trust.
fn roots(authorities: Option<&Path>) -> Result<RootCerts> {
    let trusted = trusted(authorities)?;
    let roots: Vec<Certificate<'static>> =
        trusted.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    Ok(if roots.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(roots)) })
}

/// Why a post failed: permanently (no retry helps) or temporarily.
enum Refusal {
    Permanent(String),
    Temporary(String),
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{self, JoinHandle};

    use super::*;

    /// A signature and a body.
    type Posted = (Option<String>, String);

    /// A server that answers successive requests with these status codes. Joining the thread returns what was posted.
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

    fn open(url: &str, secret: Option<&str>, authorities: Option<&Path>) -> Result<WebHook> {
        WebHook::new(url, secret.map(str::to_owned), authorities, Arc::new(OutputCounts::new("hook")))
    }

    fn hook(url: &str, secret: Option<&str>) -> WebHook {
        let first_wait = Duration::from_millis(1);
        WebHook { first_wait, ..open(url, secret, None).unwrap() }
    }

    /// Runs a hook over these events until the server has given all its answers.
    fn run(hook: WebHook, events: &[&str], server: JoinHandle<Vec<Posted>>) -> Vec<Posted> {
        let (send, queue) = channel::<Arc<str>>();
        let (going_on, over): (Sender<()>, _) = channel();
        for &event in events {
            send.send(event.into()).unwrap();
        }
        let running = thread::spawn(move || hook.run(&queue, &over));
        let seen = server.join().unwrap();
        drop((send, going_on));
        running.join().unwrap();
        seen
    }

    #[test]
    fn a_post_is_tried_again_and_signed() {
        let (url, server) = server(vec![503, 429, 200]);
        let seen = run(hook(&url, Some("key")), &["The quick brown fox jumps over the lazy dog"], server);
        // The well-known example of HMAC-SHA-256 (key `key`).
        let expected = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert!(seen.iter().all(|(signed, _)| signed.as_deref() == Some(expected)), "{seen:?}");
    }

    #[test]
    fn an_event_that_is_refused_keeps_no_other() {
        // The first fails temporarily, so the second is posted before the first is retried; the third is refused permanently.
        let (url, server) = server(vec![500, 200, 403, 200]);
        let hook = hook(&url, None);
        let counts = Arc::clone(&hook.counts);
        let seen = run(hook, &["1", "2", "3"], server);
        assert_eq!(counts.get(), (2, 1), "delivered and dropped");
        let bodies: Vec<&str> = seen.iter().map(|(_, body)| body.as_str()).collect();
        assert_eq!(bodies, ["1", "2", "3", "1"]);
    }

    #[test]
    fn the_end_of_a_run_waits_for_no_further_try() {
        let (url, server) = server(vec![503]);
        let patient = WebHook { first_wait: Duration::from_secs(3600), ..hook(&url, None) };
        let (send, queue) = channel::<Arc<str>>();
        let (going_on, over) = channel::<()>();
        let (ended, end) = channel();
        send.send("{}".into()).unwrap();
        thread::spawn(move || {
            patient.run(&queue, &over);
            ended.send(()).unwrap();
        });
        assert_eq!(server.join().unwrap().len(), 1);
        // At the end of the run it is retried at once, fails, since the server has ended, and is dropped. Without the end of the run
        // the retry would come after an hour.
        drop((send, going_on));
        end.recv_timeout(Duration::from_secs(60)).expect("the hook ends with the run");
    }

    #[test]
    fn an_event_is_given_up_after_a_while() {
        let (url, server) = server(vec![500, 200]);
        let hook = WebHook { patience: Duration::ZERO, ..hook(&url, None) };
        let seen = run(hook, &["1", "2"], server);
        assert_eq!(seen.iter().map(|(_, body)| body.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn an_address_is_told_without_its_password() {
        assert_eq!(host("https://eve:secret@example.org:8443/x?token=1"), "example.org:8443");
        assert!(open("ftp://example.org", None, None).is_err());
    }

    #[test]
    fn a_private_authority_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authority.pem");
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&path, signed.cert.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        // Answers each connection whose handshake succeeds. One whose client refuses the certificate is dropped.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                let mut bytes = [0; 4096];
                if stream.read(&mut bytes).is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    let _ = stream.flush();
                }
            }
        });
        let stranger = open(&url, None, None).unwrap();
        assert!(matches!(stranger.post("{}"), Err(Refusal::Temporary(_))), "an unknown authority is not trusted");
        let known = open(&url, None, Some(&path)).unwrap();
        assert!(known.post("{}").is_ok());
        std::fs::write(&path, "no certificate").unwrap();
        assert!(open(&url, None, Some(&path)).is_err());
    }
}

//! A mosquitto for one test, and a client that sees everything.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, Incoming, MqttOptions, QoS, Transport};
use serde_json::Value;

use crate::TIMEOUT;

/// The search path with the folder in which Debian has mosquitto.
fn search_path() -> String {
    format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Whether mosquitto is installed; says that the test is skipped if not.
pub(crate) fn is_there() -> bool {
    let mut found = Command::new("sh");
    found.args(["-c", "command -v mosquitto"]).env("PATH", search_path()).stdout(Stdio::null());
    let there = found.status().is_ok_and(|status| status.success());
    if !there {
        eprintln!("SKIPPED, since mosquitto is not installed: .ci/mosquitto installs it");
    }
    there
}

/// A port on which nothing listens at this moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Ended on drop.
pub(crate) struct Broker {
    child: Child,
    pub(crate) port: u16,
}

impl Broker {
    /// Starts a broker on the loopback that lets everybody in.
    pub(crate) fn start(folder: &Path, port: u16) -> Self {
        Self::with(folder, port, "allow_anonymous true")
    }

    /// Starts a broker with these lines in its configuration. It keeps nothing when it ends.
    pub(crate) fn with(folder: &Path, port: u16, lines: &str) -> Self {
        let file = folder.join(format!("mosquitto-{port}.conf"));
        // It would become another user, who cannot read the files of the test.
        let text = format!("user root\nlistener {port} 127.0.0.1\npersistence false\n{lines}\n");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("mosquitto");
        command.env("PATH", search_path()).arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let until = Instant::now() + TIMEOUT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "mosquitto does not start");
            assert!(Instant::now() < until, "mosquitto does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message: topic, payload, whether the broker had kept it.
pub(crate) type Seen = (String, Vec<u8>, bool);

/// A client that is subscribed to all topics.
pub(crate) struct Observer {
    client: Client,
    seen: Arc<(Mutex<Vec<Seen>>, Condvar)>,
}

impl Observer {
    pub(crate) fn new(port: u16) -> Self {
        Self::with(MqttOptions::new(format!("observer{}", fastrand::u32(..)), "127.0.0.1", port), Transport::tcp())
    }

    pub(crate) fn with(mut options: MqttOptions, transport: Transport) -> Self {
        options.set_transport(transport).set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 64);
        client.subscribe("#", QoS::AtLeastOnce).unwrap();
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let collecting = Arc::clone(&seen);
        let (ready, subscribed) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Incoming::Publish(message))) => {
                        collecting.0.lock().unwrap().push((message.topic, message.payload.to_vec(), message.retain));
                        collecting.1.notify_all();
                    }
                    Ok(Event::Incoming(Incoming::SubAck(_))) => drop(ready.send(())),
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        subscribed.recv_timeout(TIMEOUT).expect("the observer is subscribed");
        Self { client, seen }
    }

    /// Waits until the messages so far satisfy a condition, from the message with index `from` on; the index of the first message
    /// with which they do, plus one.
    pub(crate) fn wait_from(&self, from: usize, what: &str, is_it: impl Fn(&str, &[u8]) -> bool) -> usize {
        let until = Instant::now() + TIMEOUT;
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            let found = seen.iter().skip(from).position(|(topic, payload, _)| is_it(topic, payload));
            if let Some(place) = found {
                return from + place + 1;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last: Vec<String> = seen.iter().rev().take(40).map(describe).collect();
                panic!("{what} did not come; the last messages: {}", last.join("\n"));
            }
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Waits for this payload on a topic.
    pub(crate) fn wait(&self, topic: &str, payload: &str) -> usize {
        self.wait_from(0, &format!("{topic}={payload}"), |on, found| on == topic && found == payload.as_bytes())
    }

    /// Waits for a JSON object on a topic that satisfies a condition; the object.
    pub(crate) fn wait_json(&self, topic: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let parse = |payload: &[u8]| serde_json::from_slice::<Value>(payload).ok().filter(&is_it);
        let place = self.wait_from(0, topic, |on, payload| on == topic && parse(payload).is_some());
        parse(&self.seen.0.lock().unwrap()[place - 1].1).unwrap()
    }

    /// All messages so far.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.seen.0.lock().unwrap().clone()
    }

    /// Publishes a message that the broker keeps.
    pub(crate) fn keep(&self, topic: &str, payload: &str) {
        self.client.publish(topic, QoS::AtLeastOnce, true, payload).unwrap();
        self.wait(topic, payload);
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let _ = self.client.disconnect();
    }
}

fn describe((topic, payload, kept): &Seen) -> String {
    let kept = if *kept { " (kept)" } else { "" };
    format!("{topic}{kept}: {}", String::from_utf8_lossy(&payload[..payload.len().min(300)]))
}

/// What a broker keeps: the last value of each topic, without those that were deleted.
pub(crate) fn kept(port: u16) -> BTreeMap<String, Vec<u8>> {
    let marker = format!("marker/{}", fastrand::u32(..));
    let observer = Observer::new(port);
    // Sent after everything that the broker has kept.
    observer.client.publish(&marker, QoS::AtLeastOnce, false, "x").unwrap();
    observer.wait(&marker, "x");
    observer.all().into_iter().filter(|(_, _, kept)| *kept).map(|(topic, payload, _)| (topic, payload)).collect()
}

//! MQTT: publishes the state of the cameras, the people in view and events to a broker, with Home Assistant's discovery.
//!
//! The *publisher* (`publisher.rs`) knows what the broker shall know, and keeps it in the *outbox* (`outbox.rs`) until the broker has
//! confirmed it. The *connection* (`connection.rs`) is opened again whenever it fails; then everything is published again. Both have
//! a thread of their own, so a slow or dead broker delays nothing else. docs/integrations.md lists the topics.

mod address;
mod connection;
mod outbox;
mod publisher;
mod topics;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rumqttc::{LastWill, MqttOptions, QoS, TlsConfiguration, Transport};
use rustls::{ClientConfig, RootCertStore};
use visavis_cli::options::{complain, parse_pause};
use visavis_live::{Event, PipelineHandle, Scene};
use visavis_web::OutputCounts;

use crate::authorities::trusted;
use address::{Broker, BrokerUrl};
use publisher::{Message, Publisher};
use topics::Topics;

/// Capacity of the publisher's queue. Events beyond it are dropped and counted.
const QUEUE: usize = 256;
/// How long the end of a run waits for the publisher and the connection.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest message in bytes. The pictures of faces are smaller.
const MAX_MESSAGE: usize = 1 << 20;
/// After this time without a sign of life the broker counts the program as offline, and the program the broker as dead.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Flags about MQTT.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct MqttArgs {
    /// Publish state and events to this MQTT broker: mqtt://USER@HOST/PREFIX
    ///
    /// Also publishes which people of the gallery are in view. `mqtts://` encrypts the connection. PREFIX begins all topics
    /// [default: visavis]; each program needs its own. Home Assistant finds the cameras and the people of the gallery by itself.
    /// Names of people are published, pictures only with --mqtt-snapshots. The password is the first line of
    /// --mqtt-password-file, else VISAVIS_MQTT_PASSWORD, else the one in the address, which other users of this machine can see.
    /// Example: mqtt://ada@broker.local/visavis
    #[arg(long, value_name = "URL")]
    pub(crate) mqtt: Option<BrokerUrl>,
    /// File whose first line is the password for the MQTT broker, such as /etc/visavis/mqtt-password
    #[arg(long, value_name = "FILE", requires = "mqtt", hide_short_help = true)]
    pub(crate) mqtt_password_file: Option<PathBuf>,
    /// PEM file of certificate authorities trusted for mqtts://, in addition to those of the system
    #[arg(long, value_name = "FILE", requires = "mqtt", hide_short_help = true)]
    pub(crate) mqtt_ca: Option<PathBuf>,
    /// Also publish the picture of the last face of each camera, as JPEG
    ///
    /// The broker keeps the picture until the next one, until the person is deleted, or until the program ends.
    #[arg(long, requires = "mqtt", hide_short_help = true)]
    pub(crate) mqtt_snapshots: bool,
    /// First levels of the topics of Home Assistant's discovery, or `none`
    #[arg(long, value_name = "PREFIX", default_value = "homeassistant", requires = "mqtt", hide_short_help = true)]
    pub(crate) mqtt_discovery: String,
    /// Seconds after which a person who is not seen counts as absent, 1 to 86400
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10.0,
        value_parser = parse_pause,
        requires = "mqtt",
        hide_short_help = true
    )]
    pub(crate) mqtt_away: f64,
}

/// Checked settings.
pub(crate) struct MqttSettings {
    options: MqttOptions,
    broker: String,
    topics: Topics,
    snapshots: bool,
    away: Duration,
}

/// The newest scene of a camera.
pub(crate) type NewestScene = Arc<Mutex<Option<Arc<Scene>>>>;

/// What is published about a camera.
pub(crate) struct MqttCamera {
    /// The name.
    pub(crate) name: String,
    pub(crate) pipeline: PipelineHandle,
    /// Whether the first source is a placeholder until one is chosen.
    pub(crate) waiting: bool,
    pub(crate) newest: NewestScene,
}

impl MqttCamera {
    fn newest(&self) -> Option<Arc<Scene>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl MqttArgs {
    /// Checks the flags; `None` if nothing is published.
    ///
    /// # Errors
    /// If the address, the password file or the certificate authorities cannot be used. No error contains the password.
    pub(crate) fn settings(&self) -> Result<Option<MqttSettings>> {
        let Some(url) = &self.mqtt else { return Ok(None) };
        let broker = Broker::parse(url)?;
        let discovery = Some(self.mqtt_discovery.trim_matches('/')).filter(|prefix| *prefix != "none");
        let topics = Topics::new(&broker.prefix, discovery).context("--mqtt-discovery")?;
        let mut options = MqttOptions::new(topics.node.clone(), broker.host.clone(), broker.port);
        let password = self.password()?.or_else(|| broker.password.clone());
        match (&broker.user, password) {
            (Some(user), password) => {
                options.set_credentials(user, password.unwrap_or_default());
            }
            (None, Some(_)) => bail!("a password for the MQTT broker needs a user: --mqtt mqtt://USER@{}", broker.host),
            (None, None) => {}
        }
        if broker.encrypted {
            options.set_transport(Transport::tls_with_config(self.encryption()?));
        }
        options.set_keep_alive(KEEP_ALIVE);
        options.set_max_packet_size(MAX_MESSAGE, MAX_MESSAGE);
        options.set_last_will(LastWill::new(topics.availability(), "offline", QoS::AtLeastOnce, true));
        let away = Duration::from_secs_f64(self.mqtt_away);
        Ok(Some(MqttSettings { options, broker: broker.to_string(), topics, snapshots: self.mqtt_snapshots, away }))
    }

    /// The password of the file or of the environment.
    fn password(&self) -> Result<Option<String>> {
        let Some(path) = &self.mqtt_password_file else {
            return Ok(std::env::var("VISAVIS_MQTT_PASSWORD").ok().filter(|password| !password.is_empty()));
        };
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() {
            bail!("{} contains no password: it must be the first line", path.display());
        }
        Ok(Some(password.to_owned()))
    }

    fn encryption(&self) -> Result<TlsConfiguration> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted(self.mqtt_ca.as_deref())?);
        if roots.is_empty() {
            bail!("this system has no certificate authorities: name those of the MQTT broker with --mqtt-ca");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(TlsConfiguration::Rustls(Arc::new(config)))
    }
}

impl MqttSettings {
    /// Starts to publish the state of the cameras. Events are counted in `counts`.
    ///
    /// # Errors
    /// If the system starts no thread.
    pub(crate) fn start(self, cameras: Vec<MqttCamera>, counts: Arc<OutputCounts>) -> Result<MqttOutput> {
        let Self { options, broker, topics, snapshots, away } = self;
        let (send, inbox) = sync_channel(QUEUE);
        let (going_on, over) = channel();
        let (ends, ended) = channel::<()>();
        let stopping = Arc::new(AtomicBool::new(false));
        let failed = "the threads for MQTT could not be started";
        let (notices, end) = (send.clone(), ends.clone());
        let connection = move || {
            connection::run::<Message>(&options, &broker, &notices, &over);
            drop(end);
        };
        let publisher = Publisher {
            topics,
            cameras,
            snapshots,
            away,
            counts: Arc::clone(&counts),
            stopping: Arc::clone(&stopping),
            going_on: Some(going_on),
        };
        thread::Builder::new().name("mqtt".into()).spawn(connection).context(failed)?;
        let publish = move || {
            publisher.run(&inbox);
            drop(ends);
        };
        thread::Builder::new().name("mqtt publisher".into()).spawn(publish).context(failed)?;
        Ok(MqttOutput { send, stopping, ended: Mutex::new(ended), counts })
    }
}

/// Publishes until it is dropped. Then the broker is told that the program ends, for which it is given two seconds.
pub(crate) struct MqttOutput {
    send: SyncSender<Message>,
    stopping: Arc<AtomicBool>,
    /// Disconnected when both threads have ended. The lock only lets several threads use this output.
    ended: Mutex<Receiver<()>>,
    counts: Arc<OutputCounts>,
}

impl MqttOutput {
    /// Publishes an event of the camera with this index if it is an alarm or about a sighting. Does not wait.
    pub(crate) fn handle_event(&self, camera: usize, event: &Event) {
        if matches!(event, Event::Alarm(_) | Event::Sighting(_))
            && self.send.try_send(Message::Event(camera, event.clone())).is_err()
        {
            self.counts.dropped(1);
            complain("MQTT: an event was dropped, since the publisher is too slow");
        }
    }
}

impl Drop for MqttOutput {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Fails if the queue is full: then the publisher is awake.
        let _ = self.send.try_send(Message::Stop);
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(END_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            // A thread waits for a broker or a database that does not answer: it ends with the program.
            log::debug!("MQTT: the connection did not end in time");
        }
    }
}

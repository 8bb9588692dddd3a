//! Decides what is published, and gives it to the connection. Runs on a thread of its own, which alone waits for the gallery.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rumqttc::{Client, QoS, SubscribeFilter};
use serde_json::{Value, json};
use visavis_cli::options::complain;
use visavis_face::thumbnail;
use visavis_gallery::{Gallery, GalleryError, PersonId, SightingId, Wanted};
use visavis_live::{Alarm, Cause, Event, Scene, Sighting, SightingKind, rfc3339};
use visavis_web::OutputCounts;

use super::MqttCamera;
use super::connection::Notice;
use super::outbox::{Outbox, Outgoing};
use super::topics::{CameraTopics, Topics};
use crate::alarms::{alarm_fields, sighting_fields, time_of};

/// How often the state of the cameras is looked at.
const SAMPLE: Duration = Duration::from_millis(500);
/// How often the state of a camera is published if only its rate has changed.
const RATE: Duration = Duration::from_secs(30);
/// How long the retained topics of earlier runs are looked for after a connection.
const SWEEP: Duration = Duration::from_secs(10);
/// Largest number of people with a presence sensor.
const MOST_PEOPLE: usize = 200;
/// How long the end of a run waits for the broker to confirm the last messages.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the publisher is told.
pub(super) enum Message {
    /// An alarm or a sighting of the camera with this index.
    Event(usize, Event),
    Connection(Notice),
    /// The run is over: only wakes the publisher.
    Stop,
}

impl From<Notice> for Message {
    fn from(notice: Notice) -> Self {
        Self::Connection(notice)
    }
}

/// What a retained message of a camera is about.
#[derive(Clone)]
struct Subject {
    person: Option<(PersonId, String)>,
    sighting: Option<SightingId>,
}

impl Subject {
    /// Whether the person, under this name, and the sighting exist. `false` if this cannot be checked.
    fn exists(&self, gallery: &Gallery) -> bool {
        let check = || -> Result<bool, GalleryError> {
            let person = match &self.person {
                Some((person, name)) => gallery.person(*person)?.is_some_and(|known| known.name == *name),
                None => true,
            };
            Ok(person && self.sighting.map_or(Ok(true), |sighting| gallery.has_sighting(sighting))?)
        };
        check().unwrap_or(false)
    }
}

/// What was published about a camera.
struct Published {
    topics: CameraTopics,
    /// Status and number of faces, and when they were published.
    state: Option<(&'static str, Option<usize>, Instant)>,
    /// When each person was last in view.
    seen: HashMap<PersonId, Instant>,
    last_event: Option<Subject>,
    snapshot: Option<Subject>,
}

pub(super) struct Publisher {
    pub(super) topics: Topics,
    pub(super) cameras: Vec<MqttCamera>,
    pub(super) snapshots: bool,
    pub(super) away: Duration,
    pub(super) counts: Arc<OutputCounts>,
    pub(super) stopping: Arc<AtomicBool>,
    /// Dropped at the end: the connection then makes no further attempt.
    pub(super) going_on: Option<Sender<()>>,
}

/// A publisher at work.
struct Run {
    settings: Publisher,
    published: Vec<Published>,
    /// The people who have presence sensors, with their names.
    people: BTreeMap<PersonId, String>,
    /// The gallery's last change that `people` includes.
    changes: Option<i64>,
    /// Whether it was reported that there are more people.
    told: bool,
    checked: Instant,
    outbox: Outbox,
    client: Option<Client>,
    /// Until when the topics of earlier runs are looked for.
    sweep: Option<Instant>,
    dropping: bool,
}

impl Publisher {
    /// Publishes until the run is over.
    pub(super) fn run(self, inbox: &Receiver<Message>) {
        let published = self.cameras.iter().map(|camera| Published {
            topics: Topics::camera(&camera.name),
            state: None,
            seen: HashMap::new(),
            last_event: None,
            snapshot: None,
        });
        let mut run = Run {
            published: published.collect(),
            people: BTreeMap::new(),
            changes: None,
            told: false,
            checked: Instant::now(),
            outbox: Outbox::default(),
            client: None,
            sweep: None,
            dropping: false,
            settings: self,
        };
        run.announce();
        let mut due = Instant::now();
        while !run.settings.stopping.load(Ordering::Acquire) {
            match inbox.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(message) => run.handle(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= due {
                run.sample(Instant::now());
                due = Instant::now() + SAMPLE;
            }
            run.flush();
        }
        run.end(inbox);
    }
}

impl Run {
    /// Publishes the entities that do not depend on the gallery.
    fn announce(&mut self) {
        self.outbox.set(&self.settings.topics.availability(), b"online");
        for camera in &self.published {
            for (topic, config) in self.settings.topics.entities(&camera.topics, self.settings.snapshots) {
                self.outbox.set(&topic, config.as_bytes());
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Event(camera, event) => self.event(camera, &event),
            Message::Connection(Notice::Connected(client)) => {
                let filters = self.settings.topics.own().into_iter();
                let filters = filters.map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
                if client.try_subscribe_many(filters).is_ok() {
                    self.sweep = Some(Instant::now() + SWEEP);
                }
                self.client = Some(client);
                let dropped = self.outbox.restart();
                self.count_dropped(dropped);
                self.dropping = false;
            }
            Message::Connection(Notice::Lost) => self.client = None,
            Message::Connection(Notice::Sent(number)) => self.outbox.numbered(number),
            Message::Connection(Notice::Confirmed(number)) => {
                if self.outbox.confirmed(number) {
                    self.settings.counts.delivered(1);
                }
            }
            Message::Connection(Notice::Found(topic)) if self.settings.topics.is_own(&topic) => {
                self.outbox.found(&topic)
            }
            Message::Connection(Notice::Found(_)) | Message::Stop => {}
        }
    }

    /// Gives the connection what it takes. Without a connection everything waits.
    fn flush(&mut self) {
        let Some(client) = &self.client else { return };
        self.outbox.flush(|message| {
            let (topic, retain, payload) = match message {
                Outgoing::Retained { topic, payload } => (topic, true, payload),
                Outgoing::Event { topic, payload } => (topic, false, payload),
            };
            client.try_publish(topic, QoS::AtLeastOnce, retain, payload.to_vec()).is_ok()
        });
        if self.sweep.is_some_and(|until| Instant::now() >= until) {
            let filters = self.settings.topics.own();
            // Tried again if the connection's queue is full.
            if filters.iter().all(|filter| client.try_unsubscribe(filter).is_ok()) {
                self.sweep = None;
            }
        }
    }

    fn count_dropped(&mut self, dropped: usize) {
        if dropped > 0 {
            self.settings.counts.dropped(dropped as u64);
            if !std::mem::replace(&mut self.dropping, true) {
                complain("MQTT: too many events wait for the broker: the oldest are dropped");
            }
        }
    }

    fn gallery(&self) -> Option<Arc<Gallery>> {
        let snapshot = self.settings.cameras.first()?.pipeline.snapshot();
        snapshot.gallery.as_ref().map(|state| Arc::clone(&state.gallery))
    }

    /// Publishes what has changed since the last look.
    fn sample(&mut self, now: Instant) {
        if let Some(gallery) = self.gallery() {
            let changes = gallery.changes();
            if self.changes.is_none() || changes != self.changes {
                match self.update_people(&gallery) {
                    Ok(()) => self.changes = changes.or(Some(-1)),
                    // The pipeline reports that the gallery cannot be used. Tried again with the next sample.
                    Err(error) => log::debug!("MQTT: {error}"),
                }
            } else if now >= self.checked + RATE {
                // Sightings are deleted without a change that is counted.
                self.forget_stale(&gallery, false);
                self.checked = now;
            }
        }
        for camera in 0..self.published.len() {
            self.sample_camera(camera, now);
        }
    }

    /// Adds and removes presence sensors, and deletes what was published about people who were renamed or removed.
    fn update_people(&mut self, gallery: &Gallery) -> Result<(), GalleryError> {
        let all = Wanted { name: String::new(), watched: false, named: true, offset: 0, limit: MOST_PEOPLE };
        let (total, listed) = gallery.people_like(&all)?;
        // Watched people first, if there are too many.
        let watched =
            if total > MOST_PEOPLE { gallery.people_like(&Wanted { watched: true, ..all })?.1 } else { Vec::new() };
        let mut people = BTreeMap::new();
        for person in watched.into_iter().chain(listed).filter(|person| !person.ignored) {
            if people.len() < MOST_PEOPLE {
                people.insert(person.id, person.name);
            }
        }
        if total > MOST_PEOPLE && !self.told {
            complain(&format!("MQTT: only {MOST_PEOPLE} of {total} people get presence sensors, watched people first"));
            self.told = true;
        }
        let before = std::mem::replace(&mut self.people, people);
        let is_same = |(person, name): &(&PersonId, &String)| self.people.get(*person) == Some(*name);
        let gone: Vec<(PersonId, String)> =
            before.iter().filter(|entry| !is_same(entry)).map(|(person, name)| (*person, name.clone())).collect();
        let topics = &self.settings.topics;
        for camera in &mut self.published {
            for (person, name) in &gone {
                self.outbox.empty(&topics.person(&camera.topics, *person));
                if let Some((topic, _)) = topics.presence(&camera.topics, *person, name) {
                    self.outbox.empty(&topic);
                }
                if !self.people.contains_key(person) {
                    camera.seen.remove(person);
                }
            }
            for (person, name) in &self.people {
                if let Some((topic, config)) = topics.presence(&camera.topics, *person, name) {
                    self.outbox.set(&topic, config.as_bytes());
                }
            }
        }
        self.forget_stale(gallery, !gone.is_empty());
        Ok(())
    }

    /// Deletes last events and pictures that are about people or sightings that do not exist any more. `anyone`: whether somebody was
    /// removed, who may be the unknown face of a picture.
    fn forget_stale(&mut self, gallery: &Gallery, anyone: bool) {
        let is_stale = |subject: &Subject| (anyone && subject.person.is_none()) || !subject.exists(gallery);
        let topics = &self.settings.topics;
        for camera in &mut self.published {
            if camera.last_event.as_ref().is_some_and(is_stale) {
                self.outbox.empty(&topics.last_event(&camera.topics));
                camera.last_event = None;
            }
            if camera.snapshot.as_ref().is_some_and(is_stale) {
                self.outbox.empty(&topics.snapshot(&camera.topics));
                camera.snapshot = None;
            }
        }
    }

    fn sample_camera(&mut self, index: usize, now: Instant) {
        let (camera, published) = (&self.settings.cameras[index], &mut self.published[index]);
        let topics = &self.settings.topics;
        let snapshot = camera.pipeline.snapshot();
        let source = &snapshot.source;
        let scene = camera.newest();
        let status = match (&scene, source.stalled_since) {
            (_, Some(_)) => "stalled",
            (_, None) if camera.waiting && source.playing.first => "waiting",
            (None, None) => "starting",
            (Some(_), None) => "online",
        };
        let scene = scene.filter(|_| status == "online");
        let faces = scene.as_ref().map(|scene| scene.faces.len());
        let is_due = |&(last, count, at): &(&'static str, Option<usize>, Instant)| {
            last != status || count != faces || now >= at + RATE
        };
        if published.state.as_ref().is_none_or(is_due) {
            published.state = Some((status, faces, now));
            let rate = camera.pipeline.statistics().map(|report| (report.recent_shown_fps * 10.0).round() / 10.0);
            let state = json!({
                "status": status,
                "pictures_per_second": rate.filter(|_| status == "online"),
                "faces": faces,
                "source": source.name(),
                "stalled_since": source.stalled_since.map(rfc3339),
            });
            self.outbox.set(&topics.state(&published.topics), state.to_string().as_bytes());
        }
        let mut arrived = None;
        for face in scene.iter().flat_map(|scene| &scene.faces) {
            let Some(found) = face.resembles.as_ref().filter(|found| found.same_person && face.detected) else {
                continue;
            };
            let last = published.seen.insert(found.person, now);
            if last.is_none_or(|last| now > last + self.settings.away) && self.people.contains_key(&found.person) {
                arrived = Some((face.track, (found.person, found.name.to_string())));
            }
        }
        let away = self.settings.away;
        published.seen.retain(|_, last| now <= *last + away);
        for person in self.people.keys() {
            let present: &[u8] = if published.seen.contains_key(person) { b"ON" } else { b"OFF" };
            self.outbox.set(&topics.person(&published.topics, *person), present);
        }
        if let (Some((track, person)), Some(scene)) = (arrived, scene) {
            self.publish_snapshot(index, face_of(&scene, track), Subject { person: Some(person), sighting: None });
        }
    }

    /// Publishes an alarm or a change of a sighting.
    fn event(&mut self, index: usize, event: &Event) {
        let Some(name) = self.settings.cameras.get(index).map(|camera| camera.name.clone()) else { return };
        let (fields, subject, picture) = match event {
            Event::Alarm(alarm) => {
                let Ok(fields) = alarm_fields(alarm) else { return };
                let person = match &alarm.cause {
                    Cause::Watched { person, name, .. } => Some((*person, name.clone())),
                    Cause::Unknown => None,
                };
                let subject = Subject { person, sighting: None };
                (event_json("alarm", alarm.time, &name, fields), subject, self.picture_of_alarm(index, alarm))
            }
            Event::Sighting(sighting) => {
                let Sighting { kind, first_seen, last_seen, person, id, .. } = &**sighting;
                let time = if *kind == SightingKind::Appeared { *first_seen } else { *last_seen };
                let person = person.as_ref().map(|(person, name)| (*person, name.to_string()));
                let subject = Subject { person, sighting: Some(*id) };
                let picture = self.picture_of_sighting(*kind, *id);
                (event_json(kind.word(), time, &name, sighting_fields(sighting)), subject, picture)
            }
            _ => return,
        };
        let topic = self.settings.topics.events(&self.published[index].topics);
        let dropped = self.outbox.add(topic, fields.to_string());
        self.count_dropped(usize::from(dropped));
        // A person who was removed since the event is not kept by the broker.
        if self.gallery().is_some_and(|gallery| !subject.exists(&gallery)) {
            return;
        }
        let (topics, published) = (&self.settings.topics, &mut self.published[index]);
        let last = last_event(&fields);
        self.outbox.set(&topics.last_event(&published.topics), last.to_string().as_bytes());
        published.last_event = Some(subject.clone());
        self.publish_snapshot(index, picture, subject);
    }

    fn publish_snapshot(&mut self, index: usize, jpeg: Option<Vec<u8>>, subject: Subject) {
        let Some(jpeg) = jpeg.filter(|_| self.settings.snapshots) else { return };
        let published = &mut self.published[index];
        self.outbox.set(&self.settings.topics.snapshot(&published.topics), &jpeg);
        published.snapshot = Some(subject);
    }

    fn picture_of_alarm(&self, index: usize, alarm: &Alarm) -> Option<Vec<u8>> {
        if !self.settings.snapshots {
            return None;
        }
        let in_view = || face_of(&*self.settings.cameras[index].newest()?, alarm.track);
        alarm.crop.clone().or_else(in_view)
    }

    fn picture_of_sighting(&self, kind: SightingKind, sighting: SightingId) -> Option<Vec<u8>> {
        if !self.settings.snapshots || kind == SightingKind::Left {
            return None;
        }
        self.gallery()?.sighting_crop(sighting).ok()?
    }

    /// Tells the broker that the program ends, and deletes pictures and events, since later deletions of people would not reach
    /// them.
    fn end(&mut self, inbox: &Receiver<Message>) {
        let topics = &self.settings.topics;
        for camera in &self.published {
            for person in self.people.keys() {
                self.outbox.set(&topics.person(&camera.topics, *person), b"OFF");
            }
            let state = json!({ "status": "offline", "pictures_per_second": null, "faces": null });
            self.outbox.set(&topics.state(&camera.topics), state.to_string().as_bytes());
            self.outbox.clear(&topics.last_event(&camera.topics));
            self.outbox.clear(&topics.snapshot(&camera.topics));
        }
        self.outbox.set(&topics.availability(), b"offline");
        let until = Instant::now() + FAREWELL;
        while self.client.is_some() && !self.outbox.is_empty() {
            self.flush();
            match inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(message) => self.handle(message),
                Err(_) => break,
            }
        }
        let left = self.outbox.events();
        if left > 0 {
            self.settings.counts.dropped(left as u64);
            complain(&format!("MQTT: the run is over: {left} events were not confirmed by the broker"));
        }
        if let Some(client) = self.client.take() {
            let _ = client.try_disconnect();
        }
        self.settings.going_on = None;
    }
}

/// The face with this track as JPEG; `None` if it is not in view.
fn face_of(scene: &Scene, track: u64) -> Option<Vec<u8>> {
    let face = scene.faces.iter().find(|face| face.track == track)?;
    thumbnail(&scene.frame.picture, &face.rect, face.turn)
}

/// An event as it is published. `time`: Unix time in seconds.
fn event_json(kind: &str, time: i64, camera: &str, mut fields: Value) -> Value {
    if let Some(fields) = fields.as_object_mut() {
        fields.remove("event");
        fields.insert("event_type".into(), kind.into());
        fields.insert("time".into(), time_of(time).into());
        fields.insert("camera".into(), camera.into());
    }
    fields
}

/// What is kept of an event as the last one.
fn last_event(event: &Value) -> Value {
    let kept = ["time", "event_type", "camera", "person", "name", "identified"];
    let fields = kept.into_iter().filter(|field| !event[*field].is_null());
    Value::Object(fields.map(|field| (field.to_owned(), event[field].clone())).collect())
}

//! A live run from its start to its end: pipelines, page, outputs, status line and typed commands.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use visavis_cli::interrupt;
use visavis_cli::options::complain;
use visavis_cli::session::Session;
use visavis_cli::terminal::{self, with_causes};
use visavis_face::Choice;
use visavis_gallery::{Gallery, Resemblance};
use visavis_infer::Task;
use visavis_live::{
    Delivery, Event, Loader, Outcome, Pipeline, Prepared, RegistryLoader, SceneFace, Subscription, WorkerPool,
};
use visavis_video::{standby, switched};
use visavis_web::{OutputCounts, Server};

use super::cameras::Camera;
use super::{Args, live_params, open_output};
use crate::alarms::Journal;
use crate::audit_log::{self, AuditLog};
use crate::film::Film;
use crate::mqtt::{MqttCamera, MqttOutput, NewestScene};
use crate::page::Page;
use crate::record::SceneRecord;
use crate::verdict::Verdict;

/// What a camera shows and writes while its pipeline runs.
struct View {
    name: String,
    /// The name in outputs, if they need one.
    label: Option<String>,
    screen: Subscription,
    recorder: Option<(Film, Subscription)>,
    lines: Option<Subscription>,
    /// The newest scene, for the status line and MQTT.
    newest: NewestScene,
}

/// What ends or steers a run.
enum Message {
    /// A line was typed.
    Typed(String),
    /// The pipeline of a camera has ended.
    Ended,
    /// The program that read standard output has ended.
    NoReader,
}

type Lines = Mutex<Box<dyn Write + Send>>;

/// Runs the pipelines of all cameras to their end; the outcome of each.
pub(super) fn watch(session: Session, cameras: Vec<Camera>, args: &Args) -> Result<Vec<Outcome>> {
    let audit = args.audit.open()?;
    let page_audit = audit.as_ref().map(AuditLog::for_page);
    let page = args.page.is_wanted().then(|| {
        Page::open(&args.page, args.reading.open_options(), args.without_source, page_audit, args.destinations())
    });
    let mut page = page.transpose()?;
    let mqtt = args.mqtt.settings()?;
    let journal = Journal::open(&args.alarms, &args.sightings)?;
    let lines: Option<Lines> = args.outputs.jsonl.as_deref().map(open_output).transpose()?.map(Mutex::new);
    let gallery = session.gallery()?;
    let Session { loader, choice } = session;
    let loader = Arc::new(loader);
    let workers = args.running.workers(cameras.len());
    let pool = Arc::new(WorkerPool::new(Arc::clone(&loader) as Arc<dyn Loader>, &choice, workers)?);
    let shared = Shared { args, choice, pool, gallery };
    let (mut views, mut pipelines) = (Vec::new(), Vec::new());
    let mut published = Vec::new();
    for camera in cameras {
        let (name, waiting) = (camera.name().to_owned(), camera.source.is_none());
        let (view, pipeline) = shared.start(camera, page.as_mut())?;
        published.push(MqttCamera { name, pipeline: pipeline.handle(), waiting, newest: Arc::clone(&view.newest) });
        views.push(view);
        pipelines.push(pipeline);
    }
    interrupt::stops(&pipelines)?;
    let events: Vec<_> = pipelines.iter_mut().map(Pipeline::events).collect();
    let mut counts = journal.counts();
    let mqtt = mqtt.map(|settings| {
        let counter = Arc::new(OutputCounts::new("mqtt"));
        counts.push(Arc::clone(&counter));
        settings.start(published, counter)
    });
    let mqtt = mqtt.transpose()?;
    let journal = Mutex::new(journal);
    let server = page.map(|page| page.serve(&pipelines, &loader, counts)).transpose()?;
    thread::scope(|scope| {
        let (send, messages) = channel();
        let mut writing = Vec::new();
        let mut others = Vec::new();
        let (server, lines) = (server.as_ref(), lines.as_ref());
        let receivers = Receivers { journal: &journal, audit: audit.as_ref(), mqtt: mqtt.as_ref(), page: server };
        for ((number, view), events) in views.iter_mut().enumerate().zip(events) {
            let (label, name) = (view.label.clone(), view.name.clone());
            if let Some((film, scenes)) = view.recorder.take() {
                writing.push(scope.spawn(move || told(film.record(&scenes))));
            }
            if let (Some(lines), Some(scenes)) = (lines, view.lines.take()) {
                let (label, ended) = (label.clone(), send.clone());
                let file = args.outputs.lines();
                writing.push(scope.spawn(move || match write_lines(lines, &scenes, label.as_deref()) {
                    Err(error) if file.is_none() && error.kind() == ErrorKind::BrokenPipe => {
                        let _ = ended.send(Message::NoReader);
                        Ok(())
                    }
                    written => told(written.with_context(|| match file {
                        Some(file) => format!("{} cannot be written", file.display()),
                        None => "standard output cannot be written".into(),
                    })),
                }));
            }
            if let Some(events) = events {
                others.push(scope.spawn(move || report(&events, receivers, number, &name, label.as_deref())));
            }
        }
        // The latency until a frame is shown is measured on the page if there is one, else here.
        let measures = server.is_none();
        for view in &views {
            let ended = send.clone();
            others.push(scope.spawn(move || view.follow(measures, &ended)));
        }
        if !args.is_piped() {
            type_lines(send);
        }
        show(&pipelines, &views, args.running.seconds, &messages, &loader, audit.as_ref());
        pipelines.iter().for_each(Pipeline::stop);
        if let Some(server) = server {
            server.release_sources();
        }
        let outcomes = pipelines.into_iter().map(Pipeline::join).collect();
        // Ctrl-C has nothing to stop any more: it lets go of the pipelines, and with them of the gallery, which is closed at the end.
        interrupt::watch()?;
        for thread in writing {
            match thread.join() {
                Ok(done) => done?,
                Err(_) => bail!("a thread that writes a file has panicked: the file is not complete"),
            }
        }
        for thread in others {
            let _ = thread.join();
        }
        Ok(outcomes)
    })
}

/// What all cameras of a run share.
struct Shared<'a> {
    args: &'a Args,
    choice: Choice,
    pool: Arc<WorkerPool>,
    gallery: Option<Arc<Gallery>>,
}

impl Shared<'_> {
    /// Starts the pipeline of a camera.
    fn start(&self, camera: Camera, page: Option<&mut Page>) -> Result<(View, Pipeline)> {
        let (args, gallery) = (self.args, &self.gallery);
        let label = camera.label();
        let record = args.outputs.record.as_ref().map(|path| camera.output(path));
        let name = camera.name().to_owned();
        let waiting = camera.source.is_none();
        let first = match camera.source {
            Some(source) => source,
            None if page.is_some() => standby(),
            None => bail!("there is no source"),
        };
        let mut params = live_params(&self.choice, first.as_ref(), &args.running);
        params.camera.clone_from(&label);
        if args.networks.gallery.is_some() {
            (params.alarm, params.growth) = (Some(args.alarms.alarm()), args.growth.growth());
            params.sightings = args.sightings.sightings();
        }
        // With a page the source can be switched: then the switch mirrors each source according to its kind.
        params.mirror &= page.is_none();
        let frame_rate = first.info().frame_rate.unwrap_or(30.0);
        let (source, switch) = match page.is_some() {
            true => {
                let (source, switch) = switched(first, args.running.mirror);
                (source, Some(switch))
            }
            false => (first, None),
        };
        let mut prepared = Prepared::with_pool(params, Arc::clone(&self.pool));
        if let (Some(page), Some(switch)) = (page, switch) {
            page.add(&name, switch, waiting, &mut prepared, gallery.clone(), frame_rate);
        }
        let screen = prepared.subscribe(Delivery::Newest);
        // The files get every frame through a queue of 60, two seconds at 30 frames a second. When the queue is full, frames are
        // dropped.
        let queue = Delivery::All { queue: 60 };
        let film = record.map(|path| Film::begin(&path, gallery.clone(), frame_rate));
        let recorder = film.map(|film| (film, prepared.subscribe(queue)));
        let lines = args.outputs.jsonl.is_some().then(|| prepared.subscribe(queue));
        let pipeline = prepared.start(source)?;
        Ok((View { name, label, screen, recorder, lines, newest: NewestScene::default() }, pipeline))
    }
}

/// Who gets the events besides the terminal.
#[derive(Clone, Copy)]
struct Receivers<'a> {
    journal: &'a Mutex<Journal>,
    audit: Option<&'a AuditLog>,
    mqtt: Option<&'a MqttOutput>,
    page: Option<&'a Server>,
}

/// Passes events to the terminal, the files and hooks, and the page, until the pipeline ends.
fn report(events: &Receiver<Event>, receivers: Receivers<'_>, number: usize, camera: &str, label: Option<&str>) {
    for event in events {
        receivers.journal.lock().unwrap_or_else(PoisonError::into_inner).write(&event, label);
        if let Some(audit) = receivers.audit {
            audit.write_event(&event, camera);
        }
        if let Some(mqtt) = receivers.mqtt {
            mqtt.handle_event(number, &event);
        }
        // A change that another program made is only of interest to the page.
        // An event about the networks, which belong to all cameras, comes from each camera.
        let is_repeated = number > 0 && event.concerns_all_cameras();
        if !matches!(event, Event::GalleryChanged) && !is_repeated {
            tell(&event, label.filter(|_| !event.concerns_all_cameras()));
        }
        if let Some(page) = receivers.page {
            page.handle_event(number, &event);
        }
    }
}

/// Prints an event on standard error.
fn tell(event: &Event, label: Option<&str>) {
    if !terminal::is_json() {
        return complain(&label.map_or_else(|| event.to_string(), |label| format!("{label}: {event}")));
    }
    let mut fields = Map::from_iter([("event".to_owned(), event.kind().into())]);
    fields.extend(label.map(|label| ("camera".to_owned(), label.into())));
    let level = if event.is_failure() { log::Level::Warn } else { log::Level::Info };
    terminal::report(level, &event.to_string(), fields);
}

/// Passes typed lines on. The thread is never joined: it ends with the program.
fn type_lines(send: Sender<Message>) {
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(Message::Typed(line)).is_err() {
                return;
            }
        }
    });
}

/// Interval between updates of the status line.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);

/// Until the end of all pipelines or of the run: updates the status line if standard error is a terminal, and runs the typed
/// commands.
fn show(
    pipelines: &[Pipeline],
    views: &[View],
    seconds: Option<f64>,
    messages: &Receiver<Message>,
    loader: &RegistryLoader,
    audit: Option<&AuditLog>,
) {
    let terminal = std::io::stderr().is_terminal() && !terminal::is_json();
    let (started, mut updated) = (Instant::now(), Instant::now());
    let until = seconds.and_then(|seconds| started.checked_add(Duration::try_from_secs_f64(seconds.max(0.0)).ok()?));
    let mut running = views.len();
    while running > 0 {
        let left = until.map_or(STATUS_INTERVAL, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return;
        }
        match messages.recv_timeout(left.min(STATUS_INTERVAL)) {
            Ok(Message::Typed(line)) => {
                if !steer(pipelines, &line, loader, audit) {
                    return;
                }
            }
            Ok(Message::Ended) => running -= 1,
            Ok(Message::NoReader) => return,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if terminal && updated.elapsed() >= STATUS_INTERVAL {
            updated = Instant::now();
            let cameras = pipelines.iter().zip(views).filter_map(|(pipeline, view)| view.status(pipeline));
            let line = cameras.collect::<Vec<_>>().join("  |  ");
            // Carriage return, then erase to the end of the line: the new status replaces the old one.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", line.chars().take(160).collect::<String>());
        }
    }
    if terminal {
        complain("");
    }
}

impl View {
    /// Keeps the newest scene until the pipeline ends, and reports the end.
    fn follow(&self, measures: bool, ended: &Sender<Message>) {
        while let Some(scene) = self.screen.recv() {
            if measures {
                self.screen.shown(&scene);
            }
            *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(scene);
        }
        let _ = ended.send(Message::Ended);
    }

    /// The part of the status line about this camera; `None` before the first scene.
    fn status(&self, pipeline: &Pipeline) -> Option<String> {
        let scene = self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let report = pipeline.statistics();
        let detection = report.stages.get("detection").map_or(0.0, |stage| stage.recent_per_second);
        let faces = scene.faces.iter().map(describe).collect::<Vec<_>>().join("  ");
        let state = pipeline.snapshot();
        let lost = state.gallery.as_ref().is_some_and(|gallery| gallery.failure.is_some());
        let gallery = if lost { "gallery not reached  " } else { "" };
        let stalled = state.source.stalled_since.map_or_else(String::new, |since| {
            let silent = since.elapsed().unwrap_or_default().as_secs();
            format!("NO PICTURE for {silent} s  ")
        });
        let label = self.label.as_ref().map_or_else(String::new, |label| format!("{label} "));
        Some(format!(
            "{label}{stalled}{:4.1} fps shown  {detection:4.1} detected  {:3.0} ms  {gallery}{} face{}  {faces}",
            report.recent_shown_fps,
            report.latency_p95_ms,
            scene.faces.len(),
            if scene.faces.len() == 1 { "" } else { "s" },
        ))
    }
}

/// A short description of a face for the status line.
fn describe(face: &SceneFace) -> String {
    let mut words = vec![format!("#{}", face.track)];
    words.extend(face.age.map(|age| format!("{age:.0}")));
    words.extend(face.female.map(|female| if female >= 0.5 { "f".to_owned() } else { "m".to_owned() }));
    words.extend(face.smiling.filter(|smiling| *smiling).map(|_| "smiles".to_owned()));
    words.extend(face.expression.as_ref().and_then(|found| found.likeliest()).map(|(name, _)| name.to_owned()));
    words.extend(face.resembles.as_ref().map(|found| {
        let Resemblance { same_person, identified, likeness, .. } = *found;
        format!("{} ({})", found.name, Verdict { same_person, identified, likeness })
    }));
    words.join(" ")
}

/// Runs a typed command on all cameras. Returns `false` if the program should end.
fn steer(pipelines: &[Pipeline], line: &str, loader: &RegistryLoader, audit: Option<&AuditLog>) -> bool {
    let record = |action: &str, details: Value| {
        if let Some(audit) = audit {
            audit.write(&audit_log::user("standard input"), action, &details);
        }
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [] => {}
        ["quit" | "q"] => return false,
        ["not"] => {
            pipelines.iter().for_each(Pipeline::deny_last_alarm);
            record("last_alarm_denied", json!({}));
        }
        ["networks"] => {
            for entry in loader.registry.entries() {
                let tasks: Vec<String> = entry.manifest.tasks.iter().map(Task::to_string).collect();
                complain(&format!("{}: {}", entry.manifest.name, tasks.join(", ")));
            }
        }
        // Applies to all pipelines, since they share their networks.
        ["switch", task, network] => match (task.parse::<Task>(), pipelines.first()) {
            (Ok(task), Some(pipeline)) => {
                pipeline.switch(task, Some(network.to_owned()).filter(|name| name != "none"));
                record("network_switched", json!({ "task": task.to_string(), "network": network }));
            }
            (Ok(_), None) => {}
            (Err(error), _) => complain(&error.to_string()),
        },
        _ => complain("unknown command: type `switch TASK NETWORK`, `networks`, `not` or `quit`"),
    }
    true
}

/// Reports at once that an output has failed, since the run goes on without it.
fn told(written: Result<()>) -> Result<()> {
    if let Err(error) = &written {
        complain(&format!("error: {}", with_causes(error)));
    }
    written
}

/// Writes one line for each scene.
fn write_lines(to: &Lines, scenes: &Subscription, label: Option<&str>) -> io::Result<()> {
    while let Some(scene) = scenes.recv() {
        let mut line = serde_json::to_vec(&SceneRecord::new(&scene, label))?;
        line.push(b'\n');
        let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
        to.write_all(&line)?;
        to.flush()?;
    }
    Ok(())
}

//! `visavis live`: watch a camera or a film.

use std::fs::File;
use std::io::{BufRead, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use visavis_infer::Task;
use visavis_live::{Delivery, Event, Loader, Outcome, Pacing, Pipeline, PipelineParams, Prepared, Subscription};
use visavis_video::{Pace, Source};
use visavis_web::Server;

use crate::alarms::{AlarmArgs, AlarmOutputs};
use crate::film::Film;
use crate::interrupt;
use crate::options::{EngineArgs, NetworkArgs, SourceArgs, complain, cores};
use crate::page::{Opening, PageArgs};
use crate::place::GalleryPlace;
use crate::record::SceneRecord;
use crate::session::Session;

/// Watch a camera, a film or a picture, live
///
/// It serves a page that shows the picture and steers everything, and prints its address. A status line tells what is seen.
/// While it runs, lines typed on standard input steer it:
/// `switch TASK NETWORK` (or `none`), `networks`, `not` (the last alarm was about somebody else), `quit`.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis live                                   the first webcam; the page is at http://127.0.0.1:8080/
  visavis live --listen 0.0.0.0:8080             a page for the whole network, behind a token
  visavis live film.mp4 --repeat
  visavis live camera:1 --jsonl - --gallery people.gallery
  ffmpeg -i rtsp://… -f mjpeg - | visavis live -
  visavis live virtual:photos/                   a camera that moves over photos
  visavis live --gallery people.gallery --alarm-log alarms.jsonl      who is watched rings
  visavis live --gallery seen.gallery --grow                          everyone seen is added, once
  visavis live camera:1 --gallery postgres://visavis@db/faces         several cameras, one gallery")]
pub(crate) struct Args {
    /// Film, GIF, picture, folder, `camera:0`, `-` (standard input) or `virtual:PATH`
    ///
    /// Without one: the first camera, or, if there is none, whatever is chosen on the page.
    source: Option<String>,
    #[command(flatten)]
    reading: SourceArgs,
    #[command(flatten)]
    engines: EngineArgs,
    #[command(flatten)]
    networks: NetworkArgs,
    #[command(flatten)]
    running: RunningArgs,
    #[command(flatten)]
    outputs: OutputArgs,
    #[command(flatten, next_help_heading = "The page")]
    page: PageArgs,
    #[command(flatten, next_help_heading = "Alarms and a gallery that grows")]
    alarms: AlarmArgs,
    /// Begin a new gallery where the one that --gallery names is not there
    #[arg(long)]
    new_gallery: bool,
}

/// How a live run behaves.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct RunningArgs {
    /// Recognition workers [default: all cores but one]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// Start a film again at its end
    #[arg(long)]
    pub(crate) repeat: bool,
    /// Mirror the picture [default: a camera is mirrored, a film is not]
    #[arg(long, value_name = "BOOL")]
    pub(crate) mirror: Option<bool>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<f64>,
}

/// Where the results go besides the status line.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct OutputArgs {
    /// Write the picture with everything drawn in to this MP4
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Write one JSON line per frame to this file, or `-`
    #[arg(long, value_name = "FILE")]
    pub(crate) jsonl: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.is_piped() && args.outputs.jsonl.as_deref() != Some("-") {
        complain("reading pictures from standard input; steering by typed lines is off");
    }
    let session = Session::open(&args.engines, &args.networks)?;
    if args.alarms.grow || args.new_gallery {
        make_gallery(&session, args.networks.gallery.as_ref())?;
    }
    let source = args.open_source()?;
    let outcome = watch(session, source, args)?;
    finish(&outcome)
}

impl Args {
    fn is_piped(&self) -> bool {
        self.source.as_deref() == Some("-")
    }

    /// The named source. Where none was named and there is no camera, none: the page chooses one.
    fn open_source(&self) -> Result<Option<Box<dyn Source>>> {
        let options = self.reading.open_options();
        match &self.source {
            Some(spec) => Ok(Some(visavis_video::open(spec, &options)?)),
            None => match visavis_video::open("camera:0", &options) {
                Ok(camera) => Ok(Some(camera)),
                Err(error) if self.page.is_wanted() => {
                    complain(&format!("{error}\nchoose a source on the page"));
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// A run that ended well, or what ended it.
pub(crate) fn finish(outcome: &Outcome) -> Result<()> {
    if let Some(reason) = &outcome.source_failure {
        bail!("{reason} (after {} frames)", outcome.frames);
    }
    Ok(())
}

/// The parameters of a live run.
pub(crate) fn live_params(session: &Session, source: &dyn Source, running: &RunningArgs) -> PipelineParams {
    PipelineParams {
        pacing: Pacing::Live,
        workers: running.workers.unwrap_or_else(|| cores().saturating_sub(1)).max(1),
        repeat: running.repeat,
        mirror: running.mirror.unwrap_or(source.info().pace == Pace::Own),
        choice: session.choice.clone(),
        ..PipelineParams::default()
    }
}

/// A gallery that is to grow may begin with nobody.
fn make_gallery(session: &Session, place: Option<&GalleryPlace>) -> Result<()> {
    let place = place.context("--grow and --new-gallery need a gallery: name it with --gallery")?;
    let similarity = session.choice.similarity.as_deref().context("a gallery needs a network for similarity")?;
    Ok(place.make(&session.loader.embedding_id(similarity)?)?)
}

fn watch(session: Session, source: Option<Box<dyn Source>>, args: &Args) -> Result<Outcome> {
    let Args { networks, running, outputs, alarms, page, .. } = args;
    let (page, source) = if page.is_wanted() {
        let (page, source) = Opening::new(page, source, running.mirror, args.reading.open_options())?;
        (Some(page), source)
    } else {
        (None, source.context("there is no source")?)
    };
    let mut params = live_params(&session, source.as_ref(), running);
    // A source that can be switched mirrors by itself, each source as befits it.
    params.mirror &= page.is_none();
    if networks.gallery.is_some() {
        (params.alarm, params.growth) = (Some(alarms.alarm()), alarms.growth());
    }
    let mut ringing = AlarmOutputs::open(alarms)?;
    let gallery = session.gallery()?;
    let frame_rate = source.info().frame_rate.unwrap_or(30.0);
    let loader = Arc::new(session.loader);
    let mut prepared = Prepared::new(params.clone(), Arc::clone(&loader) as Arc<dyn Loader>)?;
    let page = page.map(|page| page.subscribe(&mut prepared, params, &loader, gallery.clone(), frame_rate));
    let screen = prepared.subscribe(Delivery::Newest);
    // Files get every frame that they can take, through a queue of two seconds.
    let queue = Delivery::All { queue: 60 };
    let record = outputs.record.as_ref();
    let recorder = record.map(|path| (Film::begin(path, gallery, frame_rate), prepared.subscribe(queue)));
    let lines = match &outputs.jsonl {
        Some(to) => Some((open_output(to)?, prepared.subscribe(queue))),
        None => None,
    };
    let mut pipeline = prepared.start(source)?;
    interrupt::stops(&pipeline)?;
    let (events, lost) = (pipeline.events(), &AtomicBool::new(false));
    let server = page.map(|page| page.serve(&pipeline)).transpose()?;
    thread::scope(|scope| {
        let recording = recorder.map(|(film, scenes)| scope.spawn(move || film.record(&scenes)));
        let writing = lines.map(|(to, scenes)| scope.spawn(move || write_lines(to, &scenes)));
        let page = server.as_ref();
        let telling = scope.spawn(move || events.map(|events| tell(&events, &mut ringing, lost, page)));
        // Standard input is read by a thread that nobody waits for: it ends with the program.
        let typed = (!args.is_piped()).then(typed_lines);
        // What is shown is measured where people look.
        let measures = page.is_none();
        show(&pipeline, &screen, running.seconds, typed.as_ref(), &loader, lost, measures);
        pipeline.stop();
        if let Some(page) = page {
            page.release_source();
        }
        let outcome = pipeline.join();
        drop(screen);
        for thread in [recording, writing].into_iter().flatten() {
            match thread.join() {
                Ok(done) => done?,
                Err(_) => bail!("a writer died; its file is not complete"),
            }
        }
        let _ = telling.join();
        Ok(outcome)
    })
}

/// Says what happens; `lost`: whether the gallery is.
fn tell(events: &Receiver<Event>, ringing: &mut AlarmOutputs, lost: &AtomicBool, page: Option<&Server>) {
    for event in events {
        match &event {
            Event::Alarm(alarm) => ringing.ring(alarm),
            Event::GalleryFailed { .. } => lost.store(true, Ordering::Relaxed),
            Event::GalleryBack => lost.store(false, Ordering::Relaxed),
            _ => {}
        }
        // What others do is theirs to say; only who shows the gallery wants to know.
        if !matches!(event, Event::GalleryChanged) {
            complain(&event.to_string());
        }
        // Last, since it may wait for the gallery.
        if let Some(page) = page {
            page.tell(&event);
        }
    }
}

fn typed_lines() -> Receiver<String> {
    let (send, lines) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Shows scenes until the end: the status line on a terminal, and what was typed is done.
fn show(
    pipeline: &Pipeline,
    screen: &Subscription,
    seconds: Option<f64>,
    typed: Option<&Receiver<String>>,
    loader: &visavis_live::RegistryLoader,
    lost: &AtomicBool,
    measures: bool,
) {
    let terminal = std::io::stderr().is_terminal();
    let (started, mut said) = (Instant::now(), Instant::now());
    while let Some(scene) = screen.recv() {
        if measures {
            screen.shown(&scene);
        }
        if seconds.is_some_and(|seconds| started.elapsed().as_secs_f64() >= seconds) {
            return;
        }
        while let Some(line) = typed.and_then(|typed| typed.try_recv().ok()) {
            if !steer(pipeline, &line, loader) {
                return;
            }
        }
        if terminal && said.elapsed() >= Duration::from_millis(250) {
            said = Instant::now();
            let report = pipeline.statistics();
            let detection = report.stages.get("detection").map_or(0.0, |stage| stage.recent_per_second);
            let faces = scene.faces.iter().map(describe).collect::<Vec<_>>().join("  ");
            let gallery = if lost.load(Ordering::Relaxed) { "gallery not reached  " } else { "" };
            let line = format!(
                "{:4.1} fps shown  {detection:4.1} detected  {:3.0} ms  {gallery}{} face{}  {faces}",
                report.recent_shown_fps,
                report.latency_p95_ms,
                scene.faces.len(),
                if scene.faces.len() == 1 { "" } else { "s" },
            );
            // Carriage return and erase to the end of the line: the line stays in its place.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", line.chars().take(160).collect::<String>());
        }
    }
    if terminal {
        complain("");
    }
}

/// A face in a few words.
fn describe(face: &visavis_live::SceneFace) -> String {
    let mut words = vec![format!("#{}", face.track)];
    words.extend(face.age.map(|age| format!("{age:.0}")));
    words.extend(face.female.map(|female| if female >= 0.5 { "f".to_owned() } else { "m".to_owned() }));
    words.extend(face.smiling.filter(|smiling| *smiling).map(|_| "smiles".to_owned()));
    words.extend(face.resembles.as_ref().map(|found| format!("{} {:.0}%", found.name, found.similarity * 100.0)));
    words.join(" ")
}

/// Does what was typed; `false` to end.
fn steer(pipeline: &Pipeline, line: &str, loader: &visavis_live::RegistryLoader) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [] => {}
        ["quit" | "q"] => return false,
        ["not"] => pipeline.not_this_person(),
        ["networks"] => {
            for entry in loader.registry.entries() {
                let tasks: Vec<String> = entry.manifest.tasks.iter().map(Task::to_string).collect();
                complain(&format!("{}: {}", entry.manifest.name, tasks.join(", ")));
            }
        }
        ["switch", task, network] => match task.parse::<Task>() {
            Ok(task) => pipeline.switch(task, Some(network.to_owned()).filter(|name| name != "none")),
            Err(error) => complain(&error.to_string()),
        },
        _ => complain("type `switch TASK NETWORK`, `networks`, `not` or `quit`"),
    }
    true
}

/// A file, or standard output for `-`.
pub(crate) fn open_output(to: &str) -> Result<Box<dyn Write + Send>> {
    if to == "-" {
        return Ok(Box::new(std::io::stdout()));
    }
    let file = File::create(to).with_context(|| format!("{to} cannot be written"))?;
    Ok(Box::new(BufWriter::new(file)))
}

fn write_lines(mut to: Box<dyn Write + Send>, scenes: &Subscription) -> Result<()> {
    while let Some(scene) = scenes.recv() {
        serde_json::to_writer(&mut to, &SceneRecord::new(&scene, None))?;
        to.write_all(b"\n")?;
        to.flush()?;
    }
    Ok(())
}

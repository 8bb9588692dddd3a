//! `visavis demo`: the whole chain on sample photos.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde::Serialize;
use visavis_face::gallery::PhotoSource;
use visavis_live::{Delivery, Loader, Prepared, Scene};
use visavis_video::{Mp4Writer, OpenOptions, VirtualCameraParams};

use crate::annotate::Annotator;
use crate::commands::gallery;
use crate::commands::live::{RunningArgs, finish, live_params};
use crate::interrupt;
use crate::options::{EngineArgs, NetworkArgs, complain, say, say_json};
use crate::place::GalleryPlace;
use crate::samples::{self, SAMPLES};
use crate::session::Session;

/// See it at work: a gallery of three people, and a virtual camera over other photos of them
///
/// The sample photos (official portraits, public domain) are fetched once with pip. What the camera saw, with everything
/// drawn in, is written to an MP4 that any browser plays.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis demo                                     writes visavis-demo.mp4
  visavis demo --headless --seconds 20 --json      for scripts: no video, one JSON object")]
pub(crate) struct Args {
    #[command(flatten)]
    engines: EngineArgs,
    /// Stop after so many seconds [default: once through all photos]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Write no video
    #[arg(long)]
    headless: bool,
    /// Where the video goes
    #[arg(long, value_name = "FILE", default_value = "visavis-demo.mp4")]
    record: PathBuf,
    /// Print what was seen as one JSON object
    #[arg(long)]
    json: bool,
}

/// How long each photo is played.
const SECONDS_PER_PHOTO: f64 = 5.0;

/// What was said of a photo at the end of its time.
#[derive(Serialize)]
struct PhotoReport {
    file: &'static str,
    person: &'static str,
    /// Share of the frames of this photo in which a face was found.
    found: f64,
    resembles: Option<String>,
    similarity: Option<f32>,
    same_person: Option<bool>,
    age: Option<f32>,
    gender: Option<&'static str>,
    smiling: Option<bool>,
    smile: Option<f32>,
    #[serde(skip)]
    frames: (u64, u64),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = samples::fetch()?;
    let people = GalleryPlace::File(folder.join("people.gallery"));
    let networks = NetworkArgs { gallery: Some(people.clone()), ..NetworkArgs::default() };
    let session = Session::open(&args.engines, &networks)?;
    let enrolled: Vec<PhotoSource> = SAMPLES
        .iter()
        .filter(|sample| sample.enrolled)
        .map(|sample| PhotoSource { person: sample.person.to_owned(), path: folder.join(sample.file) })
        .collect();
    let built = gallery::build(&session, &enrolled, &people).context("the gallery of the demo could not be made")?;
    if !built.failures.is_empty() {
        bail!("the gallery of the demo is not complete: {}", built.failures.join("; "));
    }
    let played: Vec<&samples::Sample> = SAMPLES.iter().filter(|sample| !sample.enrolled).collect();
    let stage = Stage::set(&played, &folder)?;
    let camera = VirtualCameraParams { seconds_per_photo: SECONDS_PER_PHOTO, ..VirtualCameraParams::default() };
    let (frame_rate, per_photo) = (camera.frame_rate, camera.frame_rate * SECONDS_PER_PHOTO);
    let options = OpenOptions { virtual_camera: camera, ..OpenOptions::default() };
    let source = visavis_video::open(&format!("virtual:{}", stage.0.display()), &options)?;
    let running = RunningArgs { mirror: Some(false), ..RunningArgs::default() };
    let params = live_params(&session, source.as_ref(), &running);
    let mut annotator = Annotator::new(session.gallery()?);
    let loader: Arc<dyn Loader> = Arc::new(session.loader);
    let mut prepared = Prepared::new(params, loader)?;
    let screen = prepared.subscribe(Delivery::Newest);
    let mut video: Option<Mp4Writer> = None;
    let mut photos: Vec<PhotoReport> = played.iter().map(|sample| PhotoReport::new(sample)).collect();
    let seconds = args.seconds.unwrap_or(f64::INFINITY);
    let mut pipeline = prepared.start(source)?;
    interrupt::stops(&pipeline)?;
    let events = pipeline.events();
    let (started, mut current) = (Instant::now(), usize::MAX);
    while let Some(scene) = screen.recv() {
        let index = (scene.frame.seq as f64 / per_photo) as usize;
        if args.seconds.is_none() && index >= photos.len() {
            break;
        }
        let index = index % photos.len();
        if !args.headless {
            let picture = annotator.draw(&scene);
            if video.is_none() {
                video = Some(Mp4Writer::create(&args.record, picture.width(), picture.height(), frame_rate)?);
            }
            if let Some(video) = &mut video {
                video.write(picture, scene.frame.captured_at)?;
            }
        }
        screen.shown(&scene);
        if index != current {
            if let Some(done) = photos.get(current).filter(|_| !args.json) {
                complain(&done.sentence());
            }
            current = index;
        }
        photos[index].note(&scene);
        if started.elapsed().as_secs_f64() >= seconds {
            break;
        }
    }
    let report = pipeline.statistics();
    pipeline.stop();
    drop(screen);
    finish(&pipeline.join())?;
    let failures: Vec<String> = events
        .into_iter()
        .flat_map(|events| events.try_iter().collect::<Vec<_>>())
        .filter(visavis_live::Event::is_failure)
        .map(|event| event.to_string())
        .collect();
    if let Some(video) = video {
        video.finish()?;
    }
    if args.json {
        return say_json(&serde_json::json!({
            "people": built.people, "photos": photos, "failures": failures, "statistics": report,
            "video": (!args.headless).then_some(&args.record),
        }));
    }
    if let Some(done) = photos.get(current) {
        complain(&done.sentence());
    }
    say(&format!(
        "{:.1} frames a second shown, {:.0} ms from capture to shown (95 %), {} frames dropped",
        report.shown_fps, report.latency_p95_ms, report.dropped_frames
    ))?;
    if args.headless { Ok(()) } else { say(&format!("the video is {}", args.record.display())) }
}

/// A folder with links to the played photos, in their order, gone when dropped.
struct Stage(PathBuf);

impl Stage {
    fn set(played: &[&samples::Sample], folder: &std::path::Path) -> Result<Self> {
        let stage = Self(std::env::temp_dir().join(format!("visavis-demo-{}", std::process::id())));
        std::fs::create_dir_all(&stage.0).with_context(|| format!("{} cannot be made", stage.0.display()))?;
        for (number, sample) in played.iter().enumerate() {
            let to = stage.0.join(format!("{number}-{}", sample.file));
            std::fs::copy(folder.join(sample.file), &to)
                .with_context(|| format!("{} cannot be written", to.display()))?;
        }
        Ok(stage)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl PhotoReport {
    fn new(sample: &samples::Sample) -> Self {
        Self {
            file: sample.file,
            person: sample.person,
            found: 0.0,
            resembles: None,
            similarity: None,
            same_person: None,
            age: None,
            gender: None,
            smiling: None,
            smile: None,
            frames: (0, 0),
        }
    }

    /// Takes over what is known of the largest face.
    fn note(&mut self, scene: &Scene) {
        self.frames.1 += 1;
        if let Some(face) = scene.faces.iter().max_by(|a, b| a.rect.area().total_cmp(&b.rect.area())) {
            self.frames.0 += 1;
            if let Some(found) = &face.resembles {
                self.resembles = Some(found.name.to_string());
                self.similarity = Some(found.similarity);
                self.same_person = Some(found.same_person);
            }
            self.age = face.age.or(self.age);
            self.gender = face.female.map(|f| if f >= 0.5 { "female" } else { "male" }).or(self.gender);
            self.smiling = face.smiling.or(self.smiling);
            self.smile = face.smile.or(self.smile);
        }
        self.found = self.frames.0 as f64 / self.frames.1 as f64;
    }

    fn sentence(&self) -> String {
        let mut words = vec![format!("{}:", self.file)];
        words.extend(self.gender.map(str::to_owned));
        words.extend(self.age.map(|age| format!("about {age:.0} years,")));
        words.extend(self.smiling.map(|smiling| if smiling { "smiling,".into() } else { "not smiling,".to_owned() }));
        match (&self.resembles, self.same_person) {
            (Some(name), Some(true)) => words.push(format!("recognised as {name}")),
            (Some(name), _) => words.push(format!("resembles {name}")),
            _ => words.push("nobody of the gallery".into()),
        }
        words.extend(self.similarity.map(|similarity| format!("({:.0} %)", similarity * 100.0)));
        words.join(" ")
    }
}

//! `visavis demo`: a demonstration on sample photos.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde::Serialize;
use visavis_gallery::PhotoSource;
use visavis_live::{Delivery, Loader, Prepared, Scene, StatisticsReport};
use visavis_video::{Mp4Writer, OpenOptions, VirtualCameraParams};

use crate::annotate::Annotator;
use crate::commands::gallery;
use crate::commands::live::{RunningArgs, finish, live_params};
use crate::samples::{self, SAMPLES};
use crate::verdict::Verdict;
use visavis_cli::interrupt;
use visavis_cli::options::{EngineArgs, NetworkArgs, complain, parse_seconds, say, say_json};
use visavis_cli::place::GalleryPlace;
use visavis_cli::session::Session;

/// Show a demonstration: a gallery of three people, and a virtual camera with other photos of them
///
/// The sample photos (official portraits, public domain) are downloaded once with pip. The annotated pictures of the camera are
/// written to an MP4 file that any browser plays.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis demo                                     writes visavis-demo.mp4
  visavis demo --headless --seconds 20 --json      for scripts: no video, one JSON object")]
pub(crate) struct Args {
    #[command(flatten)]
    engines: EngineArgs,
    /// Stop after this many seconds [default: after all photos were shown once]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    seconds: Option<f64>,
    /// Write no video
    #[arg(long)]
    headless: bool,
    /// Path of the video
    #[arg(long, value_name = "FILE", default_value = "visavis-demo.mp4")]
    record: PathBuf,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// How long each photo is played, in seconds.
const SECONDS_PER_PHOTO: f64 = 5.0;

/// The results for a photo at the end of its time.
#[derive(Serialize)]
struct PhotoReport {
    file: &'static str,
    person: &'static str,
    /// Share of the frames of this photo with a face.
    found: f64,
    resembles: Option<String>,
    /// Similarity, 0 to 1; not a probability.
    likeness: Option<f32>,
    /// The probability that it is this person.
    identified: Option<f32>,
    same_person: Option<bool>,
    age: Option<f32>,
    gender: Option<&'static str>,
    smiling: Option<bool>,
    smile: Option<f32>,
    #[serde(skip)]
    frames: (u64, u64),
}

/// What a demo showed, for scripts.
#[derive(Serialize)]
struct DemoReport<'a> {
    /// People in the gallery.
    people: usize,
    photos: &'a [PhotoReport],
    failures: Vec<String>,
    video: Option<&'a Path>,
    /// The figures of the run.
    #[serde(flatten)]
    statistics: &'a StatisticsReport,
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
    let built =
        gallery::build(&session, &enrolled, &people, true).context("the gallery of the demo could not be made")?;
    if !built.enrolment.failures.is_empty() {
        bail!("the gallery of the demo is not complete: {}", built.enrolment.failures.join("; "));
    }
    let played: Vec<&samples::Sample> = SAMPLES.iter().filter(|sample| !sample.enrolled).collect();
    let played_folder = PhotoFolder::new(&played, &folder)?;
    let camera = VirtualCameraParams { seconds_per_photo: SECONDS_PER_PHOTO, ..VirtualCameraParams::default() };
    let (frame_rate, per_photo) = (camera.frame_rate, camera.frame_rate * SECONDS_PER_PHOTO);
    let options = OpenOptions { virtual_camera: camera, ..OpenOptions::default() };
    let source = visavis_video::open(&format!("virtual:{}", played_folder.0.display()), &options)?;
    let running = RunningArgs { mirror: Some(false), ..RunningArgs::default() };
    let params = live_params(&session.choice, source.as_ref(), &running);
    let mut annotator = Annotator::new(session.gallery()?);
    let loader: Arc<dyn Loader> = Arc::new(session.loader);
    let mut prepared = Prepared::new(params, loader)?;
    let screen = prepared.subscribe(Delivery::Newest);
    let mut video: Option<Mp4Writer> = None;
    let mut photos: Vec<PhotoReport> = played.iter().map(|sample| PhotoReport::new(sample)).collect();
    let seconds = args.seconds.unwrap_or(f64::INFINITY);
    let mut pipeline = prepared.start(source)?;
    interrupt::stops([&pipeline])?;
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
        let video = (!args.headless).then_some(&*args.record);
        return say_json(&DemoReport { people: built.people, photos: &photos, failures, video, statistics: &report });
    }
    if let Some(done) = photos.get(current) {
        complain(&done.sentence());
    }
    say(&format!(
        "{:.1} frames per second shown, {:.0} ms from capture to display (95th percentile), {} frames dropped",
        report.shown_fps, report.latency_p95_ms, report.dropped_frames
    ))?;
    if args.headless { Ok(()) } else { say(&format!("the video was written to {}", args.record.display())) }
}

/// A folder with copies of the played photos, in their order; removed when dropped.
struct PhotoFolder(PathBuf);

impl PhotoFolder {
    fn new(played: &[&samples::Sample], folder: &std::path::Path) -> Result<Self> {
        let played_folder = Self(std::env::temp_dir().join(format!("visavis-demo-{}", std::process::id())));
        std::fs::create_dir_all(&played_folder.0)
            .with_context(|| format!("{} cannot be made", played_folder.0.display()))?;
        for (number, sample) in played.iter().enumerate() {
            let to = played_folder.0.join(format!("{number}-{}", sample.file));
            std::fs::copy(folder.join(sample.file), &to)
                .with_context(|| format!("{} cannot be written", to.display()))?;
        }
        Ok(played_folder)
    }
}

impl Drop for PhotoFolder {
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
            likeness: None,
            identified: None,
            same_person: None,
            age: None,
            gender: None,
            smiling: None,
            smile: None,
            frames: (0, 0),
        }
    }

    /// Copies the results for the largest face.
    fn note(&mut self, scene: &Scene) {
        self.frames.1 += 1;
        if let Some(face) = scene.faces.iter().max_by(|a, b| a.rect.area().total_cmp(&b.rect.area())) {
            self.frames.0 += 1;
            if let Some(found) = &face.resembles {
                self.resembles = Some(found.name.to_string());
                self.likeness = Some(found.likeness);
                self.identified = found.identified;
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
        match (&self.resembles, self.same_person, self.likeness) {
            (Some(name), Some(same_person), Some(likeness)) => {
                let verdict = Verdict { same_person, identified: self.identified, likeness };
                words.push(format!("{name} ({verdict})"));
            }
            _ => words.push("no person of the gallery".into()),
        }
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use visavis_live::{Pacing, PipelineParams};

    use super::*;

    /// Frames at the start of a photo that are not counted: a face is shown from its third detection on, and the track of a face
    /// of the previous photo in the same place must end first.
    const NOT_COUNTED: usize = 10;

    /// Checks every frame of the demo's video with the default detector: that of the folder in VISAVIS_MODELS, else the
    /// program's.
    #[test]
    fn the_video_shows_the_faces_of_each_photo_and_nothing_else() {
        let folder = match samples::fetch() {
            Ok(folder) => folder,
            Err(reason) => return complain(&format!("skipped: {reason:#}")),
        };
        let off = || Some("none".to_owned());
        let networks = NetworkArgs { age: off(), gender: off(), smile: off(), ..NetworkArgs::default() };
        let session = Session::open(&Args::parse_from(["demo"]).engines, &networks).unwrap();
        let detector = session.choice.detector.clone();
        let played: Vec<&samples::Sample> = SAMPLES.iter().filter(|sample| !sample.enrolled).collect();
        let played_folder = PhotoFolder::new(&played, &folder).unwrap();
        let camera =
            VirtualCameraParams { frame_rate: 15.0, seconds_per_photo: 4.0, loops: Some(1), ..Default::default() };
        let options = OpenOptions { virtual_camera: camera, ..OpenOptions::default() };
        let source = visavis_video::open(&format!("virtual:{}", played_folder.0.display()), &options).unwrap();
        let params =
            PipelineParams { pacing: Pacing::EveryFrame, choice: session.choice.clone(), ..PipelineParams::default() };
        let mut prepared = Prepared::new(params, Arc::new(session.loader)).unwrap();
        let scenes = prepared.subscribe(Delivery::All { queue: 8 });
        let pipeline = prepared.start(source).unwrap();
        let mut counts: Vec<Vec<usize>> = vec![Vec::new(); played.len()];
        while let Some(scene) = scenes.recv() {
            counts[scene.frame.seq as usize / 60].push(scene.faces.len());
        }
        drop(pipeline);
        for (sample, counts) in played.iter().zip(&counts) {
            assert_eq!(counts.len(), 60, "{}", sample.file);
            let wrong = counts.iter().skip(NOT_COUNTED).filter(|count| **count != sample.faces).count();
            assert_eq!(wrong, 0, "{detector} on {}: faces of each frame {counts:?}", sample.file);
        }
    }
}

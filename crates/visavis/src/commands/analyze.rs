//! `visavis analyze`: every face of every frame of files.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use visavis_image::codec;
use visavis_live::{Delivery, Loader, Pacing, PipelineParams, Prepared, Scene, Subscription};
use visavis_video::{Mp4Writer, OpenOptions, Pace, Shot, Source, SourceInfo, VideoError};

use crate::annotate::Annotator;
use crate::commands::gallery::read_picture;
use crate::commands::live::{finish, open_output};
use crate::interrupt;
use crate::options::{EngineArgs, NetworkArgs, complain, cores};
use crate::record::{CSV_HEADER, SceneRecord};
use crate::session::Session;

/// Analyse pictures and films, nothing left out: one line for each frame (JSON Lines) or face (CSV)
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis analyze film.mp4 --out faces.jsonl
  visavis analyze photos/ --format csv > faces.csv
  visavis analyze film.mp4 photos/ --annotate seen/ --gallery people.gallery")]
pub(crate) struct Args {
    /// Pictures, films, GIFs and folders of pictures
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Where the lines go; `-` is standard output
    #[arg(long, default_value = "-", value_name = "FILE")]
    out: String,
    /// What the lines are
    #[arg(long, default_value = "jsonl")]
    format: Format,
    /// Write the pictures and films with everything drawn in to this folder
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,
    /// Recognition workers [default: all cores]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    #[command(flatten)]
    engines: EngineArgs,
    #[command(flatten)]
    networks: NetworkArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

const JPEG_QUALITY: u8 = 90;

pub(crate) fn run(args: &Args) -> Result<()> {
    let session = Session::open(&args.engines, &args.networks)?;
    if let Some(folder) = &args.annotate {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let (pictures, films) = sort_inputs(&args.inputs)?;
    let params = PipelineParams {
        pacing: Pacing::EveryFrame,
        workers: args.workers.unwrap_or_else(cores).max(1),
        choice: session.choice.clone(),
        ..PipelineParams::default()
    };
    let gallery = session.gallery()?;
    let loader: Arc<dyn Loader> = Arc::new(session.loader);
    let mut lines = Lines::new(args)?;
    let mut failures = Vec::new();
    if !pictures.is_empty() {
        let done = Arc::new(Mutex::new(Read::default()));
        let source = PictureList::new(pictures.clone(), Arc::clone(&done));
        let bar = progress(Some(pictures.len() as u64), "pictures");
        let prepared = Prepared::new(params.clone(), Arc::clone(&loader))?;
        let mut annotator = Annotator::new(gallery.clone());
        play(prepared, Box::new(source), &bar, |scene| {
            let path = lock(&done).paths.pop_front().unwrap_or_default();
            lines.write(scene, &path)?;
            match &args.annotate {
                Some(folder) => write_picture(&mut annotator, scene, &folder.join(named(&path, "jpg"))),
                None => Ok(()),
            }
        })?;
        failures.append(&mut lock(&done).failures);
    }
    for film in &films {
        if interrupt::pressed() {
            break;
        }
        let done = analyze_film(film, &params, &loader, Annotator::new(gallery.clone()), args, &mut lines);
        if let Err(error) = done {
            failures.push(format!("{error:#}"));
        }
    }
    lines.finish()?;
    for failure in &failures {
        complain(&format!("error: {failure}"));
    }
    if interrupt::pressed() {
        bail!("interrupted: what was analysed before is written");
    }
    if !failures.is_empty() {
        bail!("{} of the inputs could not be analysed to the end", failures.len());
    }
    Ok(())
}

fn analyze_film(
    film: &Path,
    params: &PipelineParams,
    loader: &Arc<dyn Loader>,
    mut annotator: Annotator,
    args: &Args,
    lines: &mut Lines,
) -> Result<()> {
    let source = visavis_video::open(&film.to_string_lossy(), &OpenOptions::default())?;
    let info = source.info().clone();
    let bar = progress(info.frames, "frames");
    bar.set_message(film.display().to_string());
    let prepared = Prepared::new(params.clone(), Arc::clone(loader))?;
    let mut video: Option<Mp4Writer> = None;
    let played = play(prepared, source, &bar, |scene| {
        lines.write(scene, film)?;
        if let Some(folder) = &args.annotate {
            let picture = annotator.draw(scene);
            if video.is_none() {
                let to = folder.join(named(film, "mp4"));
                let rate = info.frame_rate.unwrap_or(30.0);
                video = Some(Mp4Writer::create(&to, picture.width(), picture.height(), rate)?);
            }
            if let Some(video) = &mut video {
                video.write(picture, scene.frame.captured_at)?;
            }
        }
        Ok(())
    });
    // A film that breaks off in the middle still gives what was seen of it.
    if let Some(video) = video {
        video.finish()?;
    }
    played
}

/// Runs a source through, scene by scene.
fn play(
    mut prepared: Prepared,
    source: Box<dyn Source>,
    bar: &ProgressBar,
    mut each: impl FnMut(&Scene) -> Result<()>,
) -> Result<()> {
    let scenes: Subscription = prepared.subscribe(Delivery::All { queue: 8 });
    let mut pipeline = prepared.start(source)?;
    interrupt::stops(&pipeline)?;
    let events = pipeline.events();
    let mut done = Ok(());
    while let Some(scene) = scenes.recv() {
        done = each(&scene);
        bar.inc(1);
        if done.is_err() {
            break;
        }
    }
    bar.finish_and_clear();
    drop(scenes);
    pipeline.stop();
    let outcome = pipeline.join();
    done?;
    let told = events.into_iter().flat_map(|events| events.try_iter().collect::<Vec<_>>());
    let failures: Vec<String> = told.filter(visavis_live::Event::is_failure).map(|event| event.to_string()).collect();
    finish(&outcome)?;
    if let Some(first) = failures.first() {
        bail!("{first} ({} failures in all)", failures.len());
    }
    Ok(())
}

/// Pictures one by one, and everything that needs a source of its own.
fn sort_inputs(inputs: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut pictures, mut films) = (Vec::new(), Vec::new());
    for input in inputs {
        if input.is_dir() {
            let mut files: Vec<PathBuf> = std::fs::read_dir(input)
                .with_context(|| format!("{} cannot be read", input.display()))?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_file())
                .collect();
            files.sort();
            let before = pictures.len() + films.len();
            for file in files {
                match ending(&file).as_str() {
                    "jpg" | "jpeg" | "png" | "webp" | "bmp" => pictures.push(file),
                    "mp4" | "m4v" | "mov" | "gif" => films.push(file),
                    _ => {}
                }
            }
            if pictures.len() + films.len() == before {
                bail!("{} holds no picture and no film", input.display());
            }
        } else if matches!(ending(input).as_str(), "mp4" | "m4v" | "mov" | "gif") {
            films.push(input.clone());
        } else {
            pictures.push(input.clone());
        }
    }
    Ok((pictures, films))
}

fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

fn named(path: &Path, ending: &str) -> String {
    format!("{}.annotated.{ending}", path.file_stem().unwrap_or_default().to_string_lossy())
}

fn write_picture(annotator: &mut Annotator, scene: &Scene, to: &Path) -> Result<()> {
    let bytes = codec::encode_jpeg(annotator.draw(scene), JPEG_QUALITY)?;
    let aside = to.with_extension("part");
    std::fs::write(&aside, bytes).with_context(|| format!("{} cannot be written", aside.display()))?;
    std::fs::rename(&aside, to).with_context(|| format!("{} cannot be written", to.display()))
}

fn progress(length: Option<u64>, what: &str) -> ProgressBar {
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = format!("{{bar:32}} {{pos}}/{{len}} {what}, {{per_sec}}, {{eta}} left  {{msg}}");
    bar.with_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The pictures that were read and not yet written, and those that could not be read.
#[derive(Default)]
struct Read {
    paths: VecDeque<PathBuf>,
    failures: Vec<String>,
}

fn lock(read: &Mutex<Read>) -> std::sync::MutexGuard<'_, Read> {
    read.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Picture files as a source. One that cannot be read is noted and passed over.
struct PictureList {
    info: SourceInfo,
    paths: std::vec::IntoIter<PathBuf>,
    all: Vec<PathBuf>,
    done: Arc<Mutex<Read>>,
}

impl PictureList {
    fn new(paths: Vec<PathBuf>, done: Arc<Mutex<Read>>) -> Self {
        let info = SourceInfo {
            name: format!("{} pictures", paths.len()),
            width: 0,
            height: 0,
            frame_rate: None,
            frames: Some(paths.len() as u64),
            pace: Pace::Timeline,
        };
        Self { info, paths: paths.clone().into_iter(), all: paths, done }
    }
}

impl Source for PictureList {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        for path in self.paths.by_ref() {
            match read_picture(&path) {
                Ok((picture, _)) => {
                    lock(&self.done).paths.push_back(path);
                    return Ok(Some(Shot { picture, at: std::time::Duration::ZERO }));
                }
                Err(error) => lock(&self.done).failures.push(format!("{error:#}")),
            }
        }
        Ok(None)
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        self.paths = self.all.clone().into_iter();
        Ok(())
    }
}

/// The output: JSON Lines or CSV, written aside and renamed when it is a file.
struct Lines {
    to: Box<dyn Write + Send>,
    format: Format,
    /// Aside and final name.
    file: Option<(PathBuf, PathBuf)>,
    /// Name the source in each line.
    several: bool,
}

impl Lines {
    fn new(args: &Args) -> Result<Self> {
        let several = args.inputs.len() > 1 || args.inputs.iter().any(|input| input.is_dir());
        let file = (args.out != "-").then(|| {
            let end = PathBuf::from(&args.out);
            let mut aside = end.clone().into_os_string();
            aside.push(".part");
            (PathBuf::from(aside), end)
        });
        let target = file.as_ref().map_or("-".into(), |(aside, _)| aside.to_string_lossy());
        let mut lines = Self { to: open_output(&target)?, format: args.format, file, several };
        if lines.format == Format::Csv {
            lines.row(&CSV_HEADER)?;
        }
        Ok(lines)
    }

    fn write(&mut self, scene: &Scene, source: &Path) -> Result<()> {
        let name = source.to_string_lossy();
        let record = SceneRecord::new(scene, self.several.then_some(&*name));
        match self.format {
            Format::Jsonl => {
                serde_json::to_writer(&mut self.to, &record)?;
                self.to.write_all(b"\n")?;
            }
            Format::Csv => {
                for row in record.csv_rows() {
                    self.row(&row)?;
                }
            }
        }
        Ok(())
    }

    fn row<S: AsRef<str>>(&mut self, cells: &[S]) -> Result<()> {
        let mut row = csv::Writer::from_writer(&mut self.to);
        row.write_record(cells.iter().map(S::as_ref))?;
        Ok(row.flush()?)
    }

    fn finish(mut self) -> Result<()> {
        self.to.flush()?;
        drop(self.to);
        match self.file {
            Some((aside, end)) => {
                std::fs::rename(&aside, &end).with_context(|| format!("{} cannot be written", end.display()))
            }
            None => Ok(()),
        }
    }
}

//! `visavis analyze`: analyses every face in every frame of files.

use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use visavis_face::{AnalyzedFace, Choice, FaceAnalyzer};
use visavis_gallery::Gallery;
use visavis_image::{Frame, codec};
use visavis_live::{Delivery, Loader, Pacing, PipelineParams, Prepared, RegistryLoader, Scene, Subscription};
use visavis_video::{FileKind, FolderContents, Mp4Writer, OpenOptions, Source, VideoError, load_photo, open_path};

use crate::annotate::Annotator;
use crate::commands::live::finish;
use crate::outputs::{AnnotatedNames, Files, is_annotated};
use crate::record::{CSV_HEADER, SceneRecord};
use visavis_cli::interrupt;
use visavis_cli::options::{EngineArgs, NetworkArgs, complain, cores, parse_workers};
use visavis_cli::output::{OutputFile, write_file};
use visavis_cli::place::GalleryPlace;
use visavis_cli::session::Session;
use visavis_cli::terminal::with_causes;

/// Analyse every frame of pictures and films: one line for each frame (JSON Lines) or face (CSV)
///
/// The type of a file follows from its contents, not its name. A file that cannot be read is reported, the others are analysed,
/// and the exit status is 1.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis analyze film.mp4 --out faces.jsonl
  visavis analyze photos/ --format csv > faces.csv
  visavis analyze film.mp4 photos/ --annotate seen/ --gallery people.gallery")]
pub(crate) struct Args {
    /// Pictures, films, GIFs and folders of pictures
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Output file; `-` is standard output
    #[arg(long, default_value = "-", value_name = "FILE")]
    out: PathBuf,
    /// Output format
    #[arg(long, default_value = "jsonl")]
    format: Format,
    /// Write annotated copies of the pictures and films to this folder
    ///
    /// The copies are named `NAME.annotated.jpg` and `NAME.annotated.mp4`. Such files are skipped when a folder is analysed.
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,
    /// Number of recognition workers [default: CPU cores]
    #[arg(long, value_name = "N", value_parser = parse_workers, help_heading = "Performance")]
    workers: Option<usize>,
    #[command(flatten)]
    engines: EngineArgs,
    #[command(flatten)]
    networks: NetworkArgs,
}

impl Args {
    fn is_to_file(&self) -> bool {
        self.out != Path::new("-")
    }
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
    let Inputs { pictures, films, mut failures } = Inputs::sort(&args.inputs, args);
    let mut files = Files::default();
    pictures.iter().chain(&films).for_each(|input| files.read(input));
    if let Some(GalleryPlace::File(gallery)) = &args.networks.gallery {
        files.read(gallery);
    }
    if args.is_to_file() {
        files.write(&args.out)?;
    }
    let params = PipelineParams {
        pacing: Pacing::EveryFrame,
        workers: args.workers.unwrap_or_else(cores),
        choice: session.choice.clone(),
        ..PipelineParams::default()
    };
    let gallery = session.gallery()?;
    let loader = Arc::new(session.loader);
    let mut lines = Lines::new(args)?;
    let mut names = AnnotatedNames::default();
    let (mut annotator, mut unwritten) = (Annotator::new(gallery.clone()), Vec::new());
    if !pictures.is_empty() {
        let annotated = args.annotate.as_deref();
        let photos = Photos { paths: &pictures, loader: &loader, choice: &params.choice, gallery: gallery.clone() };
        let analyzed = photos.analyze(params.workers, |path, scene| {
            lines.write(scene, path)?;
            if let Some(folder) = annotated {
                let copy = folder.join(names.of(path, "jpg"));
                let written = files.write(&copy).and_then(|()| write_picture(&mut annotator, scene, &copy));
                unwritten.extend(written.err().map(|error| format!("{}: {}", path.display(), with_causes(&error))));
            }
            Ok(())
        });
        match analyzed {
            Ok(mut unread) => failures.append(&mut unread),
            Err(error) if lines.broken => return Err(lines.keep(error)),
            Err(error) => failures.push(with_causes(&error)),
        }
        failures.append(&mut unwritten);
    }
    let loader: Arc<dyn Loader> = loader;
    for film in &films {
        if interrupt::pressed() {
            break;
        }
        let copy = args.annotate.as_ref().map(|folder| folder.join(names.of(film, "mp4")));
        let refused = copy.as_deref().map_or(Ok(()), |copy| files.write(copy));
        let copy = copy.filter(|_| refused.is_ok());
        let done = analyze_film(film, &params, &loader, Annotator::new(gallery.clone()), copy.as_deref(), &mut lines);
        if let Err(error) = done.and(refused) {
            if lines.broken {
                return Err(lines.keep(error));
            }
            failures.push(with_causes(&error));
        }
    }
    lines.finish()?;
    for failure in &failures {
        complain(&format!("error: {failure}"));
    }
    if interrupt::pressed() {
        bail!("interrupted: the results until then were written");
    }
    if !failures.is_empty() {
        let (count, s) = (failures.len(), if failures.len() == 1 { "" } else { "s" });
        bail!("{count} input{s} could not be analysed or only in part: see the errors above");
    }
    Ok(())
}

/// Photos to analyse, with the networks and the gallery.
struct Photos<'a> {
    paths: &'a [PathBuf],
    loader: &'a RegistryLoader,
    choice: &'a Choice,
    gallery: Option<Arc<Gallery>>,
}

/// A worker's result for one photo: its frame and faces, or why it cannot be read or analysed.
type Analyzed = Result<(Frame, Vec<AnalyzedFace>), String>;

impl Photos<'_> {
    /// Calls `each` for every photo, in order. Returns the errors of photos that could not be analysed.
    ///
    /// Worker `w` of `n` analyses the photos `w`, `w + n`, `w + 2 n`, …; each is at most two photos ahead.
    fn analyze(&self, workers: usize, mut each: impl FnMut(&Path, &Scene) -> Result<()>) -> Result<Vec<String>> {
        interrupt::watch()?;
        let workers = workers.min(self.paths.len());
        let analyzers = (0..workers).map(|_| self.loader.analyzer(self.choice)).collect::<Result<Vec<_>, _>>()?;
        let bar = progress(Some(self.paths.len() as u64), "pictures");
        let (mut failures, mut scenes, mut tracks) = (Vec::new(), 0, 1);
        let done = thread::scope(|scope| {
            let mut results = Vec::with_capacity(workers);
            for (worker, analyzer) in analyzers.into_iter().enumerate() {
                let (sender, receiver) = mpsc::sync_channel(2);
                results.push(receiver);
                scope.spawn(move || self.work(worker, workers, analyzer, &sender));
            }
            for (number, path) in self.paths.iter().enumerate() {
                // A worker that has ended early was interrupted.
                let Ok(analyzed) = results[number % workers].recv() else { break };
                bar.inc(1);
                match analyzed {
                    Ok((frame, faces)) => {
                        let found = faces.len() as u64;
                        let frame = Frame { seq: scenes, ..frame };
                        let scene = Scene::of_photo(frame, faces, tracks, self.gallery.as_deref())?;
                        (scenes, tracks) = (scenes + 1, tracks + found);
                        each(path, &scene)?;
                    }
                    Err(reason) => failures.push(reason),
                }
            }
            Ok(())
        });
        bar.finish_and_clear();
        done.map(|()| failures)
    }

    fn work(&self, worker: usize, workers: usize, mut analyzer: FaceAnalyzer, results: &SyncSender<Analyzed>) {
        for path in self.paths.iter().skip(worker).step_by(workers) {
            let analyzed = load_photo(path, codec::MAX_PIXELS).map_err(|error| error.to_string()).and_then(|photo| {
                let faces = analyzer.analyze(&photo.picture).map_err(|error| format!("{}: {error}", path.display()))?;
                let frame = Frame::new(0, Duration::ZERO, photo.picture);
                Ok((Frame { shrunk: photo.shrunk, ..frame }, faces))
            });
            if interrupt::pressed() || results.send(analyzed).is_err() {
                return;
            }
        }
    }
}

/// `copy`: the path of the annotated film, if it is wanted.
fn analyze_film(
    film: &Path,
    params: &PipelineParams,
    loader: &Arc<dyn Loader>,
    mut annotator: Annotator,
    copy: Option<&Path>,
    lines: &mut Lines,
) -> Result<()> {
    let source = open_path(film, &OpenOptions::default())?;
    let info = source.info().clone();
    let bar = progress(info.frames, "frames");
    bar.set_message(film.display().to_string());
    let prepared = Prepared::new(params.clone(), Arc::clone(loader))?;
    let mut video = copy.map(|to| AnnotatedFilm::new(to, info.frame_rate.unwrap_or(30.0)));
    let played = play(prepared, source, &bar, |scene| {
        lines.write(scene, film)?;
        if let Some(video) = &mut video {
            video.add(scene, &mut annotator);
        }
        Ok(())
    });
    // A film with an error in the middle still gives an annotated copy of its first part.
    let copied = video.map_or(Ok(()), AnnotatedFilm::finish);
    played.and(copied)
}

/// Writes an annotated film. If a frame of it, or all of it, cannot be written, the analysis goes on.
struct AnnotatedFilm {
    to: PathBuf,
    frame_rate: f64,
    writer: Option<Mp4Writer>,
    failures: u64,
    first_failure: Option<VideoError>,
}

/// After this many frames that cannot be written the copy ends: the disk is full, or the encoder has failed.
const MOST_UNWRITTEN: u64 = 20;

impl AnnotatedFilm {
    fn new(to: &Path, frame_rate: f64) -> Self {
        Self { to: to.to_owned(), frame_rate, writer: None, failures: 0, first_failure: None }
    }

    fn add(&mut self, scene: &Scene, annotator: &mut Annotator) {
        if self.failures < MOST_UNWRITTEN
            && let Err(error) = self.write(scene, annotator)
        {
            self.failures += 1;
            self.first_failure.get_or_insert(error);
        }
    }

    fn write(&mut self, scene: &Scene, annotator: &mut Annotator) -> Result<(), VideoError> {
        let picture = annotator.draw(scene);
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(Mp4Writer::create(&self.to, picture.width(), picture.height(), self.frame_rate)?),
        };
        writer.write(picture, scene.frame.captured_at)
    }

    fn finish(self) -> Result<()> {
        let finished = self.writer.map_or(Ok(()), Mp4Writer::finish);
        match self.first_failure {
            Some(error) => {
                let more = if self.failures > 1 { " (and others)" } else { "" };
                Err(anyhow::Error::new(error).context(format!("the annotated copy is incomplete{more}")))
            }
            None => Ok(finished?),
        }
    }
}

/// Plays a source and calls `each` with every scene.
fn play(
    mut prepared: Prepared,
    source: Box<dyn Source>,
    bar: &ProgressBar,
    mut each: impl FnMut(&Scene) -> Result<()>,
) -> Result<()> {
    let scenes: Subscription = prepared.subscribe(Delivery::All { queue: 8 });
    let mut pipeline = prepared.start(source)?;
    interrupt::stops([&pipeline])?;
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
    let reported = events.into_iter().flat_map(|events| events.try_iter().collect::<Vec<_>>());
    let failures: Vec<String> =
        reported.filter(visavis_live::Event::is_failure).map(|event| event.to_string()).collect();
    finish(&outcome)?;
    if outcome.skipped > 0 {
        let first = failures.first().map_or("", String::as_str);
        bail!("{} frames could not be read; {} were analysed: {first}", outcome.skipped, outcome.frames);
    }
    if let Some(first) = failures.first() {
        bail!("{first} ({} failures in all)", failures.len());
    }
    Ok(())
}

/// The inputs: pictures, and films, which need a source each.
#[derive(Default)]
struct Inputs {
    pictures: Vec<PathBuf>,
    films: Vec<PathBuf>,
    /// Why inputs were skipped.
    failures: Vec<String>,
}

impl Inputs {
    fn sort(inputs: &[PathBuf], args: &Args) -> Self {
        let mut sorted = Self::default();
        for input in inputs {
            let added = if input.is_dir() { sorted.add_folder(input, args) } else { sorted.add_file(input) };
            if let Err(error) = added {
                sorted.failures.push(with_causes(&error));
            }
        }
        sorted
    }

    fn add_file(&mut self, input: &Path) -> Result<()> {
        // Opening a named pipe waits for its writer.
        if input.exists() && !input.is_file() {
            bail!("{} is neither a file nor a folder: analyse a file, or use `visavis live`", input.display());
        }
        let input = input.to_owned();
        match FileKind::of_file(&input)? {
            FileKind::Still | FileKind::OtherStill(_) => self.pictures.push(input),
            FileKind::AppleDouble => return Err(VideoError::AppleDouble { path: input.display().to_string() }.into()),
            FileKind::Gif | FileKind::Mp4 | FileKind::OtherFilm(_) | FileKind::Unknown => self.films.push(input),
        }
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path, args: &Args) -> Result<()> {
        let contents = FolderContents::of(folder)?;
        let out = args.out.canonicalize().ok();
        for (file, reason) in contents.passed_over {
            // A broken picture is a failure; a text file beside the pictures is not.
            if has_picture_ending(&file) && !is_apple_double(&file) {
                self.failures.push(format!("{}: {reason}", file.display()));
            } else if out.is_none() || file.canonicalize().ok() != out {
                // The output of an earlier run is skipped without a message.
                complain(&format!("{}: skipped: {reason}", file.display()));
            }
        }
        let before = self.pictures.len() + self.films.len();
        for (file, kind) in contents.files {
            if is_annotated(&file) {
                complain(&format!("{}: skipped: an annotated copy", file.display()));
            } else if matches!(kind, FileKind::Still | FileKind::OtherStill(_)) {
                self.pictures.push(file);
            } else {
                self.films.push(file);
            }
        }
        if self.pictures.len() + self.films.len() == before {
            bail!("{} contains no picture and no film", folder.display());
        }
        Ok(())
    }
}

/// Whether a file's extension is that of a picture or a film.
fn has_picture_ending(file: &Path) -> bool {
    const ENDINGS: [&str; 29] = [
        "jpg", "jpeg", "jfif", "png", "gif", "webp", "bmp", "heic", "heif", "avif", "jxl", "tif", "tiff", "jp2", "ppm",
        "pgm", "mp4", "m4v", "mov", "mkv", "avi", "webm", "ts", "mts", "m2ts", "mpg", "mpeg", "wmv", "flv",
    ];
    let ending = file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    ENDINGS.contains(&ending.as_str())
}

/// Whether a file is metadata that macOS writes beside a picture.
fn is_apple_double(file: &Path) -> bool {
    matches!(FileKind::of_file(file), Ok(FileKind::AppleDouble))
}

fn write_picture(annotator: &mut Annotator, scene: &Scene, to: &Path) -> Result<()> {
    let bytes = codec::encode_jpeg(annotator.draw(scene), JPEG_QUALITY)?;
    write_file(to, bytes)
}

fn progress(length: Option<u64>, what: &str) -> ProgressBar {
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = format!("{{bar:32}} {{pos}}/{{len}} {what}, {{per_sec}}, {{eta}} left  {{msg}}");
    bar.with_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The output as JSON Lines or CSV.
struct Lines {
    to: Target,
    format: Format,
    /// Whether each line names its source.
    several: bool,
    /// Whether a line could not be written.
    broken: bool,
}

enum Target {
    Standard(Stdout),
    File(BufWriter<OutputFile>),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(to) => to.write(bytes),
            Self::File(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(to) => to.flush(),
            Self::File(to) => to.flush(),
        }
    }
}

impl Lines {
    fn new(args: &Args) -> Result<Self> {
        let several = args.inputs.len() > 1 || args.inputs.iter().any(|input| input.is_dir());
        let to = match args.is_to_file() {
            true => Target::File(BufWriter::new(OutputFile::create(&args.out)?)),
            false => Target::Standard(io::stdout()),
        };
        let mut lines = Self { to, format: args.format, several, broken: false };
        if lines.format == Format::Csv {
            lines.row(&CSV_HEADER)?;
        }
        Ok(lines)
    }

    fn write(&mut self, scene: &Scene, source: &Path) -> Result<()> {
        let written = self.write_lines(scene, source);
        self.broken |= written.is_err();
        written.context("the results cannot be written")
    }

    fn write_lines(&mut self, scene: &Scene, source: &Path) -> Result<()> {
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
        let flushed = self.to.flush().context("the results cannot be written");
        match (flushed, self.to) {
            (Ok(()), Target::File(file)) => file.into_inner().map_err(io::IntoInnerError::into_error)?.finish(),
            (flushed, to) => flushed.map_err(|error| keep(to, error)),
        }
    }

    /// Keeps what was written of a file that cannot be completed, and adds its name to the error.
    fn keep(self, error: anyhow::Error) -> anyhow::Error {
        keep(self.to, error)
    }
}

fn keep(to: Target, error: anyhow::Error) -> anyhow::Error {
    let Target::File(file) = to else { return error };
    match file.into_parts().0.keep() {
        Ok(kept) => error.context(format!("the results until then are in {}", kept.display())),
        Err(_) => error,
    }
}

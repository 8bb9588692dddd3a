//! `visavis live`: watch a camera or a film.

mod cameras;
mod paths;
mod running;

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use visavis_face::Choice;
use visavis_live::{Outcome, Pacing, PipelineParams};
use visavis_video::{Pace, Source};

use crate::alarms::{AlarmArgs, GrowthArgs, SightingArgs};
use crate::audit_log::AuditArgs;
use crate::mqtt::MqttArgs;
use crate::outputs::Files;
use crate::page::{Destinations, PageArgs};
use cameras::Camera;
use visavis_cli::options::{EngineArgs, NetworkArgs, SourceArgs, complain, cores, parse_seconds, parse_workers};
use visavis_cli::output::check_place;
use visavis_cli::place::GalleryPlace;
use visavis_cli::session::Session;
use visavis_cli::terminal::{LogArgs, with_causes};

/// Analyse a camera, a film or a picture live
///
/// Serves a web page that shows the picture and controls the program, and prints the page's address. A status line on the
/// terminal shows the rates and the faces.
///
/// Commands can be typed on standard input while it runs:
/// `networks` lists the networks;
/// `switch TASK NETWORK` uses another network for a task (`none` switches the task off);
/// `not` marks the last alarm as wrong: it was not this person;
/// `quit` ends the program.
#[derive(Parser)]
#[command(
    after_help = "Examples:
  visavis live                                     the first webcam; the page is at http://127.0.0.1:8080/
  visavis live film.mp4 --record seen.mp4
  visavis live rtsp://door.local/stream1 --gallery people.gallery
Settings in a file (--config), less common options, more details: visavis live --help",
    after_long_help = "Examples:
  visavis live                                   the first webcam; the page is at http://127.0.0.1:8080/
  visavis live --listen 0.0.0.0:8080             the page for the whole network, protected by a token
  visavis live film.mp4 --repeat
  visavis live camera:1 --jsonl - --gallery people.gallery
  visavis live rtsp://door.local/stream1 --camera-credentials cameras.netrc
  visavis live http://10.0.0.7/video.mjpg        also HLS, RTMP, SRT, … if ffmpeg is installed
  visavis live virtual:photos/                   a simulated camera that moves over photos
  visavis live door=rtsp://10.0.0.7/stream1 yard=rtsp://10.0.0.8/stream1      several cameras on one page
  visavis live --gallery people.gallery --alarm-log alarms.jsonl      alarms for people on the watch list
  visavis live --gallery seen.gallery --grow                          adds every visitor to the gallery, once
  visavis live --gallery people.gallery --remember                    records who was seen when
  visavis live --gallery people.gallery --mqtt mqtt://ada@broker.local      for Home Assistant, see docs/integrations.md
  visavis live camera:1 --gallery postgres://visavis@db/faces         a gallery that several cameras share
  visavis live --config visavis.toml             all settings from a file; `visavis config example` prints one"
)]
pub(crate) struct Args {
    /// Films, photos, folders, URLs, camera:0 (default), - or virtual:PATH
    ///
    /// Several sources are analysed at the same time. The page shows the pictures of all; JSON lines and alarms contain the name
    /// of the camera. `NAME=SOURCE` sets the name, as in `door=rtsp://10.0.0.7/stream1`.
    ///
    /// A film, a photo, a folder of photos or a named pipe is given by its path; a network camera or stream by its URL
    /// (`rtsp://…`, `http://…`). `-` reads standard input. `virtual:PATH` is a simulated camera that moves over the photos at
    /// PATH. Without a source, the first camera is used. If there is no camera, the program waits until a source is chosen on
    /// the page.
    #[arg(help_heading = "Source")]
    pub(crate) source: Vec<OsString>,
    /// Does not look for a camera: a source may be chosen on the page.
    #[arg(skip)]
    pub(crate) without_source: bool,
    /// Read settings from this TOML file; flags and environment variables have priority
    ///
    /// The keys of the file are the names of the flags; the sources are the list `sources`. `visavis config example` prints a
    /// file with all settings, and `visavis config check FILE` finds errors. The environment variable VISAVIS_CONFIG also names
    /// a file.
    #[arg(long, value_name = "FILE", env = "VISAVIS_CONFIG", hide_env = true, hide_short_help = true)]
    pub(crate) config: Option<PathBuf>,
    // The help shows the headings in the order in which these fields first use them.
    #[command(flatten)]
    pub(crate) reading: SourceArgs,
    #[command(flatten)]
    pub(crate) networks: NetworkArgs,
    /// Create the gallery if it does not exist
    #[arg(long, help_heading = "Gallery")]
    pub(crate) new_gallery: bool,
    #[command(flatten)]
    pub(crate) growth: GrowthArgs,
    #[command(flatten)]
    pub(crate) sightings: SightingArgs,
    #[command(flatten, next_help_heading = "Alarms")]
    pub(crate) alarms: AlarmArgs,
    #[command(flatten, next_help_heading = "Page")]
    pub(crate) page: PageArgs,
    #[command(flatten, next_help_heading = "Output")]
    pub(crate) outputs: OutputArgs,
    #[command(flatten, next_help_heading = "Output")]
    pub(crate) mqtt: MqttArgs,
    #[command(flatten, next_help_heading = "Output")]
    pub(crate) log: LogArgs,
    #[command(flatten, next_help_heading = "Output")]
    pub(crate) audit: AuditArgs,
    #[command(flatten)]
    pub(crate) running: RunningArgs,
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
}

/// How a live run behaves.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct RunningArgs {
    /// Number of recognition workers, which all cameras share [default: CPU cores minus one; with several cameras: CPU cores]
    ///
    /// Each worker keeps every network in memory once. With several cameras, this is also the largest number of pictures in which
    /// faces are detected at the same time.
    #[arg(long, value_name = "N", value_parser = parse_workers, help_heading = "Performance")]
    pub(crate) workers: Option<usize>,
    /// Play a film again and again
    #[arg(long, help_heading = "Source")]
    pub(crate) repeat: bool,
    /// Mirror the picture: true or false [default: true for webcams]
    ///
    /// By default, cameras of this machine and of a browser are mirrored, and pipes of JPEG pictures whose frame rate is not given;
    /// films and network cameras are not.
    #[arg(long, value_name = "BOOL", hide_possible_values = true, help_heading = "Source")]
    pub(crate) mirror: Option<bool>,
    /// Stop after this many seconds [default: run until the source ends]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, help_heading = "Source", hide_short_help = true)]
    pub(crate) seconds: Option<f64>,
}

impl RunningArgs {
    /// The number of recognition workers for this number of cameras. With one camera, a core is left for detection; several cameras
    /// share the workers and seldom need detection and recognition at the same moments.
    pub(crate) fn workers(&self, cameras: usize) -> usize {
        let default = || if cameras > 1 { cores() } else { cores().saturating_sub(1) };
        self.workers.unwrap_or_else(default).max(1)
    }
}

/// Where the results go besides the status line.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct OutputArgs {
    /// Write the annotated picture to this MP4 file
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Write one JSON line for each frame to this file (`-`: standard output)
    #[arg(long, value_name = "FILE")]
    pub(crate) jsonl: Option<PathBuf>,
}

impl OutputArgs {
    /// The file of `--jsonl`; `None` for standard output.
    fn lines(&self) -> Option<&Path> {
        self.jsonl.as_deref().filter(|lines| *lines != Path::new("-"))
    }

    /// Whether the JSON lines go to standard output.
    fn are_lines_piped(&self) -> bool {
        self.jsonl.is_some() && self.lines().is_none()
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.is_piped() && !args.outputs.are_lines_piped() {
        complain("standard input carries pictures, so no commands can be typed");
    }
    if let Some(config) = &args.config {
        log::info!("settings are read from {}", config.display());
    }
    let session = Session::open(&args.engines, &args.networks)?;
    if args.makes_gallery() {
        make_gallery(&session, args.networks.gallery.as_ref())?;
    }
    let cameras = args.open_cameras()?;
    args.refuse_outputs_that_are_inputs(&cameras)?;
    let labels: Vec<_> = cameras.iter().map(|camera| (camera.label(), camera.pace())).collect();
    let mut failures = Vec::new();
    for (outcome, (label, pace)) in running::watch(session, cameras, args)?.iter().zip(labels) {
        if let Err(error) = finish_live(outcome, pace) {
            let told = with_causes(&error);
            failures.push(label.map_or_else(|| told.clone(), |label| format!("{label}: {told}")));
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!("{}", failures.join("\n")) }
}

impl Args {
    /// Whether the gallery is created if it does not exist.
    fn makes_gallery(&self) -> bool {
        self.growth.grow || self.sightings.remember || self.new_gallery
    }

    /// Where results go besides the page.
    fn destinations(&self) -> Destinations {
        let Self { outputs, alarms, sightings, mqtt, .. } = self;
        let (piped, file) = (outputs.are_lines_piped(), outputs.lines().is_some());
        Destinations {
            film: outputs.record.is_some(),
            files: file || alarms.alarm_log.is_some() || sightings.sighting_log.is_some(),
            sent: piped
                || mqtt.mqtt.is_some()
                || alarms.alarm_webhook.is_some()
                || alarms.alarm_command.is_some()
                || sightings.sighting_webhook.is_some(),
            database: matches!(self.networks.gallery, Some(GalleryPlace::Database(_))),
        }
    }

    /// Refuses outputs that would write over a source, the gallery, the configuration or another output.
    fn refuse_outputs_that_are_inputs(&self, cameras: &[Camera]) -> Result<()> {
        let mut files = Files::default();
        self.source.iter().filter_map(|source| cameras::path_of(source)).for_each(|path| files.read(path));
        if let Some(GalleryPlace::File(gallery)) = &self.networks.gallery {
            files.read(gallery);
        }
        self.config.iter().for_each(|config| files.read(config));
        if let Some(record) = &self.outputs.record {
            cameras.iter().try_for_each(|camera| files.write(&camera.output(record)))?;
        }
        self.outputs.lines().map_or(Ok(()), |lines| files.write(lines))?;
        let logs = [&self.alarms.alarm_log, &self.sightings.sighting_log, &self.audit.audit_log];
        logs.into_iter().flatten().try_for_each(|log| files.append(log))
    }

    fn is_piped(&self) -> bool {
        self.source.iter().any(|source| source == "-")
    }

    /// Opens the named sources, or the first camera if none was named. If there is no camera either and the page is served, the
    /// result is a camera without a source: one is then chosen on the page.
    fn open_cameras(&self) -> Result<Vec<Camera>> {
        let options = self.reading.open_options();
        if !self.source.is_empty() {
            return Camera::open_all(&self.source, &options);
        }
        if self.without_source {
            return Ok(vec![Camera::only(None)]);
        }
        let source = match visavis_video::open("camera:0", &options) {
            Ok(camera) => Some(camera),
            Err(error) if self.page.is_wanted() => {
                complain(&format!("{error}\nchoose a source on the page"));
                None
            }
            Err(error) => return Err(error.into()),
        };
        Ok(vec![Camera::only(source)])
    }
}

/// An error if the run ended because the source failed.
pub(crate) fn finish(outcome: &Outcome) -> Result<()> {
    let Outcome { frames, skipped, .. } = outcome;
    if let Some(reason) = &outcome.source_failure {
        let skipped = if *skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        bail!("{reason} (after {frames} frames{skipped})");
    }
    Ok(())
}

/// Reports how many pictures were skipped. This is an error if the source is a file, since the file was not read completely.
fn finish_live(outcome: &Outcome, pace: Pace) -> Result<()> {
    finish(outcome)?;
    match (outcome.skipped, pace) {
        (0, _) => {}
        (skipped, Pace::Timeline) => bail!("{skipped} pictures could not be read and were skipped"),
        // A stream that runs for days loses a picture now and then.
        (skipped, Pace::Own) => complain(&format!("{skipped} pictures could not be read and were skipped")),
    }
    Ok(())
}

/// The parameters of a live run with one camera.
pub(crate) fn live_params(choice: &Choice, source: &dyn Source, running: &RunningArgs) -> PipelineParams {
    PipelineParams {
        pacing: Pacing::Live,
        workers: running.workers(1),
        repeat: running.repeat,
        mirror: running.mirror.unwrap_or_else(|| source.info().is_mirrored_by_default()),
        choice: choice.clone(),
        ..PipelineParams::default()
    }
}

/// Creates the gallery if it does not exist, without people.
fn make_gallery(session: &Session, place: Option<&GalleryPlace>) -> Result<()> {
    let place = place
        .context("--grow, --remember and --new-gallery need a gallery: give its path or address with --gallery")?;
    let similarity = session.choice.similarity.as_deref();
    let similarity = similarity.context("a gallery needs a network for similarity: leave out `--similarity none`")?;
    if let GalleryPlace::File(file) = place
        && !file.exists()
    {
        check_place(file)?;
    }
    Ok(place.make(&session.loader.embedding_id(similarity)?)?)
}

/// A file, or standard output for `-`.
fn open_output(to: &Path) -> Result<Box<dyn Write + Send>> {
    if to == Path::new("-") {
        return Ok(Box::new(std::io::stdout()));
    }
    let file = File::create(to).with_context(|| format!("{} cannot be written", to.display()))?;
    Ok(Box::new(BufWriter::new(file)))
}

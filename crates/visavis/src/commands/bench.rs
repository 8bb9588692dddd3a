//! `visavis bench`: measures the speed of the whole pipeline.

mod sequential;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;
use visavis_infer::Task;
use visavis_live::{Delivery, Loader, Pacing, PipelineParams, Prepared, StageReport, StatisticsReport};

use crate::annotate::Annotator;
use crate::commands::live::{RunningArgs, finish, live_params};
use visavis_cli::interrupt;
use visavis_cli::options::{
    EngineArgs, NetworkArgs, SourceArgs, complain, cores, parse_seconds, parse_workers, say, say_json,
};
use visavis_cli::session::Session;

use self::sequential::Sequential;

/// Measure the speed of the whole pipeline on a film
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis bench live --source film.mp4 --seconds 60 --json
  visavis bench live --source film.mp4 --pacing every-frame --engine tract
  visavis bench live --source film.mp4 --pacing every-frame --gallery people.gallery --reference tools/reference/sequential_pipeline.py
  visavis bench live --source film.mp4 --gallery people.gallery")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure what `visavis live` does, overlay included, without a page
    Live(Box<LiveArgs>),
}

#[derive(Parser)]
struct LiveArgs {
    /// Source, as for `visavis live`; a film is repeated until the time is over
    #[arg(long)]
    source: String,
    /// Duration of the measurement in seconds; with --pacing every-frame it ends at the end of the film
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = parse_seconds)]
    seconds: f64,
    /// live: at the film's rate, frames may be dropped; every-frame: all frames, as fast as possible
    #[arg(long, default_value = "live")]
    pacing: PacingArg,
    #[command(flatten)]
    reading: SourceArgs,
    #[command(flatten)]
    engines: EngineArgs,
    #[command(flatten)]
    networks: NetworkArgs,
    /// Number of recognition workers [default: CPU cores minus one for live, CPU cores for every-frame]
    #[arg(long, value_name = "N", value_parser = parse_workers)]
    workers: Option<usize>,
    /// Do not draw the overlay
    #[arg(long)]
    no_overlay: bool,
    /// Python script to compare with: tools/reference/sequential_pipeline.py
    ///
    /// The script runs afterwards, on the same film, with the ready-made networks of the first --models folder, one thread for each
    /// worker and the same size of the detector's input. The results of both are printed.
    #[arg(long, value_name = "SCRIPT")]
    reference: Option<PathBuf>,
    /// Python interpreter for --reference
    #[arg(long, default_value = "python3", value_name = "PROGRAM", requires = "reference")]
    python: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print the memory in use on standard error at this interval in seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    memory_every: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PacingArg {
    Live,
    EveryFrame,
}

#[derive(Serialize)]
struct BenchReport {
    pacing: &'static str,
    source: String,
    source_fps: Option<f64>,
    engine: String,
    /// Width and height of the detector's input at the end.
    detector_input: Option<[u32; 2]>,
    workers: usize,
    networks: Vec<String>,
    seconds: f64,
    frames: u64,
    /// Frames per second in the every-frame pacing.
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_per_second: Option<f64>,
    /// Frames per second in the live pacing.
    #[serde(skip_serializing_if = "Option::is_none")]
    shown_fps: Option<f64>,
    /// CPU time of all threads for each frame, in milliseconds, overlay included (Linux only).
    #[serde(skip_serializing_if = "Option::is_none")]
    processor_ms_per_frame: Option<f64>,
    /// The result of the reference script on the same film.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Sequential>,
    detection_fps: f64,
    /// Recognised expressions per second: the lowest value among the faces that are in view for at least a quarter of the time.
    expression_hz_per_face: Option<f64>,
    expression_hz: Vec<f64>,
    faces: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_p95_ms: Option<f64>,
    dropped_frames: u64,
    undetected_frames: u64,
    rss_mib: Option<f64>,
    stages: std::collections::BTreeMap<String, StageReport>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Live(args) => live(args),
    }
}

fn live(args: &LiveArgs) -> Result<()> {
    let models = args.engines.models.first();
    if args.reference.is_some() && models.is_none() {
        bail!("--reference needs --models DIR with the ready-made networks");
    }
    let session = Session::open(&args.engines, &args.networks)?;
    let source = visavis_video::open(&args.source, &args.reading.open_options())?;
    let info = source.info().clone();
    let live = args.pacing == PacingArg::Live;
    let running = RunningArgs { workers: args.workers, repeat: true, mirror: Some(false), seconds: None };
    let mut params = live_params(&session.choice, source.as_ref(), &running);
    if !live {
        params = PipelineParams {
            pacing: Pacing::EveryFrame,
            workers: args.workers.unwrap_or_else(cores).max(1),
            repeat: false,
            ..params
        };
    }
    let (workers, choice) = (params.workers, params.choice.clone());
    let mut annotator = Annotator::new(session.gallery()?);
    let loader: Arc<dyn Loader> = Arc::new(session.loader);
    let engine = loader.detector(&choice.detector)?.placement().to_string();
    let mut prepared = Prepared::new(params, loader)?;
    let screen = prepared.subscribe(if live { Delivery::Newest } else { Delivery::All { queue: 8 } });
    let (started, processor) = (Instant::now(), processor_seconds());
    let pipeline = prepared.start(source)?;
    interrupt::stops([&pipeline])?;
    let mut remembered = 0.0;
    let mut frames = 0u64;
    while let Some(scene) = screen.recv() {
        if !args.no_overlay {
            annotator.draw(&scene);
        }
        screen.shown(&scene);
        frames += 1;
        let elapsed = started.elapsed().as_secs_f64();
        if let Some(every) = args.memory_every
            && elapsed - remembered >= every
        {
            remembered = elapsed;
            complain(&format!("{elapsed:6.1} s  {:.1} MiB", rss_mib().unwrap_or(f64::NAN)));
        }
        if elapsed >= args.seconds {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let (report, rss) = (pipeline.statistics(), rss_mib());
    let processor = processor.and_then(|before| Some(processor_seconds()? - before));
    pipeline.stop();
    drop(screen);
    let outcome = pipeline.join();
    finish(&outcome)?;
    if frames == 0 {
        bail!("{} delivered no frame", args.source);
    }
    let reference = args.reference.as_deref().zip(models).map(|(script, models)| {
        let threads = args.workers.unwrap_or_else(cores).max(1);
        Sequential::run(&args.python, script, models, &args.source, threads, report.detector_input)
    });
    let mut networks: Vec<String> = Vec::new();
    for name in Task::ALL.into_iter().filter_map(|task| choice.of(task)) {
        if !networks.iter().any(|known| known == name) {
            networks.push(name.to_owned());
        }
    }
    // Rates refer to the time of the measurement. That of the pipeline includes the loading of the networks.
    let tracks = long_tracks(&report, if live { seconds } else { info_seconds(&info, frames) });
    let rate = |stage: &str| report.stages.get(stage).map_or(0.0, |stage| stage.count as f64 / seconds);
    let result = BenchReport {
        pacing: if live { "live" } else { "every-frame" },
        source: info.name,
        source_fps: info.frame_rate,
        engine,
        detector_input: report.detector_input,
        workers,
        networks,
        seconds,
        frames,
        frames_per_second: (!live).then_some(frames as f64 / seconds),
        shown_fps: live.then_some(frames as f64 / seconds),
        processor_ms_per_frame: processor.map(|seconds| seconds * 1000.0 / frames as f64),
        reference: reference.transpose()?,
        detection_fps: rate("detection"),
        expression_hz_per_face: tracks.iter().copied().reduce(f64::min),
        faces: tracks.len(),
        expression_hz: tracks,
        latency_p50_ms: live.then_some(report.latency_p50_ms),
        latency_p95_ms: live.then_some(report.latency_p95_ms),
        dropped_frames: report.dropped_frames,
        undetected_frames: report.undetected_frames,
        rss_mib: rss,
        stages: report.stages,
    };
    if args.json { say_json(&result) } else { print(&result) }
}

fn info_seconds(info: &visavis_video::SourceInfo, frames: u64) -> f64 {
    frames as f64 / info.frame_rate.unwrap_or(30.0)
}

fn long_tracks(report: &StatisticsReport, seconds: f64) -> Vec<f64> {
    report.tracks.iter().filter(|track| track.seconds >= seconds / 4.0).map(|track| track.expression_hz).collect()
}

fn print(result: &BenchReport) -> Result<()> {
    say(&format!(
        "{} ({}{}), {} worker(s), networks {}",
        result.source,
        result.engine,
        result.detector_input.map_or(String::new(), |[width, height]| format!(", detection at {width}x{height}")),
        result.workers,
        result.networks.join(", ")
    ))?;
    match result.frames_per_second {
        Some(fps) => say(&format!("{fps:.1} frames/s over {} frames", result.frames))?,
        None => say(&format!(
            "{:.2} frames/s shown, {:.1} detected, capture to shown {:.1} ms (p50) {:.1} ms (p95), {} dropped",
            result.shown_fps.unwrap_or_default(),
            result.detection_fps,
            result.latency_p50_ms.unwrap_or_default(),
            result.latency_p95_ms.unwrap_or_default(),
            result.dropped_frames
        ))?,
    }
    if let Some(processor) = result.processor_ms_per_frame {
        say(&format!("{processor:.1} ms of CPU time per frame"))?;
    }
    if let Some(reference) = &result.reference {
        reference.print(result.processor_ms_per_frame, result.frames_per_second)?;
    }
    let rates: Vec<String> = result.expression_hz.iter().map(|hz| format!("{hz:.1}")).collect();
    say(&format!("expressions per second for each face: {}", rates.join(", ")))?;
    for (name, stage) in &result.stages {
        say(&format!(
            "  {name:24} {:7.1}/s  {:7.2} ms p50  {:7.2} ms p95  busy {:4.0} %  {} failed",
            stage.per_second,
            stage.p50_ms,
            stage.p95_ms,
            stage.busy * 100.0,
            stage.failures
        ))?;
    }
    say(&format!("resident memory {:.0} MiB", result.rss_mib.unwrap_or(f64::NAN)))
}

/// CPU time that all threads of this process have used, in seconds; `None` on systems other than Linux.
fn processor_seconds() -> Option<f64> {
    /// Units per second in `/proc`.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may contain spaces. After it, fields 12 and 13 are the user and the system time.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(|field| field.parse::<f64>().ok());
    Some((times.next()?? + times.next()??) / TICKS)
}

/// Resident memory in MiB; `None` on systems other than Linux.
fn rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

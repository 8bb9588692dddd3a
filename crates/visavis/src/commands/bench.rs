//! `visavis bench`: measure.

mod gallery;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;
use visavis_live::{Delivery, Loader, Pacing, PipelineParams, Prepared, StageReport, StatisticsReport};

use crate::annotate::Annotator;
use crate::commands::live::{RunningArgs, finish, live_params};
use crate::interrupt;
use crate::options::{EngineArgs, NetworkArgs, SourceArgs, complain, cores, say, say_json};
use crate::session::Session;

/// Measure the whole chain on a film, or the search of a large gallery
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis bench live --source film.mp4 --seconds 60 --json
  visavis bench live --source film.mp4 --pacing every-frame --engine tract
  visavis bench gallery --people 1000000 --approximate
  visavis bench gallery --people 1000000 --approximate --like people.gallery --write big/
  visavis bench live --source film.mp4 --gallery big/bench.gallery")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything as `visavis live` does it, overlay included, without a screen
    Live(Box<LiveArgs>),
    /// The search of a gallery of made-up people
    Gallery(gallery::Args),
}

#[derive(Parser)]
struct LiveArgs {
    /// What is watched (as for `visavis live`); a film is repeated until the time is over
    #[arg(long)]
    source: String,
    /// How long to measure; with --pacing every-frame, the film at most once
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    seconds: f64,
    /// live: newest frame wins, at the film's rate. every-frame: as fast as it goes, nothing left out
    #[arg(long, default_value = "live")]
    pacing: PacingArg,
    #[command(flatten)]
    reading: SourceArgs,
    #[command(flatten)]
    engines: EngineArgs,
    #[command(flatten)]
    networks: NetworkArgs,
    /// Recognition workers [default: live: all cores but one; every-frame: all cores]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Do not draw the overlay (the picture is then only handed over)
    #[arg(long)]
    no_overlay: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Say every so many seconds, on standard error, how much memory is in use
    #[arg(long, value_name = "SECONDS")]
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
    workers: usize,
    networks: Vec<String>,
    seconds: f64,
    frames: u64,
    /// Of the two rates, the one that the pacing is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shown_fps: Option<f64>,
    detection_fps: f64,
    /// Of the face served least, among those in view for at least a quarter of the time.
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
        Command::Gallery(args) => gallery::run(args),
    }
}

fn live(args: &LiveArgs) -> Result<()> {
    let session = Session::open(&args.engines, &args.networks)?;
    let source = visavis_video::open(&args.source, &args.reading.open_options())?;
    let info = source.info().clone();
    let live = args.pacing == PacingArg::Live;
    let running = RunningArgs { workers: args.workers, repeat: true, mirror: Some(false), seconds: None };
    let mut params = live_params(&session, source.as_ref(), &running);
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
    let started = Instant::now();
    let pipeline = prepared.start(source)?;
    interrupt::stops(&pipeline)?;
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
    pipeline.stop();
    drop(screen);
    let outcome = pipeline.join();
    finish(&outcome)?;
    if frames == 0 {
        bail!("{} gave no frame", args.source);
    }
    let names = [&choice.keypoints, &choice.smile, &choice.age, &choice.gender, &choice.similarity];
    let mut networks: Vec<String> = vec![choice.detector.clone()];
    for name in names.into_iter().flatten().filter(|name| !networks.contains(name)).cloned().collect::<Vec<_>>() {
        if !networks.contains(&name) {
            networks.push(name);
        }
    }
    // Rates over the wall clock of this run, not the pipeline's, which starts with loading.
    let tracks = long_tracks(&report, if live { seconds } else { info_seconds(&info, frames) });
    let rate = |stage: &str| report.stages.get(stage).map_or(0.0, |stage| stage.count as f64 / seconds);
    let result = BenchReport {
        pacing: if live { "live" } else { "every-frame" },
        source: info.name,
        source_fps: info.frame_rate,
        engine,
        workers,
        networks,
        seconds,
        frames,
        frames_per_second: (!live).then_some(frames as f64 / seconds),
        shown_fps: live.then_some(frames as f64 / seconds),
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
        "{} ({}), {} worker(s), networks {}",
        result.source,
        result.engine,
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
    let rates: Vec<String> = result.expression_hz.iter().map(|hz| format!("{hz:.1}")).collect();
    say(&format!("expression per second for each face: {}", rates.join(", ")))?;
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

/// Resident memory, where the system tells it (Linux).
fn rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

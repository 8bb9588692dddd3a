//! Speed of a network: one picture at a time, after a warm-up.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use visavis_face::{Detect, FaceError, Locate};
use visavis_image::{Picture, Rect, Turn};
use visavis_infer::{EngineOptions, InferError, Placement, Runtime, Tensor, registry::Entry};

use crate::bootstrap::{Bootstrap, Estimate, quantile};
use crate::random::Random;

/// Duration of a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpeedParams {
    /// Runs before timing starts: engines allocate memory in the first ones.
    pub warm_up: usize,
    /// Least number of timed runs.
    pub runs: usize,
    /// Least duration of timing.
    pub least: Duration,
    /// No run is started after this time if there have been five.
    pub most: Duration,
}

impl Default for SpeedParams {
    fn default() -> Self {
        Self { warm_up: 5, runs: 30, least: Duration::from_secs(2), most: Duration::from_secs(30) }
    }
}

/// Least number of runs for a meaningful median.
const LEAST_RUNS: usize = 5;

/// A measured speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Median time of a run in milliseconds.
    pub median_ms: Estimate,
    /// Time within which 95 % of the runs were done, in milliseconds.
    pub p95_ms: f64,
    /// Runs per second at the median.
    pub per_second: Estimate,
}

impl Speed {
    /// From the times of single runs, in milliseconds; `None` for no runs.
    #[must_use]
    pub fn from_times(times_ms: &[f64]) -> Option<Self> {
        let mut sorted = times_ms.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median_ms = Bootstrap::default().median(&sorted)?;
        Some(Self { median_ms, p95_ms: quantile(&sorted, 0.95)?, per_second: median_ms.map(|ms| 1000.0 / ms) })
    }
}

/// Times `run`.
///
/// # Errors
/// The first error of `run`.
pub fn time<E>(params: &SpeedParams, mut run: impl FnMut() -> Result<(), E>) -> Result<Speed, E> {
    for _ in 0..params.warm_up {
        run()?;
    }
    let mut times = Vec::new();
    let start = Instant::now();
    loop {
        let begun = Instant::now();
        run()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        let (runs, elapsed) = (times.len(), start.elapsed());
        let enough = runs >= params.runs && elapsed >= params.least;
        if enough || (runs >= LEAST_RUNS && elapsed >= params.most) {
            break;
        }
    }
    Ok(Speed::from_times(&times).expect("at least one run was timed"))
}

/// Speed of one network on one engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkSpeed {
    /// The network.
    pub network: String,
    /// Width and height of its input.
    pub input: [u32; 2],
    /// Engine and version.
    pub engine: String,
    /// The device.
    pub device: String,
    /// Threads of one run.
    pub threads: usize,
    /// The speed.
    #[serde(flatten)]
    pub speed: Speed,
}

impl NetworkSpeed {
    fn new(network: &str, input: [u32; 2], placement: &Placement, speed: Speed) -> Self {
        let Placement { engine, device, threads } = placement.clone();
        Self { network: network.to_owned(), input, engine, device, threads, speed }
    }
}

/// Loads a network and times it: the network alone, one picture `[1, 3, H, W]` (in its own layout) per run, without
/// cropping.
///
/// # Errors
/// Errors of loading and running it.
pub fn network(
    entry: &Entry,
    runtime: &Runtime,
    options: &EngineOptions,
    params: &SpeedParams,
) -> Result<NetworkSpeed, InferError> {
    let mut model = entry.load(runtime, options)?;
    let input = &entry.manifest.input;
    let [width, height] = input.size;
    let mut tensor = Tensor::zeros(&input.shape(1, width, height));
    // Random pixels: some kernels are faster with zeros, and slower with denormal numbers.
    let mut random = Random::new(1);
    tensor.data.fill_with(|| (random.below(256) as f32 - input.mean[0]) / input.std[0]);
    let speed = time(params, || model.run(&tensor).map(drop))?;
    Ok(NetworkSpeed::new(&entry.manifest.name, input.size, model.placement(), speed))
}

/// Width and height of the camera picture on which [`locator`] is timed, in pixels.
const PICTURE: [u32; 2] = [640, 480];
const FACE: f32 = 160.0;

/// Times a keypoint locator including cropping, as live. `input` is the network's input size, for the record.
///
/// # Errors
/// Errors of running it.
pub fn locator(
    name: &str,
    input: [u32; 2],
    locator: &mut dyn Locate,
    params: &SpeedParams,
) -> Result<NetworkSpeed, FaceError> {
    let mut picture = Picture::new(PICTURE[0], PICTURE[1]);
    let mut random = Random::new(1);
    picture.pixels_mut().fill_with(|| random.below(256) as u8);
    let rect = Rect::new(200.0, 100.0, FACE, FACE * 1.2);
    let speed = time(params, || locator.locate(&picture, &rect, Turn::None).map(drop))?;
    Ok(NetworkSpeed::new(name, input, &locator.placement(), speed))
}

/// Times a detector on `pictures` in turn (on random pixels if there are none): input conversion, network, decoding and
/// suppression. `input` is the network's input size, for the record. With pictures of this size there is no scaling.
///
/// # Errors
/// Errors of running it.
pub fn detector(
    name: &str,
    input: [u32; 2],
    detector: &mut dyn Detect,
    pictures: &[Picture],
    params: &SpeedParams,
) -> Result<NetworkSpeed, FaceError> {
    let mut noise = Picture::new(input[0], input[1]);
    let mut random = Random::new(1);
    noise.pixels_mut().fill_with(|| random.below(256) as u8);
    let pictures = if pictures.is_empty() { std::slice::from_ref(&noise) } else { pictures };
    let mut turn = pictures.iter().cycle();
    let speed = time(params, || turn.next().map_or(Ok(()), |picture| detector.detect(picture).map(drop)))?;
    Ok(NetworkSpeed::new(name, input, &detector.placement(), speed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        let speed = Speed::from_times(&[50.0, 10.0, 20.0, 20.0, 40.0]).unwrap();
        assert_eq!((speed.median_ms.value, speed.per_second.value, speed.median_ms.n), (20.0, 50.0, 5));
        assert!((speed.p95_ms - 48.0).abs() < 1e-9);
        assert!(speed.per_second.low <= 50.0 && 50.0 <= speed.per_second.high);
        assert!(Speed::from_times(&[]).is_none());
    }

    #[test]
    fn warm_up_is_not_counted_and_errors_come_through() {
        let params = SpeedParams { warm_up: 3, runs: 7, least: Duration::ZERO, most: Duration::from_secs(60) };
        let mut calls = 0;
        let speed = time(&params, || {
            calls += 1;
            Ok::<(), ()>(())
        });
        assert_eq!((calls, speed.unwrap().median_ms.n), (10, 7));
        assert_eq!(time(&params, || Err("broken")), Err("broken"));
        // A slow run is not repeated thirty times.
        let brief = SpeedParams { warm_up: 0, runs: 30, least: Duration::ZERO, most: Duration::ZERO };
        assert_eq!(time(&brief, || Ok::<(), ()>(())).unwrap().median_ms.n, 5);
    }
}

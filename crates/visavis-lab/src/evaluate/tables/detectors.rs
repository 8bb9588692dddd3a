//! Table I: the detectors, their box sets and their speeds.

use std::path::PathBuf;

use anyhow::{Context, Result};
use visavis_eval::detection::{DetectionParams, LeastSide, evaluate};
use visavis_eval::speed::detector as time_detector;
use visavis_eval::tables::{DETECTOR_SIZES, DetectorFigures, Precision, Tables, expected_detectors};
use visavis_image::{Picture, Resizer, fit_factor};
use visavis_infer::{EngineOptions, Entry, Registry, Task};
use visavis_live::RegistryLoader;

use super::{Candidate, named};
use crate::evaluate::detectors::{PictureSet, SizedDetector, read_photo};
use crate::evaluate::faces::{SplitArg, progress_bar};
use crate::evaluate::speed::TimingArgs;

/// Ready-made detectors that are measured beside ours if they are available.
const PEERS: [&str; 2] = ["yunet_n", "ultraface_rfb_320"];

/// Prefixes of the names of detectors of the paper's families, including backbones that the paper does not have.
const FAMILIES: [&str; 3] = ["ssd_", "ssdlite_", "faster_rcnn_"];

/// Number of pictures on which speeds are measured: enough that a single one with many faces has little effect.
const TIMED_PICTURES: usize = 8;

/// Least score for measuring precision: low, since the whole curve counts.
const LEAST_SCORE: f32 = 0.02;

/// The networks with rows in Table I, then others of their families, then peers.
pub(super) fn candidates(
    peers: &[String],
    registry: &Registry,
    untrained: Option<&Registry>,
) -> Result<Vec<Candidate>> {
    let trained = |name: String| Candidate { name, trained: true };
    let mut found: Vec<Candidate> = Vec::new();
    for wanted in expected_detectors() {
        let random =
            || untrained.and_then(|registry| named(registry, wanted)).map(|name| Candidate { name, trained: false });
        found.extend(named(registry, wanted).map(trained).or_else(random));
    }
    let new = |found: &[Candidate], name: &str| !found.iter().any(|candidate| candidate.name == name);
    let detectors = registry.for_task(Task::Detection).map(|entry| &entry.manifest.name);
    let kin = detectors.filter(|name| FAMILIES.iter().any(|family| name.starts_with(family)));
    let known = PEERS.iter().filter_map(|peer| named(registry, peer));
    let mut others: Vec<String> = kin.cloned().chain(known).collect();
    for peer in peers {
        if registry.get(peer)?.manifest.tasks.contains(&Task::Detection) {
            others.push(peer.clone());
        }
    }
    for name in others {
        if new(&found, &name) {
            found.push(trained(name));
        }
    }
    Ok(found)
}

/// The box sets: first those used as a whole, then those of which only the validation part is used.
pub(super) fn sets(whole: &[PathBuf], validation: &[PathBuf]) -> Result<Vec<(PictureSet, SplitArg)>> {
    let whole = whole.iter().map(|path| (path, SplitArg::All));
    let all = whole.chain(validation.iter().map(|path| (path, SplitArg::Validation)));
    all.map(|(path, split)| Ok((PictureSet::read(path, None, split)?, split))).collect()
}

/// The registries of trained networks and of networks with random weights.
pub(super) struct Registries<'a> {
    pub(super) loader: &'a RegistryLoader,
    pub(super) untrained: Option<&'a Registry>,
}

impl Registries<'_> {
    fn entry(&self, name: &str, untrained: bool) -> Result<&Entry> {
        let registry = if untrained { self.untrained } else { Some(&self.loader.registry) };
        Ok(registry.context("a network without a registry")?.get(name)?)
    }
}

/// Average precision of every detector at every size that it accepts.
pub(super) fn precisions(
    tables: &mut Tables,
    candidates: &[Candidate],
    registries: &Registries<'_>,
    sets: &[(PictureSet, SplitArg)],
    least_side: Option<f32>,
) -> Result<()> {
    tables.box_note = least_side.filter(|_| !sets.is_empty()).map(|pixels| {
        format!(
            "Only faces whose shorter side has at least {pixels} pixels at the input are counted. At a smaller input there are \
             fewer; n is the number at the largest input. "
        )
    });
    let mut faces = vec![0; sets.len()];
    for candidate in candidates {
        let entry = registries.entry(&candidate.name, !candidate.trained)?;
        let own = entry.manifest.input.size;
        let sizes = if entry.manifest.input.multiple_of.is_some() { &DETECTOR_SIZES[..] } else { &[own][..] };
        for &size in sizes {
            let mut figures = DetectorFigures {
                network: candidate.name.clone(),
                size,
                untrained: !candidate.trained,
                ..DetectorFigures::default()
            };
            let engine = EngineOptions { threads: 1, ..registries.loader.detection.clone() };
            let mut sized =
                SizedDetector::load(entry, &registries.loader.runtime, &engine, Some(size), Some(LEAST_SCORE))?;
            figures.padded = sized.padded;
            for (place, (set, _)) in sets.iter().enumerate().filter(|_| candidate.trained) {
                let message = format!("{} at {}x{}", candidate.name, size[0], size[1]);
                let detections = set.detect(sized.detector.as_mut(), &message)?;
                let least_side = least_side.map(|pixels| LeastSide { pixels, input: Some(size) });
                let params = DetectionParams { least_side, ..DetectionParams::default() };
                let report = evaluate(&set.boxes, &detections, &params)?.all;
                faces[place] = faces[place].max(report.faces);
                figures.precisions.push(Precision { ap50_95: report.ap50_95, ap50: report.ap50 });
            }
            tables.detectors.push(figures);
        }
    }
    tables.box_sets = sets.iter().zip(faces).map(|((set, split), faces)| label(set, *split, faces)).collect();
    Ok(())
}

/// With a least side, the number of faces depends on the input size; `faces` is the largest number.
fn label(set: &PictureSet, split: SplitArg, faces: usize) -> String {
    let part = if split == SplitArg::All { "" } else { ", validation" };
    let faces = if faces == 0 { set.boxes.face_count() } else { faces };
    format!("{}{part}, n = {faces}", set.name)
}

/// Frames per second of every detector, at its usual threshold, on pictures of exactly its size.
pub(super) fn speeds(
    tables: &mut Tables,
    registries: &Registries<'_>,
    sets: &[(PictureSet, SplitArg)],
    timing: &TimingArgs,
) -> Result<()> {
    let params = timing.params()?;
    let engines = timing.engines(&registries.loader.runtime);
    let bar = progress_bar((engines.len() * tables.detectors.len()) as u64, "timed");
    for options in &engines {
        for figures in &mut tables.detectors {
            bar.set_message(figures.network.clone());
            let entry = registries.entry(&figures.network, figures.untrained)?;
            let mut sized = SizedDetector::load(entry, &registries.loader.runtime, options, Some(figures.size), None)?;
            let pictures = timed_pictures(sets, figures.size)?;
            let timed = time_detector(&figures.network, figures.size, sized.detector.as_mut(), &pictures, &params)?;
            figures.speeds.push(Some(timed.speed.per_second));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Pictures with faces, evenly chosen from the first set, fitted into `size`.
fn timed_pictures(sets: &[(PictureSet, SplitArg)], size: [u32; 2]) -> Result<Vec<Picture>> {
    let Some((set, _)) = sets.first() else { return Ok(Vec::new()) };
    let with_faces: Vec<_> = set.boxes.images.iter().filter(|image| !image.faces.is_empty()).collect();
    let step = with_faces.len().div_ceil(TIMED_PICTURES).max(1);
    let mut resizer = Resizer::new();
    let fitted = with_faces.into_iter().step_by(step).map(|image| {
        let picture = read_photo(&set.images.join(&image.file_name))?;
        let factor = fit_factor([picture.width(), picture.height()], size);
        let mut fitted = Picture::new(size[0], size[1]);
        resizer.fit(&picture, &mut fitted, factor);
        Ok(fitted)
    });
    fitted.collect()
}

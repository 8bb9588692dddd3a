//! `visavis-lab tables`: the paper's Tables I to V with our figures beside them.

mod detectors;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use visavis_data::pack::{Pack, PackedFace};
use visavis_eval::attributes::{self, AttributeReport};
use visavis_eval::bootstrap::{Bootstrap, Estimate};
use visavis_eval::keypoints::{self, KeypointReport};
use visavis_eval::protocol::{ProtocolParams, View};
use visavis_eval::speed::{NetworkSpeed, SpeedParams, network};
use visavis_eval::tables::{
    AttributeFigures, Cell, KeypointFigures, MULTITASK, RobustnessRow, SIMILARITY, SetNames, SimilarityFigures, Tables,
    expected_embeddings, expected_networks, same_network,
};
use visavis_infer::manifest::FileKind;
use visavis_infer::{EngineOptions, Registry, Task};
use visavis_live::RegistryLoader;

use super::attributes::{Answers as AttributeAnswers, TASKS, measure as measure_attributes};
use super::faces::{FaceArgs, Networks, SplitArg, progress_bar};
use super::keypoints::{Answers as KeypointAnswers, measure as measure_keypoints};
use super::machine;
use super::similarity::identifications;
use super::speed::{TimingArgs, time_locator};
use visavis_cli::options::{EngineArgs, complain, say};
use visavis_cli::output::write_file;

/// The paper's Tables I to V as Markdown, our figures beside the paper's
///
/// A network's name determines its row: faster_rcnn_resnet101, ssd_mobilenetv1, ssd_mobilenetv1_quarter,
/// ssdlite_mobilenetv2, ssdlite_mobilenetv2_quarter, kazemi_forest, onet, similarity_BACKBONE, age_mobilenetv1,
/// gender_mobilenetv1, smile_mobilenetv1, multitask_BACKBONE. Detectors are measured on box sets, together with yunet_n and
/// ultraface_rfb_320 if they are available. Age, gender, smile, identity and keypoints are each measured on the first pack
/// with these labels, so the order of the packs matters. Speeds are measured with every available engine.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab tables --out tables.md
  visavis-lab tables --boxes wider/boxes.json --boxes-validation detection/boxes.json --least-side 16
  visavis-lab tables --data packs/utkface packs/genki4k packs/mtfl --untrained untrained \\
      --peers mtcnn_onet,faceapi_age_gender,faceapi_expression --view labelled,detected,jitter,small \\
      --keypoints kazemi_forest --out docs/tables.md")]
pub(crate) struct Args {
    /// Packs of labelled faces (`visavis-lab data pack`); without any, only speeds are measured
    #[arg(long, num_args = 1.., value_name = "PACK")]
    data: Vec<PathBuf>,
    /// Pictures with face boxes (COCO JSON, `images` beside it) on which detectors are measured
    #[arg(long, num_args = 1.., value_name = "FILE")]
    boxes: Vec<PathBuf>,
    /// The same for sets that detectors were trained on: only their validation part is measured
    #[arg(long, num_args = 1.., value_name = "FILE")]
    boxes_validation: Vec<PathBuf>,
    /// Only faces whose shorter side has this many pixels at the detector's input
    #[arg(long, value_name = "PIXELS")]
    least_side: Option<f32>,
    /// Output file [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder of networks with random weights, named like their rows: their speed is measured, and their accuracy is "not
    /// trained"
    #[arg(long, value_name = "DIR")]
    untrained: Option<PathBuf>,
    /// Networks of others, measured on the same faces
    #[arg(long, value_delimiter = ',', value_name = "NETWORK,…")]
    peers: Vec<String>,
    /// Network that locates the keypoints for networks that crop by them
    #[arg(long, value_name = "NETWORK")]
    keypoints: Option<String>,
    /// Views of the faces; the first one fills the tables, all of them a further table on robustness
    #[arg(long, value_delimiter = ',', default_value = "labelled", value_name = "VIEW,…")]
    view: Vec<View>,
    /// At most this many faces of each pack, chosen at even distances
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Threads, each with its own networks, for measuring accuracies [default: all cores]
    #[arg(long, value_name = "N", value_parser = visavis_cli::options::parse_workers)]
    workers: Option<usize>,
    /// Folder of networks besides the user's own; may be given more than once
    #[arg(long = "models", value_name = "DIR", env = "VISAVIS_MODELS")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    timing: TimingArgs,
}

impl Args {
    fn faces(&self) -> FaceArgs {
        FaceArgs {
            data: self.data.clone(),
            view: self.view.clone(),
            split: SplitArg::Validation,
            limit: self.limit,
            seed: ProtocolParams::default().seed,
            small: ProtocolParams::default().small,
            workers: self.workers,
        }
    }

    fn engine(&self) -> EngineArgs {
        EngineArgs {
            models: self.models.clone(),
            engine: visavis_infer::EngineChoice::Auto,
            detection_device: visavis_infer::Device::Cpu,
            recognition_device: visavis_infer::Device::Cpu,
            precision: visavis_infer::Precision::Auto,
            onnxruntime: self.timing.onnxruntime.clone(),
            threads: 1,
        }
    }

    /// The command for the document: packs, folders and files without their paths.
    fn command(&self) -> String {
        // Box files all have the same name, so their folder is included.
        let box_file = |path: &PathBuf| {
            let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
            parts[parts.len().saturating_sub(2)..].join("/")
        };
        let box_files = |paths: &[PathBuf]| paths.iter().map(box_file).collect::<Vec<String>>();
        let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut words = vec!["visavis-lab tables".to_owned()];
        let mut option = |flag: &str, values: Vec<String>, between: &str| {
            if !values.is_empty() {
                words.push(format!("{flag} {}", values.join(between)));
            }
        };
        option("--data", self.data.iter().map(|path| name(path)).collect(), " ");
        option("--boxes", box_files(&self.boxes), " ");
        option("--boxes-validation", box_files(&self.boxes_validation), " ");
        option("--least-side", self.least_side.iter().map(f32::to_string).collect(), " ");
        option("--untrained", self.untrained.iter().map(|path| name(path)).collect(), " ");
        option("--peers", self.peers.clone(), ",");
        option("--keypoints", self.keypoints.iter().cloned().collect(), " ");
        if self.view != [View::Labelled] {
            option("--view", self.view.iter().map(View::to_string).collect(), ",");
        }
        option("--limit", self.limit.iter().map(usize::to_string).collect(), " ");
        words.join(" ")
    }
}

/// A network with a row.
struct Candidate {
    name: String,
    /// In the main registry; else its weights are random.
    trained: bool,
}

/// The networks to measure.
struct Candidates {
    detectors: Vec<Candidate>,
    keypoints: Vec<Candidate>,
    attributes: Vec<Candidate>,
    similarity: Vec<Candidate>,
}

impl Candidates {
    fn find(args: &Args, registry: &Registry, untrained: Option<&Registry>) -> Result<Self> {
        let detectors = detectors::candidates(&args.peers, registry, untrained)?;
        let mut found = Self { detectors, keypoints: Vec::new(), attributes: Vec::new(), similarity: Vec::new() };
        for (wanted, keypoints) in expected_networks() {
            let trained = named(registry, wanted).map(|name| Candidate { name, trained: true });
            let random = || {
                untrained.and_then(|registry| named(registry, wanted)).map(|name| Candidate { name, trained: false })
            };
            if keypoints {
                found.keypoints.extend(trained);
            } else {
                found.attributes.extend(trained.or_else(random));
            }
        }
        for wanted in expected_embeddings() {
            let random = || untrained.and_then(|registry| named(registry, wanted)).map(|name| (name, false));
            let found_one = named(registry, wanted).map(|name| (name, true)).or_else(random);
            found.similarity.extend(found_one.map(|(name, trained)| Candidate { name, trained }));
        }
        // Backbones that the paper does not have.
        for (registry, trained) in [(Some(registry), true), (untrained, false)] {
            for entry in registry.into_iter().flat_map(Registry::entries) {
                let name = &entry.manifest.name;
                for (list, family) in [(&mut found.attributes, MULTITASK), (&mut found.similarity, SIMILARITY)] {
                    let new = !list.iter().any(|candidate| same_network(&candidate.name, name));
                    if name.starts_with(family) && new {
                        list.push(Candidate { name: name.clone(), trained });
                    }
                }
            }
        }
        for peer in &args.peers {
            let tasks = &registry.get(peer)?.manifest.tasks;
            let does = [
                tasks.contains(&Task::Keypoints),
                TASKS.iter().any(|task| tasks.contains(task)),
                tasks.contains(&Task::Similarity),
            ];
            let lists = [&mut found.keypoints, &mut found.attributes, &mut found.similarity];
            for (list, does) in lists.into_iter().zip(does) {
                // Some peers have a row already.
                if does && !list.iter().any(|candidate| candidate.name == *peer) {
                    list.push(Candidate { name: peer.clone(), trained: true });
                }
            }
        }
        Ok(found)
    }
}

/// The network of a registry that matches `wanted`.
fn named(registry: &Registry, wanted: &str) -> Option<String> {
    registry.entries().map(|entry| &entry.manifest.name).find(|name| same_network(name, wanted)).cloned()
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.view.is_empty() {
        bail!("--view needs at least one of labelled, detected, jitter, small, blurred");
    }
    let mut networks = Networks::open(&args.engine())?;
    let untrained = args.untrained.as_ref().map(|folder| Registry::join(&[], None, std::slice::from_ref(folder)));
    let untrained = untrained.transpose()?;
    for problem in untrained.iter().flat_map(|registry| registry.problems()) {
        complain(&format!("warning: {problem}"));
    }
    let candidates = Candidates::find(args, &networks.loader.registry, untrained.as_ref())?;
    let faces = args.faces();
    let packs = faces.packs()?;
    let mut tables = Tables {
        command: args.command(),
        machine: machine::describe(),
        view: (!packs.is_empty()).then_some(args.view[0]),
        views: faces.params(1).views,
        ..Tables::default()
    };
    let sets = detectors::sets(&args.boxes, &args.boxes_validation)?;
    let registries = detectors::Registries { loader: &networks.loader, untrained: untrained.as_ref() };
    detectors::precisions(&mut tables, &candidates.detectors, &registries, &sets, args.least_side)?;
    detectors::speeds(&mut tables, &registries, &sets, &args.timing)?;
    accuracies(&mut tables, &candidates, &networks, args, &packs)?;
    speeds(&mut tables, &candidates, &mut networks.loader, untrained.as_ref(), &args.timing)?;
    let text = tables.markdown();
    match &args.out {
        Some(path) => write_file(path, text),
        None => say(text.trim_end()),
    }
}

/// The first pack with such a label in its validation part.
fn first_with(packs: &[Pack], labelled: impl Fn(&PackedFace) -> bool) -> Option<usize> {
    let validation = |face: &&PackedFace| face.split == visavis_data::Split::Validation;
    packs.iter().position(|pack| pack.faces().iter().filter(validation).any(&labelled))
}

/// The names of the networks with trained weights.
fn trained(list: &[Candidate]) -> Vec<String> {
    list.iter().filter(|candidate| candidate.trained).map(|candidate| candidate.name.clone()).collect()
}

fn accuracies(
    tables: &mut Tables,
    candidates: &Candidates,
    networks: &Networks,
    args: &Args,
    packs: &[Pack],
) -> Result<()> {
    let faces = args.faces();
    let name = |pack: Option<usize>| pack.map(|place| packs[place].info().name.clone());
    for candidate in &candidates.keypoints {
        tables.keypoints.push(KeypointFigures { network: candidate.name.clone(), ..KeypointFigures::default() });
    }
    for candidate in &candidates.attributes {
        let cell = if candidate.trained { Cell::Nothing } else { Cell::NotTrained };
        let figures = AttributeFigures {
            network: candidate.name.clone(),
            age: cell,
            gender: cell,
            smile: cell,
            speeds: Vec::new(),
        };
        tables.attributes.push(figures);
    }
    let pack = first_with(packs, |face| face.landmarks.is_some());
    let names = trained(&candidates.keypoints);
    if let Some(place) = pack.filter(|_| !names.is_empty()) {
        let by_view = measure_keypoints(networks, &names, &packs[place], &faces, 1)?;
        for (number, network) in names.iter().enumerate() {
            let reports: Vec<KeypointReport> = by_view
                .iter()
                .map(|answers| KeypointAnswers::of(&packs[place], answers, number).cases)
                .map(|cases| keypoints::evaluate(&cases, &Bootstrap::default()))
                .collect();
            put_keypoints(tables, network, &packs[place].info().name, &reports);
        }
    }
    tables.sets.keypoints = name(pack);
    let labelled = [
        first_with(packs, |face| face.labels.age.is_some()),
        first_with(packs, |face| face.labels.gender.is_some()),
        first_with(packs, |face| face.labels.smile.is_some()),
    ];
    let [age, gender, smile] = labelled.map(name);
    tables.sets = SetNames { age, gender, smile, ..std::mem::take(&mut tables.sets) };
    similarities(tables, candidates, networks, args, packs)?;
    let names = trained(&candidates.attributes);
    for (place, pack) in packs.iter().enumerate() {
        let used = labelled.map(|first| first == Some(place));
        if names.is_empty() || !used.contains(&true) {
            continue;
        }
        let by_view = measure_attributes(networks, &names, args.keypoints.as_deref(), pack, &faces, 1)?;
        for (number, network) in names.iter().enumerate() {
            let reports: Vec<AttributeReport> = by_view
                .iter()
                .map(|answers| AttributeAnswers::of(pack, answers, number).cases)
                .map(|cases| attributes::evaluate(&cases, &Bootstrap::default()))
                .collect();
            put_attributes(tables, network, &pack.info().name, &reports, used);
        }
    }
    Ok(())
}

/// Similarity, on the first pack with identities.
fn similarities(
    tables: &mut Tables,
    candidates: &Candidates,
    networks: &Networks,
    args: &Args,
    packs: &[Pack],
) -> Result<()> {
    for candidate in &candidates.similarity {
        let cell = if candidate.trained { Cell::Nothing } else { Cell::NotTrained };
        tables.similarity.push(SimilarityFigures {
            network: candidate.name.clone(),
            mean_average_precision: cell,
            rank_1: cell,
            rank_5: cell,
            speeds: Vec::new(),
        });
    }
    let Some(place) = first_with(packs, |face| face.identity.is_some()) else { return Ok(()) };
    let names = trained(&candidates.similarity);
    if names.is_empty() {
        return Ok(());
    }
    tables.sets.similarity = Some(packs[place].info().name.clone());
    let params = ProtocolParams { views: vec![args.view[0]], ..args.faces().params(1) };
    let found = identifications(networks, &names, args.keypoints.as_deref(), &packs[place], &params)?;
    for (network, found) in names.iter().zip(found) {
        for figures in tables.similarity.iter_mut().filter(|figures| figures.network == *network) {
            figures.mean_average_precision = measured(found.as_ref().map(|found| found.mean_average_precision));
            figures.rank_1 = measured(found.as_ref().map(|found| found.rank_1));
            figures.rank_5 = measured(found.as_ref().map(|found| found.rank_5));
        }
    }
    Ok(())
}

fn measured(estimate: Option<Estimate>) -> Cell {
    estimate.map_or(Cell::Nothing, Cell::Measured)
}

fn put_keypoints(tables: &mut Tables, network: &str, set: &str, reports: &[KeypointReport]) {
    let Some(first) = reports.first() else { return };
    for figures in tables.keypoints.iter_mut().filter(|figures| figures.network == network) {
        figures.interocular = measured(first.interocular);
        figures.by_box = measured(first.by_box);
        figures.failures = measured(first.failures);
    }
    robust(tables, network, format!("keypoint error, % of the eye distance ({set})"), 2, reports, |report| {
        report.interocular.map(|estimate| estimate.times(100.0))
    });
    robust(tables, network, format!("keypoint error above 10 %, % of faces ({set})"), 2, reports, |report| {
        report.failures.map(|estimate| estimate.times(100.0))
    });
}

/// `used`: whether age, gender and smile are measured on this set.
fn put_attributes(tables: &mut Tables, network: &str, set: &str, reports: &[AttributeReport], used: [bool; 3]) {
    let Some(first) = reports.first() else { return };
    let age = |report: &AttributeReport| report.age.as_ref().map(|age| age.mae);
    let gender = |report: &AttributeReport| report.gender.as_ref().map(|label| label.accuracy);
    let smile = |report: &AttributeReport| report.smile.as_ref().map(|label| label.accuracy);
    for figures in tables.attributes.iter_mut().filter(|figures| figures.network == network) {
        let cells =
            [(&mut figures.age, age(first)), (&mut figures.gender, gender(first)), (&mut figures.smile, smile(first))];
        for ((cell, estimate), used) in cells.into_iter().zip(used) {
            if used {
                *cell = measured(estimate);
            }
        }
    }
    if used[0] {
        robust(tables, network, format!("age MAE, years ({set})"), 2, reports, age);
    }
    for (name, used, pick) in
        [("gender", used[1], &gender as &dyn Fn(&AttributeReport) -> _), ("smile", used[2], &smile)]
    {
        if used {
            robust(tables, network, format!("{name}, % right ({set})"), 1, reports, |report| {
                pick(report).map(|estimate: Estimate| estimate.times(100.0))
            });
        }
    }
}

/// Adds a row on robustness if several views were measured and the network has the figure.
fn robust<R>(
    tables: &mut Tables,
    network: &str,
    figure: String,
    decimals: usize,
    reports: &[R],
    pick: impl Fn(&R) -> Option<Estimate>,
) {
    let by_view: Vec<Option<Estimate>> = reports.iter().map(pick).collect();
    if by_view.len() > 1 && by_view.iter().any(Option::is_some) {
        tables.robustness.push(RobustnessRow { figure, network: network.to_owned(), by_view, decimals });
    }
}

fn speeds(
    tables: &mut Tables,
    candidates: &Candidates,
    loader: &mut RegistryLoader,
    untrained: Option<&Registry>,
    timing: &TimingArgs,
) -> Result<()> {
    let params: SpeedParams = timing.params()?;
    let engines: Vec<EngineOptions> = timing.engines(&loader.runtime);
    let networks = candidates.keypoints.len() + candidates.attributes.len() + candidates.similarity.len();
    let bar = progress_bar((engines.len() * networks) as u64, "timed");
    for options in &engines {
        let mut placement: Option<String> = None;
        let mut note = |timed: &NetworkSpeed| {
            let threads = format!("{} thread{}", timed.threads, if timed.threads == 1 { "" } else { "s" });
            placement.get_or_insert_with(|| format!("{}, {}, {threads}", timed.engine, timed.device));
        };
        let attributes = candidates.attributes.iter().zip(tables.attributes.iter_mut().map(|all| &mut all.speeds));
        let similarity = candidates.similarity.iter().zip(tables.similarity.iter_mut().map(|all| &mut all.speeds));
        for (candidate, speeds) in attributes.chain(similarity) {
            bar.set_message(candidate.name.clone());
            let registry = if candidate.trained { Some(&loader.registry) } else { untrained };
            let entry = registry.context("a network without a registry")?.get(&candidate.name)?;
            let timed = network(entry, &loader.runtime, options, &params)?;
            note(&timed);
            speeds.push(Some(timed.speed.per_second));
            bar.inc(1);
        }
        for (candidate, figures) in candidates.keypoints.iter().zip(&mut tables.keypoints) {
            bar.set_message(candidate.name.clone());
            let manifest = &loader.registry.get(&candidate.name)?.manifest;
            let (detector, kind) = (manifest.detector.is_some(), manifest.file_kind());
            // A detector's keypoints come with the detection, so they have no speed of their own.
            let timed = (!detector).then(|| time_locator(loader, &candidate.name, options, &params)).transpose()?;
            // No engine runs a forest.
            timed.iter().filter(|_| kind == FileKind::Onnx).for_each(&mut note);
            figures.speeds.push(timed.map(|timed| timed.speed.per_second));
            bar.inc(1);
        }
        tables.engines.push(placement.unwrap_or_else(|| options.engine.to_string()));
    }
    bar.finish_and_clear();
    Ok(())
}

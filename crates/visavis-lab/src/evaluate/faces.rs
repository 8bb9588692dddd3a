//! Shared by the commands that measure networks on faces: packs, views, networks, progress.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use visavis_data::Split;
use visavis_data::pack::{Pack, PackedFace};
use visavis_eval::plots::Plot;
use visavis_eval::protocol::{
    AttributeNetworks, KeypointFinder, Progress, ProtocolError, ProtocolParams, View, ViewAnswers,
};
use visavis_face::detect::DetectorParams;
use visavis_face::{FaceDetector, MirroredAverage};
use visavis_image::{Picture, codec};
use visavis_infer::{Manifest, Registry, Runtime, Task};
use visavis_live::{Loader, RegistryLoader};

use crate::endings::{PICTURES, check_ending, ending};
use visavis_cli::options::{EngineArgs, complain, cores};
use visavis_cli::output::write_file;

/// Which faces, under which views.
#[derive(Args, Clone, Debug)]
pub(super) struct FaceArgs {
    /// Packs of labelled faces (`visavis-lab data pack`); each is measured separately
    #[arg(long, required = true, num_args = 1.., value_name = "PACK")]
    pub(super) data: Vec<PathBuf>,
    /// Views of the faces, one or several of: labelled (labelled box and keypoints), detected (the detector's box, as live),
    /// jitter (box moved and scaled at random by up to 10 %), small (at most 64 pixels wide), blurred (shrunk to a third and
    /// enlarged again)
    #[arg(long, value_delimiter = ',', default_value = "labelled", value_name = "VIEW,…", value_parser = View::from_str)]
    pub(super) view: Vec<View>,
    /// Side of the split
    #[arg(long, default_value = "validation")]
    pub(super) split: SplitArg,
    /// At most this many faces of each pack, chosen at even distances
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
    /// Seed of the random boxes
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
    /// Largest width of the box in the view `small`, in pixels
    #[arg(long, default_value_t = 64.0, value_name = "PIXELS")]
    pub(super) small: f32,
    /// Threads, each with its own networks [default: cores / --threads]
    #[arg(long, value_name = "N", value_parser = visavis_cli::options::parse_workers)]
    pub(super) workers: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SplitArg {
    /// Not used for training
    Validation,
    /// Used for training
    Train,
    All,
}

impl SplitArg {
    /// The part; `None` means both.
    pub(super) fn part(self) -> Option<Split> {
        match self {
            Self::Validation => Some(Split::Validation),
            Self::Train => Some(Split::Train),
            Self::All => None,
        }
    }
}

impl FaceArgs {
    pub(super) fn params(&self, threads: usize) -> ProtocolParams {
        let mut views: Vec<View> = Vec::new();
        for &view in &self.view {
            if !views.contains(&view) {
                views.push(view);
            }
        }
        ProtocolParams {
            views,
            split: self.split.part(),
            limit: self.limit,
            seed: self.seed,
            small: self.small,
            workers: self.workers.unwrap_or(cores() / threads.max(1)).max(1),
            ..ProtocolParams::default()
        }
    }

    pub(super) fn packs(&self) -> Result<Vec<Pack>> {
        self.data.iter().map(|folder| Ok(Pack::open(folder)?)).collect()
    }

    /// Whether a face of the part that `--split` selects is as `wanted`.
    pub(super) fn any(&self, pack: &Pack, wanted: impl Fn(&PackedFace) -> bool) -> bool {
        let part = self.split.part();
        pack.faces().iter().any(|face| part.is_none_or(|part| face.split == part) && wanted(face))
    }
}

/// Loads networks by name.
pub(super) struct Networks {
    pub(super) loader: RegistryLoader,
    /// Whether attributes are averaged over each face and its mirror image.
    pub(super) mirrored: bool,
}

type AnyError = Box<dyn Error + Send + Sync>;

impl Networks {
    pub(super) fn open(engines: &EngineArgs) -> Result<Self> {
        let registry = Registry::open(&engines.models)?;
        for problem in registry.problems() {
            complain(&format!("warning: {problem}"));
        }
        let mut loader = RegistryLoader::new(registry, Runtime::discover(engines.onnxruntime.as_deref()));
        loader.detection = engines.detection();
        loader.recognition = engines.recognition();
        Ok(Self { loader, mirrored: false })
    }

    pub(super) fn manifest(&self, name: &str) -> Result<&Manifest> {
        Ok(&self.loader.registry.get(name)?.manifest)
    }

    /// Rejects networks without any of these tasks, before anything runs.
    pub(super) fn check(&self, names: &[String], tasks: &[Task]) -> Result<()> {
        for name in names {
            if !self.manifest(name)?.tasks.iter().any(|task| tasks.contains(task)) {
                let words: Vec<String> = tasks.iter().map(Task::to_string).collect();
                bail!("{name} does not do {}: `visavis models list` shows what does", words.join(", "));
            }
        }
        Ok(())
    }

    /// A keypoint network, or a detector that gives keypoints.
    pub(super) fn finder(&self, name: &str) -> Result<KeypointFinder, AnyError> {
        let entry = self.loader.registry.get(name)?;
        if entry.manifest.detector.is_none() {
            return Ok(KeypointFinder::Network(self.loader.locator(name)?));
        }
        let model = entry.load(&self.loader.runtime, &self.loader.detection)?;
        // At the size of the crop if the network accepts any: the face then has the size at which it was first found.
        let native_size = entry.manifest.input.multiple_of.is_some();
        let params = DetectorParams { native_size, ..DetectorParams::default() };
        Ok(KeypointFinder::Detector(Box::new(FaceDetector::new(&entry.manifest, model, params)?)))
    }

    pub(super) fn finders(&self, names: &[String]) -> Result<Vec<KeypointFinder>, AnyError> {
        names.iter().map(|name| self.finder(name)).collect()
    }

    pub(super) fn attributes(&self, names: &[String], keypoints: Option<&str>) -> Result<AttributeNetworks, AnyError> {
        let load = |name: &String| {
            let network = self.loader.recogniser(name)?;
            Ok(if self.mirrored { Box::new(MirroredAverage::new(network)) } else { network })
        };
        Ok(AttributeNetworks {
            keypoints: keypoints.map(|name| self.finder(name)).transpose()?,
            tested: names.iter().map(load).collect::<Result<_, AnyError>>()?,
        })
    }
}

/// The figures of one network under one view of one pack.
#[derive(Serialize)]
pub(super) struct Row<F> {
    set: String,
    fingerprint: String,
    view: View,
    network: String,
    /// Number of faces without this view.
    pub(super) left_out: usize,
    /// Number of faces that the view does not change.
    pub(super) unchanged: usize,
    #[serde(flatten)]
    pub(super) figures: F,
}

impl<F> Row<F> {
    pub(super) fn new<A>(pack: &Pack, answers: &ViewAnswers<A>, network: &str, figures: F) -> Self {
        Self {
            set: pack.info().name.clone(),
            fingerprint: pack.fingerprint().to_owned(),
            view: answers.view,
            network: network.to_owned(),
            left_out: answers.left_out,
            unchanged: answers.unchanged,
            figures,
        }
    }

    /// The first cells of a line: set, view and network.
    pub(super) fn names(&self) -> [String; 3] {
        [self.set.clone(), self.view.to_string(), self.network.clone()]
    }
}

/// Runs networks on the faces of a pack with a progress bar. Fails if no face has one of the views.
pub(super) fn watched<A>(
    pack: &Pack,
    run: impl FnOnce(&(dyn Fn(Progress) + Sync)) -> Result<Vec<ViewAnswers<A>>, ProtocolError>,
) -> Result<Vec<ViewAnswers<A>>> {
    let bar = progress_bar(0, "faces").with_message(pack.info().name.clone());
    let answers = run(&|progress| match progress {
        Progress::Faces(count) => bar.set_length(count as u64),
        Progress::Done => bar.inc(1),
    });
    bar.finish_and_clear();
    let folder = pack.folder().display();
    let answers = answers.with_context(|| folder.to_string())?;
    if let Some(view) = answers.iter().find(|view| view.faces.is_empty()) {
        bail!("{folder}: no face has the view `{}`, since the detector missed all {}", view.view, view.left_out);
    }
    Ok(answers)
}

pub(super) fn progress_bar(length: u64, things: &str) -> ProgressBar {
    let template = format!("{{bar:32}} {{pos}}/{{len}} {things}, {{per_sec}}, {{eta}} left {{msg}}");
    ProgressBar::new(length)
        .with_style(ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Writes a plot as NAME.svg and NAME.png.
pub(super) fn write_plot(folder: &Path, name: &str, plot: &impl Plot) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for (end, bytes) in [("svg", plot.svg()?.into_bytes()), ("png", plot.png()?)] {
        let path = folder.join(format!("{name}.{end}"));
        write_file(&path, bytes)?;
    }
    Ok(())
}

/// Writes a picture as PNG or JPEG, by the extension.
pub(super) fn write_picture(path: &Path, picture: &Picture) -> Result<()> {
    check_ending(path, PICTURES)?;
    let bytes = if ending(path) == "png" { codec::encode_png(picture)? } else { codec::encode_jpeg(picture, 90)? };
    write_file(path, bytes)
}

/// A remark on the faces of a view.
pub(super) fn note(left_out: usize, unchanged: usize) -> String {
    match (left_out, unchanged) {
        (0, 0) => String::new(),
        (0, unchanged) => format!("{unchanged} were as small already"),
        (left_out, _) => format!("the detector missed {left_out}"),
    }
}

//! A tiny detector learns to find drawn faces; the exported network gives the same output.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a panic is how a test fails, also in what tests share")]

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tempfile::TempDir;
use visavis_data::boxes::{FaceBoxes, Label, LabelledFace, LabelledImage};
use visavis_image::{Picture, Point, Rect, codec};
use visavis_infer::{EngineChoice, EngineOptions, Model, Runtime, Tensor};
use visavis_train::export::{Export, ModelCard, Precision, export};
use visavis_train::recipe::{
    AugmentParams, LossParams, NetworkRecipe, OptimiserParams, Recipe, SceneParams, SceneSource, Schedule, Stage,
};
use visavis_train::teacher::Answers;
use visavis_train::trainer::{EpochReport, Observer, StepReport, TrainOptions, train};

/// Bright ovals with dark eyes on dark ground, and squares that are no faces; half of the pictures have a face.
fn draw(folder: &Path, count: usize) {
    let mut random = fastrand::Rng::with_seed(5);
    std::fs::create_dir_all(folder.join("images")).unwrap();
    let mut images = Vec::new();
    for id in 0..count {
        let (width, height) = (128, 96);
        let mut picture = Picture::filled(width, height, [50, 60, 70]);
        let mut faces = Vec::new();
        let spots = [Point::new(32.0, 48.0), Point::new(96.0, 48.0)];
        for (at, spot) in spots.into_iter().enumerate() {
            let side = 14.0 + 24.0 * random.f32();
            let rect = Rect::around(spot, side, side * 1.25);
            let oval = (id + at) % 2 == 0;
            for y in rect.y as i32..rect.bottom() as i32 {
                for x in rect.x as i32..rect.right() as i32 {
                    let (u, v) = ((x as f32 - spot.x) / rect.width * 2.0, (y as f32 - spot.y) / rect.height * 2.0);
                    let eye = (u.abs() - 0.4).hypot(v + 0.2) < 0.2;
                    if !oval || u * u + v * v < 1.0 {
                        let colour = if oval && eye { [20; 3] } else { [220, 190, 160] };
                        picture.set_pixel(x as u32, y as u32, colour);
                    }
                }
            }
            if oval {
                faces.push(LabelledFace { rect, label: Label::Face, wider: None, landmarks: None });
            }
        }
        let file_name = format!("{id:03}.jpg");
        std::fs::write(folder.join("images").join(&file_name), codec::encode_jpeg(&picture, 92).unwrap()).unwrap();
        let id = id as u64;
        images.push(LabelledImage { id, file_name, width, height, source: None, negative: faces.is_empty(), faces });
    }
    std::fs::write(folder.join("boxes.json"), FaceBoxes { images }.to_json()).unwrap();
}

fn single_shot() -> NetworkRecipe {
    NetworkRecipe::Ssd { backbone: "mobilenetv1@0.1".into(), lite: true, size: [128, 96] }
}

fn recipe(folder: &Path, network: NetworkRecipe, epochs: usize) -> Recipe {
    Recipe {
        name: "tiny_detector".into(),
        title: "Tiny".into(),
        network,
        seed: 3,
        init: None,
        init_bgr: false,
        teachers: Vec::new(),
        augment: AugmentParams { small: 0.0, jpeg: 0.0, ..AugmentParams::default() },
        scenes: SceneParams {
            sizes: vec![[128, 96], [96, 96]],
            mosaic: 0.2,
            smallest: 14.0,
            largest: 0.5,
            ..SceneParams::default()
        },
        loss: LossParams::default(),
        identities: None,
        stages: vec![Stage {
            epochs,
            batch: 8,
            data: Vec::new(),
            scenes: vec![SceneSource {
                images: folder.join("drawn/images"),
                boxes: Some(folder.join("drawn/boxes.json")),
                mine: 0.0,
                repeat: 1.0,
                validate: true,
            }],
            optimiser: OptimiserParams::Adamw { rate: 2e-2, decay: 0.01 },
            schedule: Schedule::Cosine { warm_up: 0.5 },
            average: 0.9,
            patience: None,
            freeze: Vec::new(),
        }],
    }
}

#[derive(Default)]
struct Epochs(Vec<EpochReport>);

impl Observer for Epochs {
    fn stage(&mut self, _: usize, _: &Stage, _: usize, _: usize) {}
    fn step(&mut self, _: &StepReport) {}
    fn epoch(&mut self, report: &EpochReport) {
        self.0.push(report.clone());
    }
}

/// Trains on drawn faces, exports, and loads the exported network; returns it with 1 − average precision.
fn trained(network: NetworkRecipe, epochs: usize) -> (Box<dyn Model>, f64) {
    let place = TempDir::new().unwrap();
    draw(&place.path().join("drawn"), 160);
    let recipe = recipe(place.path(), network, epochs);
    let stop = AtomicBool::new(false);
    let options = TrainOptions {
        folder: place.path().join("run"),
        resume: false,
        feeders: 1,
        checkpoint_every: Duration::from_secs(3600),
        stop: &stop,
        teach: &|_, _| Ok(Answers::default()),
    };
    let mut epochs = Epochs::default();
    let trained = train(&recipe, &options, &mut epochs).unwrap();
    eprintln!("{:?}", epochs.0);
    let task = Export {
        recipe: &recipe,
        network: &trained.network,
        parameters: &trained.parameters,
        precision: Precision::Single,
        licence: "MIT".into(),
        card: ModelCard::default(),
        reading: None,
        score: None,
    };
    let runtime = Runtime::discover(None);
    // Fails unless every engine gives the same output as the trained network.
    let written = export(&task, &runtime, &place.path().join("out")).unwrap();
    let text = std::fs::read_to_string(&written.manifest).unwrap();
    let manifest = visavis_infer::Manifest::parse(&text, "tiny").unwrap();
    let bytes = std::fs::read(&written.onnx).unwrap();
    let options = EngineOptions { engine: EngineChoice::Tract, ..EngineOptions::default() };
    (runtime.load(&manifest, &bytes, &options).unwrap(), trained.figures["missed_ap50"])
}

#[test]
fn faces_are_found_after_training_and_after_export() {
    let (mut model, missed) = trained(single_shot(), 12);
    assert!(missed <= 0.1, "{missed}");
    // Any size: cells are counted like the anchors.
    for (width, height, cells) in [(100, 60, [13 * 8, 7 * 4, 4 * 2, 2]), (200, 200, [625, 169, 49, 16])] {
        let given = model.run(&Tensor::zeros(&[1, 3, height, width])).unwrap();
        let anchors = 3 * cells[0] + 2 * (cells[1] + cells[2] + cells[3]);
        assert_eq!(given[0].shape, [1, anchors, 1]);
        assert_eq!(given[1].shape, [1, anchors, 4]);
    }
}

#[test]
fn a_second_stage_is_trained_and_exported() {
    let network = NetworkRecipe::FasterRcnn { backbone: "mobilenetv1@0.1".into(), proposals: 12, size: [128, 96] };
    let (mut model, missed) = trained(network, 16);
    assert!(missed <= 0.2, "{missed}");
    // Any size: as many boxes as proposals, with coordinates from 0 to 1 or slightly outside.
    for (width, height) in [(100, 60), (200, 200)] {
        let given = model.run(&Tensor::zeros(&[1, 3, height, width])).unwrap();
        assert_eq!((&given[0].shape[..], &given[1].shape[..]), (&[1, 12, 1][..], &[1, 12, 4][..]));
        assert!(given[0].data.iter().all(|score| (0.0..=1.0).contains(score)));
        assert!(given[1].data.chunks_exact(4).all(|corners| corners[0] < corners[2] && corners[1] < corners[3]));
    }
}

fn anchor_free() -> NetworkRecipe {
    NetworkRecipe::Yunet { width: 0.5, size: [128, 96] }
}

#[test]
fn an_anchor_free_detector_learns_boxes_and_keypoints() {
    let (mut model, missed) = trained(anchor_free(), 12);
    assert!(missed <= 0.1, "{missed}");
    // Four outputs for each of three levels, for any size in multiples of 32.
    let given = model.run(&Tensor::zeros(&[1, 3, 64, 96])).unwrap();
    let shapes: Vec<&[usize]> = given.iter().map(|output| &output.shape[..]).collect();
    for (level, cells) in [12 * 8, 6 * 4, 3 * 2].into_iter().enumerate() {
        for (output, columns) in [1, 1, 4, 10].into_iter().enumerate() {
            assert_eq!(shapes[4 * level + output], [1, cells, columns]);
        }
    }
    let scores = given.iter().step_by(4).flat_map(|output| &output.data);
    assert!(scores.into_iter().all(|score| (0.0..=1.0).contains(score)));
}

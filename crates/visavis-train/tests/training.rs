//! Whole trainings of tiny networks on drawn faces: they learn, stop and continue.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a panic is how a test fails, also in what tests share")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use visavis_data::pack::{PackParams, PackWriter, PackedFace};
use visavis_data::{Gender, Labels, Split};
use visavis_image::{Landmarks, Picture, Point, Rect, codec, face_template};
use visavis_train::TrainError;
use visavis_train::network::FaceTask;
use visavis_train::recipe::{
    AgeTarget, AugmentParams, IdentityParams, LossParams, Margin, NetworkRecipe, OptimiserParams, Recipe, SceneParams,
    Schedule, Source, Stage,
};
use visavis_train::teacher::Answers;
use visavis_train::trainer::{EpochReport, Observer, StepReport, TrainOptions, Trained, train};

/// A face of 96×96 pixels: two eyes, and a mouth that is curved and shows teeth when it smiles. Women have a green background;
/// the skin is darker for older people.
fn draw(random: &mut fastrand::Rng) -> (Picture, PackedFace) {
    let (smile, female, age) = (random.bool(), random.bool(), random.u8(5..95));
    let ground = if female { [40, 140, 60] } else { [60, 60, 150] };
    let skin = 250 - 2 * age;
    let mut picture = Picture::filled(96, 96, ground);
    let middle = Point::new(48.0 + random.f32() * 6.0 - 3.0, 48.0 + random.f32() * 6.0 - 3.0);
    let size = 44.0 + random.f32() * 6.0;
    let landmarks = face_template(100)
        .map(|p| Point::new(middle.x + (p.x - 50.0) / 100.0 * size, middle.y + (p.y - 55.0) / 100.0 * size));
    disc(&mut picture, middle, size * 0.4, [skin, skin - 5, skin / 2]);
    disc(&mut picture, landmarks.left_eye, 3.0, [0; 3]);
    disc(&mut picture, landmarks.right_eye, 3.0, [0; 3]);
    for step in 0..=20 {
        let t = step as f32 / 20.0;
        let sag = if smile { (t - t * t) * 40.0 } else { 0.0 };
        let at = landmarks.left_mouth.lerp(landmarks.right_mouth, t);
        let (lips, colour) = if smile { (3.0, [255; 3]) } else { (1.6, [200, 0, 0]) };
        disc(&mut picture, Point::new(at.x, at.y + sag), lips, colour);
    }
    let face = PackedFace {
        set: "drawn".into(),
        file: String::new(),
        // People of the same gender and age band look alike.
        identity: Some(format!("{female} {}", age / 18)),
        split: Split::Train,
        labels: Labels {
            age: Some(f32::from(age)),
            gender: Some(if female { Gender::Female } else { Gender::Male }),
            smile: Some(smile),
            ..Labels::default()
        },
        scale: 1.0,
        rect: Rect::around(middle, size, size),
        landmarks: Some(landmarks),
        detected: None,
    };
    (picture, face)
}

fn disc(picture: &mut Picture, centre: Point, radius: f32, colour: [u8; 3]) {
    for y in 0..picture.height() {
        for x in 0..picture.width() {
            if Point::new(x as f32 + 0.5, y as f32 + 0.5).distance(centre) <= radius {
                picture.set_pixel(x, y, colour);
            }
        }
    }
}

fn pack(folder: &Path, train: usize, validation: usize) {
    let params = PackParams { side: 96, ..PackParams::default() };
    let mut writer = PackWriter::new(folder, "drawn", "none", params).unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    for index in 0..train + validation {
        let (picture, mut face) = draw(&mut random);
        face.file = format!("{index}.jpg");
        face.split = if index < train { Split::Train } else { Split::Validation };
        writer.push(&face, &codec::encode_jpeg(&picture, 92).unwrap()).unwrap();
    }
    writer.finish().unwrap();
}

fn source(folder: &TempDir) -> Source {
    Source {
        pack: folder.path().join("pack"),
        repeat: 1.0,
        balance: 0.0,
        teach: true,
        only: Vec::new(),
        except: Vec::new(),
    }
}

fn recipe(network: NetworkRecipe, data: Source, epochs: usize, rate: f64) -> Recipe {
    Recipe {
        name: "tiny".into(),
        title: "Tiny".into(),
        network,
        seed: 3,
        init: None,
        init_bgr: false,
        teachers: Vec::new(),
        augment: AugmentParams { small: 0.0, jpeg: 0.0, erase: 0.0, grey: 0.0, ..AugmentParams::default() },
        scenes: SceneParams::default(),
        loss: LossParams { age_target: AgeTarget::Distribution { deviation: 4.0 }, ..LossParams::default() },
        identities: None,
        stages: vec![Stage {
            epochs,
            batch: 16,
            data: vec![data],
            scenes: Vec::new(),
            optimiser: OptimiserParams::Adamw { rate, decay: 0.01 },
            schedule: Schedule::Cosine { warm_up: 0.5 },
            average: 0.9,
            patience: None,
            freeze: Vec::new(),
        }],
    }
}

fn face_recipe(folder: &TempDir, epochs: usize) -> Recipe {
    let network = NetworkRecipe::Face {
        backbone: "mobilenetv1@0.25".into(),
        side: 48,
        tasks: vec![FaceTask::Age, FaceTask::Gender, FaceTask::Smile],
        embedding: 8,
        dropout: 0.1,
        expand: 1.0,
    };
    recipe(network, source(folder), epochs, 4e-3)
}

#[derive(Default)]
struct Notes {
    losses: Vec<f32>,
    epochs: Vec<EpochReport>,
    stop_after: Option<usize>,
    stop: Option<&'static AtomicBool>,
}

impl Observer for Notes {
    fn stage(&mut self, _: usize, _: &Stage, _: usize, _: usize) {}

    fn step(&mut self, report: &StepReport) {
        self.losses.push(report.loss);
        if let (Some(after), Some(stop)) = (self.stop_after, self.stop) {
            stop.store(self.losses.len() >= after, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.epochs.push(report.clone());
    }
}

fn run(recipe: &Recipe, folder: &Path, resume: bool, notes: &mut Notes) -> Result<Trained, TrainError> {
    let stop = notes.stop.unwrap_or_else(|| Box::leak(Box::new(AtomicBool::new(false))));
    let options = TrainOptions {
        folder: folder.to_owned(),
        resume,
        feeders: 2,
        checkpoint_every: Duration::from_secs(3600),
        stop,
        teach: &|_, _| Ok(Answers::default()),
    };
    train(recipe, &options, notes)
}

#[test]
fn a_multitask_network_learns_what_is_drawn() {
    let folder = TempDir::new().unwrap();
    pack(&folder.path().join("pack"), 320, 64);
    let mut notes = Notes::default();
    let trained = run(&face_recipe(&folder, 12), &folder.path().join("run"), false, &mut notes).unwrap();
    let figures = &trained.figures;
    assert!(figures["gender_error"] <= 0.05, "{figures:?}");
    assert!(figures["smile_error"] <= 0.15, "{figures:?}");
    assert!(figures["age_mae"] <= 12.0, "{figures:?}");
    // Always predicting the middle of 5 to 95 gives an error of 22.5 years.
    assert!(notes.epochs[0].loss > notes.epochs[11].loss);
    let steps = std::fs::read_to_string(folder.path().join("run/steps.csv")).unwrap();
    assert!(steps.starts_with("step,stage,rate,") && steps.lines().count() == 1 + 12 * 20 / 20, "{steps}");
}

#[test]
fn an_embedding_learns_to_tell_people_apart() {
    let folder = TempDir::new().unwrap();
    pack(&folder.path().join("pack"), 384, 96);
    let network = NetworkRecipe::Face {
        backbone: "mobilenetv1@0.25".into(),
        side: 48,
        tasks: vec![FaceTask::Similarity],
        embedding: 8,
        dropout: 0.0,
        expand: 1.0,
    };
    for margin in [Margin::None, Margin::Cosine { by: 0.1 }, Margin::Angle { by: 0.1 }] {
        let augment =
            AugmentParams { brightness: 4.0, contrast: 0.02, saturation: 0.02, ..face_recipe(&folder, 1).augment };
        let identities = Some(IdentityParams { least: 4, margin, scale: 10.0, weight: 1.0 });
        let recipe = Recipe { identities, augment, ..recipe(network.clone(), source(&folder), 8, 8e-3) };
        let mut notes = Notes::default();
        let trained = run(&recipe, &folder.path().join(format!("{margin:?}")), false, &mut notes).unwrap();
        // A dozen people: guessing misses nine of ten.
        assert!(trained.figures["missed_rank_1"] <= 0.4, "{margin:?}: {:?}", notes.epochs);
    }
    let no_class = Some(IdentityParams { least: 1000, ..IdentityParams::default() });
    let recipe = Recipe { identities: no_class, ..recipe(network, source(&folder), 1, 8e-3) };
    let error = run(&recipe, &folder.path().join("no_class"), false, &mut Notes::default()).unwrap_err();
    assert!(error.to_string().contains("0 people have 1000 training photos"), "{error}");
}

#[test]
fn onet_learns_where_the_points_are() {
    let folder = TempDir::new().unwrap();
    pack(&folder.path().join("pack"), 256, 48);
    let recipe = recipe(NetworkRecipe::Onet, source(&folder), 10, 3e-3);
    let trained = run(&recipe, &folder.path().join("run"), false, &mut Notes::default()).unwrap();
    // The usual places, which an untrained network predicts, have an error of about 15 % here.
    assert!(trained.figures["keypoint_error"] < 0.06, "{:?}", trained.figures);
}

#[test]
fn a_stopped_run_goes_on_exactly_where_it_was() {
    let folder = TempDir::new().unwrap();
    pack(&folder.path().join("pack"), 96, 32);
    let recipe = face_recipe(&folder, 2);
    let mut whole = Notes::default();
    let uninterrupted = run(&recipe, &folder.path().join("whole"), false, &mut whole).unwrap();

    // Stopped in the middle of the second epoch, which has six batches.
    static STOP: AtomicBool = AtomicBool::new(false);
    let mut first = Notes { stop_after: Some(9), stop: Some(&STOP), ..Notes::default() };
    let parts = folder.path().join("parts");
    assert!(matches!(run(&recipe, &parts, false, &mut first), Err(TrainError::Stopped)));
    assert!(matches!(run(&recipe, &parts, false, &mut Notes::default()), Err(TrainError::RunExists { .. })));
    let mut second = Notes::default();
    let resumed = run(&recipe, &parts, true, &mut second).unwrap();

    assert_eq!([first.losses, second.losses].concat(), whole.losses);
    assert_eq!(resumed.parameters, uninterrupted.parameters);
    let table = |run: &str| std::fs::read_to_string(folder.path().join(run).join("epochs.csv")).unwrap();
    assert_eq!(table("parts"), table("whole"));

    // A run with another recipe does not continue from it.
    let mut other = recipe.clone();
    other.seed += 1;
    assert!(matches!(run(&other, &parts, true, &mut Notes::default()), Err(TrainError::Run { .. })));
}

#[test]
fn a_stage_whose_data_are_empty_is_refused() {
    let folder = TempDir::new().unwrap();
    pack(&folder.path().join("pack"), 32, 16);
    let out = folder.path().join("run");
    let refused = |recipe: &Recipe| run(recipe, &out, false, &mut Notes::default()).unwrap_err().to_string();
    let recipe = face_recipe(&folder, 1);
    for source in [
        Source { only: vec!["elsewhere/".into()], ..source(&folder) },
        Source { except: vec!["1".into(), String::new()], ..source(&folder) },
    ] {
        // The sources of all stages are checked before the first stage.
        let mut recipe = Recipe { stages: vec![recipe.stages[0].clone(); 2], ..recipe.clone() };
        recipe.stages[1].data.push(source);
        let error = refused(&recipe);
        assert!(error.contains("stage 2: no face of") && error.contains("pack is left by `only = "), "{error}");
        assert!(!out.exists());
    }
    let mut none_to_validate = recipe;
    none_to_validate.stages[0].data[0].pack = folder.path().join("training");
    pack(&folder.path().join("training"), 32, 0);
    let error = refused(&none_to_validate);
    assert!(error.contains("stage 1: its data have no validation part"), "{error}");
}

#[test]
fn frozen_parameters_stay() {
    let folder = TempDir::new().unwrap();
    pack(&folder.path().join("pack"), 64, 16);
    let mut recipe = face_recipe(&folder, 1);
    recipe.stages[0].freeze = vec!["conv1".into(), "bn1".into(), "blocks".into()];
    let (_, before) = recipe.network.build(recipe.seed).unwrap();
    let trained = run(&recipe, &folder.path().join("run"), false, &mut Notes::default()).unwrap();
    for (before, after) in before.all().iter().zip(trained.parameters.all()) {
        let frozen = ["conv1", "bn1", "blocks"].iter().any(|prefix| before.name.starts_with(prefix));
        assert_eq!(frozen, before.value == after.value, "{}", before.name);
    }
}

#[test]
fn keypoints_follow_their_picture() {
    use visavis_infer::manifest::{Crop, Fit};
    use visavis_train::feed::Augmenter;
    let (picture, face) = draw(&mut fastrand::Rng::with_seed(2));
    let strong = AugmentParams { mirror: 0.5, rotation: 15.0, zoom: 0.15, shift: 0.05, ..AugmentParams::default() };
    let strong = AugmentParams { erase: 0.0, small: 0.0, jpeg: 0.0, brightness: 0.0, contrast: 0.0, ..strong };
    let mut augmenter = Augmenter::new(strong, Crop::Box { fit: Fit::Square, expand: 1.0 }, 96);
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..20 {
        let view = augmenter.vary(&face, &picture, &mut random);
        let landmarks: Landmarks = view.landmarks.unwrap();
        assert!(landmarks.left_eye.x < landmarks.right_eye.x, "mirrored faces have their left eye on the left");
        for eye in [landmarks.left_eye, landmarks.right_eye] {
            let (x, y) = ((eye.x * 96.0) as u32, (eye.y * 96.0) as u32);
            if x < 96 && y < 96 {
                assert!(view.picture.pixel(x, y).iter().all(|value| *value < 90), "{eye:?}");
            }
        }
    }
}

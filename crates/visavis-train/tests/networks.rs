//! Layout, export, loading and training of networks.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a panic is how a test fails, also in what tests share")]

use std::collections::HashMap;

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use visavis_data::EXPRESSIONS;
use visavis_infer::manifest::{
    Activation, Colour, Crop, FORMAT, Fit, Head, HeadDecode, Input, Layout, Metric, PointOrder,
};
use visavis_infer::{Manifest, Runtime, Task};
use visavis_train::TrainError;
use visavis_train::export::{INPUT, MOST_DIFFERENCE, Precision, check, onnx};
use visavis_train::network::{
    AGE_CLASSES, Backbone, FaceTask, HeadPlan, Mode, Network, POINTS, Parameters, Pass, Role, face_network,
    load_pretrained, onet,
};

/// Statistics and offsets like those after training: zeros and ones would hide a wrong fold.
fn stir(parameters: &mut Parameters) {
    let mut random = fastrand::Rng::with_seed(5);
    for parameter in parameters.all_mut() {
        let positive = parameter.name.ends_with("running_var") || parameter.name.ends_with("weight");
        if parameter.role != Role::Weight {
            for value in &mut parameter.value {
                *value = if positive { 0.5 + random.f32() } else { random.f32() - 0.5 };
            }
        }
    }
}

fn manifest(network: &Network) -> Manifest {
    let heads = network.heads.iter().map(|head| {
        let label = |positive: &str| HeadDecode::Label {
            labels: vec!["other".into(), positive.into()],
            positive: positive.into(),
            activation: Activation::None,
            threshold: 0.5,
        };
        let (task, decode) = match head.name.as_str() {
            "age" => (Task::Age, HeadDecode::Distribution { activation: Activation::None }),
            "gender" => (Task::Gender, label("female")),
            "smile" => (Task::Smile, label("smiling")),
            "similarity" => {
                (Task::Similarity, HeadDecode::Embedding { metric: Metric::Cosine, same_person: 0.5, likeness: None })
            }
            "expression" => {
                let labels = EXPRESSIONS.map(str::to_owned).to_vec();
                (Task::Expression, HeadDecode::Classes { labels, activation: Activation::None })
            }
            "head_pose" => (Task::HeadPose, HeadDecode::Angles { pitch: None, roll: None, signs: [1.0; 3] }),
            _ => (Task::Keypoints, HeadDecode::Points { order: PointOrder::Pairs }),
        };
        Head { task, tensor: head.name.clone(), decode }
    });
    let heads: Vec<Head> = heads.collect();
    Manifest {
        format: FORMAT,
        name: "tested".into(),
        title: "Tested".into(),
        tasks: heads.iter().map(|head| head.task).collect(),
        file: "tested.onnx".into(),
        sha256: "0".repeat(64),
        quantised: None,
        licence: "MIT".into(),
        source: "a test".into(),
        training_data: None,
        input: Input {
            tensor: INPUT.into(),
            layout: Layout::Nchw,
            colour: Colour::Rgb,
            size: [network.side as u32; 2],
            multiple_of: None,
            mean: [0.0; 3],
            std: [1.0; 3],
            batch: true,
        },
        crop: Some(Crop::Box { fit: Fit::Square, expand: 1.0 }),
        detector: None,
        heads,
        figures: Vec::new(),
    }
}

fn plan(tasks: &[FaceTask]) -> HeadPlan {
    HeadPlan { tasks: tasks.to_vec(), embedding: 16, dropout: 0.3 }
}

const ALL_LABELS: [FaceTask; 3] = [FaceTask::Age, FaceTask::Gender, FaceTask::Smile];

/// Every kind of layer, in both engines (if ONNX Runtime is installed), with folded normalisations.
#[test]
fn exports_give_what_was_trained() {
    let runtime = Runtime::discover(None);
    let backbones = [
        Backbone::MobileNetV1(0.25),
        Backbone::MobileNetV2(0.25),
        Backbone::ResNet18,
        Backbone::EfficientNetB0,
        Backbone::EfficientNetLite0,
    ];
    for backbone in backbones {
        let (network, mut parameters) = face_network(backbone, 48, &plan(&ALL_LABELS), 3);
        stir(&mut parameters);
        let file = onnx(&network, &parameters, Precision::Single);
        let checks = check(&network, &parameters, &manifest(&network), &file, &runtime, MOST_DIFFERENCE);
        assert!(!checks.unwrap().is_empty(), "{backbone}");
    }
    // With its initial weights: with random ones, values grow too large to compare in 32-bit floats.
    let (network, parameters) = face_network(Backbone::MobileFaceNetSe, 48, &plan(&FaceTask::ALL), 3);
    let file = onnx(&network, &parameters, Precision::Single);
    check(&network, &parameters, &manifest(&network), &file, &runtime, MOST_DIFFERENCE).unwrap();
    let (network, mut parameters) = onet(3);
    stir(&mut parameters);
    let file = onnx(&network, &parameters, Precision::Single);
    check(&network, &parameters, &manifest(&network), &file, &runtime, MOST_DIFFERENCE).unwrap();
}

#[test]
fn halved_weights_take_half_the_room_and_run() {
    let (network, mut parameters) = face_network(Backbone::MobileNetV1(0.25), 48, &plan(&ALL_LABELS), 3);
    stir(&mut parameters);
    let (whole, half) =
        (onnx(&network, &parameters, Precision::Single).len(), onnx(&network, &parameters, Precision::Half));
    assert!(half.len() < whole * 55 / 100, "{} of {whole}", half.len());
    check(&network, &parameters, &manifest(&network), &half, &Runtime::discover(None), 0.05).unwrap();
}

/// The check must be able to fail.
#[test]
fn an_export_that_is_wrong_is_refused() {
    let (network, mut parameters) = face_network(Backbone::MobileNetV1(0.25), 48, &plan(&[FaceTask::Age]), 3);
    stir(&mut parameters);
    let mut wrong = parameters.clone();
    for parameter in wrong.all_mut().iter_mut().filter(|p| p.name == "blocks.5.bn1.running_mean") {
        parameter.value.iter_mut().for_each(|value| *value += 0.5);
    }
    let file = onnx(&network, &wrong, Precision::Single);
    let error = check(&network, &parameters, &manifest(&network), &file, &Runtime::discover(None), MOST_DIFFERENCE);
    let Err(TrainError::Export { output, difference, .. }) = error else { panic!("{error:?}") };
    assert_eq!(output, "age");
    assert!(difference > MOST_DIFFERENCE);
}

#[test]
fn heads_have_the_shapes_of_the_paper() {
    let device = Device::flex();
    for backbone in Backbone::ALL.into_iter().filter(|backbone| *backbone != Backbone::EfficientNetB7) {
        let (network, parameters) = face_network(backbone, 32, &plan(&FaceTask::ALL), 1);
        let picture = Tensor::<4>::random([3, 2, 32, 32], Distribution::Default, &device);
        let outputs = Pass::new(&parameters, &device, Mode::Infer).run(&network, picture);
        let shapes: Vec<[usize; 2]> = outputs.iter().map(|output| output.dims()).collect();
        assert_eq!(shapes, [[2, AGE_CLASSES], [2, 2], [2, 2], [2, 16], [2, 8], [2, 3]], "{backbone}");
    }
    // Fig. 4: a layer of 512 for each of several tasks, none for a single one.
    let count = |tasks: &[FaceTask]| face_network(Backbone::MobileNetV1(1.0), 32, &plan(tasks), 1).1.count();
    let body = count(&[FaceTask::Gender]) - (1024 * 2 + 2);
    let branches = 3 * (1024 * 512 + 512) + 512 * (101 + 2 + 2) + 101 + 2 + 2;
    assert_eq!(count(&ALL_LABELS), body + branches);
    assert_eq!(body, 3_206_976);
}

#[test]
fn onet_points_to_five_places() {
    let (network, parameters) = onet(1);
    let device = Device::flex();
    let picture = Tensor::<4>::random([3, 2, 48, 48], Distribution::Default, &device);
    let outputs = Pass::new(&parameters, &device, Mode::Infer).run(&network, picture);
    assert_eq!((network.heads[0].name.as_str(), outputs[0].dims()), (POINTS, [2, 10]));
}

/// Compares each gradient with a difference quotient of the loss, through every kind of layer.
#[test]
fn gradients_are_slopes() {
    let backbones =
        [Backbone::MobileNetV2(0.25), Backbone::EfficientNetB0, Backbone::ResNet18, Backbone::MobileFaceNetSe];
    for backbone in backbones {
        let task = HeadPlan { tasks: vec![FaceTask::Gender, FaceTask::Similarity], embedding: 4, dropout: 0.0 };
        let (network, parameters) = face_network(backbone, 64, &task, 2);
        let device = Device::flex().autodiff();
        let mut random = fastrand::Rng::with_seed(4);
        let pixels: Vec<f32> = (0..3 * 8 * 64 * 64).map(|_| 4.0 * random.f32() - 2.0).collect();
        let picture = Tensor::<4>::from_data(TensorData::new(pixels, [3, 8, 64, 64]), &device);
        let loss = |parameters: &Parameters| {
            let mut pass = Pass::new(parameters, &device, Mode::Train { seed: 1 });
            let outputs = pass.run(&network, picture.clone());
            let sum = outputs.iter().map(|output| output.clone().sin().mean()).reduce(|a, b| a + b).unwrap();
            let value = sum.clone().into_data().try_into_vec::<f32>().unwrap()[0];
            (value, pass.end().gradients(&sum))
        };
        let (_, gradients) = loss(&parameters);
        // Some tensors, one by one, so that a large gradient does not hide an error in a small one. Along the gradient, the
        // slope of the loss is the gradient's length; for single numbers the difference would be lost in rounding.
        for at in (0..gradients.len()).step_by(gradients.len() / 9) {
            let Some(gradient) = &gradients[at] else { continue };
            let name = &parameters.all()[at].name;
            let length: f32 = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
            // A shift that the next normalisation removes has no gradient.
            if length < 1e-4 {
                continue;
            }
            // A step that changes the loss by 3e-4: normalisations over few numbers have a strong curvature.
            let step = 3e-4 / length;
            let moved = |sign: f32| {
                let mut moved = parameters.clone();
                for (value, slope) in moved.all_mut()[at].value.iter_mut().zip(gradient) {
                    *value += sign * step * slope / length;
                }
                loss(&moved).0
            };
            let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            assert!((slope / length - 1.0).abs() < 0.03, "{backbone}, {name}: {slope} along a gradient of {length}");
        }
    }
}

#[test]
fn weights_come_back_from_safetensors() {
    let (_, mut written) = onet(1);
    stir(&mut written);
    let file = written.to_safetensors(HashMap::from([("note".into(), "kept".into())])).unwrap();
    let (_, mut read) = onet(2);
    assert_ne!(read, written);
    let taken = read.take_from_safetensors(&file).unwrap();
    assert_eq!(read, written);
    assert!(taken.missing.is_empty() && taken.misfits.is_empty() && taken.unused.is_empty());

    // Another network loads what fits and reports the rest.
    let (_, mut other) = face_network(Backbone::MobileNetV1(0.25), 48, &plan(&[FaceTask::Age]), 1);
    let taken = other.take_from_safetensors(&file).unwrap();
    assert!(taken.misfits.iter().any(|text| text.contains("conv1.weight")), "{:?}", taken.misfits);
    assert!(taken.missing.contains(&"age.fc.weight".to_owned()));
    assert!(taken.unused.contains(&"dense6.bias".to_owned()));
    assert!(other.take_from_safetensors(&file[..file.len() / 2]).is_err());
}

/// The published network from which [`Backbone::MobileFaceNetSe`] has its layout, if the file is available: with its weights the
/// embedding is the same, and the branch begins as a copy of the layers that it replaces.
#[test]
fn the_published_face_network_is_reproduced() {
    let folder = std::env::var_os("VISAVIS_MODELS").unwrap_or_default();
    let path = std::path::Path::new(&folder).join("face_reidentification_0095.onnx");
    let Ok(published) = std::fs::read(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let tasks = HeadPlan { embedding: 256, ..plan(&FaceTask::ALL) };
    let (network, mut parameters) = face_network(Backbone::MobileFaceNetSe, 128, &tasks, 3);
    let taken = load_pretrained(&network, &mut parameters, &path, false).unwrap();
    assert_eq!(taken.missing, Vec::<String>::new());
    assert!(taken.copied > 0);
    let by_name = |name: &str| &parameters.all().iter().find(|p| p.name == name).unwrap().value;
    assert_eq!(by_name("attributes.blocks.12.expand.weight"), by_name("blocks.12.expand.weight"));
    let runtime = Runtime::discover(None);
    let embedding = |tensor: &str| {
        let decode = HeadDecode::Embedding { metric: Metric::Cosine, same_person: 0.5, likeness: None };
        vec![Head { task: Task::Similarity, tensor: tensor.into(), decode }]
    };
    let mut ours = manifest(&network);
    let mut theirs = ours.clone();
    (theirs.input.tensor, theirs.heads, theirs.tasks) =
        ("input".into(), embedding("embedding"), vec![Task::Similarity]);
    (ours.heads, ours.tasks) = (embedding("similarity"), vec![Task::Similarity]);
    let file = onnx(&network, &parameters, Precision::Single);
    let mut random = fastrand::Rng::with_seed(2);
    let pixels: Vec<f32> = (0..3 * 128 * 128).map(|_| 255.0 * random.f32()).collect();
    let (mean, std) = Backbone::MobileFaceNetSe.pixels();
    let normalised = pixels.iter().enumerate().map(|(at, v)| (v - mean[at / (128 * 128)]) / std[at / (128 * 128)]);
    let shape = vec![1, 3, 128, 128];
    let normalised = visavis_infer::Tensor { shape: shape.clone(), data: normalised.collect() };
    let pixels = visavis_infer::Tensor { shape, data: pixels };
    let options = visavis_infer::EngineOptions { engine: visavis_infer::EngineChoice::Tract, ..Default::default() };
    let run = |manifest: &Manifest, file: &[u8], input| -> Vec<f32> {
        let mut made = runtime.load(manifest, file, &options).unwrap().run(input).unwrap().remove(0).data;
        let length = made.iter().map(|v| v * v).sum::<f32>().sqrt();
        made.iter_mut().for_each(|v| *v /= length);
        made
    };
    let (ours, theirs) = (run(&ours, &file, &normalised), run(&theirs, &published, &pixels));
    let most = ours.iter().zip(&theirs).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(most <= 1e-4, "{most}");
}

/// Frozen parameters have no gradient, and heads that learn nothing are not run.
#[test]
fn frozen_layers_have_no_gradients() {
    let tasks = plan(&[FaceTask::Similarity, FaceTask::Smile]);
    let (network, parameters) = face_network(Backbone::MobileFaceNetSe, 32, &tasks, 3);
    let frozen = ["stem", "blocks", "last", "embedding"].map(str::to_owned);
    let device = Device::flex().autodiff();
    let mut pass = Pass::new(&parameters, &device, Mode::Train { seed: 1 }).freeze(&frozen);
    let learns: Vec<bool> = network.heads.iter().map(|head| pass.learns(&network, head)).collect();
    assert_eq!(learns, [false, true]);
    let pictures = Tensor::<4>::zeros([3, 2, 32, 32], &device);
    let outputs = pass.run_some(&network, pictures, |head| head.on_branch);
    assert!(outputs[0].is_none());
    let loss = outputs[1].clone().unwrap().sum();
    let gradients = pass.end().gradients(&loss);
    for (parameter, gradient) in parameters.all().iter().zip(gradients) {
        let of_branch = parameter.name.starts_with("attributes.") || parameter.name.starts_with("smile.");
        assert_eq!(gradient.is_some(), of_branch, "{}", parameter.name);
    }
}

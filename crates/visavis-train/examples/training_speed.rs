//! Pictures per second of a training step, forwards and backwards, for each backbone; and for MobileNetV1 with burn's own
//! operations.
//!
//! `cargo run --release -p visavis-train --example training_speed [BACKBONE…]`

use std::io::Write;
use std::time::Instant;

use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor};
use visavis_train::network::{Backbone, FaceTask, HeadPlan, Mode, Pass, face_network};

const SIDE: usize = 112;
const PICTURES: usize = 32;
/// The first is a warm-up.
const STEPS: usize = 4;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let named: Vec<&str> = if named.is_empty() {
        vec!["mobilenetv1", "mobilenetv1@0.5"]
    } else {
        named.iter().map(String::as_str).collect()
    };
    for name in named {
        let Ok(backbone) = name.parse::<Backbone>() else {
            say(&format!("{name} is no backbone"));
            continue;
        };
        say(&format!("{name:24} {:6.1} pictures/s", speed(|device| ours(backbone, device))));
        if let Backbone::MobileNetV1(width) = backbone {
            say(&format!("{:24} {:6.1} pictures/s", "  in burn's operations", speed(|device| burns(width, device))));
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn speed(mut step: impl FnMut(&Device)) -> f64 {
    let device = Device::flex().autodiff();
    let mut best = f64::INFINITY;
    for number in 0..STEPS {
        let started = Instant::now();
        step(&device);
        if number > 0 {
            best = best.min(started.elapsed().as_secs_f64());
        }
    }
    PICTURES as f64 / best
}

fn ours(backbone: Backbone, device: &Device) {
    let plan = HeadPlan { tasks: vec![FaceTask::Gender], embedding: 1, dropout: 0.0 };
    let (network, parameters) = face_network(backbone, SIDE, &plan, 1);
    let pictures = Tensor::<4>::random([3, PICTURES, SIDE, SIDE], Distribution::Default, device);
    let mut pass = Pass::new(&parameters, device, Mode::Train { seed: 1 });
    let outputs = pass.run(&network, pictures);
    let trace = pass.end();
    let gradients = trace.gradients(&outputs[0].clone().powf_scalar(2.0).mean());
    assert!(gradients.iter().any(Option::is_some));
}

/// MobileNetV1 in plain burn: `[N, C, H, W]`, burn's convolution, a normalisation by mean and variance.
fn burns(width: f64, device: &Device) {
    let channels = |full: usize| (full as f64 * width) as usize;
    let weight = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 0.1), device).require_grad();
    let mut weights = Vec::new();
    let mut convolve = |x: Tensor<4>, to: usize, k: usize, stride: usize, groups: usize| {
        let from = x.dims()[1];
        let kernel = weight([to, from / groups, k, k]);
        weights.push(kernel.clone());
        let y = conv2d(x, kernel, None, ConvOptions::new([stride; 2], [k / 2; 2], [1; 2], groups));
        let [batch, to, height, across] = y.dims();
        let flat = y.swap_dims(0, 1).reshape([to, batch * height * across]);
        let centred = flat.clone() - flat.mean_dim(1);
        let variance = centred.clone().powf_scalar(2.0).mean_dim(1);
        relu(centred / (variance + 1e-5).sqrt()).reshape([to, batch, height, across]).swap_dims(0, 1)
    };
    let mut x = Tensor::<4>::random([PICTURES, 3, SIDE, SIDE], Distribution::Default, device);
    x = convolve(x, channels(32), 3, 2, 1);
    let plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)];
    let plan = plan.into_iter().chain([(512, 1); 5]).chain([(1024, 2), (1024, 1)]);
    for (to, stride) in plan {
        let from = x.dims()[1];
        x = convolve(x, from, 3, stride, from);
        x = convolve(x, channels(to), 1, 1, 1);
    }
    let gradients = x.powf_scalar(2.0).mean().backward();
    assert!(weights.iter().all(|weight| weight.grad(&gradients).is_some()));
}

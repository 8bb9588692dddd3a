//! Compares our operations with burn's own, forwards and backwards.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a panic is how a test fails, also in what tests share")]

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use visavis_train::ops::{Activation, Window, biased_leaky, convolve, depthwise, normalise};

fn device() -> Device {
    Device::flex().autodiff()
}

/// burn's own random numbers come from one generator for the whole process, which concurrent tests share.
fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let mut random = fastrand::Rng::with_seed(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| 2.0 * random.f32() + random.f32() - 1.5).collect();
    Tensor::from_data(TensorData::new(values, shape), &device()).require_grad()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

#[track_caller]
fn near(ours: &[f32], burns: &[f32], what: &str) {
    assert_eq!(ours.len(), burns.len(), "{what}");
    let largest = burns.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    for (at, (a, b)) in ours.iter().zip(burns).enumerate() {
        assert!((a - b).abs() <= 2e-5 * largest, "{what} at {at}: {a} instead of {b}");
    }
}

/// Compares output and gradients of two implementations, weighted at random so that every number matters.
#[track_caller]
fn same<const W: usize>(
    x: [usize; 4],
    w: [usize; W],
    ours: impl Fn(Tensor<4>, Tensor<W>) -> Tensor<4>,
    burns: impl Fn(Tensor<4>, Tensor<W>) -> Tensor<4>,
    what: &str,
) {
    let run = |operation: &dyn Fn(Tensor<4>, Tensor<W>) -> Tensor<4>| {
        let (x, w) = (random(x, 1), random(w, 2));
        let out = operation(x.clone(), w.clone());
        let weight = random(out.dims(), 3);
        let grads = (out.clone() * weight).sum().backward();
        [numbers(out), numbers(x.grad(&grads).unwrap()), numbers(w.grad(&grads).unwrap())]
    };
    let (ours, burns) = (run(&ours), run(&burns));
    for (part, (a, b)) in ["output", "gradient by x", "gradient by weight"].iter().zip(ours.iter().zip(&burns)) {
        near(a, b, &format!("{what}: {part}"));
    }
}

/// burn's convolution, converted from and to our order of axes.
fn burns(x: Tensor<4>, w: Tensor<4>, window: Window, groups: usize) -> Tensor<4> {
    let [before, behind] = window.padding;
    let x = x.swap_dims(0, 1).pad((before, behind, before, behind), 0.0);
    let options = ConvOptions::new([window.stride; 2], [0; 2], [1; 2], groups);
    conv2d(x, w, None, options).swap_dims(0, 1)
}

#[test]
fn convolutions() {
    let windows = [
        (Window::valid(1, 1), 9),
        (Window::valid(1, 2), 9),
        (Window::centred(3, 1), 7),
        (Window::centred(3, 2), 8),
        (Window::centred(3, 2), 9),
        (Window::same(3, 2, 8), 8),
        (Window::centred(7, 2), 11),
        (Window::valid(2, 1), 5),
    ];
    for (window, side) in windows {
        let k = window.kernel;
        same(
            [3, 2, side, side + 2],
            [5, 3, k, k],
            |x, w| convolve(x, w, window),
            |x, w| burns(x, w, window, 1),
            &format!("{window:?} on {side}"),
        );
    }
}

#[test]
fn depthwise_convolutions() {
    let windows = [
        (Window::centred(3, 1), 7),
        (Window::centred(3, 1), 2),
        (Window::centred(3, 2), 8),
        (Window::centred(3, 2), 9),
        (Window::same(3, 2, 8), 8),
        (Window::same(5, 2, 12), 12),
        (Window::centred(5, 1), 6),
        (Window::centred(7, 1), 9),
    ];
    for (window, side) in windows {
        let k = window.kernel;
        same(
            [4, 3, side, side + 1],
            [4, 1, k, k],
            |x, w| depthwise(x, w, window),
            |x, w| burns(x, w, window, 4),
            &format!("{window:?} on {side}"),
        );
    }
}

fn activate(y: Tensor<4>, activation: Activation) -> Tensor<4> {
    match activation {
        Activation::Identity => y,
        Activation::Relu => burn::tensor::activation::relu(y),
        Activation::Relu6 => y.clamp(0.0, 6.0),
        Activation::Silu => y.clone() * burn::tensor::activation::sigmoid(y),
    }
}

/// The definition, in burn's operations.
fn by_definition(x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, activation: Activation) -> Tensor<4> {
    let [channels, batch, height, width] = x.dims();
    let flat = x.reshape([channels, batch * height * width]);
    let mean = flat.clone().mean_dim(1);
    let centred = flat - mean;
    let variance = centred.clone().powf_scalar(2.0).mean_dim(1);
    let normal = centred / (variance + 1e-5).sqrt();
    let y = normal * scale.reshape([channels, 1]) + shift.reshape([channels, 1]);
    activate(y.reshape([channels, batch, height, width]), activation)
}

#[test]
fn normalisations() {
    for activation in [Activation::Identity, Activation::Relu, Activation::Relu6, Activation::Silu] {
        let shift = || random([3], 9) * 2.0;
        // Scales for which values reach both ends of ReLU6.
        same(
            [3, 2, 5, 4],
            [3],
            |x, scale| normalise(x * 3.0 + 1.0, scale * 4.0, shift(), 1e-5, activation).0,
            |x, scale| by_definition(x * 3.0 + 1.0, scale * 4.0, shift(), activation),
            &format!("{activation:?}, by scale"),
        );
        same(
            [3, 2, 5, 4],
            [3],
            |x, shift| normalise(x, random([3], 5) * 2.0, shift, 1e-5, activation).0,
            |x, shift| by_definition(x, random([3], 5) * 2.0, shift, activation),
            &format!("{activation:?}, by shift"),
        );
    }
}

#[test]
fn moments_are_those_of_the_batch() {
    let x = random([2, 3, 4, 5], 1);
    let ones = Tensor::<1>::ones([2], &device());
    let (_, moments) = normalise(x.clone(), ones.clone(), ones, 1e-5, Activation::Identity);
    let (values, moments) = (numbers(x), numbers(moments));
    for channel in 0..2 {
        let plane = &values[channel * 60..][..60];
        let mean = plane.iter().sum::<f32>() / 60.0;
        let variance = plane.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 60.0;
        near(&[moments[channel], moments[2 + channel]], &[mean, variance], "moments");
    }
}

#[test]
fn windows_cover_what_they_should() {
    // Length, kernel, stride: TensorFlow's number of places is the length divided by the stride, rounded up.
    for (length, kernel, stride) in [(112, 3, 2), (7, 3, 2), (7, 5, 2), (8, 5, 1), (1, 3, 2), (224, 3, 2)] {
        assert_eq!(Window::same(kernel, stride, length).places(length), length.div_ceil(stride), "{length} {kernel}");
    }
    assert_eq!(Window::same(3, 2, 224).padding, [0, 1]);
    assert_eq!(Window::same(3, 2, 7).padding, [1, 1]);
}

/// Pooling is burn's: its gradient goes to the largest number of each window, as computed here by hand.
#[test]
fn pooling_hands_its_gradient_to_the_largest() {
    use burn::tensor::module::max_pool2d;
    use burn::tensor::ops::MaxPoolOptions;
    let windows = [
        (Window::centred(3, 2), 8),
        (Window::centred(3, 2), 9),
        (Window::valid(2, 2), 8),
        (Window::valid(3, 2), 9),
        (Window { kernel: 3, stride: 2, padding: [0, 1] }, 8),
    ];
    for (window, side) in windows {
        let (planes, places) = (6, window.places(side));
        let x = random([2, 3, side, side], 6);
        let [before, behind] = window.padding;
        let options = MaxPoolOptions::new([window.kernel; 2])
            .with_stride([window.stride; 2])
            .with_padding_pairs([(before, behind); 2]);
        let y = max_pool2d(x.clone(), options);
        let weight = random(y.dims(), 7);
        let grads = (y.clone() * weight.clone()).sum().backward();
        let (values, weight) = (numbers(x.clone()), numbers(weight));
        let (mut expected, mut gradient) = (Vec::new(), vec![0.0; values.len()]);
        for plane in 0..planes {
            for place in 0..places * places {
                let start = |at: usize| (at * window.stride) as isize - before as isize;
                let (top, left) = (start(place / places), start(place % places));
                let inside = |at: isize| (0..side as isize).contains(&at);
                let largest = (0..window.kernel * window.kernel)
                    .map(|tap| (top + (tap / window.kernel) as isize, left + (tap % window.kernel) as isize))
                    .filter(|(row, column)| inside(*row) && inside(*column))
                    .map(|(row, column)| plane * side * side + row as usize * side + column as usize)
                    .max_by(|a, b| values[*a].total_cmp(&values[*b]))
                    .unwrap();
                expected.push(values[largest]);
                gradient[largest] += weight[plane * places * places + place];
            }
        }
        near(&numbers(y), &expected, &format!("{window:?} on {side}"));
        near(&numbers(x.grad(&grads).unwrap()), &gradient, &format!("{window:?} on {side}: gradient"));
    }
}

/// Slopes below 0 and above 1, as in published networks.
#[test]
fn a_bias_and_a_leaky_rectifier() {
    for slope in [0.25f32, -1.5, 3.0, 0.0, 1.0] {
        let run = |fused: bool| {
            let (x, bias) = (random([5, 2, 7, 9], 1), random([5], 2));
            let slope = Tensor::<1>::from_data(TensorData::new(vec![slope], [1]), &device()).require_grad();
            let out = if fused {
                biased_leaky(x.clone(), bias.clone(), slope.clone())
            } else {
                let y = x.clone() + bias.clone().reshape([5, 1, 1, 1]);
                let zero = y.clone() * 0.0;
                let negative = y.clone().mask_where(y.clone().greater_elem(0.0), zero.clone());
                y.clone().mask_where(y.lower_equal_elem(0.0), zero) + negative * slope.clone().reshape([1, 1, 1, 1])
            };
            let weight = random(out.dims(), 3);
            let grads = (out.clone() * weight).sum().backward();
            let by = (x.grad(&grads).unwrap(), bias.grad(&grads).unwrap(), slope.grad(&grads).unwrap());
            [numbers(out), numbers(by.0), numbers(by.1), numbers(by.2)]
        };
        for (part, (ours, burns)) in run(true).iter().zip(run(false)).enumerate() {
            near(ours, &burns, &format!("slope {slope}, part {part}"));
        }
    }
}

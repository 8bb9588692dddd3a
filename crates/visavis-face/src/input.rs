//! Writes pictures into input tensors, as the manifest describes.

use visavis_image::Picture;
use visavis_infer::Tensor;
use visavis_infer::manifest::{Colour, Input, Layout};

/// The tensor shape for `count` pictures of `width` × `height`.
pub(crate) fn shape(input: &Input, count: usize, width: u32, height: u32) -> [usize; 4] {
    let (width, height) = (width as usize, height as usize);
    match input.layout {
        Layout::Nchw => [count, 3, height, width],
        Layout::Nhwc => [count, height, width, 3],
        Layout::Nwhc => [count, width, height, 3],
    }
}

/// Writes `picture` at index `index` of `tensor` as `(value − mean) / std` per channel. The shape of `tensor` must be
/// [`shape`] for at least `index + 1` pictures of the same size.
pub(crate) fn write(input: &Input, picture: &Picture, tensor: &mut Tensor, index: usize) {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let plane = width * height;
    let target = &mut tensor.data[index * plane * 3..][..plane * 3];
    // Source channel of each tensor channel.
    let order = match input.colour {
        Colour::Rgb => [0, 1, 2],
        Colour::Bgr => [2, 1, 0],
    };
    let factor = input.std.map(|std| 1.0 / std);
    let offset = [0, 1, 2].map(|c| -input.mean[c] * factor[c]);
    match input.layout {
        Layout::Nchw => {
            let (first, rest) = target.split_at_mut(plane);
            let (second, third) = rest.split_at_mut(plane);
            let planes = first.iter_mut().zip(second).zip(third);
            for (pixel, ((a, b), c)) in picture.pixels().chunks_exact(3).zip(planes) {
                *a = f32::from(pixel[order[0]]) * factor[0] + offset[0];
                *b = f32::from(pixel[order[1]]) * factor[1] + offset[1];
                *c = f32::from(pixel[order[2]]) * factor[2] + offset[2];
            }
        }
        Layout::Nhwc => {
            for (pixel, out) in picture.pixels().chunks_exact(3).zip(target.chunks_exact_mut(3)) {
                for c in 0..3 {
                    out[c] = f32::from(pixel[order[c]]) * factor[c] + offset[c];
                }
            }
        }
        Layout::Nwhc => {
            for (at, pixel) in picture.pixels().chunks_exact(3).enumerate() {
                let (x, y) = (at % width, at / width);
                let out = &mut target[(x * height + y) * 3..][..3];
                for c in 0..3 {
                    out[c] = f32::from(pixel[order[c]]) * factor[c] + offset[c];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(layout: Layout, colour: Colour) -> Input {
        Input {
            tensor: "x".into(),
            layout,
            colour,
            size: [2, 2],
            multiple_of: None,
            mean: [1.0, 2.0, 3.0],
            std: [2.0, 2.0, 2.0],
            batch: true,
        }
    }

    /// Red counts 0 1 2 3 over the pixels (row-major), green is 10 more, blue 20 more.
    fn picture() -> Picture {
        let pixels = (0..4u8).flat_map(|i| [i, i + 10, i + 20]).collect();
        Picture::from_rgb(2, 2, pixels).unwrap()
    }

    #[test]
    fn planes_rows_and_columns() {
        let cases = [
            (Layout::Nchw, Colour::Rgb, vec![-0.5, 0.0, 0.5, 1.0, 4.0, 4.5, 5.0, 5.5, 8.5, 9.0, 9.5, 10.0]),
            (Layout::Nchw, Colour::Bgr, vec![9.5, 10.0, 10.5, 11.0, 4.0, 4.5, 5.0, 5.5, -1.5, -1.0, -0.5, 0.0]),
            (Layout::Nhwc, Colour::Rgb, vec![-0.5, 4.0, 8.5, 0.0, 4.5, 9.0, 0.5, 5.0, 9.5, 1.0, 5.5, 10.0]),
            (Layout::Nwhc, Colour::Rgb, vec![-0.5, 4.0, 8.5, 0.5, 5.0, 9.5, 0.0, 4.5, 9.0, 1.0, 5.5, 10.0]),
        ];
        for (layout, colour, expected) in cases {
            let spec = input(layout, colour);
            let mut tensor = Tensor::zeros(&shape(&spec, 2, 2, 2));
            write(&spec, &picture(), &mut tensor, 1);
            assert_eq!(tensor.data[..12], [0.0; 12], "the first place stays as it was");
            assert_eq!(tensor.data[12..], expected, "{layout:?} {colour:?}");
        }
    }
}

//! A MobileFaceNet (Chen et al., CCBR 2018) with squeeze and excitation in every block, in the layout of Open Model Zoo's
//! `face-reidentification-retail-0095`: inverted residuals without normalisation (folded into the convolutions), leaky
//! rectifiers with one learned slope each, and finally a depthwise convolution over the whole plane.

use std::ops::Range;

use crate::network::{Builder, Layer};
use crate::ops::{Activation, Window};

/// Channels of the first planes.
const STEM: usize = 64;

/// Channels of the last planes.
pub(crate) const LAST: usize = 512;

/// Expanded channels, output channels, squeezed channels, stride of each block.
const BLOCKS: [(usize, usize, usize, usize); 15] = [
    (128, 64, 8, 2),
    (128, 64, 8, 1),
    (128, 64, 8, 1),
    (128, 64, 8, 1),
    (128, 64, 8, 1),
    (256, 128, 16, 2),
    (256, 128, 16, 1),
    (256, 128, 16, 1),
    (256, 128, 16, 1),
    (256, 128, 16, 1),
    (256, 128, 16, 1),
    (256, 128, 16, 1),
    (512, 128, 16, 2),
    (256, 128, 16, 1),
    (256, 128, 16, 1),
];

/// Blocks that embedding and attributes of a face network share: a branch from here costs a quarter of the whole.
pub(crate) const SHARED: usize = 10;

/// Width of the picture divided by that of the last planes.
const STRIDE: usize = 16;

/// From the picture to planes of half its side.
pub(crate) fn stem(b: &mut Builder) -> Vec<Layer> {
    b.within("stem", |b| {
        vec![
            b.convolution_with("conv", [3, STEM], Window::centred(3, 2), true),
            b.leaky("conv_prelu"),
            b.depthwise_with("depthwise", STEM, Window::centred(3, 1), true),
            b.leaky("depthwise_prelu"),
        ]
    })
}

/// Some of the blocks.
pub(crate) fn blocks(b: &mut Builder, which: Range<usize>) -> Vec<Layer> {
    which
        .flat_map(|index| {
            let (wide, to, squeezed, stride) = BLOCKS[index];
            let from = index.checked_sub(1).map_or(STEM, |before| BLOCKS[before].1);
            let body = b.within(&format!("blocks.{index}"), |b| {
                vec![
                    b.convolution_with("expand", [from, wide], Window::valid(1, 1), true),
                    b.leaky("expand_prelu"),
                    b.depthwise_with("depthwise", wide, Window::centred(3, stride), true),
                    b.leaky("depthwise_prelu"),
                    b.convolution_with("project", [wide, to], Window::valid(1, 1), true),
                    b.leaky_squeeze_excite("se", to, squeezed),
                ]
            });
            if stride == 1 {
                vec![Layer::Residual { body, shortcut: Vec::new(), activation: Activation::Identity }]
            } else {
                body
            }
        })
        .collect()
}

/// Number of all blocks, as the end of a range for [`blocks`].
pub(crate) const COUNT: usize = BLOCKS.len();

/// From the last block to [`LAST`] planes.
pub(crate) fn last(b: &mut Builder) -> Vec<Layer> {
    let channels = BLOCKS[COUNT - 1].1;
    b.within("last", |b| {
        vec![b.convolution_with("conv", [channels, LAST], Window::valid(1, 1), true), b.leaky("conv_prelu")]
    })
}

/// From those planes, for pictures of `side` pixels, to one value per channel `[LAST, N, 1, 1]`: each place has its own weight.
pub(crate) fn pool(b: &mut Builder, side: usize) -> Layer {
    b.within("last", |b| b.depthwise_with("pool", LAST, Window::valid(side.div_ceil(STRIDE), 1), true))
}

//! The backbones that the paper compares, with names and layout of the published ones.

mod efficientnet;
pub(crate) mod mobilefacenet;
mod mobilenet;
mod resnet;
mod vgg;

use std::fmt;
use std::str::FromStr;

use visavis_infer::manifest::{Anchor, Colour, Crop};

use super::{Builder, Layer};
use crate::TrainError;

/// A backbone, with its size if there are several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Backbone {
    /// MobileNetV1 (Howard et al. 2017) with a width multiplier.
    MobileNetV1(f64),
    /// MobileNetV2 (Sandler et al. 2018) with a width multiplier.
    MobileNetV2(f64),
    /// VGG16 without batch normalisation (Simonyan and Zisserman 2015) and without its fully connected layers.
    Vgg16,
    /// ResNet18 (He et al. 2016).
    ResNet18,
    /// ResNet50 (He et al. 2016), with the stride in the 3×3 convolution as in torchvision.
    ResNet50,
    /// ResNet101.
    ResNet101,
    /// EfficientNet B0 (Tan and Le 2019).
    EfficientNetB0,
    /// EfficientNet B1.
    EfficientNetB1,
    /// EfficientNet B7.
    EfficientNetB7,
    /// EfficientNet-Lite0: no squeeze and excitation, ReLU6.
    EfficientNetLite0,
    /// MobileFaceNet with squeeze and excitation: for faces only.
    MobileFaceNetSe,
}

/// The layers of a backbone between two halvings of the planes.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The layers.
    pub layers: Vec<Layer>,
    /// Number of output channels.
    pub channels: usize,
}

impl Backbone {
    /// One of each, at its usual width.
    pub const ALL: [Self; 11] = [
        Self::MobileNetV1(1.0),
        Self::MobileNetV2(1.0),
        Self::Vgg16,
        Self::ResNet18,
        Self::ResNet50,
        Self::ResNet101,
        Self::EfficientNetB0,
        Self::EfficientNetB1,
        Self::EfficientNetB7,
        Self::EfficientNetLite0,
        Self::MobileFaceNetSe,
    ];

    /// Builds it for pictures of `side` pixels; returns the layers up to the last planes, and the number of their channels.
    #[must_use]
    pub fn build(self, builder: &mut Builder, side: usize) -> (Vec<Layer>, usize) {
        match self {
            Self::MobileNetV1(width) => joined(mobilenet::v1(builder, width)),
            Self::MobileNetV2(width) => joined(mobilenet::v2(builder, width)),
            Self::Vgg16 => vgg::vgg16(builder),
            Self::ResNet18 => joined(resnet::resnet18(builder)),
            Self::ResNet50 => joined(resnet::resnet50(builder)),
            Self::ResNet101 => joined(resnet::resnet101(builder)),
            Self::EfficientNetB0 => efficientnet::efficientnet(builder, side, efficientnet::B0),
            Self::EfficientNetB1 => efficientnet::efficientnet(builder, side, efficientnet::B1),
            Self::EfficientNetB7 => efficientnet::efficientnet(builder, side, efficientnet::B7),
            Self::EfficientNetLite0 => efficientnet::efficientnet(builder, side, efficientnet::LITE0),
            Self::MobileFaceNetSe => {
                let mut layers = mobilefacenet::stem(builder);
                layers.extend(mobilefacenet::blocks(builder, 0..mobilefacenet::COUNT));
                layers.extend(mobilefacenet::last(builder));
                (layers, mobilefacenet::LAST)
            }
        }
    }

    /// Builds it in stages. Each halves the planes: those of the first have half the picture's width, those of the last a
    /// thirty-second.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] for a backbone that detectors cannot use.
    pub fn stages(self, builder: &mut Builder) -> Result<Vec<Stage>, TrainError> {
        match self {
            Self::MobileNetV1(width) => Ok(mobilenet::v1(builder, width)),
            Self::MobileNetV2(width) => Ok(mobilenet::v2(builder, width)),
            Self::ResNet18 => Ok(resnet::resnet18(builder)),
            Self::ResNet50 => Ok(resnet::resnet50(builder)),
            Self::ResNet101 => Ok(resnet::resnet101(builder)),
            _ => Err(TrainError::Recipe { reason: format!("detectors use MobileNets or ResNets, not {self}") }),
        }
    }

    /// The name of the published network's classifier, for [`super::load_pretrained`].
    #[must_use]
    pub fn classifier(self) -> &'static str {
        match self {
            Self::MobileNetV1(_) | Self::ResNet18 | Self::ResNet50 | Self::ResNet101 => "fc",
            Self::MobileNetV2(_) => "classifier.1",
            Self::Vgg16 => "classifier",
            _ => "_fc",
        }
    }

    /// Mean and divisor of the published network's input pixels (0 to 255), per channel.
    #[must_use]
    pub fn pixels(self) -> ([f32; 3], [f32; 3]) {
        match self {
            // TensorFlow's convention, used for MobileNetV1 and the Lite networks.
            Self::MobileNetV1(_) | Self::EfficientNetLite0 => ([127.0; 3], [128.0; 3]),
            // Blue, green, red. The published graph multiplies by 0.01437, 0.02136, 0.01865 and subtracts 0.9263, 1.4453,
            // 1.5303, stored with 16 bits.
            Self::MobileFaceNetSe => ([64.441_61, 67.657_14, 82.068_74], [69.571_13, 46.811_43, 53.630_11]),
            _ => ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
        }
    }
}

impl Backbone {
    /// Order of the input's colour channels.
    #[must_use]
    pub fn colour(self) -> Colour {
        match self {
            Self::MobileFaceNetSe => Colour::Bgr,
            _ => Colour::Rgb,
        }
    }

    /// How a face is cropped for it.
    #[must_use]
    pub fn crop(self) -> Crop {
        // The five keypoints in the published network's input, as shares of the side.
        const AT: [[f32; 2]; 5] = [
            [0.315_568_75, 0.461_574_1],
            [0.682_622_9, 0.461_574_1],
            [0.500_262_5, 0.640_505_4],
            [0.349_471_88, 0.824_691_96],
            [0.653_436_5, 0.824_691_96],
        ];
        match self {
            Self::MobileFaceNetSe => Crop::Points {
                points: (0..5)
                    .map(|point| Anchor {
                        landmarks: std::array::from_fn(|at| f32::from(u8::from(at == point))),
                        at: AT[point],
                    })
                    .collect(),
            },
            _ => Crop::Aligned,
        }
    }
}

fn joined(stages: Vec<Stage>) -> (Vec<Layer>, usize) {
    let channels = stages.last().map_or(0, |stage| stage.channels);
    (stages.into_iter().flat_map(|stage| stage.layers).collect(), channels)
}

impl fmt::Display for Backbone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::MobileNetV1(_) => "mobilenetv1",
            Self::MobileNetV2(_) => "mobilenetv2",
            Self::Vgg16 => "vgg16",
            Self::ResNet18 => "resnet18",
            Self::ResNet50 => "resnet50",
            Self::ResNet101 => "resnet101",
            Self::EfficientNetB0 => "efficientnet_b0",
            Self::EfficientNetB1 => "efficientnet_b1",
            Self::EfficientNetB7 => "efficientnet_b7",
            Self::EfficientNetLite0 => "efficientnet_lite0",
            Self::MobileFaceNetSe => "mobilefacenet_se",
        };
        match self {
            Self::MobileNetV1(width) | Self::MobileNetV2(width) if *width != 1.0 => write!(f, "{name}@{width}"),
            _ => f.write_str(name),
        }
    }
}

impl FromStr for Backbone {
    type Err = TrainError;

    /// `mobilenetv1`, or `mobilenetv1@0.5` for a width multiplier.
    fn from_str(text: &str) -> Result<Self, TrainError> {
        let (name, width) = text.split_once('@').unwrap_or((text, "1"));
        let width: Option<f64> = width.parse().ok().filter(|width| (0.05..=4.0).contains(width));
        let found = Self::ALL.into_iter().find(|backbone| backbone.to_string() == name);
        match (found, width) {
            (Some(Self::MobileNetV1(_)), Some(width)) => Ok(Self::MobileNetV1(width)),
            (Some(Self::MobileNetV2(_)), Some(width)) => Ok(Self::MobileNetV2(width)),
            (Some(found), Some(1.0)) => Ok(found),
            _ => {
                let all: Vec<String> = Self::ALL.iter().map(Self::to_string).collect();
                Err(TrainError::Recipe {
                    reason: format!(
                        "there is no backbone `{text}`: it is one of {}; the MobileNets take a width, such as \
                         mobilenetv1@0.5",
                        all.join(", ")
                    ),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of parameters of the published networks with a classifier of 1,000 classes, as counted by the authors' code.
    #[test]
    fn parameters_are_as_published() {
        let cases = [
            (Backbone::MobileNetV1(1.0), 4_231_976),
            (Backbone::MobileNetV1(0.5), 1_331_592),
            (Backbone::MobileNetV1(0.25), 470_072),
            (Backbone::MobileNetV2(1.0), 3_504_872),
            (Backbone::ResNet18, 11_689_512),
            (Backbone::ResNet50, 25_557_032),
            (Backbone::ResNet101, 44_549_160),
            (Backbone::EfficientNetB0, 5_288_548),
            (Backbone::EfficientNetB1, 7_794_184),
            (Backbone::EfficientNetB7, 66_347_960),
            (Backbone::EfficientNetLite0, 4_652_008),
        ];
        for (backbone, published) in cases {
            let mut builder = Builder::new(1);
            let (_, channels) = backbone.build(&mut builder, 224);
            let _ = builder.linear(backbone.classifier(), channels, 1000);
            assert_eq!(builder.finish().count(), published, "{backbone}");
        }
        // VGG16's three fully connected layers (123,642,856 of its 138,357,544 numbers) are left out.
        let mut builder = Builder::new(1);
        assert_eq!(Backbone::Vgg16.build(&mut builder, 224).1, 512);
        assert_eq!(builder.finish().count(), 14_714_688);
    }

    #[test]
    fn names_come_back() {
        for backbone in Backbone::ALL.into_iter().chain([Backbone::MobileNetV1(0.25)]) {
            assert_eq!(backbone.to_string().parse::<Backbone>().unwrap(), backbone);
        }
        for wrong in ["mobilenetv3", "resnet18@0.5", "mobilenetv1@", "mobilenetv1@0", ""] {
            assert!(wrong.parse::<Backbone>().is_err(), "{wrong}");
        }
    }
}

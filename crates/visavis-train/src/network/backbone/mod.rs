//! The convolutional bodies that the paper compares, named and laid out as their authors published them.

mod efficientnet;
mod mobilenet;
mod resnet;
mod vgg;

use std::fmt;
use std::str::FromStr;

use super::{Builder, Layer};
use crate::TrainError;

/// A backbone, with its size where it comes in several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Backbone {
    /// MobileNetV1 (Howard et al. 2017) with a width multiplier.
    MobileNetV1(f64),
    /// MobileNetV2 (Sandler et al. 2018) with a width multiplier.
    MobileNetV2(f64),
    /// VGG16 without batch normalisation (Simonyan and Zisserman 2015), its fully connected layers left out.
    Vgg16,
    /// ResNet18 (He et al. 2016).
    ResNet18,
    /// ResNet50 (He et al. 2016), the stride in the 3×3 convolution as torchvision has it.
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
}

/// The layers of a backbone from one halving of the planes to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The layers.
    pub layers: Vec<Layer>,
    /// Channels of what they give.
    pub channels: usize,
}

impl Backbone {
    /// One of each, at its usual width.
    pub const ALL: [Self; 10] = [
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
    ];

    /// Lays it out for pictures of `side` pixels; gives the layers up to the last planes and how many channels those have.
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
        }
    }

    /// Lays it out in stages, of which each halves the planes once more: the first gives half the picture's width, the last
    /// a thirty-second.
    ///
    /// # Errors
    /// [`TrainError::Recipe`] for a backbone that detectors do not stand on.
    pub fn stages(self, builder: &mut Builder) -> Result<Vec<Stage>, TrainError> {
        match self {
            Self::MobileNetV1(width) => Ok(mobilenet::v1(builder, width)),
            Self::MobileNetV2(width) => Ok(mobilenet::v2(builder, width)),
            Self::ResNet18 => Ok(resnet::resnet18(builder)),
            Self::ResNet50 => Ok(resnet::resnet50(builder)),
            Self::ResNet101 => Ok(resnet::resnet101(builder)),
            _ => Err(TrainError::Recipe { reason: format!("detectors stand on MobileNets or ResNets, not {self}") }),
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

    /// What the published network subtracts from and divides pixels of 0 to 255 by, per channel.
    #[must_use]
    pub fn pixels(self) -> ([f32; 3], [f32; 3]) {
        match self {
            // TensorFlow's habit, which MobileNetV1 and the Lite networks were trained with.
            Self::MobileNetV1(_) | Self::EfficientNetLite0 => ([127.0; 3], [128.0; 3]),
            _ => ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
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

    /// Parameters of the published networks, classifier of 1,000 classes included, as their authors' code counts them.
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

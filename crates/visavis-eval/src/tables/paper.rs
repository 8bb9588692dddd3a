//! What the paper's Tables II, IV and V say ("Real-time facial analysis", the paper that this project builds on).

/// A row of Table II.
pub(super) struct PaperKeypoints {
    /// What the paper calls it.
    pub(super) label: &'static str,
    /// The network of ours that does the same.
    pub(super) network: &'static str,
    /// Error rate in per cent on AFLW; the paper does not say of what length.
    pub(super) error: f64,
    /// Frames per second on the paper's CPU.
    pub(super) cpu: f64,
}

/// A row of Table IV or V. Ages in years, accuracies in per cent.
pub(super) struct PaperAttributes {
    /// What the paper calls it.
    pub(super) label: &'static str,
    /// The network of ours that does the same.
    pub(super) network: &'static str,
    pub(super) age: Option<f64>,
    pub(super) gender: Option<f64>,
    pub(super) smile: Option<f64>,
    /// Frames per second on the paper's CPU.
    pub(super) cpu: f64,
    /// On its GTX 1050 Ti and 1080 Ti, where it says so.
    pub(super) gpus: Option<[f64; 2]>,
}

pub(super) const TABLE_II: [PaperKeypoints; 2] = [
    PaperKeypoints { label: "Regression forest (Dlib)", network: "kazemi_forest", error: 2.89, cpu: 17.49 },
    PaperKeypoints { label: "CNN (O-Net)", network: "onet", error: 1.04, cpu: 18.25 },
];

pub(super) const TABLE_IV: [PaperAttributes; 5] = [
    PaperAttributes {
        label: "Age, MobileNetV1",
        network: "age_mobilenetv1",
        age: Some(4.9),
        gender: None,
        smile: None,
        cpu: 31.61,
        gpus: Some([148.90, 147.44]),
    },
    PaperAttributes {
        label: "Gender, MobileNetV1",
        network: "gender_mobilenetv1",
        age: None,
        gender: Some(88.3),
        smile: None,
        cpu: 31.48,
        gpus: Some([150.45, 149.75]),
    },
    PaperAttributes {
        label: "Smile, MobileNetV1",
        network: "smile_mobilenetv1",
        age: None,
        gender: None,
        smile: Some(87.2),
        cpu: 31.46,
        gpus: Some([148.84, 148.78]),
    },
    PaperAttributes {
        label: "Multitask, MobileNetV1",
        network: "multitask_mobilenetv1",
        age: Some(5.67),
        gender: Some(84.2),
        smile: Some(83.6),
        cpu: 29.80,
        gpus: Some([147.06, 147.20]),
    },
    PaperAttributes {
        label: "Multitask, EfficientNet B0",
        network: "multitask_efficientnetb0",
        age: Some(5.35),
        gender: Some(87.5),
        smile: Some(86.0),
        cpu: 25.61,
        gpus: Some([143.35, 144.24]),
    },
];

const fn backbone(
    label: &'static str,
    network: &'static str,
    [age, gender, smile]: [f64; 3],
    cpu: f64,
) -> PaperAttributes {
    PaperAttributes { label, network, age: Some(age), gender: Some(gender), smile: Some(smile), cpu, gpus: None }
}

pub(super) const TABLE_V: [PaperAttributes; 7] = [
    backbone("VGG16", "multitask_vgg16", [7.20, 84.0, 84.1], 27.75),
    backbone("ResNet50", "multitask_resnet50", [6.42, 82.1, 81.2], 27.06),
    backbone("ResNet18", "multitask_resnet18", [6.02, 82.4, 82.8], 29.63),
    backbone("MobileNetV1", "multitask_mobilenetv1", [5.67, 84.2, 83.6], 29.80),
    backbone("EfficientNet B0", "multitask_efficientnetb0", [5.35, 87.5, 86.0], 25.61),
    backbone("EfficientNet B1", "multitask_efficientnetb1", [5.07, 87.8, 86.8], 22.72),
    backbone("EfficientNet B7", "multitask_efficientnetb7", [4.37, 89.5, 87.3], 14.63),
];

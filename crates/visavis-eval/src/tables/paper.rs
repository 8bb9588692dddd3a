//! Tables I to V of the paper ("Real-time facial analysis", on which this project builds).

/// A family of detectors of Table I.
pub(super) struct PaperDetector {
    /// The paper's name for it.
    pub(super) label: &'static str,
    /// Our network of the same architecture.
    pub(super) network: &'static str,
    /// Figures at each of [`DETECTOR_SIZES`].
    pub(super) at: [PaperDetection; 3],
}

/// A row of Table I.
pub(super) struct PaperDetection {
    /// Average precision at IoU 0.5:0.95 and at 0.5.
    pub(super) precision: [f64; 2],
    /// Frames per second: TensorFlow on CPU and on GPU, OpenCV on CPU.
    pub(super) speeds: [f64; 3],
}

/// Width and height of the inputs of Table I.
pub const DETECTOR_SIZES: [[u32; 2]; 3] = [[300, 300], [240, 180], [200, 200]];

const fn detector(label: &'static str, network: &'static str, rows: [[f64; 5]; 3]) -> PaperDetector {
    const fn row([ap, ap50, cpu, gpu, opencv]: [f64; 5]) -> PaperDetection {
        PaperDetection { precision: [ap, ap50], speeds: [cpu, gpu, opencv] }
    }
    PaperDetector { label, network, at: [row(rows[0]), row(rows[1]), row(rows[2])] }
}

pub(super) const TABLE_I: [PaperDetector; 5] = [
    detector(
        "Faster R-CNN, ResNet101",
        "faster_rcnn_resnet101",
        [[0.747, 0.945, 1.84, 7.62, 1.09], [0.707, 0.914, 1.93, 8.18, 1.20], [0.693, 0.907, 1.98, 8.30, 1.21]],
    ),
    detector(
        "SSD, MobileNetV1, α = 1",
        "ssd_mobilenetv1",
        [
            [0.744, 0.945, 32.52, 87.29, 39.36],
            [0.684, 0.868, 51.60, 105.46, 70.09],
            [0.683, 0.839, 49.96, 107.54, 71.42],
        ],
    ),
    detector(
        "SSD, MobileNetV1, α = 0.25",
        "ssd_mobilenetv1_quarter",
        [
            [0.695, 0.909, 60.50, 148.77, 140.95],
            [0.647, 0.895, 81.29, 156.62, 239.59],
            [0.650, 0.887, 78.21, 158.20, 249.72],
        ],
    ),
    detector(
        "SSDLite, MobileNetV2, α = 1",
        "ssdlite_mobilenetv2",
        [
            [0.764, 0.952, 28.46, 79.94, 36.47],
            [0.728, 0.936, 41.18, 106.98, 63.29],
            [0.730, 0.934, 40.50, 109.47, 64.79],
        ],
    ),
    detector(
        "SSDLite, MobileNetV2, α = 0.25",
        "ssdlite_mobilenetv2_quarter",
        [
            [0.733, 0.936, 43.09, 118.29, 70.58],
            [0.704, 0.925, 60.43, 129.25, 125.55],
            [0.679, 0.913, 64.01, 131.77, 131.22],
        ],
    ),
];

/// A row of Table II.
pub(super) struct PaperKeypoints {
    /// The paper's name for it.
    pub(super) label: &'static str,
    /// Our network for the same task.
    pub(super) network: &'static str,
    /// Error rate in percent on AFLW; the paper does not say of which length.
    pub(super) error: f64,
    /// Frames per second on the paper's CPU.
    pub(super) cpu: f64,
}

/// A row of Table III: shares on CelebA.
pub(super) struct PaperSimilarity {
    /// The paper's name for it.
    pub(super) label: &'static str,
    /// Our network for the same task.
    pub(super) network: &'static str,
    /// Mean average precision, then the shares found at rank 1 and within rank 5.
    pub(super) found: [f64; 3],
}

pub(super) const TABLE_III: [PaperSimilarity; 3] = [
    PaperSimilarity { label: "MobileNet", network: "similarity_mobilenetv1", found: [0.782, 0.940, 0.970] },
    PaperSimilarity { label: "VGG16", network: "similarity_vgg16", found: [0.813, 0.952, 0.973] },
    PaperSimilarity { label: "ResNet50", network: "similarity_resnet50", found: [0.822, 0.953, 0.973] },
];

/// A row of Table IV or V. Ages in years, accuracies in percent.
pub(super) struct PaperAttributes {
    /// The paper's name for it.
    pub(super) label: &'static str,
    /// Our network for the same task.
    pub(super) network: &'static str,
    pub(super) age: Option<f64>,
    pub(super) gender: Option<f64>,
    pub(super) smile: Option<f64>,
    /// Frames per second on the paper's CPU.
    pub(super) cpu: f64,
    /// Frames per second on its GTX 1050 Ti and 1080 Ti, if given.
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

//! How pictures are varied and composed, and how answers are judged.

use serde::{Deserialize, Serialize};

/// How pictures are varied before the network sees them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentParams {
    /// Share of mirrored pictures.
    pub mirror: f32,
    /// Standard deviation of a turn, degrees.
    pub rotation: f32,
    /// Standard deviation of the logarithm of a zoom.
    pub zoom: f32,
    /// Standard deviation of a shift, in sides of the crop.
    pub shift: f32,
    /// Standard deviation of a brightness added, 0 to 255.
    pub brightness: f32,
    /// Standard deviation of the logarithm of a contrast.
    pub contrast: f32,
    /// Standard deviation of the logarithm of a saturation.
    pub saturation: f32,
    /// Share of pictures without colour.
    pub grey: f32,
    /// Share of pictures shrunk and enlarged again, as small faces are.
    pub small: f32,
    /// Least side of those, in sides of the crop.
    pub smallest: f32,
    /// Share of pictures through a strong JPEG.
    pub jpeg: f32,
    /// Share of pictures with a rectangle erased (Zhong et al., AAAI 2020).
    pub erase: f32,
    /// Share of pictures taken with little light, a tenth to a half of it, and a sensor's noise.
    pub dark: f32,
}

impl Default for AugmentParams {
    /// Moderate: what a webcam does to a face, not what a painter would.
    fn default() -> Self {
        Self {
            mirror: 0.5,
            rotation: 4.0,
            zoom: 0.05,
            shift: 0.02,
            brightness: 16.0,
            contrast: 0.15,
            saturation: 0.2,
            grey: 0.05,
            small: 0.2,
            smallest: 0.3,
            jpeg: 0.1,
            erase: 0.2,
            dark: 0.0,
        }
    }
}

impl AugmentParams {
    /// No variation at all.
    #[must_use]
    pub fn still() -> Self {
        Self {
            mirror: 0.0,
            rotation: 0.0,
            zoom: 0.0,
            shift: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            grey: 0.0,
            small: 0.0,
            smallest: 1.0,
            jpeg: 0.0,
            erase: 0.0,
            dark: 0.0,
        }
    }
}

/// How pictures for detectors are composed of scenes; colours vary by [`AugmentParams`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SceneParams {
    /// Widths and heights; a batch has one of them.
    pub sizes: Vec<[u32; 2]>,
    /// Share of pictures made of four scenes.
    pub mosaic: f32,
    /// Share of pictures made of many scenes, three to six in a row: crowds, also of sets that show one face at a time.
    pub crowd: f32,
    /// Share of pictures whose faces are half covered, as by masks, hands and each other.
    pub covered: f32,
    /// Share of scenes shown so that one of their faces has a size drawn evenly over the scales.
    pub by_face: f32,
    /// Least size of that face, in pixels of the picture.
    pub smallest: f32,
    /// Its largest size, in shorter sides of its tile.
    pub largest: f32,
    /// Most that a scene is enlarged.
    pub enlarged: f32,
    /// Shorter side in pixels below which a face is neither to be found nor to be missed.
    pub least: f32,
    /// Share of mirrored pictures.
    pub mirror: f32,
    /// Standard deviation of a turn, degrees.
    pub rotation: f32,
}

impl Default for SceneParams {
    fn default() -> Self {
        Self {
            sizes: vec![[300, 300], [240, 180], [200, 200], [320, 240]],
            mosaic: 0.4,
            crowd: 0.0,
            covered: 0.0,
            by_face: 0.8,
            smallest: 10.0,
            largest: 0.9,
            enlarged: 2.5,
            least: 7.0,
            mirror: 0.5,
            rotation: 8.0,
        }
    }
}

/// How answers are judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossParams {
    /// Age targets.
    pub age_target: AgeTarget,
    /// Weight of the cross-entropy of age.
    pub age: f32,
    /// Weight of the absolute error of the expected age, for each year.
    pub age_error: f32,
    /// Weight of gender.
    pub gender: f32,
    /// Weight of smile.
    pub smile: f32,
    /// Weight of 1 − cosine to the teacher's embedding.
    pub similarity: f32,
    /// Share of a two-class target given to the other class.
    pub smoothing: f32,
    /// Weight of the offsets of a detector's boxes beside its scores.
    pub boxes: f32,
    /// Weight of faces in the focal loss; the rest of 1 is for places without one.
    pub focal_faces: f32,
    /// How much the focal loss turns to what is wrong.
    pub focal_power: f32,
}

impl Default for LossParams {
    fn default() -> Self {
        Self {
            age_target: AgeTarget::Distribution { deviation: 2.5 },
            age: 1.0,
            age_error: 0.05,
            gender: 1.0,
            smile: 1.0,
            similarity: 1.0,
            smoothing: 0.05,
            boxes: 1.0,
            focal_faces: 0.25,
            focal_power: 2.0,
        }
    }
}

/// How people are told apart while an embedding is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityParams {
    /// Training photos from which on a person has a class.
    pub least: usize,
    /// By how much a person's own class is harder to reach.
    pub margin: Margin,
    /// What cosines are multiplied by before the softmax.
    pub scale: f32,
    /// Weight of the cross-entropy.
    pub weight: f32,
}

impl Default for IdentityParams {
    fn default() -> Self {
        Self { least: 2, margin: Margin::Cosine { by: 0.2 }, scale: 24.0, weight: 1.0 }
    }
}

/// A margin between a person and all others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Margin {
    /// None: categorical cross-entropy.
    None,
    /// Taken from the cosine (CosFace).
    Cosine {
        /// So much.
        by: f32,
    },
    /// Added to the angle (ArcFace).
    Angle {
        /// So much, in radians.
        by: f32,
    },
}

/// What the 101 classes are to say of a labelled age.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum AgeTarget {
    /// All on the labelled year.
    Class,
    /// A normal distribution around it (Gao et al., IJCAI 2018); where a set knows the deviation, its own.
    Distribution {
        /// Standard deviation in years.
        deviation: f32,
    },
}

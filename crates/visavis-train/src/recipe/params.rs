//! Parameters of augmentation, scene composition and loss.

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Augmentation of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentParams {
    /// Share of mirrored pictures.
    pub mirror: f32,
    /// Standard deviation of the rotation, degrees.
    pub rotation: f32,
    /// Standard deviation of the logarithm of the zoom.
    pub zoom: f32,
    /// Standard deviation of the shift, in sides of the crop.
    pub shift: f32,
    /// Standard deviation of the added brightness, 0 to 255.
    pub brightness: f32,
    /// Standard deviation of the logarithm of the contrast.
    pub contrast: f32,
    /// Standard deviation of the logarithm of the saturation.
    pub saturation: f32,
    /// Share of pictures without colour.
    pub grey: f32,
    /// Share of pictures that are shrunk and enlarged again, like small faces.
    pub small: f32,
    /// Least side to which those are shrunk, in sides of the crop.
    pub smallest: f32,
    /// Share of pictures with strong JPEG compression.
    pub jpeg: f32,
    /// Share of pictures with a rectangle erased (Zhong et al., AAAI 2020).
    pub erase: f32,
    /// Share of pictures with little light, a tenth to a half of it, and sensor noise.
    pub dark: f32,
}

impl Default for AugmentParams {
    /// Moderate: the variation of a webcam.
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
    /// No augmentation.
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

impl AugmentParams {
    /// # Errors
    /// [`TrainError::Recipe`] for a share outside 0 to 1, or a standard deviation below 0.
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        let Self { mirror, grey, small, smallest, jpeg, erase, dark, .. } = *self;
        let Self { rotation, zoom, shift, brightness, contrast, saturation, .. } = *self;
        let are_shares = [mirror, grey, small, smallest, jpeg, erase, dark].iter().all(|of| (0.0..=1.0).contains(of));
        if !are_shares {
            let reason = "[augment]: mirror, grey, small, smallest, jpeg, erase and dark are shares from 0 to 1".into();
            return Err(TrainError::Recipe { reason });
        }
        if ![rotation, zoom, shift, brightness, contrast, saturation].iter().all(|of| *of >= 0.0) {
            let reason = "[augment]: rotation, zoom, shift, brightness, contrast and saturation are 0 or more".into();
            return Err(TrainError::Recipe { reason });
        }
        Ok(())
    }
}

/// Composition of training pictures for detectors from scenes; [`AugmentParams`] vary the colours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SceneParams {
    /// Widths and heights; a batch has one of them.
    pub sizes: Vec<[u32; 2]>,
    /// Share of pictures composed of four scenes.
    pub mosaic: f32,
    /// Share of pictures composed of many scenes, three to six in a row: crowds, also from sets with one face per picture.
    pub crowd: f32,
    /// Share of pictures whose faces are half covered, as by masks, hands and other faces.
    pub covered: f32,
    /// Share of scenes that are scaled so that one face has a size drawn evenly over the scales.
    pub by_face: f32,
    /// Least size of that face, in pixels of the picture.
    pub smallest: f32,
    /// Largest size of that face, in shorter sides of its tile.
    pub largest: f32,
    /// Largest factor by which a scene is enlarged.
    pub enlarged: f32,
    /// Faces with a smaller shorter side in pixels are ignored.
    pub least: f32,
    /// Share of mirrored pictures.
    pub mirror: f32,
    /// Standard deviation of the rotation, degrees.
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

/// Parameters of the loss.
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
    /// Weight of the cross-entropy of the expression against the shares of the votes.
    pub expression: f32,
    /// Weight of the error of each angle of the head pose, per ten degrees.
    pub head_pose: f32,
    /// Weight of 1 − cosine to the teacher's embedding.
    pub similarity: f32,
    /// Share of a two-class target given to the other class.
    pub smoothing: f32,
    /// Weight of a detector's box offsets; its scores have 1.
    pub boxes: f32,
    /// Weight of faces in the focal loss; places without a face have the rest of 1.
    pub focal_faces: f32,
    /// Exponent of the focal loss: a higher one puts more weight on wrong predictions.
    pub focal_power: f32,
    /// Weight of the keypoints of an anchor-free detector; its scores have 1.
    pub keypoints: f32,
}

impl Default for LossParams {
    fn default() -> Self {
        Self {
            age_target: AgeTarget::Distribution { deviation: 2.5 },
            age: 1.0,
            age_error: 0.05,
            gender: 1.0,
            smile: 1.0,
            expression: 1.0,
            head_pose: 1.0,
            similarity: 1.0,
            smoothing: 0.05,
            boxes: 1.0,
            focal_faces: 0.25,
            focal_power: 2.0,
            keypoints: 5.0,
        }
    }
}

/// Classification of people for training an embedding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityParams {
    /// Least number of training photos for a person to have a class.
    pub least: usize,
    /// Margin that makes a person's own class harder to reach.
    pub margin: Margin,
    /// Factor on cosines before the softmax.
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
        /// The margin.
        by: f32,
    },
    /// Added to the angle (ArcFace).
    Angle {
        /// The margin in radians.
        by: f32,
    },
}

/// Target of the 101 classes for a labelled age.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum AgeTarget {
    /// All on the labelled year.
    Class,
    /// A normal distribution around it (Gao et al., IJCAI 2018); if a set gives the deviation, that one.
    Distribution {
        /// Standard deviation in years.
        deviation: f32,
    },
}

//! Manifests of networks trained by others: the program contains the manifests, but not the weights.

use crate::{InferError, Manifest};

const KNOWN: [(&str, &str); 8] = [
    ("models/known/dlib_face_recognition.toml", include_str!("../../../../models/known/dlib_face_recognition.toml")),
    ("models/known/faceapi_age_gender.toml", include_str!("../../../../models/known/faceapi_age_gender.toml")),
    ("models/known/faceapi_expression.toml", include_str!("../../../../models/known/faceapi_expression.toml")),
    (
        "models/known/face_reidentification_0095.toml",
        include_str!("../../../../models/known/face_reidentification_0095.toml"),
    ),
    ("models/known/head_pose_0001.toml", include_str!("../../../../models/known/head_pose_0001.toml")),
    ("models/known/mtcnn_onet.toml", include_str!("../../../../models/known/mtcnn_onet.toml")),
    ("models/known/ultraface_rfb_320.toml", include_str!("../../../../models/known/ultraface_rfb_320.toml")),
    ("models/known/yunet_n.toml", include_str!("../../../../models/known/yunet_n.toml")),
];

pub(super) fn manifests() -> Result<Vec<Manifest>, InferError> {
    KNOWN.iter().map(|(origin, text)| Manifest::parse(text, origin)).collect()
}

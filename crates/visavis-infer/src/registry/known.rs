//! Manifests of networks that others trained: the program knows them, but does not ship their weights.

use crate::{InferError, Manifest};

const KNOWN: [(&str, &str); 6] = [
    ("models/known/dlib_face_recognition.toml", include_str!("../../../../models/known/dlib_face_recognition.toml")),
    ("models/known/faceapi_age_gender.toml", include_str!("../../../../models/known/faceapi_age_gender.toml")),
    ("models/known/faceapi_expression.toml", include_str!("../../../../models/known/faceapi_expression.toml")),
    ("models/known/mtcnn_onet.toml", include_str!("../../../../models/known/mtcnn_onet.toml")),
    ("models/known/ultraface_rfb_320.toml", include_str!("../../../../models/known/ultraface_rfb_320.toml")),
    ("models/known/yunet_n.toml", include_str!("../../../../models/known/yunet_n.toml")),
];

pub(super) fn manifests() -> Result<Vec<Manifest>, InferError> {
    KNOWN.iter().map(|(origin, text)| Manifest::parse(text, origin)).collect()
}

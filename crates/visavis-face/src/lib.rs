//! Faces: detection, keypoints, alignment, attributes, embedding, tracking, gallery.

//! How well a face can be seen: its size, its sharpness, and the direction of the head.

use std::fmt;

use visavis_image::{Landmarks, Picture};
use visavis_infer::manifest::Crop;

use crate::{FaceView, HeadPose, align};

/// Side in pixels of the aligned crop on which sharpness is measured.
const SHARPNESS_SIDE: u32 = 64;

/// How well a face can be seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Shorter side of the face's box in pixels.
    pub size: f32,
    /// Root mean square of the Laplacian of the aligned face at 64 × 64 pixels, in grey levels of 0–255. About 5 for a face out
    /// of focus, 20 and more for a sharp one.
    pub sharpness: f32,
    /// Distance of the nose from the middle between the eyes, along the line of the eyes, in eye distances. 0 without keypoints.
    pub turn: f32,
    /// Yaw of the head in degrees, without sign; 0 if no network gave the head pose.
    pub yaw: f32,
}

/// The least quality of a face in a gallery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QualityParams {
    /// Least shorter side of the box in pixels: the embeddings of smaller faces of one person scatter.
    pub smallest: f32,
    /// Least sharpness, see [`Quality::sharpness`].
    pub sharpness: f32,
    /// Largest distance of the nose from the middle between the eyes, see [`Quality::turn`]: a head that is turned further hides
    /// half of the face.
    pub most_turn: f32,
    /// Largest yaw in degrees.
    pub most_yaw: f32,
}

impl Default for QualityParams {
    /// For a photo that a person has chosen: only what hardly serves for recognition is refused.
    fn default() -> Self {
        Self { smallest: 32.0, sharpness: 4.0, most_turn: 0.6, most_yaw: 55.0 }
    }
}

/// Why a face is poor. The text names the value and the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flaw {
    /// The shorter side of the box in pixels, and the least one.
    Small(f32, f32),
    /// Sharpness, and the least one.
    Blurred(f32, f32),
    /// The head is turned too far to the side.
    Turned,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small(size, least) => {
                write!(f, "the face is small: {size:.0} pixels, at least {least:.0} are needed")
            }
            Self::Blurred(sharpness, least) => {
                write!(f, "the face is blurred: sharpness {sharpness:.1}, at least {least:.1} is needed")
            }
            Self::Turned => f.write_str("the head is turned to the side"),
        }
    }
}

impl Quality {
    /// Measures the face that `view` describes. `pose` is the head pose, if a network gave it.
    #[must_use]
    pub fn measure(picture: &Picture, view: &FaceView, pose: Option<HeadPose>) -> Self {
        let mut crop = Picture::new(SHARPNESS_SIDE, SHARPNESS_SIDE);
        align::cut(picture, &Crop::Aligned, view, &mut crop);
        Self {
            size: view.rect.width.min(view.rect.height),
            sharpness: sharpness(&crop),
            turn: view.landmarks.as_ref().map_or(0.0, turn),
            yaw: pose.map_or(0.0, |pose| pose.yaw.abs()),
        }
    }

    /// What is below the least quality; empty if nothing is.
    #[must_use]
    pub fn flaws(&self, params: &QualityParams) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        if self.size < params.smallest {
            flaws.push(Flaw::Small(self.size, params.smallest));
        }
        if self.sharpness < params.sharpness {
            flaws.push(Flaw::Blurred(self.sharpness, params.sharpness));
        }
        if self.turn > params.most_turn || self.yaw > params.most_yaw {
            flaws.push(Flaw::Turned);
        }
        flaws
    }

    /// Whether nothing is below the least quality.
    #[must_use]
    pub fn suffices(&self, params: &QualityParams) -> bool {
        self.flaws(params).is_empty()
    }

    /// One number to compare photos of a person by: higher is better.
    #[must_use]
    pub fn score(&self) -> f32 {
        (self.size / 100.0).min(2.0) + (self.sharpness / 30.0).min(1.0) - self.turn - self.yaw / 90.0
    }
}

/// See [`Quality::turn`]. Measured along the line of the eyes, so that a tilted head does not count as a turned one.
fn turn(points: &Landmarks) -> f32 {
    let (middle, eyes) = (points.left_eye.lerp(points.right_eye, 0.5), points.interocular().max(1e-3));
    let (x, y) = (points.nose.x - middle.x, points.nose.y - middle.y);
    let along = (points.right_eye.x - points.left_eye.x) * x + (points.right_eye.y - points.left_eye.y) * y;
    (along / (eyes * eyes)).abs()
}

/// See [`Quality::sharpness`]. Only the middle of the crop counts, because a background may be sharp.
fn sharpness(crop: &Picture) -> f32 {
    let side = crop.width() as usize;
    let grey: Vec<f32> = crop
        .pixels()
        .chunks_exact(3)
        .map(|p| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]))
        .collect();
    let (low, high) = (side / 5, side - side / 5);
    let mut sum = 0.0;
    for y in low..high {
        for x in low..high {
            let at = y * side + x;
            let laplacian = 4.0 * grey[at] - grey[at - 1] - grey[at + 1] - grey[at - side] - grey[at + side];
            sum += laplacian * laplacian;
        }
    }
    (sum / ((high - low) * (high - low)) as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_image::{Point, Rect, face_template};

    /// A picture of vertical stripes; `contrast` in grey levels.
    fn stripes(side: u32, contrast: u8) -> Picture {
        let mut picture = Picture::filled(side, side, [100; 3]);
        let row = side as usize * 3;
        for line in picture.pixels_mut().chunks_exact_mut(row) {
            for pixel in line.chunks_exact_mut(3).step_by(2) {
                pixel.fill(100 + contrast);
            }
        }
        picture
    }

    #[test]
    fn sharp_is_more_than_blurred_and_the_surroundings_do_not_count() {
        assert!(sharpness(&stripes(64, 40)) > 5.0 * sharpness(&stripes(64, 4)));
        let mut bordered = Picture::filled(64, 64, [100; 3]);
        bordered.pixels_mut()[..64 * 3 * 8].copy_from_slice(&stripes(64, 100).pixels()[..64 * 3 * 8]);
        assert!(sharpness(&bordered) < 1e-6);
    }

    #[test]
    fn a_turned_head_is_told_from_a_tilted_one() {
        let frontal = face_template(100);
        let tilted = frontal.map(|p| Point::new(p.x * 0.9 - p.y * 0.4, p.x * 0.4 + p.y * 0.9));
        let turned = Landmarks { nose: frontal.left_eye, ..frontal };
        assert!(turn(&frontal) < 0.05 && turn(&tilted) < 0.05, "{} {}", turn(&frontal), turn(&tilted));
        assert!((turn(&turned) - 0.5).abs() < 0.05, "{}", turn(&turned));
    }

    #[test]
    fn flaws_name_what_is_below_the_limit() {
        let params = QualityParams::default();
        let good = Quality { size: 80.0, sharpness: 15.0, turn: 0.1, yaw: 10.0 };
        assert!(good.flaws(&params).is_empty());
        let poor = Quality { size: 20.0, sharpness: 2.0, turn: 0.1, yaw: 80.0 };
        assert_eq!(poor.flaws(&params), [Flaw::Small(20.0, 32.0), Flaw::Blurred(2.0, 4.0), Flaw::Turned]);
        assert!(poor.score() < good.score());
    }

    #[test]
    fn a_face_is_measured_in_its_picture() {
        // Stripes of two pixels across the whole aligned face: every pixel is at an edge, and its Laplacian is the step.
        let five = face_template(64);
        let mut striped = Picture::filled(64, 64, [90; 3]);
        for (y, x) in (0..64).flat_map(|y| (0..64).map(move |x| (y, x))).filter(|(_, x)| x % 4 < 2) {
            striped.set_pixel(x, y, [190; 3]);
        }
        let rect = Rect::new(10.0, 5.0, 40.0, 50.0);
        let pose = Some(HeadPose { yaw: -34.0, ..HeadPose::default() });
        let sharp = Quality::measure(&striped, &FaceView::upright(rect, Some(five)), pose);
        assert!((sharp.sharpness - 100.0).abs() < 2.0 && sharp.turn < 1e-3, "{sharp:?}");
        assert_eq!((sharp.size, sharp.yaw), (40.0, 34.0));
        let plain = Picture::filled(64, 64, [90; 3]);
        assert!(Quality::measure(&plain, &FaceView::upright(rect, Some(five)), None).sharpness < 1e-3);
    }
}

//! Errors of located keypoints against labelled ones.
//!
//! A face's error is the mean distance of its five keypoints divided by the distance between the labelled eyes (the usual
//! normalisation since Cootes et al.; Sun et al., "Deep convolutional network cascade for facial point detection", 2013,
//! for five points), or by the square root of the area of the labelled box, which is suited to profiles too.

use serde::{Deserialize, Serialize};
use visavis_image::{Landmarks, Rect};

use crate::bootstrap::{Bootstrap, Estimate};

/// A face with an error above this share of the eye distance is a failure (Sun et al. 2013: 10 %).
pub const FAILURE: f64 = 0.10;

/// The points of [`Landmarks`], in their order.
pub const POINT_NAMES: [&str; 5] = ["left eye", "right eye", "nose", "left mouth corner", "right mouth corner"];

/// Steps of [`KeypointReport::cumulative`]: 0.5 % to 25 %.
const CUMULATIVE_STEPS: usize = 50;
const CUMULATIVE_STEP: f64 = 0.005;

/// One face with its labelled and its located keypoints, all in pixels of one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeypointCase {
    /// Labelled.
    pub truth: Landmarks,
    /// Located; `None` if nothing was found, which counts as a failure.
    pub found: Option<Landmarks>,
    /// The labelled box.
    pub rect: Rect,
}

/// The error of one face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceError {
    /// Error of each point, as a share of the eye distance.
    pub points: [f64; 5],
    /// Mean over the points, as a share of the eye distance.
    pub interocular: f64,
    /// Mean over the points, as a share of the box's size √(width · height).
    pub by_box: f64,
}

impl KeypointCase {
    /// Whether an error can be computed: the labelled eyes are at different places and the box has an area.
    #[must_use]
    pub fn is_measurable(&self) -> bool {
        self.truth.interocular() > 0.0 && self.rect.area() > 0.0
    }

    /// The error; `None` if nothing was found or no error can be computed.
    #[must_use]
    pub fn error(&self) -> Option<FaceError> {
        let found = self.found.filter(|_| self.is_measurable())?.to_array();
        let truth = self.truth.to_array();
        let distances: [f64; 5] = std::array::from_fn(|point| f64::from(found[point].distance(truth[point])));
        let eyes = f64::from(self.truth.interocular());
        let mean = distances.iter().sum::<f64>() / 5.0;
        Some(FaceError {
            points: distances.map(|distance| distance / eyes),
            interocular: mean / eyes,
            by_box: mean / f64::from(self.rect.area()).sqrt(),
        })
    }
}

/// One point of a cumulative error distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CumulativePoint {
    /// Error as a share of the eye distance.
    pub error: f64,
    /// Share of the faces with at most this error.
    pub share: f64,
}

/// Figures over faces. Shares of lengths and of faces are 0 to 1; `None` if there are no faces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeypointReport {
    /// Number of faces whose error can be computed.
    pub faces: usize,
    /// Number of those for which nothing was found; they count in the failures and the distribution, not in the means.
    pub missed: usize,
    /// Mean error as a share of the eye distance.
    pub interocular: Option<Estimate>,
    /// Median error as a share of the eye distance; a few faces in profile do not affect it.
    pub median: Option<Estimate>,
    /// Mean error as a share of the box's size.
    pub by_box: Option<Estimate>,
    /// Mean error of each point as a share of the eye distance, in the order of [`POINT_NAMES`].
    pub points: Vec<Estimate>,
    /// Share of the faces with an error above [`FAILURE`].
    pub failures: Option<Estimate>,
    /// The cumulative error distribution in steps of 0.5 % up to 25 %.
    pub cumulative: Vec<CumulativePoint>,
}

/// Computes the figures over `cases`.
#[must_use]
pub fn evaluate(cases: &[KeypointCase], bootstrap: &Bootstrap) -> KeypointReport {
    let all = sorted_errors(cases);
    let found: Vec<FaceError> = cases.iter().filter_map(KeypointCase::error).collect();
    let mean = |pick: &dyn Fn(&FaceError) -> f64| bootstrap.mean(&found.iter().map(pick).collect::<Vec<f64>>());
    let failed: Vec<bool> = all.iter().map(|&error| error > FAILURE).collect();
    let interocular: Vec<f64> = found.iter().map(|error| error.interocular).collect();
    KeypointReport {
        faces: all.len(),
        missed: all.len() - found.len(),
        interocular: bootstrap.mean(&interocular),
        median: bootstrap.median(&interocular),
        by_box: mean(&|error| error.by_box),
        points: (0..5).filter_map(|point| mean(&|error| error.points[point])).collect(),
        failures: bootstrap.share(&failed),
        cumulative: cumulative(&all),
    }
}

/// The errors of all faces for which one can be computed, as shares of the eye distance, ascending; infinite if nothing was
/// found. For plots.
#[must_use]
pub fn sorted_errors(cases: &[KeypointCase]) -> Vec<f64> {
    let measurable = cases.iter().filter(|case| case.is_measurable());
    let mut errors: Vec<f64> =
        measurable.map(|case| case.error().map_or(f64::INFINITY, |error| error.interocular)).collect();
    errors.sort_by(f64::total_cmp);
    errors
}

fn cumulative(sorted: &[f64]) -> Vec<CumulativePoint> {
    if sorted.is_empty() {
        return Vec::new();
    }
    let at = |step: usize| {
        let error = step as f64 * CUMULATIVE_STEP;
        let within = sorted.partition_point(|&found| found <= error);
        CumulativePoint { error, share: within as f64 / sorted.len() as f64 }
    };
    (1..=CUMULATIVE_STEPS).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_image::Point;

    /// Eyes 40 apart in a box of 100 × 81 (size 90).
    fn truth() -> Landmarks {
        Landmarks::from(
            [(30.0, 30.0), (70.0, 30.0), (50.0, 50.0), (35.0, 70.0), (65.0, 70.0)].map(|(x, y)| Point::new(x, y)),
        )
    }

    fn case(found: Option<Landmarks>) -> KeypointCase {
        KeypointCase { truth: truth(), found, rect: Rect::new(0.0, 0.0, 100.0, 81.0) }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    #[test]
    fn error_of_one_face_by_hand() {
        // The nose is off by (3, 4), the left eye by 5: distances 5, 0, 5, 0, 0.
        let mut found = truth();
        found.nose = Point::new(53.0, 54.0);
        found.left_eye = Point::new(25.0, 30.0);
        let error = case(Some(found)).error().unwrap();
        assert_eq!(error.points, [0.125, 0.0, 0.125, 0.0, 0.0]);
        close(error.interocular, 2.0 / 40.0);
        close(error.by_box, 2.0 / 90.0);
    }

    #[test]
    fn figures_of_four_faces_by_hand() {
        let shifted = |by: f32| Some(truth().map(|p| Point::new(p.x + by, p.y)));
        // Errors 0, 2.5 %, 12.5 %, none found.
        let cases = [case(shifted(0.0)), case(shifted(1.0)), case(shifted(5.0)), case(None)];
        let report = evaluate(&cases, &Bootstrap::default());
        assert_eq!((report.faces, report.missed), (4, 1));
        close(report.interocular.unwrap().value, 0.05);
        close(report.median.unwrap().value, 0.025);
        close(report.by_box.unwrap().value, 2.0 / 90.0);
        assert_eq!(report.interocular.unwrap().n, 3);
        report.points.iter().for_each(|point| close(point.value, 0.05));
        assert_eq!((report.failures.unwrap().value, report.failures.unwrap().n), (0.5, 4));
        let share = |error: f64| report.cumulative.iter().find(|at| (at.error - error).abs() < 1e-9).unwrap().share;
        assert_eq!((share(0.02), share(0.025), share(0.1), share(0.25)), (0.25, 0.5, 0.5, 0.75));
    }

    #[test]
    fn faces_without_a_length_are_left_out() {
        let mut profile = case(Some(truth()));
        profile.truth.right_eye = profile.truth.left_eye;
        let report = evaluate(&[profile, case(Some(truth()))], &Bootstrap::default());
        assert_eq!((report.faces, report.missed), (1, 0));
        let nothing = evaluate(&[], &Bootstrap::default());
        assert!(nothing.interocular.is_none() && nothing.cumulative.is_empty() && nothing.points.is_empty());
    }
}

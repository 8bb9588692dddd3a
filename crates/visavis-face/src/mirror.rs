//! Results averaged over a face and its mirror image.

use std::sync::Arc;

use visavis_image::Picture;
use visavis_infer::{Placement, Task};

use crate::findings::{Age, Expression, Findings, Smile};
use crate::recognise::{CutFace, Recognise};
use crate::{FaceError, FaceView};

/// Runs a network on the crop of each face and on the mirrored crop, and averages age, gender, smile and expression. Embedding and
/// head pose are those of the face itself.
///
/// The network makes different errors on the mirrored face, so the mean of both results has a smaller error. For photos this is
/// worth twice the time; live, a face is averaged over many frames anyway.
pub struct MirroredAverage(Box<dyn Recognise>);

impl MirroredAverage {
    /// Averages the results of `network`.
    #[must_use]
    pub fn new(network: Box<dyn Recognise>) -> Self {
        Self(network)
    }
}

impl Recognise for MirroredAverage {
    fn tasks(&self) -> &[Task] {
        self.0.tasks()
    }

    fn needs_landmarks(&self) -> bool {
        self.0.needs_landmarks()
    }

    fn recognise_cut(
        &mut self,
        picture: &Picture,
        faces: &[FaceView],
        cut: &mut CutFace<'_>,
    ) -> Result<Vec<Findings>, FaceError> {
        let straight = self.0.recognise_cut(picture, faces, cut)?;
        let mirrored = self.0.recognise_cut(picture, faces, &mut |face, crop, size| {
            let mut crop = Picture::clone(&cut(face, crop, size));
            crop.mirror();
            Arc::new(crop)
        })?;
        Ok(straight.into_iter().zip(mirrored).map(|(straight, mirrored)| average(straight, mirrored)).collect())
    }

    fn placement(&self) -> Placement {
        self.0.placement()
    }
}

fn average(straight: Findings, mirrored: Findings) -> Findings {
    let mean = |a: f32, b: f32| (a + b) / 2.0;
    let means = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| mean(a, b)).collect::<Vec<_>>();
    Findings {
        age: both(straight.age, mirrored.age, |a, b| match (a.distribution, b.distribution) {
            (Some(a), Some(b)) => Age::from_distribution(means(&a, &b).into()),
            _ => Age { years: mean(a.years, b.years), distribution: None },
        }),
        female: both(straight.female, mirrored.female, mean),
        smile: both(straight.smile, mirrored.smile, |a, b| Smile { share: mean(a.share, b.share), ..a }),
        expression: both(straight.expression, mirrored.expression, |a, b| Expression {
            shares: means(&a.shares, &b.shares),
            labels: a.labels,
        }),
        pose: straight.pose,
        embedding: straight.embedding,
    }
}

fn both<T>(a: Option<T>, b: Option<T>, average: impl FnOnce(T, T) -> T) -> Option<T> {
    a.zip(b).map(|(a, b)| average(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_image::Rect;
    use visavis_infer::manifest::{Crop, Fit};

    use crate::HeadPose;

    /// Estimates the age from the left half of the crop and the gender from its right half.
    struct Halves;

    impl Recognise for Halves {
        fn tasks(&self) -> &[Task] {
            &[Task::Age, Task::Gender, Task::Smile, Task::Expression, Task::HeadPose, Task::Similarity]
        }

        fn needs_landmarks(&self) -> bool {
            false
        }

        fn recognise_cut(
            &mut self,
            _: &Picture,
            faces: &[FaceView],
            cut: &mut CutFace<'_>,
        ) -> Result<Vec<Findings>, FaceError> {
            let find = |face| {
                let crop = cut(face, &Crop::Box { fit: Fit::Square, expand: 1.0 }, [8, 8]);
                let (left, right) = (f32::from(crop.pixel(1, 4)[0]), f32::from(crop.pixel(6, 4)[0]));
                let mut ages = vec![0.0; 101].into_boxed_slice();
                ages[left as usize] = 1.0;
                let expression = Expression { labels: ["calm".to_owned()].into(), shares: vec![left] };
                Findings {
                    age: Some(Age::from_distribution(ages)),
                    female: Some(right / 100.0),
                    smile: Some(Smile { share: left / 100.0, threshold: 0.4 }),
                    expression: Some(expression),
                    pose: Some(HeadPose { yaw: left, pitch: 0.0, roll: 0.0 }),
                    embedding: Some(vec![left]),
                }
            };
            Ok((0..faces.len()).map(find).collect())
        }

        fn placement(&self) -> Placement {
            Placement { engine: "fake".into(), device: "none".into(), threads: 1 }
        }
    }

    #[test]
    fn the_results_for_the_face_and_its_mirror_image_are_averaged() {
        let mut picture = Picture::filled(8, 8, [20; 3]);
        (0..8).for_each(|y| (4..8).for_each(|x| picture.set_pixel(x, y, [60; 3])));
        let face = FaceView::upright(Rect::new(0.0, 0.0, 8.0, 8.0), None);
        let mut network = MirroredAverage::new(Box::new(Halves));
        let found = network.recognise(&picture, &[face]).unwrap().pop().unwrap();
        let age = found.age.unwrap();
        let distribution = age.distribution.unwrap();
        assert_eq!((distribution[20], distribution[60]), (0.5, 0.5));
        assert!((20.0..=60.0).contains(&age.years), "{}", age.years);
        assert_eq!(found.female, Some(0.4));
        assert_eq!(found.smile, Some(Smile { share: 0.4, threshold: 0.4 }));
        assert_eq!(found.expression.unwrap().shares, [40.0]);
        assert_eq!(found.pose.unwrap().yaw, 20.0);
        assert_eq!(found.embedding.unwrap(), [20.0]);
    }
}

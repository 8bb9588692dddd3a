//! The result of one run of one network for one face.

use std::sync::Arc;

use visavis_infer::Task;

/// The result. A network fills the fields of its tasks; the others are `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// Age.
    pub age: Option<Age>,
    /// Probability of "female", 0 to 1; the rest is "male".
    pub female: Option<f32>,
    /// Smiling.
    pub smile: Option<Smile>,
    /// Expression.
    pub expression: Option<Expression>,
    /// Head pose in the picture.
    pub pose: Option<HeadPose>,
    /// Embedding, with the network's own length, not normalised.
    pub embedding: Option<Vec<f32>>,
}

impl Findings {
    /// The results of these tasks only.
    #[must_use]
    pub fn only(self, tasks: &[Task]) -> Self {
        let wanted = |task: Task| tasks.contains(&task);
        Self {
            age: self.age.filter(|_| wanted(Task::Age)),
            female: self.female.filter(|_| wanted(Task::Gender)),
            smile: self.smile.filter(|_| wanted(Task::Smile)),
            expression: self.expression.filter(|_| wanted(Task::Expression)),
            pose: self.pose.filter(|_| wanted(Task::HeadPose)),
            embedding: self.embedding.filter(|_| wanted(Task::Similarity)),
        }
    }

    /// Copies the fields that `other` has.
    pub fn merge(&mut self, other: Findings) {
        self.age = other.age.or(self.age.take());
        self.female = other.female.or(self.female);
        self.smile = other.smile.or(self.smile);
        self.expression = other.expression.or(self.expression.take());
        self.pose = other.pose.or(self.pose);
        self.embedding = other.embedding.or(self.embedding.take());
    }
}

/// An age estimate.
#[derive(Debug, Clone, PartialEq)]
pub struct Age {
    /// Years.
    pub years: f32,
    /// Probability of each year from 0 on, if the network gives them.
    pub distribution: Option<Box<[f32]>>,
}

impl Age {
    /// The median of a distribution: the age with the least expected error. The mean would be too high for children and too low
    /// for old people, whose distributions have one long tail.
    ///
    /// `distribution`: the probability of each year from 0 on. A year is taken as the interval of half a year to both sides.
    #[must_use]
    pub fn from_distribution(distribution: Box<[f32]>) -> Self {
        let half = distribution.iter().sum::<f32>() / 2.0;
        let mut below = 0.0;
        let median = distribution.iter().enumerate().find_map(|(year, &share)| {
            let within = (half - below) / share;
            below += share;
            (share > 0.0 && below >= half).then_some(year as f32 - 0.5 + within)
        });
        Self { years: median.unwrap_or(0.0).max(0.0), distribution: Some(distribution) }
    }
}

/// A smile estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smile {
    /// Probability of "smiling", 0 to 1.
    pub share: f32,
    /// From this probability on it counts as a smile (the network's own threshold).
    pub threshold: f32,
}

/// An expression estimate.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// Names of the classes, as the network's manifest has them.
    pub labels: Arc<[String]>,
    /// The probability of each class, 0 to 1, in the order of `labels`; they sum to 1.
    pub shares: Vec<f32>,
}

impl Expression {
    /// The class with the highest probability, and that probability.
    #[must_use]
    pub fn likeliest(&self) -> Option<(&str, f32)> {
        let pairs = self.labels.iter().map(String::as_str).zip(self.shares.iter().copied());
        pairs.max_by(|(_, a), (_, b)| a.total_cmp(b))
    }
}

/// The orientation of a head, in degrees, as seen in the picture.
///
/// All angles are 0 for an upright face that looks into the camera. The head is first turned by the yaw, then tilted by the
/// pitch, then rotated in the picture by the roll, so that rotating the picture changes the roll alone.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HeadPose {
    /// Above 0 where the nose points to the right edge of the picture.
    pub yaw: f32,
    /// Above 0 where the face looks up.
    pub pitch: f32,
    /// Above 0 where the head is rotated clockwise: the right eye in the picture is lower than the left one. −180 to 180.
    pub roll: f32,
}

impl HeadPose {
    /// Converts a head pose in a crop into one in the picture. The crop's axes are rotated by `degrees` in the picture
    /// (clockwise above 0).
    #[must_use]
    pub fn rotated(self, degrees: f32) -> Self {
        let roll = (self.roll + degrees + 180.0).rem_euclid(360.0) - 180.0;
        Self { roll, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_expression_is_named() {
        let labels: Arc<[String]> = ["neutral", "happiness"].map(str::to_owned).into();
        let expression = Expression { labels, shares: vec![0.3, 0.7] };
        assert_eq!(expression.likeliest(), Some(("happiness", 0.7)));
    }

    #[test]
    fn a_rotated_crop_changes_the_roll_alone() {
        let pose = HeadPose { yaw: 10.0, pitch: -5.0, roll: 170.0 };
        assert_eq!(pose.rotated(20.0), HeadPose { roll: -170.0, ..pose });
        assert_eq!(pose.rotated(-20.0), HeadPose { roll: 150.0, ..pose });
    }

    #[test]
    fn the_age_is_the_median_of_its_distribution() {
        let years = |shares: &[(usize, f32)]| {
            let mut distribution = vec![0.0; 101];
            shares.iter().for_each(|&(year, share)| distribution[year] = share);
            Age::from_distribution(distribution.into()).years
        };
        assert_eq!(years(&[(39, 0.25), (40, 0.5), (41, 0.25)]), 40.0);
        assert_eq!(years(&[(20, 1.0), (40, 1.0), (41, 2.0)]), 40.5);
        assert_eq!(years(&[(2, 0.75), (60, 0.25)]), 1.5 + 0.5 / 0.75);
        assert_eq!(years(&[(0, 1.0)]), 0.0);
        assert_eq!(years(&[]), 0.0);
    }

    #[test]
    fn merge_keeps_what_the_other_does_not_know() {
        let mut a = Findings { female: Some(0.3), ..Findings::default() };
        a.merge(Findings { age: Some(Age { years: 4.0, distribution: None }), ..Findings::default() });
        a.merge(Findings { female: Some(0.9), ..Findings::default() });
        assert_eq!((a.age.map(|age| age.years), a.female), (Some(4.0), Some(0.9)));
    }
}

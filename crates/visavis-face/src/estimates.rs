//! Estimates for a tracked face: recognition results averaged over time.

use std::sync::Arc;

use visavis_infer::Task;

use crate::findings::{Expression, Findings, HeadPose};
use crate::record::Attributes;

/// How single results are averaged. The defaults are those of the demo that came with the paper.
#[derive(Debug, Clone, PartialEq)]
pub struct EstimatesParams {
    /// Weight of a new age, once the mean of the first results has settled: age ← 0.95·age + 0.05·new.
    pub age_weight: f32,
    /// Weight of a new gender.
    pub gender_weight: f32,
    /// Weight of a new smile. High: people expect a quick response to their expression.
    pub smile_weight: f32,
    /// Weight of a new expression.
    pub expression_weight: f32,
    /// Weight of a new head pose.
    pub pose_weight: f32,
    /// Weight of a result in age, gender and similarity, by the head pose.
    pub pose: PoseWeights,
    /// How many of the last comparisons with a gallery count together.
    pub resemblance_window: usize,
    /// Number of results after which age and gender count as steady.
    pub steady_after: u32,
}

impl Default for EstimatesParams {
    fn default() -> Self {
        Self {
            age_weight: 0.05,
            gender_weight: 0.2,
            smile_weight: 0.6,
            expression_weight: 0.6,
            pose_weight: 0.6,
            pose: PoseWeights::default(),
            resemblance_window: 15,
            steady_after: 20,
        }
    }
}

/// Weight of a result by the yaw of the head: networks estimate age, gender and identity worse from a profile than from a
/// frontal face.
///
/// The weight is 1 up to a yaw of `frontal` degrees, `least` from `profile` degrees on, and linear in between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoseWeights {
    /// Up to this yaw to either side, in degrees, a result has the full weight.
    pub frontal: f32,
    /// From this yaw on, in degrees, a result has the least weight.
    pub profile: f32,
    /// The least weight; above 0, so that a face seen only in profile gets estimates too.
    pub least: f32,
}

impl Default for PoseWeights {
    fn default() -> Self {
        Self { frontal: 25.0, profile: 60.0, least: 0.1 }
    }
}

impl PoseWeights {
    /// The weight of a result, `least` to 1; 1 if the pose is not known.
    #[must_use]
    pub fn of(&self, pose: Option<HeadPose>) -> f32 {
        let Some(yaw) = pose.map(|pose| pose.yaw.abs()).filter(|yaw| yaw.is_finite()) else { return 1.0 };
        let turned = ((yaw - self.frontal) / (self.profile - self.frontal).max(1e-3)).clamp(0.0, 1.0);
        1.0 - turned * (1.0 - self.least)
    }
}

/// A running mean: arithmetic at first, later exponential with a fixed weight.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Average {
    value: f32,
    looks: u32,
    /// Sum of the weights so far.
    total: f32,
}

impl Average {
    /// Adds a value with the weight `counts`, 0 to 1.
    fn absorb(&mut self, new: f32, weight: f32, counts: f32) {
        if !new.is_finite() {
            return;
        }
        self.looks = self.looks.saturating_add(1);
        self.total += counts;
        self.value += (new - self.value) * (weight * counts).max(counts / self.total);
    }

    fn get(&self) -> Option<f32> {
        (self.looks > 0).then_some(self.value)
    }
}

/// The running estimates of one face.
#[derive(Debug, Clone, Default)]
pub struct Estimates {
    age: Average,
    female: Average,
    smile: Average,
    smile_threshold: f32,
    expression: Option<Expression>,
    expression_looks: u32,
    /// Yaw, pitch and roll.
    pose: [Average; 3],
    similarity_looks: u32,
    /// `[length]`: the mean embedding, and the sum of its weights.
    embedding: Option<(Arc<[f32]>, f32)>,
    distribution: Option<Arc<[f32]>>,
}

impl Estimates {
    /// Takes in one look, and returns its weight, 0 to 1.
    ///
    /// The weight follows from the look's head pose, or from the average of the last poses where the look has none.
    pub fn absorb(&mut self, findings: &Findings, params: &EstimatesParams) -> f32 {
        if let Some(pose) = findings.pose {
            self.absorb_pose(pose, params.pose_weight);
        }
        let counts = params.pose.of(findings.pose.or(self.pose()));
        if let Some(age) = &findings.age {
            self.age.absorb(age.years, params.age_weight, counts);
            self.distribution = age.distribution.as_deref().map(Arc::from);
        }
        if let Some(female) = findings.female {
            self.female.absorb(female, params.gender_weight, counts);
        }
        if let Some(smile) = findings.smile {
            self.smile.absorb(smile.share, params.smile_weight, 1.0);
            self.smile_threshold = smile.threshold;
        }
        if let Some(expression) = &findings.expression {
            self.absorb_expression(expression, params.expression_weight);
        }
        if let Some(embedding) = &findings.embedding {
            self.similarity_looks = self.similarity_looks.saturating_add(1);
            self.absorb_embedding(embedding, params.age_weight, counts);
        }
        counts
    }

    /// Averaged like the age: an identity does not change either.
    fn absorb_embedding(&mut self, new: &[f32], weight: f32, counts: f32) {
        self.embedding = Some(match &self.embedding {
            Some((mean, total)) if mean.len() == new.len() => {
                let total = total + counts;
                let weight = (weight * counts).max(counts / total);
                (mean.iter().zip(new).map(|(mean, new)| mean + (new - mean) * weight).collect(), total)
            }
            _ => (new.into(), counts),
        });
    }

    fn absorb_expression(&mut self, new: &Expression, weight: f32) {
        if !new.shares.iter().all(|share| share.is_finite()) {
            return;
        }
        self.expression_looks = self.expression_looks.saturating_add(1);
        let weight = weight.max(1.0 / self.expression_looks as f32);
        match &mut self.expression {
            Some(known) if known.labels == new.labels => {
                known.shares.iter_mut().zip(&new.shares).for_each(|(known, new)| *known += (new - *known) * weight);
            }
            known => *known = Some(new.clone()),
        }
    }

    /// The roll is averaged along the shorter way around the circle.
    fn absorb_pose(&mut self, new: HeadPose, weight: f32) {
        let [yaw, pitch, roll] = &mut self.pose;
        yaw.absorb(new.yaw, weight, 1.0);
        pitch.absorb(new.pitch, weight, 1.0);
        let nearest = if roll.looks > 0 { ((new.roll - roll.value) / 360.0).round() * 360.0 } else { 0.0 };
        roll.absorb(new.roll - nearest, weight, 1.0);
    }

    /// Years.
    #[must_use]
    pub fn age(&self) -> Option<f32> {
        self.age.get()
    }

    /// The probabilities of the ages in the last result, if the network gives them.
    #[must_use]
    pub fn age_distribution(&self) -> Option<&Arc<[f32]>> {
        self.distribution.as_ref()
    }

    /// Probability of "female".
    #[must_use]
    pub fn female(&self) -> Option<f32> {
        self.female.get()
    }

    /// Probability of "smiling".
    #[must_use]
    pub fn smile(&self) -> Option<f32> {
        self.smile.get()
    }

    /// Whether the probability of "smiling" reaches the network's threshold.
    #[must_use]
    pub fn is_smiling(&self) -> Option<bool> {
        self.smile().map(|share| share >= self.smile_threshold)
    }

    /// The probabilities of the expressions.
    #[must_use]
    pub fn expression(&self) -> Option<&Expression> {
        self.expression.as_ref()
    }

    /// The head pose.
    #[must_use]
    pub fn pose(&self) -> Option<HeadPose> {
        let [yaw, pitch, roll] = self.pose.map(|angle| angle.get());
        Some(HeadPose { yaw: yaw?, pitch: pitch?, roll: roll? }.rotated(0.0))
    }

    /// What is reported about the face.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes {
            age: self.age(),
            female: self.female(),
            smile: self.smile(),
            smiling: self.is_smiling(),
            expression: self.expression(),
            pose: self.pose(),
        }
    }

    /// `[length]`: the mean embedding of the looks.
    #[must_use]
    pub fn embedding(&self) -> Option<&Arc<[f32]>> {
        self.embedding.as_ref().map(|(mean, _)| mean)
    }

    /// How often the face was looked at for `task`.
    #[must_use]
    pub fn looks(&self, task: Task) -> u32 {
        match task {
            Task::Age => self.age.looks,
            Task::Gender => self.female.looks,
            Task::Smile => self.smile.looks,
            Task::Expression => self.expression_looks,
            Task::HeadPose => self.pose[0].looks,
            Task::Similarity => self.similarity_looks,
            Task::Detection | Task::Keypoints => 0,
        }
    }

    /// Discards the estimates of `task`, for instance after its network was replaced.
    pub fn reset(&mut self, task: Task) {
        match task {
            Task::Age => {
                self.age = Average::default();
                self.distribution = None;
            }
            Task::Gender => self.female = Average::default(),
            Task::Smile => self.smile = Average::default(),
            Task::Expression => (self.expression, self.expression_looks) = (None, 0),
            Task::HeadPose => self.pose = Default::default(),
            Task::Similarity => (self.similarity_looks, self.embedding) = (0, None),
            Task::Detection | Task::Keypoints => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Age, Smile};

    #[test]
    fn the_embedding_is_the_mean_of_the_looks_of_one_network() {
        let params = EstimatesParams::default();
        let mut estimates = Estimates::default();
        assert_eq!(estimates.embedding(), None);
        for vector in [[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]] {
            estimates.absorb(&Findings { embedding: Some(vector.to_vec()), ..Findings::default() }, &params);
        }
        let mean = estimates.embedding().unwrap();
        assert!(mean.iter().all(|value| (value - 1.0).abs() < 1e-6), "{mean:?}");
        estimates.reset(Task::Similarity);
        assert_eq!(estimates.embedding(), None);
    }

    fn look(years: f32) -> Findings {
        Findings { age: Some(Age { years, distribution: None }), ..Findings::default() }
    }

    #[test]
    fn age_is_a_plain_mean_first_and_an_exponential_one_later() {
        let params = EstimatesParams::default();
        let mut estimates = Estimates::default();
        for years in [20.0, 30.0, 40.0] {
            estimates.absorb(&look(years), &params);
        }
        assert!((estimates.age().unwrap() - 30.0).abs() < 1e-4);
        for _ in 0..17 {
            estimates.absorb(&look(30.0), &params);
        }
        let before = estimates.age().unwrap();
        estimates.absorb(&look(50.0), &params);
        assert!((estimates.age().unwrap() - (0.95 * before + 0.05 * 50.0)).abs() < 1e-4);
    }

    #[test]
    fn a_number_that_is_none_changes_nothing() {
        let mut estimates = Estimates::default();
        estimates.absorb(&look(f32::NAN), &EstimatesParams::default());
        assert_eq!(estimates.age(), None);
    }

    #[test]
    fn smile_reacts_within_two_looks() {
        let params = EstimatesParams::default();
        let mut estimates = Estimates::default();
        let smile = |share| Findings { smile: Some(Smile { share, threshold: 0.5 }), ..Findings::default() };
        for _ in 0..10 {
            estimates.absorb(&smile(0.02), &params);
        }
        assert_eq!(estimates.is_smiling(), Some(false));
        estimates.absorb(&smile(0.98), &params);
        assert_eq!(estimates.is_smiling(), Some(true));
    }

    fn posed(yaw: f32, findings: Findings) -> Findings {
        Findings { pose: Some(HeadPose { yaw, pitch: 0.0, roll: 0.0 }), ..findings }
    }

    #[test]
    fn a_profile_counts_less() {
        let params = EstimatesParams::default();
        for (yaw, counts) in [(0.0, 1.0), (25.0, 1.0), (42.5, 0.55), (-60.0, 0.1), (90.0, 0.1), (f32::NAN, 1.0)] {
            let found = params.pose.of(Some(HeadPose { yaw, ..HeadPose::default() }));
            assert!((found - counts).abs() < 1e-6, "{yaw}: {found}");
        }
        assert_eq!(params.pose.of(None), 1.0);
        // One frontal result and ten in profile: each of the ten has a weight of a tenth.
        let mut estimates = Estimates::default();
        estimates.absorb(&posed(0.0, look(20.0)), &params);
        for _ in 0..10 {
            estimates.absorb(&posed(80.0, look(40.0)), &params);
        }
        assert!((estimates.age().unwrap() - 30.0).abs() < 1e-3, "{:?}", estimates.age());
        assert_eq!(estimates.looks(Task::Age), 11);
        // A look without a pose counts as much as the average of the last poses says.
        assert!((estimates.absorb(&look(30.0), &params) - 0.1).abs() < 1e-6);
    }

    #[test]
    fn the_roll_is_averaged_around_the_circle() {
        let params = EstimatesParams { pose_weight: 0.0, ..EstimatesParams::default() };
        let mut estimates = Estimates::default();
        for roll in [170.0, -170.0] {
            let pose = Some(HeadPose { roll, ..HeadPose::default() });
            estimates.absorb(&Findings { pose, ..Findings::default() }, &params);
        }
        assert!((estimates.pose().unwrap().roll.abs() - 180.0).abs() < 1e-3, "{:?}", estimates.pose());
    }

    #[test]
    fn expressions_are_averaged_class_by_class() {
        let params = EstimatesParams::default();
        let mut estimates = Estimates::default();
        let labels: Arc<[String]> = ["neutral", "anger"].map(str::to_owned).into();
        let mut see = |shares: [f32; 2]| {
            let expression = Expression { labels: Arc::clone(&labels), shares: shares.to_vec() };
            estimates.absorb(&Findings { expression: Some(expression), ..Findings::default() }, &params);
            estimates.expression().unwrap().shares.clone()
        };
        assert_eq!(see([1.0, 0.0]), [1.0, 0.0]);
        let second = see([0.0, 1.0]);
        assert!((second[0] - 0.4).abs() < 1e-6 && (second[1] - 0.6).abs() < 1e-6, "{second:?}");
        // A value that is not a number changes nothing.
        assert_eq!(see([f32::NAN, 1.0]), second);
        estimates.reset(Task::Expression);
        assert_eq!((estimates.expression(), estimates.looks(Task::Expression)), (None, 0));
    }
}

//! What is believed of a tracked face: single looks, averaged over time.

use std::collections::VecDeque;
use std::sync::Arc;

use visavis_infer::Task;

use crate::Findings;
use crate::gallery::Match;
use crate::resemblance::Resemblance;

/// How single looks become a steady answer. The defaults are those of the demo that came with the paper.
#[derive(Debug, Clone, PartialEq)]
pub struct EstimatesParams {
    /// Weight of a new age, once the mean of the first looks has settled: age ← 0.95·age + 0.05·new.
    pub age_weight: f32,
    /// Weight of a new gender.
    pub gender_weight: f32,
    /// Weight of a new smile. High: people expect a quick response to their expression.
    pub smile_weight: f32,
    /// Whom a face resembles is the majority of this many last looks.
    pub resemblance_window: usize,
    /// Looks after which age and gender count as steady.
    pub steady_after: u32,
}

impl Default for EstimatesParams {
    fn default() -> Self {
        Self { age_weight: 0.05, gender_weight: 0.2, smile_weight: 0.6, resemblance_window: 15, steady_after: 20 }
    }
}

/// A mean that forgets: plain at first, exponential with a fixed weight later.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Average {
    value: f32,
    looks: u32,
}

impl Average {
    fn absorb(&mut self, new: f32, weight: f32) {
        if !new.is_finite() {
            return;
        }
        self.looks = self.looks.saturating_add(1);
        self.value += (new - self.value) * weight.max(1.0 / self.looks as f32);
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
    /// Of each look the nearest people of the gallery, nearest first.
    looks: VecDeque<Vec<Match>>,
    similarity_looks: u32,
    distribution: Option<Arc<[f32]>>,
}

impl Estimates {
    /// Takes in one look. `nearest` are the best matches in the gallery, best first, where the look had an embedding.
    pub fn absorb(&mut self, findings: &Findings, nearest: Vec<Match>, params: &EstimatesParams) {
        if let Some(age) = &findings.age {
            self.age.absorb(age.years, params.age_weight);
            self.distribution = age.distribution.as_deref().map(Arc::from);
        }
        if let Some(female) = findings.female {
            self.female.absorb(female, params.gender_weight);
        }
        if let Some(smile) = findings.smile {
            self.smile.absorb(smile.share, params.smile_weight);
            self.smile_threshold = smile.threshold;
        }
        if findings.embedding.is_some() {
            self.similarity_looks = self.similarity_looks.saturating_add(1);
            self.looks.push_back(nearest);
            while self.looks.len() > params.resemblance_window.max(1) {
                self.looks.pop_front();
            }
            if self.is_newcomer_to_the_gallery() {
                self.looks.drain(..self.looks.len() - 2);
            }
        }
    }

    /// Whether the last two looks say that the face is somebody whom no look before had even among the nearest: then they were
    /// added to the gallery since, and what was said before is of a gallery without them.
    fn is_newcomer_to_the_gallery(&self) -> bool {
        let mut latest = self.looks.iter().rev();
        let first = |look: Option<&Vec<Match>>| {
            look.and_then(|look| look.first()).filter(|found| found.same_person).map(|found| found.person)
        };
        let person = first(latest.next());
        person.is_some()
            && first(latest.next()) == person
            && latest.all(|look| look.iter().all(|found| Some(found.person) != person))
    }

    /// Years.
    #[must_use]
    pub fn age(&self) -> Option<f32> {
        self.age.get()
    }

    /// The age classes of the last look, where the network tells them.
    #[must_use]
    pub fn age_distribution(&self) -> Option<&Arc<[f32]>> {
        self.distribution.as_ref()
    }

    /// Share of "female".
    #[must_use]
    pub fn female(&self) -> Option<f32> {
        self.female.get()
    }

    /// Share of "smiling".
    #[must_use]
    pub fn smile(&self) -> Option<f32> {
        self.smile.get()
    }

    /// Whether the share of "smiling" reaches the network's threshold.
    #[must_use]
    pub fn is_smiling(&self) -> Option<bool> {
        self.smile().map(|share| share >= self.smile_threshold)
    }

    /// Whom the face resembles, best first: who came first in most of the last looks; of equals, the nearer one.
    #[must_use]
    pub fn resemblances(&self) -> Vec<Resemblance> {
        let mut people: Vec<(usize, Resemblance)> = Vec::new();
        for candidate in self.looks.iter().flatten() {
            if people.iter().any(|(_, known)| known.person == candidate.person) {
                continue;
            }
            let (mut votes, mut seen, mut near, mut sum, mut photo) = (0, 0, 0, 0.0, candidate.photo);
            for look in &self.looks {
                let Some(place) = look.iter().position(|found| found.person == candidate.person) else { continue };
                votes += usize::from(place == 0);
                seen += 1;
                near += usize::from(look[place].same_person);
                sum += look[place].similarity;
                // The latest look that found them.
                photo = look[place].photo;
            }
            people.push((
                votes,
                Resemblance {
                    name: Arc::clone(&candidate.name),
                    person: candidate.person,
                    photo,
                    similarity: sum / seen as f32,
                    same_person: near * 2 > seen,
                },
            ));
        }
        people.sort_by(|(a, first), (b, second)| b.cmp(a).then(second.similarity.total_cmp(&first.similarity)));
        people.into_iter().map(|(_, resemblance)| resemblance).collect()
    }

    /// How often the face was looked at for `task`.
    #[must_use]
    pub fn looks(&self, task: Task) -> u32 {
        match task {
            Task::Age => self.age.looks,
            Task::Gender => self.female.looks,
            Task::Smile => self.smile.looks,
            Task::Similarity => self.similarity_looks,
            Task::Detection | Task::Keypoints => 0,
        }
    }

    /// Forgets what `task` said, as after its network was switched: the new one starts with a clean slate.
    pub fn reset(&mut self, task: Task) {
        match task {
            Task::Age => {
                self.age = Average::default();
                self.distribution = None;
            }
            Task::Gender => self.female = Average::default(),
            Task::Smile => self.smile = Average::default(),
            Task::Similarity => {
                self.looks.clear();
                self.similarity_looks = 0;
            }
            Task::Detection | Task::Keypoints => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Age, Smile};
    use crate::gallery::{PersonId, PhotoId};

    fn look(years: f32) -> Findings {
        Findings { age: Some(Age { years, distribution: None }), ..Findings::default() }
    }

    fn found(person: i64, similarity: f32) -> Match {
        Match {
            person: PersonId(person),
            name: format!("p{person}").into(),
            photo: PhotoId(person * 10),
            distance: 1.0 - similarity,
            similarity,
            same_person: similarity > 0.5,
            watched: false,
        }
    }

    #[test]
    fn age_is_a_plain_mean_first_and_an_exponential_one_later() {
        let params = EstimatesParams::default();
        let mut estimates = Estimates::default();
        for years in [20.0, 30.0, 40.0] {
            estimates.absorb(&look(years), Vec::new(), &params);
        }
        assert!((estimates.age().unwrap() - 30.0).abs() < 1e-4);
        for _ in 0..17 {
            estimates.absorb(&look(30.0), Vec::new(), &params);
        }
        let before = estimates.age().unwrap();
        estimates.absorb(&look(50.0), Vec::new(), &params);
        assert!((estimates.age().unwrap() - (0.95 * before + 0.05 * 50.0)).abs() < 1e-4);
    }

    #[test]
    fn a_number_that_is_none_changes_nothing() {
        let mut estimates = Estimates::default();
        estimates.absorb(&look(f32::NAN), Vec::new(), &EstimatesParams::default());
        assert_eq!(estimates.age(), None);
    }

    #[test]
    fn smile_reacts_within_two_looks() {
        let params = EstimatesParams::default();
        let mut estimates = Estimates::default();
        let smile = |share| Findings { smile: Some(Smile { share, threshold: 0.5 }), ..Findings::default() };
        for _ in 0..10 {
            estimates.absorb(&smile(0.02), Vec::new(), &params);
        }
        assert_eq!(estimates.is_smiling(), Some(false));
        estimates.absorb(&smile(0.98), Vec::new(), &params);
        assert_eq!(estimates.is_smiling(), Some(true));
    }

    #[test]
    fn who_was_just_added_to_the_gallery_is_told_at_once() {
        let params = EstimatesParams::default();
        let mut estimates = Estimates::default();
        let seen = Findings { embedding: Some(vec![]), ..Findings::default() };
        let first = |estimates: &Estimates| estimates.resemblances()[0].person.0;
        for _ in 0..15 {
            estimates.absorb(&seen, vec![found(1, 0.4), found(2, 0.3)], &params);
        }
        for look in 0..2 {
            assert_eq!(first(&estimates), 1, "look {look}");
            estimates.absorb(&seen, vec![found(9, 0.9), found(1, 0.4)], &params);
        }
        assert_eq!(first(&estimates), 9);
        // Somebody who was near all the time needs the majority.
        for _ in 0..2 {
            estimates.absorb(&seen, vec![found(1, 0.95), found(9, 0.9)], &params);
        }
        estimates.absorb(&seen, vec![found(9, 0.9), found(1, 0.4)], &params);
        assert_eq!(first(&estimates), 9);
    }

    #[test]
    fn resemblance_is_the_majority_and_ties_go_to_the_nearer() {
        let params = EstimatesParams { resemblance_window: 5, ..EstimatesParams::default() };
        let mut estimates = Estimates::default();
        let seen = Findings { embedding: Some(vec![]), ..Findings::default() };
        for (person, similarity) in [(1, 0.4), (2, 0.7), (1, 0.5)] {
            estimates.absorb(&seen, vec![found(person, similarity)], &params);
        }
        let resemblance = estimates.resemblances()[0].clone();
        assert_eq!((resemblance.person, resemblance.same_person), (PersonId(1), false));
        assert!((resemblance.similarity - 0.45).abs() < 1e-6);
        estimates.absorb(&seen, vec![found(2, 0.8)], &params);
        assert_eq!(estimates.resemblances()[0].clone().person, PersonId(2));
        // Who never came first stands behind those who did, however near.
        estimates.absorb(&seen, vec![found(2, 0.8), found(3, 0.79)], &params);
        let people: Vec<i64> = estimates.resemblances().iter().map(|found| found.person.0).collect();
        assert_eq!(people, [2, 1, 3]);
        // The window moves on.
        for _ in 0..5 {
            estimates.absorb(&seen, Vec::new(), &params);
        }
        assert_eq!(estimates.resemblances(), []);
        assert_eq!(estimates.looks(Task::Similarity), 10);
        estimates.reset(Task::Similarity);
        assert_eq!(estimates.looks(Task::Similarity), 0);
    }
}

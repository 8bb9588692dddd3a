//! For each face of a frame, the most similar people of the gallery, computed from the last comparisons of the face with the gallery.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::{Match, PersonId, PhotoId};

/// A person that a face resembles.
#[derive(Debug, Clone, PartialEq)]
pub struct Resemblance {
    /// Name of the person in the gallery.
    pub name: Arc<str>,
    /// The person's number in the gallery.
    pub person: PersonId,
    /// The photo that was nearest in the latest comparison that found this person.
    pub photo: PhotoId,
    /// Similarity on a scale from 0 to 1, the mean over the comparisons that found this person; not a probability. See
    /// [`EmbeddingId::likeness`](crate::EmbeddingId::likeness).
    pub likeness: f32,
    /// The probability that the face is this person, 0 to 1: the mean over all comparisons, where a comparison that did not
    /// find the person counts as 0. See [`identify`](crate::identify). `None` if the distances of the network were not
    /// measured.
    pub identified: Option<f32>,
    /// Whether the face is identified as this person: most of the comparisons that found the person identify it, and their
    /// weight is at least half of that of all comparisons.
    pub same_person: bool,
}

/// The last comparisons of one tracked face with the gallery.
#[derive(Debug, Clone, Default)]
pub struct Comparisons {
    /// For each comparison its weight and the nearest people, nearest first. The oldest comparison comes first.
    all: VecDeque<(f32, Vec<Match>)>,
}

impl Comparisons {
    /// Adds a comparison: its weight, 0 to 1, and the nearest people, nearest first. Keeps the last `window` comparisons.
    pub fn push(&mut self, weight: f32, nearest: Vec<Match>, window: usize) {
        self.all.push_back((weight, nearest));
        while self.all.len() > window.max(1) {
            self.all.pop_front();
        }
        if self.is_newcomer_to_the_gallery() {
            self.all.drain(..self.all.len() - 2);
        }
    }

    /// Removes all comparisons, for example after the network was switched.
    pub fn clear(&mut self) {
        self.all.clear();
    }

    /// Whether the last two comparisons identified the face as a person who was not among the nearest in any earlier
    /// comparison. The person was then added to the gallery in between, and the earlier comparisons are out of date.
    fn is_newcomer_to_the_gallery(&self) -> bool {
        let mut latest = self.all.iter().rev().map(|(_, look)| look);
        let first = |look: Option<&Vec<Match>>| {
            look.and_then(|look| look.first()).filter(|found| found.same_person).map(|found| found.person)
        };
        let person = first(latest.next());
        person.is_some()
            && first(latest.next()) == person
            && latest.all(|look| look.iter().all(|found| Some(found.person) != person))
    }

    /// Whether the last comparison identified the face as the same person as most comparisons did, or as no person as most
    /// did.
    #[must_use]
    pub fn last_look_agrees(&self) -> bool {
        let taken_for = |look: &[Match]| look.first().filter(|found| found.same_person).map(|found| found.person);
        let Some((_, last)) = self.all.back() else { return true };
        let same = |(_, look): &&(f32, Vec<Match>)| taken_for(look) == taken_for(last);
        2 * self.all.iter().filter(same).count() > self.all.len()
    }

    /// The most similar people, best first: sorted by how often a person was the nearest in the last comparisons, and among
    /// people with equal counts by likeness.
    #[must_use]
    pub fn resemblances(&self) -> Vec<Resemblance> {
        let mut people: Vec<(f32, Resemblance)> = Vec::new();
        let all: f32 = self.all.iter().map(|(counts, _)| counts).sum();
        for candidate in self.all.iter().flat_map(|(_, look)| look) {
            if people.iter().any(|(_, known)| known.person == candidate.person) {
                continue;
            }
            let (mut votes, mut seen, mut near, mut sum, mut photo) = (0.0, 0.0, 0.0, 0.0, candidate.photo);
            let mut chances: Option<f32> = None;
            for (counts, look) in &self.all {
                let Some(place) = look.iter().position(|found| found.person == candidate.person) else { continue };
                seen += counts;
                sum += counts * look[place].likeness;
                if let Some(chance) = look[place].identified {
                    *chances.get_or_insert(0.0) += counts * chance;
                }
                if place == 0 {
                    votes += counts;
                }
                if look[place].same_person {
                    near += counts;
                }
                // The latest comparison that found them.
                photo = look[place].photo;
            }
            people.push((
                votes,
                Resemblance {
                    name: Arc::clone(&candidate.name),
                    person: candidate.person,
                    photo,
                    likeness: sum / seen,
                    identified: chances.map(|chances| chances / all),
                    same_person: near * 2.0 > seen && near * 2.0 >= all,
                },
            ));
        }
        people.sort_by(|(a, first), (b, second)| b.total_cmp(a).then(second.likeness.total_cmp(&first.likeness)));
        people.into_iter().map(|(_, resemblance)| resemblance).collect()
    }
}

/// Assigns a different person to each face of a frame, since a person cannot be in two places at once. `wishes` has,
/// for each face, its most similar people, best first.
///
/// This is stable matching (Gale and Shapley 1962): faces propose in the order of their wishes, and a person with several
/// proposals goes to the nearest face. So a face without a rival gets its first wish. A face that is left without a person
/// gets its first wish too, since there is no better one.
#[must_use]
pub fn tell_apart(wishes: &[Vec<Resemblance>]) -> Vec<Option<Resemblance>> {
    let mut asked = vec![0; wishes.len()];
    let mut given: Vec<Option<usize>> = vec![None; wishes.len()];
    let mut asking: Vec<usize> = (0..wishes.len()).rev().collect();
    while let Some(face) = asking.pop() {
        let Some(wish) = wishes[face].get(asked[face]) else { continue };
        asked[face] += 1;
        let holder = (0..wishes.len())
            .find(|&other| given[other].is_some_and(|place| wishes[other][place].person == wish.person));
        match holder {
            Some(other) => {
                let held = &wishes[other][asked[other] - 1];
                let nearer = (wish.same_person, wish.likeness) > (held.same_person, held.likeness);
                if nearer {
                    given[face] = Some(asked[face] - 1);
                    given[other] = None;
                }
                asking.push(if nearer { other } else { face });
            }
            None => given[face] = Some(asked[face] - 1),
        }
    }
    let chosen = |(wishes, given): (&Vec<Resemblance>, Option<usize>)| wishes.get(given.unwrap_or(0)).cloned();
    wishes.iter().zip(given).map(chosen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn like(person: i64, similarity: f32) -> Resemblance {
        let (name, photo) = (format!("p{person}").into(), PhotoId(person));
        Resemblance {
            name,
            person: PersonId(person),
            photo,
            likeness: similarity,
            identified: None,
            same_person: similarity > 0.5,
        }
    }

    fn people(wishes: &[Vec<Resemblance>]) -> Vec<Option<i64>> {
        tell_apart(wishes).iter().map(|found| found.as_ref().map(|found| found.person.0)).collect()
    }

    #[test]
    fn the_nearer_face_keeps_the_person_and_the_other_takes_the_next() {
        let near = vec![like(1, 0.9), like(2, 0.4)];
        let far = vec![like(1, 0.6), like(3, 0.3)];
        assert_eq!(people(&[far.clone(), near.clone()]), [Some(3), Some(1)]);
        // Without a rival each face gets its first wish; without wishes it gets no person.
        assert_eq!(people(&[far, Vec::new()]), [Some(1), None]);
        // There is no other person: both faces get the same one.
        assert_eq!(people(&[vec![like(1, 0.6)], near]), [Some(1), Some(1)]);
    }

    #[test]
    fn who_is_sent_away_may_send_away_another() {
        let wishes = [vec![like(1, 0.5), like(2, 0.45)], vec![like(1, 0.8)], vec![like(2, 0.3), like(3, 0.2)]];
        assert_eq!(people(&wishes), [Some(2), Some(1), Some(3)]);
    }

    /// Number of comparisons that are kept.
    const WINDOW: usize = 15;

    fn found(person: i64, similarity: f32) -> Match {
        Match {
            person: PersonId(person),
            name: format!("p{person}").into(),
            photo: PhotoId(person * 10),
            distance: 1.0 - similarity,
            likeness: similarity,
            identified: None,
            same_person: similarity > 0.5,
            watched: false,
        }
    }

    #[test]
    fn looks_at_a_profile_do_not_outvote_a_look_from_the_front() {
        let mut comparisons = Comparisons::default();
        comparisons.push(1.0, vec![found(1, 0.8), found(2, 0.2)], WINDOW);
        for _ in 0..4 {
            comparisons.push(0.1, vec![found(2, 0.9), found(1, 0.3)], WINDOW);
        }
        assert_eq!(comparisons.resemblances()[0].person, PersonId(1));
    }

    #[test]
    fn who_was_just_added_to_the_gallery_is_told_at_once() {
        let mut comparisons = Comparisons::default();
        let first = |comparisons: &Comparisons| comparisons.resemblances()[0].person.0;
        for _ in 0..15 {
            comparisons.push(1.0, vec![found(1, 0.4), found(2, 0.3)], WINDOW);
        }
        for look in 0..2 {
            assert_eq!(first(&comparisons), 1, "look {look}");
            comparisons.push(1.0, vec![found(9, 0.9), found(1, 0.4)], WINDOW);
        }
        assert_eq!(first(&comparisons), 9);
        // A person who was always among the nearest needs the majority.
        for _ in 0..2 {
            comparisons.push(1.0, vec![found(1, 0.95), found(9, 0.9)], WINDOW);
        }
        comparisons.push(1.0, vec![found(9, 0.9), found(1, 0.4)], WINDOW);
        assert_eq!(first(&comparisons), 9);
    }

    #[test]
    fn a_look_that_disagrees_with_the_others_is_told() {
        let mut comparisons = Comparisons::default();
        let mut agrees = |look: Vec<Match>| {
            comparisons.push(1.0, look, WINDOW);
            comparisons.last_look_agrees()
        };
        assert!(agrees(vec![found(1, 0.9)]) && agrees(vec![found(1, 0.8)]));
        assert!(!agrees(vec![found(2, 0.9)]), "another person");
        assert!(agrees(vec![found(1, 0.9)]));
        assert!(!agrees(vec![found(1, 0.2)]), "no person");
    }

    #[test]
    fn a_person_found_in_some_looks_is_identified_by_as_much() {
        let mut comparisons = Comparisons::default();
        let chance = |person, chance| Match { identified: Some(chance), ..found(person, 0.9) };
        for look in [vec![chance(1, 0.9)], vec![chance(1, 0.8), chance(2, 0.1)], vec![chance(2, 0.7)], Vec::new()] {
            comparisons.push(1.0, look, WINDOW);
        }
        let people = comparisons.resemblances();
        let of = |person: i64| people.iter().find(|found| found.person.0 == person).unwrap();
        assert!((of(1).identified.unwrap() - 1.7 / 4.0).abs() < 1e-6, "{people:?}");
        assert!((of(2).identified.unwrap() - 0.2).abs() < 1e-6);
        assert!(of(1).same_person, "two of four looks");
        // One comparison is less than half of all.
        comparisons.push(1.0, Vec::new(), WINDOW);
        assert!(!comparisons.resemblances()[0].same_person);
    }

    #[test]
    fn resemblance_is_the_majority_and_ties_go_to_the_nearer() {
        const WINDOW: usize = 5;
        let mut comparisons = Comparisons::default();
        for (person, similarity) in [(1, 0.4), (2, 0.7), (1, 0.5)] {
            comparisons.push(1.0, vec![found(person, similarity)], WINDOW);
        }
        let resemblance = comparisons.resemblances()[0].clone();
        assert_eq!((resemblance.person, resemblance.same_person), (PersonId(1), false));
        assert!((resemblance.likeness - 0.45).abs() < 1e-6);
        comparisons.push(1.0, vec![found(2, 0.8)], WINDOW);
        assert_eq!(comparisons.resemblances()[0].clone().person, PersonId(2));
        // A person who never came first ranks behind those who did, however near.
        comparisons.push(1.0, vec![found(2, 0.8), found(3, 0.79)], WINDOW);
        let people: Vec<i64> = comparisons.resemblances().iter().map(|found| found.person.0).collect();
        assert_eq!(people, [2, 1, 3]);
        // Old comparisons leave the window.
        for _ in 0..5 {
            comparisons.push(1.0, Vec::new(), WINDOW);
        }
        assert_eq!(comparisons.resemblances(), []);
    }

    proptest! {
        #[test]
        fn no_person_is_at_two_places_where_there_are_enough(scores in prop::collection::vec(prop::collection::vec(0.0f32..1.0, 6), 1..6)) {
            // Each face resembles six people, more than there are faces.
            let wishes: Vec<Vec<Resemblance>> = scores.iter().map(|scores| {
                let mut all: Vec<Resemblance> = scores.iter().zip(1..).map(|(score, person)| like(person, *score)).collect();
                all.sort_by(|a, b| b.likeness.total_cmp(&a.likeness));
                all
            }).collect();
            let mut given: Vec<i64> = people(&wishes).into_iter().flatten().collect();
            prop_assert_eq!(given.len(), wishes.len());
            given.sort_unstable();
            given.dedup();
            prop_assert_eq!(given.len(), wishes.len());
        }
    }
}

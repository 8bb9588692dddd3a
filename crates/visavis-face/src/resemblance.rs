//! Whom the faces of one frame resemble.

use std::sync::Arc;

use crate::gallery::{PersonId, PhotoId};

/// Whom a face resembles.
#[derive(Debug, Clone, PartialEq)]
pub struct Resemblance {
    /// Name of the person in the gallery.
    pub name: Arc<str>,
    /// The person's number in the gallery.
    pub person: PersonId,
    /// The photo that was nearest at the last look that found this person.
    pub photo: PhotoId,
    /// 0 to 1, mean over the looks that found this person.
    pub similarity: f32,
    /// Whether most of those looks were near enough to be the same person.
    pub same_person: bool,
}

/// Gives each face of a frame somebody of its own: nobody is at two places at once. `wishes` has whom each face resembles, best
/// first.
///
/// Faces ask in the order of their wishes, and whom several ask for goes to the one that is nearest (Gale and Shapley 1962), so
/// that a face without a rival keeps its first wish. A face that is left with nobody gets its first wish all the same: there
/// is no better one.
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
                let nearer = (wish.same_person, wish.similarity) > (held.same_person, held.similarity);
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
        Resemblance { name, person: PersonId(person), photo, similarity, same_person: similarity > 0.5 }
    }

    fn people(wishes: &[Vec<Resemblance>]) -> Vec<Option<i64>> {
        tell_apart(wishes).iter().map(|found| found.as_ref().map(|found| found.person.0)).collect()
    }

    #[test]
    fn the_nearer_face_keeps_the_person_and_the_other_takes_the_next() {
        let near = vec![like(1, 0.9), like(2, 0.4)];
        let far = vec![like(1, 0.6), like(3, 0.3)];
        assert_eq!(people(&[far.clone(), near.clone()]), [Some(3), Some(1)]);
        // Without a rival everybody keeps the first wish, and without wishes nobody is given.
        assert_eq!(people(&[far, Vec::new()]), [Some(1), None]);
        // There is nobody else: better twice than not at all.
        assert_eq!(people(&[vec![like(1, 0.6)], near]), [Some(1), Some(1)]);
    }

    #[test]
    fn who_is_sent_away_may_send_away_another() {
        let wishes = [vec![like(1, 0.5), like(2, 0.45)], vec![like(1, 0.8)], vec![like(2, 0.3), like(3, 0.2)]];
        assert_eq!(people(&wishes), [Some(2), Some(1), Some(3)]);
    }

    proptest! {
        #[test]
        fn nobody_is_at_two_places_where_there_are_enough(scores in prop::collection::vec(prop::collection::vec(0.0f32..1.0, 6), 1..6)) {
            // Everybody knows six people, of whom there are more than faces.
            let wishes: Vec<Vec<Resemblance>> = scores.iter().map(|scores| {
                let mut all: Vec<Resemblance> = scores.iter().zip(1..).map(|(score, person)| like(person, *score)).collect();
                all.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
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

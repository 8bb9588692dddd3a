//! Accuracy of embeddings: identification by rank (CMC, mAP), verification of pairs (accuracy, true accept rate at a false
//! accept rate), and open-set identification (FNIR at FPIR).

mod calibration;
mod strangers;

pub use calibration::{Calibration, calibrate};
pub use strangers::{GalleryCheck, GalleryTrial, made_up};

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use visavis_gallery::distance;
use visavis_infer::manifest::Metric;

use crate::bootstrap::{Bootstrap, Estimate};
use crate::random::Random;

/// One of this many identities is a stranger, who is not in the gallery.
const STRANGERS: usize = 3;
/// One of this many photos of an identity is a query; the others are in the gallery.
const QUERIES: usize = 3;

/// One face: its identity and its embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded<'a> {
    /// Its file, which decides whether it is a query.
    pub file: &'a str,
    /// The person.
    pub identity: &'a str,
    /// The embedding.
    pub vector: &'a [f32],
}

/// Identification by the protocol of re-identification: the gallery's photos are ranked for every query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identification {
    /// Share of queries whose nearest photo shows the same person.
    pub rank_1: Estimate,
    /// The same among the nearest five.
    pub rank_5: Estimate,
    /// The same among the nearest ten.
    pub rank_10: Estimate,
    /// Mean over the queries of the average precision of all photos of the person.
    pub mean_average_precision: Estimate,
    /// Photos in the gallery.
    pub gallery: usize,
    /// People in the gallery.
    pub people: usize,
}

/// Open-set identification: some queries are of people who are not in the gallery (ISO/IEC 19795-1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenSet {
    /// False positive identification rate for which the threshold is set: strangers who are identified as a person.
    pub fpir: f64,
    /// False negative identification rate: people of the gallery who are not ranked first, or not near enough.
    pub fnir: Estimate,
    /// The threshold, a distance.
    pub threshold: f32,
    /// Queries of strangers.
    pub strangers: usize,
}

/// Verification of pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Share of pairs classified correctly, each fold with the threshold that is best on the others (LFW's protocol).
    pub accuracy: Estimate,
    /// True accept rates at false accept rates of 1 % and 0.1 %, over all pairs.
    pub accepted: [(f64, Option<f64>); 2],
    /// The best threshold over all pairs, a distance.
    pub threshold: f32,
}

/// A pair of faces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Their distance.
    pub distance: f32,
    /// Whether they are of one person.
    pub same: bool,
    /// The fold.
    pub fold: u32,
}

/// The indices of the queries and of the gallery. People with one photo are in the gallery only.
///
/// The photos of a person are ordered by a hash of their files. The first of them are queries: one of [`QUERIES`], rounded up.
fn sides(faces: &[Embedded]) -> (Vec<usize>, Vec<usize>) {
    let mut people: HashMap<&str, Vec<(u64, usize)>> = HashMap::new();
    for (place, face) in faces.iter().enumerate() {
        people.entry(face.identity).or_default().push((Random::named(1, face.file).next(), place));
    }
    let (mut queries, mut gallery) = (Vec::new(), Vec::new());
    for photos in people.values_mut() {
        photos.sort_unstable();
        let asking = if photos.len() < 2 { 0 } else { photos.len().div_ceil(QUERIES) };
        queries.extend(photos[..asking].iter().map(|(_, place)| *place));
        gallery.extend(photos[asking..].iter().map(|(_, place)| *place));
    }
    queries.sort_unstable();
    gallery.sort_unstable();
    (queries, gallery)
}

/// Ranks the gallery for every query; `None` if no person has two photos.
#[must_use]
pub fn identification(metric: Metric, faces: &[Embedded], bootstrap: &Bootstrap) -> Option<Identification> {
    identification_of(metric, faces, |_| true, bootstrap)
}

/// The same for the queries whose index satisfies `asks`; the gallery has the photos of all people.
#[must_use]
pub fn identification_of(
    metric: Metric,
    faces: &[Embedded],
    asks: impl Fn(usize) -> bool,
    bootstrap: &Bootstrap,
) -> Option<Identification> {
    let (queries, gallery) = sides(faces);
    let (mut ranks, mut precisions) = (Vec::new(), Vec::new());
    for &query in queries.iter().filter(|query| asks(**query)) {
        let order = nearest(metric, faces, query, &gallery);
        let right: Vec<bool> = order.iter().map(|(_, place)| faces[*place].identity == faces[query].identity).collect();
        ranks.push(right.iter().position(|right| *right)?);
        precisions.push(average_precision(&right));
    }
    let within = |rank: usize| bootstrap.share(&ranks.iter().map(|found| *found < rank).collect::<Vec<_>>());
    let mut people: Vec<&str> = gallery.iter().map(|place| faces[*place].identity).collect();
    people.sort_unstable();
    people.dedup();
    Some(Identification {
        rank_1: within(1)?,
        rank_5: within(5)?,
        rank_10: within(10)?,
        mean_average_precision: bootstrap.mean(&precisions)?,
        gallery: gallery.len(),
        people: people.len(),
    })
}

/// The photos of the gallery by distance from a query, nearest first.
#[must_use]
pub fn nearest(metric: Metric, faces: &[Embedded], query: usize, gallery: &[usize]) -> Vec<(f32, usize)> {
    let away = |place: &usize| (distance(metric, faces[query].vector, faces[*place].vector), *place);
    let mut order: Vec<(f32, usize)> = gallery.iter().map(away).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    order
}

/// Queries, each with the gallery's photos ranked, for visual inspection.
#[must_use]
pub fn answers(metric: Metric, faces: &[Embedded], most: usize) -> Vec<(usize, Vec<(f32, usize)>)> {
    let (queries, gallery) = sides(faces);
    let cut = |query: usize| {
        let mut order = nearest(metric, faces, query, &gallery);
        order.truncate(most);
        (query, order)
    };
    queries.into_iter().map(cut).collect()
}

/// Mean of the precision at each correct photo.
fn average_precision(right: &[bool]) -> f64 {
    let (mut hits, mut sum) = (0usize, 0.0);
    for (place, _) in right.iter().enumerate().filter(|(_, right)| **right) {
        hits += 1;
        sum += hits as f64 / (place + 1) as f64;
    }
    if hits == 0 { 0.0 } else { sum / hits as f64 }
}

/// Leaves a third of the people out of the gallery and sets the threshold so that a share `fpir` of their queries is identified
/// as some person; `None` if either part is empty.
#[must_use]
pub fn open_set(metric: Metric, faces: &[Embedded], fpir: f64, bootstrap: &Bootstrap) -> Option<OpenSet> {
    let (queries, gallery) = sides(faces);
    let stranger = |place: usize| Random::named(2, faces[place].identity).below(STRANGERS) == 0;
    let known: Vec<usize> = gallery.into_iter().filter(|place| !stranger(*place)).collect();
    if known.is_empty() {
        return None;
    }
    let (mut outside, mut inside) = (Vec::new(), Vec::new());
    for query in queries {
        let away = |place: &usize| (distance(metric, faces[query].vector, faces[*place].vector), *place);
        let (distance, place) = known.iter().map(away).min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))?;
        if stranger(query) {
            outside.push(distance);
        } else {
            inside.push((distance, faces[place].identity == faces[query].identity));
        }
    }
    if outside.is_empty() {
        return None;
    }
    let threshold = at_rate(&mut outside, fpir);
    let missed: Vec<bool> = inside.iter().map(|(distance, right)| !(*right && *distance < threshold)).collect();
    Some(OpenSet { fpir, fnir: bootstrap.share(&missed)?, threshold, strangers: outside.len() })
}

/// The distance below which at most a share `rate` of the distances lies.
fn at_rate(distances: &mut [f32], rate: f64) -> f32 {
    distances.sort_unstable_by(f32::total_cmp);
    let allowed = (rate * distances.len() as f64).floor() as usize;
    distances.get(allowed).copied().unwrap_or(f32::INFINITY)
}

/// Classifies pairs as one person or two; `None` without both kinds.
#[must_use]
pub fn verification(pairs: &[Pair], bootstrap: &Bootstrap) -> Option<Verification> {
    let mut others: Vec<f32> = pairs.iter().filter(|pair| !pair.same).map(|pair| pair.distance).collect();
    let same: Vec<f32> = pairs.iter().filter(|pair| pair.same).map(|pair| pair.distance).collect();
    if others.is_empty() || same.is_empty() {
        return None;
    }
    let mut folds: Vec<u32> = pairs.iter().map(|pair| pair.fold).collect();
    folds.sort_unstable();
    folds.dedup();
    let correct = |pair: &Pair, threshold: f32| (pair.distance <= threshold) == pair.same;
    let mut right = Vec::with_capacity(pairs.len());
    for &fold in &folds {
        // A single fold uses its own threshold, which is too favourable, because there is no other.
        let training = pairs.iter().filter(|pair| pair.fold != fold || folds.len() == 1);
        let threshold = best_threshold(training);
        right.extend(pairs.iter().filter(|pair| pair.fold == fold).map(|pair| correct(pair, threshold)));
    }
    let accepted = [0.01, 0.001].map(|rate| {
        // With fewer pairs than 1 / rate, the rate cannot be measured.
        let threshold = (others.len() as f64 * rate >= 1.0).then(|| at_rate(&mut others, rate));
        let share = |threshold: f32| same.iter().filter(|d| **d < threshold).count() as f64 / same.len() as f64;
        (rate, threshold.map(share))
    });
    Some(Verification { accuracy: bootstrap.share(&right)?, accepted, threshold: best_threshold(pairs.iter()) })
}

/// The distance that classifies most pairs correctly, midway between two that occur.
fn best_threshold<'a>(pairs: impl Iterator<Item = &'a Pair>) -> f32 {
    let mut pairs: Vec<&Pair> = pairs.collect();
    pairs.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    // Below the nearest pair: every pair of two people is correct, none of one.
    let mut right = pairs.iter().filter(|pair| !pair.same).count();
    let (mut best, mut threshold) = (right, pairs.first().map_or(0.0, |pair| pair.distance) - 1e-6);
    for (place, pair) in pairs.iter().enumerate() {
        if pair.same {
            right += 1
        } else {
            right -= 1
        }
        let next = pairs.get(place + 1).map_or(pair.distance, |next| next.distance);
        let parts = place + 1 == pairs.len() || next > pair.distance;
        if parts && right > best {
            (best, threshold) = (right, (pair.distance + next) / 2.0);
        }
    }
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_by_hand() {
        // Correct photos at ranks 1 and 4: (1/1 + 2/4) / 2.
        assert!((average_precision(&[true, false, false, true]) - 0.75).abs() < 1e-12);
        assert_eq!(average_precision(&[false]), 0.0);
    }

    #[test]
    fn thresholds_part_the_pairs() {
        let pair = |distance, same| Pair { distance, same, fold: 1 };
        let pairs = [pair(0.1, true), pair(0.3, true), pair(0.5, false), pair(0.7, true), pair(0.9, false)];
        // Between 0.3 and 0.5 four of five are correct.
        assert!((best_threshold(pairs.iter()) - 0.4).abs() < 1e-6);
        let found = verification(&pairs, &Bootstrap::default()).unwrap();
        assert!((found.accuracy.value - 0.8).abs() < 1e-9);
        assert_eq!(found.accepted, [(0.01, None), (0.001, None)], "two pairs of strangers say nothing of 1 %");
        assert!(verification(&pairs[..2], &Bootstrap::default()).is_none());
    }

    #[test]
    fn each_fold_is_judged_by_the_others() {
        let pair = |distance, same, fold| Pair { distance, same, fold };
        // The best threshold is 0.5 for fold 1 and 5 for fold 2: with each other's thresholds half of either is wrong.
        let pairs = [pair(0.4, true, 1), pair(0.6, false, 1), pair(4.0, true, 2), pair(6.0, false, 2)];
        let found = verification(&pairs, &Bootstrap::default()).unwrap();
        assert!((found.accuracy.value - 0.5).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn accept_rates_count_strangers() {
        let mut pairs: Vec<Pair> =
            (0..200).map(|at| Pair { distance: 1.0 + at as f32 * 0.01, same: false, fold: 0 }).collect();
        // Two of 200 strangers may be accepted: the third is at 1.02.
        pairs.extend([1.015, 1.025, 0.5].map(|distance| Pair { distance, same: true, fold: 0 }));
        let found = verification(&pairs, &Bootstrap::default()).unwrap();
        let (rate, accepted) = found.accepted[0];
        assert!(rate == 0.01 && (accepted.unwrap() - 2.0 / 3.0).abs() < 1e-9, "{accepted:?}");
    }

    /// People at the corners of a square, three photos each; one photo of the last person looks like the first.
    fn people() -> Vec<(String, String, [f32; 2])> {
        let corners = [("a", [1.0, 0.0]), ("b", [0.0, 1.0]), ("c", [-1.0, 0.0]), ("d", [0.0, -1.0])];
        let photos = corners.into_iter().flat_map(|(name, [x, y])| {
            (0..3).map(move |photo| (format!("{name}/{photo}"), name.to_owned(), [x, y + photo as f32 * 0.01]))
        });
        photos.collect()
    }

    #[test]
    fn everybody_is_found_where_everybody_differs() {
        let people = people();
        let faces: Vec<Embedded> =
            people.iter().map(|(file, identity, vector)| Embedded { file, identity, vector }).collect();
        let found = identification(Metric::Euclidean, &faces, &Bootstrap::default()).unwrap();
        assert_eq!((found.rank_1.n, found.gallery, found.people), (4, 8, 4));
        assert_eq!((found.rank_1.value, found.mean_average_precision.value), (1.0, 1.0));
        let first = identification_of(Metric::Euclidean, &faces, |place| place < 3, &Bootstrap::default()).unwrap();
        assert_eq!((first.rank_1.n, first.gallery, first.people), (1, 8, 4));
        assert!(identification_of(Metric::Euclidean, &faces, |_| false, &Bootstrap::default()).is_none());
        assert!(answers(Metric::Euclidean, &faces, 2).iter().all(|(_, order)| order.len() == 2));
        // All embeddings are equal: the order of the gallery decides.
        let same: Vec<Embedded> = faces.iter().map(|face| Embedded { vector: &[1.0, 0.0], ..face.clone() }).collect();
        let found = identification(Metric::Cosine, &same, &Bootstrap::default()).unwrap();
        assert!((found.rank_1.value - 0.25).abs() < 1e-9 && found.rank_10.value == 1.0, "{found:?}");
    }

    #[test]
    fn strangers_set_the_threshold() {
        let people = people();
        let faces: Vec<Embedded> =
            people.iter().map(|(file, identity, vector)| Embedded { file, identity, vector }).collect();
        let found = open_set(Metric::Euclidean, &faces, 0.01, &Bootstrap::default()).unwrap();
        assert!(found.strangers >= 1 && found.threshold > 1.0, "{found:?}");
        assert_eq!(found.fnir.value, 0.0);
        // A single person is either in the gallery or a stranger: nothing can be measured.
        assert!(open_set(Metric::Euclidean, &faces[..3], 0.01, &Bootstrap::default()).is_none());
    }
}

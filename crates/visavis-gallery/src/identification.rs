//! The probability that a face is the person whose photo is near it, given the number of photos it was compared with.
//!
//! A stranger is compared with every photo of a gallery. The more photos there are, the nearer is the nearest of them, so a
//! distance means less in a large gallery. Let `F` be the share of pairs of two people that are nearer than the distance
//! `d`, which was measured once and is stored in the network's manifest ([`Likeness`]), and let `n` be the number of photos.
//!
//! * The probability that a stranger is within `d` of at least one photo is `1 − (1 − F)ⁿ`. A face is identified if this is
//!   at most [`IdentityParams::false_matches`].
//! * The prior probability that a face belongs to a person of the gallery is `p` ([`IdentityParams::known`]), and that it
//!   belongs to the person of a given photo is `p / n`. Let `r(d)` be the likelihood ratio of `d`: photos of one person
//!   against photos of two people. By Bayes' rule, with the photos assumed to be independent, the probability that the face is
//!   the person of photo `i` is `r(dᵢ) / (n·(1 − p)/p + Σⱼ r(dⱼ))`. For the photos that are not listed the sum is not known;
//!   for strangers it is on average their number times the share of one person's pairs that are farther than the last listed
//!   one.
//!
//! Several photos of a person count as several comparisons; the nearest one decides.

use visavis_infer::manifest::Likeness;

use super::{EmbeddingId, Match};

/// When a face is identified as a person of the gallery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdentityParams {
    /// Share of strangers that may be identified as a person of the gallery, whatever its size; above 0, below 1.
    pub false_matches: f64,
    /// The prior probability that a face belongs to a person of the gallery; above 0, below 1. If more faces than this are
    /// of known people, the probabilities are too low; if fewer are, too high.
    pub known: f64,
}

impl Default for IdentityParams {
    /// One stranger in a hundred; one face in five is of a known person.
    fn default() -> Self {
        Self { false_matches: 0.01, known: 0.2 }
    }
}

/// The probability that a stranger is within `distance` of at least one of `photos` photos.
#[must_use]
pub fn false_match_rate(likeness: &Likeness, distance: f64, photos: usize) -> f64 {
    -(photos as f64 * (-likeness.strangers.nearer(distance)).ln_1p()).exp_m1()
}

/// The distance within which a stranger is of at least one of `photos` photos with the probability `share`.
#[must_use]
pub fn distance_at(likeness: &Likeness, share: f64, photos: usize) -> f64 {
    likeness.strangers.distance(-((-share).ln_1p() / photos.max(1) as f64).exp_m1())
}

/// The probability that a face is each of the people whose distances are given, nearest first, after it was compared with
/// `photos` photos. The probabilities sum to less than 1.
#[must_use]
pub fn chances(likeness: &Likeness, params: IdentityParams, photos: usize, distances: &[f32]) -> Vec<f64> {
    let ratios: Vec<f64> = distances.iter().map(|distance| likeness.ratio(f64::from(*distance))).collect();
    let rest = distances.last().map_or(1.0, |last| likeness.same_beyond(f64::from(*last)));
    let unlisted = photos.saturating_sub(distances.len()) as f64 * rest;
    let strangers = photos as f64 * (1.0 - params.known) / params.known;
    let all = strangers + unlisted + ratios.iter().sum::<f64>();
    ratios.into_iter().map(|ratio| ratio / all).collect()
}

/// Sets, for the people nearest to a face (nearest first), the probability and whether the face is identified as them, after
/// it was compared with `photos` photos.
///
/// Without a measured [`Likeness`] there is no probability, and the network's `same_person` distance decides alone.
pub fn identify(embedding: &EmbeddingId, photos: usize, found: &mut [Match]) {
    let Some(likeness) = &embedding.likeness else { return };
    let distances: Vec<f32> = found.iter().map(|found| found.distance).collect();
    let within = distance_at(likeness, embedding.identity.false_matches, photos);
    let chances = chances(likeness, embedding.identity, photos, &distances);
    for (found, chance) in found.iter_mut().zip(chances) {
        found.identified = Some(chance as f32);
        found.same_person = f64::from(found.distance) <= within;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_infer::manifest::Strangers;

    const LIKENESS: Likeness =
        Likeness { median: 0.46, spread: 0.36, strangers: Strangers { within: 0.76, scale: 0.045, shape: -0.07 } };

    #[test]
    fn the_more_photos_the_nearer_a_face_must_come() {
        let params = IdentityParams::default();
        let distances = [1, 100, 10_000, 1_000_000].map(|photos| distance_at(&LIKENESS, 0.01, photos));
        assert!(distances.is_sorted_by(|few, many| few > many), "{distances:?}");
        for (photos, distance) in [1, 100, 10_000, 1_000_000].into_iter().zip(distances) {
            assert!((false_match_rate(&LIKENESS, distance, photos) - 0.01).abs() < 1e-6, "{photos}");
        }
        // One comparison: the measured share.
        assert!((distances[0] - 0.76).abs() < 1e-9);
        let chance = |photos| chances(&LIKENESS, params, photos, &[0.55])[0];
        assert!(chance(10) > chance(400) && chance(400) > chance(100_000));
        assert!(chance(10) > 0.9 && chance(100_000) < 0.05, "{} {}", chance(10), chance(100_000));
    }

    /// By hand: two hypotheses with one photo.
    #[test]
    fn one_photo_is_bayes_rule() {
        let params = IdentityParams { false_matches: 0.01, known: 0.2 };
        let ratio = LIKENESS.ratio(0.7);
        let expected = 0.2 * ratio / (0.8 + 0.2 * ratio);
        // The distance is given as 32-bit float.
        assert!((chances(&LIKENESS, params, 1, &[0.7])[0] - expected).abs() < 1e-6);
    }

    #[test]
    fn chances_of_several_people_sum_to_less_than_one() {
        let params = IdentityParams { known: 0.9, ..IdentityParams::default() };
        let found = chances(&LIKENESS, params, 50, &[0.2, 0.2, 0.21]);
        assert!((found[0] - found[1]).abs() < 1e-12 && found[1] >= found[2]);
        assert!(found.iter().sum::<f64>() < 1.0 && found[0] > 0.3, "{found:?}");
        assert_eq!(chances(&LIKENESS, params, 0, &[]), Vec::<f64>::new());
    }

    /// Draws strangers from the measured distribution. The share of them who are identified must be the requested one; of
    /// the faces with a probability of about one half, half must be of the person.
    #[test]
    fn chances_are_true_of_faces_drawn_from_the_distributions() {
        let mut random = fastrand::Rng::with_seed(3);
        let params = IdentityParams { false_matches: 0.02, known: 0.3 };
        let (photos, faces) = (200, 40_000);
        // Distances in the farther half of the distribution are all set to its median: they are never the nearest.
        let stranger = |random: &mut fastrand::Rng| LIKENESS.strangers.distance(random.f64().clamp(1e-9, 0.5));
        let normal = |random: &mut fastrand::Rng| (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let within = distance_at(&LIKENESS, params.false_matches, photos);
        let (mut strangers, mut taken, mut bins) = (0, 0, [(0.0, 0, 0); 4]);
        for _ in 0..faces {
            let known = random.f64() < params.known;
            // The nearest of n strangers is at the share that is the minimum of n uniform random numbers.
            let nearest = (0..photos - 1).map(|_| stranger(&mut random)).fold(f64::MAX, f64::min);
            let own = if known {
                LIKENESS.median * (LIKENESS.spread * normal(&mut random)).exp()
            } else {
                stranger(&mut random)
            };
            let (first, right) = if own < nearest { (own, known) } else { (nearest, false) };
            if !known {
                strangers += 1;
                taken += usize::from(first <= within);
            }
            let chance = chances(&LIKENESS, params, photos, &[first as f32])[0];
            let (sum, right_ones, all) = &mut bins[(chance * 4.0).min(3.0) as usize];
            (*sum, *right_ones, *all) = (*sum + chance, *right_ones + usize::from(right), *all + 1);
        }
        let share = f64::from(taken as u32) / f64::from(strangers as u32);
        assert!((share - 0.02).abs() < 0.004, "{share}");
        for (sum, right, all) in bins {
            let (told, found) = (sum / f64::from(all), f64::from(right as u32) / f64::from(all));
            assert!(all < 100 || (told - found).abs() < 0.06, "told {told:.3}, found {found:.3} of {all}");
        }
    }
}

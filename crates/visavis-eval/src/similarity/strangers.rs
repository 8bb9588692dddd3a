//! What is said of strangers and of known people before a gallery of a given size, by the rules that the product applies
//! ([`visavis_gallery::identify`]).

use serde::{Deserialize, Serialize};
use visavis_gallery::{IdentityParams, chances, distance_at};
use visavis_infer::manifest::{Likeness, Metric};

use super::Embedded;
use crate::bootstrap::{Bootstrap, Estimate};
use crate::random::Random;

/// The result of identification with a gallery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GalleryCheck {
    /// Number of photos in the gallery.
    pub photos: usize,
    /// Number of those that are synthetic vectors: see [`made_up`].
    pub made_up: usize,
    /// The distance below which a face is identified as a person.
    pub within: f64,
    /// Share of strangers' photos that were identified as a person.
    pub taken: Estimate,
    /// Share of strangers' photos with an identification probability of at least one half.
    pub half: Estimate,
    /// Share of known people's second photos that were identified as the right person; the gallery then contains each person's
    /// first photo too. `None` if no person has two photos.
    pub identified: Option<Estimate>,
}

/// A gallery, and faces to identify with it.
pub struct GalleryTrial<'a> {
    /// How two embeddings compare.
    pub metric: Metric,
    /// What distances mean for this network.
    pub likeness: &'a Likeness,
    /// When a face is identified as a person.
    pub params: IdentityParams,
    /// The gallery; it contains none of the people in `faces`.
    pub gallery: &'a [Vec<f32>],
    /// How many of the gallery's last vectors are synthetic.
    pub made_up: usize,
    /// The faces. All are used as strangers; those of people with two or more photos also as known people.
    pub faces: &'a [Embedded<'a>],
}

impl GalleryTrial<'_> {
    /// Identifies all faces; `None` if there are none, or nothing in the gallery.
    #[must_use]
    pub fn check(&self, bootstrap: &Bootstrap) -> Option<GalleryCheck> {
        if self.gallery.is_empty() {
            return None;
        }
        let gallery: Vec<Vec<f32>> = self.gallery.iter().map(|vector| self.prepared(vector)).collect();
        let photos = gallery.len();
        let within = distance_at(self.likeness, self.params.false_matches, photos);
        let chance = |photos, distance| chances(self.likeness, self.params, photos, &[distance])[0];
        let faces: Vec<Vec<f32>> = self.faces.iter().map(|face| self.prepared(face.vector)).collect();
        let nearest: Vec<f32> = faces.iter().map(|face| self.nearest(face, &gallery)).collect();
        let taken: Vec<bool> = nearest.iter().map(|distance| f64::from(*distance) <= within).collect();
        let half: Vec<bool> = nearest.iter().map(|distance| chance(photos, *distance) >= 0.5).collect();
        // The first photo of each person, by file name, is enrolled; the others are queries.
        let mut order: Vec<usize> = (0..self.faces.len()).collect();
        order.sort_by_key(|&place| (self.faces[place].identity, self.faces[place].file));
        let mut found = Vec::new();
        let mut enrolled: Option<usize> = None;
        for place in order {
            match enrolled {
                Some(first) if self.faces[first].identity == self.faces[place].identity => {
                    let own = self.distance(&faces[place], &faces[first]);
                    let near = f64::from(own) <= distance_at(self.likeness, self.params.false_matches, photos + 1);
                    found.push(near && own < nearest[place]);
                }
                _ => enrolled = Some(place),
            }
        }
        Some(GalleryCheck {
            photos,
            made_up: self.made_up,
            within,
            taken: bootstrap.share(&taken)?,
            half: bootstrap.share(&half)?,
            identified: bootstrap.share(&found),
        })
    }

    /// Normalised to length one if the metric is cosine, so that a dot product suffices.
    fn prepared(&self, vector: &[f32]) -> Vec<f32> {
        match self.metric {
            Metric::Euclidean => vector.to_vec(),
            Metric::Cosine => unit(vector),
        }
    }

    fn distance(&self, a: &[f32], b: &[f32]) -> f32 {
        match self.metric {
            Metric::Euclidean => a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt(),
            Metric::Cosine => 1.0 - product(a, b),
        }
    }

    fn nearest(&self, face: &[f32], gallery: &[Vec<f32>]) -> f32 {
        gallery.iter().map(|photo| self.distance(face, photo)).fold(f32::INFINITY, f32::min)
    }
}

/// Uses sixteen sums, which the compiler keeps in vector registers.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a, a_rest) = a.as_chunks::<16>();
    let (b, b_rest) = b.as_chunks::<16>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let scale = 1.0 / product(vector, vector).sqrt().max(f32::MIN_POSITIVE);
    vector.iter().map(|x| x * scale).collect()
}

/// Number of vectors that are added for one synthetic vector.
const MIXED: usize = 512;

/// `count` normally distributed vectors with the mean and the covariances of `like`. Some real people are much more alike than any
/// of these, so such a gallery is easier than one of as many real people. The difference can be seen where the share of
/// misidentified strangers is measured with both.
#[must_use]
pub fn made_up(like: &[&[f32]], count: usize, seed: u64) -> Vec<Vec<f32>> {
    let Some(first) = like.first() else { return Vec::new() };
    let units: Vec<Vec<f32>> = like.iter().map(|vector| unit(vector)).collect();
    let length = like.iter().map(|vector| product(vector, vector).sqrt()).sum::<f32>() / like.len() as f32;
    let mut mean = vec![0.0f32; first.len()];
    for vector in &units {
        mean.iter_mut().zip(vector).for_each(|(mean, x)| *mean += x / units.len() as f32);
    }
    let mut random = Random::new(seed);
    let weight = 1.0 / (MIXED as f32).sqrt();
    (0..count)
        .map(|_| {
            let mut sum = mean.clone();
            for _ in 0..MIXED {
                let vector = &units[random.below(units.len())];
                let times = random.normal() * weight;
                sum.iter_mut().zip(vector.iter().zip(&mean)).for_each(|(sum, (x, mean))| *sum += times * (x - mean));
            }
            unit(&sum).iter().map(|x| x * length).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use visavis_infer::manifest::Strangers;

    const LIKENESS: Likeness =
        Likeness { median: 0.3, spread: 0.4, strangers: Strangers { within: 0.8, scale: 0.05, shape: -0.05 } };

    #[test]
    fn strangers_and_known_people_are_counted() {
        let gallery: Vec<Vec<f32>> = vec![vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0]];
        let photo = |file, identity, vector| Embedded { file, identity, vector };
        // Ada's second photo is near her first, Bob's resembles a person of the gallery, Cy has one photo.
        let faces = [
            photo("a1", "ada", &[0.0, 0.0, 1.0][..]),
            photo("a2", "ada", &[0.0, 0.1, 1.0]),
            photo("b1", "bob", &[0.0, -0.2, 1.0]),
            photo("b2", "bob", &[0.99, 0.1, 0.0]),
            photo("c1", "cy", &[-1.0, 0.0, 1.0]),
        ];
        let trial = GalleryTrial {
            metric: Metric::Cosine,
            likeness: &LIKENESS,
            params: IdentityParams::default(),
            gallery: &gallery,
            made_up: 0,
            faces: &faces,
        };
        let found = trial.check(&Bootstrap::default()).unwrap();
        assert_eq!((found.photos, found.taken.n), (2, 5));
        assert!((found.taken.value - 0.2).abs() < 1e-9 && (found.half.value - 0.2).abs() < 1e-9, "{found:?}");
        let identified = found.identified.unwrap();
        assert_eq!(identified.n, 2);
        assert!((identified.value - 0.5).abs() < 1e-9);
        assert!(GalleryTrial { gallery: &[], ..trial }.check(&Bootstrap::default()).is_none());
        assert!(GalleryTrial { faces: &[], ..trial }.check(&Bootstrap::default()).is_none());
    }

    #[test]
    fn made_up_vectors_have_the_mean_and_the_spread_of_real_ones() {
        let mut random = Random::new(5);
        let real: Vec<Vec<f32>> = (0..400)
            .map(|_| vec![1.0 + 0.1 * random.normal(), 0.3 * random.normal(), 0.02 * random.normal()])
            .collect();
        let real: Vec<&[f32]> = real.iter().map(Vec::as_slice).collect();
        let made = made_up(&real, 2000, 1);
        let spread = |vectors: &[&[f32]], axis: usize| {
            let values: Vec<f32> = vectors.iter().map(|vector| unit(vector)[axis]).collect();
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
        };
        let made: Vec<&[f32]> = made.iter().map(Vec::as_slice).collect();
        for axis in [1, 2] {
            let (of_real, of_made) = (spread(&real, axis), spread(&made, axis));
            assert!((of_made / of_real - 1.0).abs() < 0.15, "axis {axis}: {of_real} became {of_made}");
        }
        assert_eq!(made_up(&[], 3, 1), Vec::<Vec<f32>>::new());
    }
}

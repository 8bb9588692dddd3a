//! Mixtures of two faces, blended into one picture. A network that imitates another one is trained on them to learn the
//! outputs between those of real people (Beyer et al., CVPR 2022, train with mixtures too).

use std::path::Path;
use std::thread;

use visavis_face::align::MOST_DISTORTION;
use visavis_image::{Landmarks, Picture, Point, Similarity, codec, distortion, face_template, warp_into};

use super::face_box::USUAL_BOX;
use super::{Pack, PackInfo, PackParams, PackWriter, PackedFace, usual_box};
use crate::{DataError, Labels, Split};

/// Candidates drawn as partner of a face; the one with the nearest keypoints is used, so that the mixture has one nose.
const PARTNERS: usize = 6;

/// Least share of each of the two faces.
const LEAST_SHARE: f32 = 0.3;

/// Number of mixtures that are made before they are written.
const AT_ONCE: usize = 256;

/// Mixes faces.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixer {
    /// Number of mixtures.
    pub faces: usize,
    /// Seed of the random choice.
    pub seed: u64,
    /// Faces whose file name in their set begins with one of these are left out.
    pub except: Vec<String>,
    /// How the mixtures are cropped.
    pub params: PackParams,
    /// Number of threads.
    pub threads: usize,
}

/// A face that can be mixed.
struct Parent<'a> {
    pack: &'a Pack,
    index: usize,
    /// Maps the template of side 1 into its crop.
    from_template: Similarity,
    /// Its keypoints mapped to that template.
    aligned: Landmarks,
}

/// Two faces, and the share of the first.
struct Pair {
    first: usize,
    second: usize,
    share: f32,
}

impl Mixer {
    /// Mixes training faces of `packs` into the pack `out`, called `name`; all mixtures are training faces. Validation faces,
    /// faces without keypoints and full profiles are not used. `progress` is called after each mixture.
    ///
    /// # Errors
    /// [`DataError::Layout`] if fewer than two faces can be mixed or a pack is damaged, [`DataError::File`] if the pack cannot
    /// be written.
    pub fn mix(
        &self,
        packs: &[Pack],
        name: &str,
        out: &Path,
        mut progress: impl FnMut(),
    ) -> Result<PackInfo, DataError> {
        let parents = self.parents(packs);
        if parents.len() < 2 {
            let reason = "fewer than two faces with keypoints to train with: there is nothing to mix".into();
            return Err(DataError::Layout { path: out.to_owned(), reason });
        }
        let mut random = fastrand::Rng::with_seed(self.seed);
        let pairs: Vec<Pair> = (0..self.faces).map(|_| draw(&parents, &mut random)).collect();
        let landmarks = self.template();
        let mut writer = PackWriter::new(out, name, "none", self.params)?;
        for (chunk, pairs) in pairs.chunks(AT_ONCE).enumerate() {
            for (place, jpeg) in self.jpegs(&parents, pairs, &landmarks)?.into_iter().enumerate() {
                let number = chunk * AT_ONCE + place + 1;
                writer.push(&self.face(name, number, &parents, &pairs[place], landmarks), &jpeg)?;
                progress();
            }
        }
        writer.finish()
    }

    fn parents<'a>(&self, packs: &'a [Pack]) -> Vec<Parent<'a>> {
        let template = face_template(1).to_array();
        let wanted = |face: &PackedFace| {
            face.split == Split::Train && !self.except.iter().any(|prefix| face.file.starts_with(prefix.as_str()))
        };
        let parent = |pack: &'a Pack, index: usize| {
            let points = pack.faces()[index].any_landmarks()?;
            let upright = distortion(&template, &points.to_array()).is_some_and(|ratio| ratio <= MOST_DISTORTION);
            let from_template = Similarity::least_squares(&template, &points.to_array()).filter(|_| upright)?;
            let back = from_template.inverse();
            Some(Parent { pack, index, from_template, aligned: points.map(|p| back.apply(p)) })
        };
        let of_pack = |pack: &'a Pack| {
            let indices = (0..pack.faces().len()).filter(|&index| wanted(&pack.faces()[index]));
            indices.filter_map(move |index| parent(pack, index)).collect::<Vec<_>>()
        };
        packs.iter().flat_map(of_pack).collect()
    }

    /// The keypoints of every mixture: those of an upright face in the middle of a crop.
    fn template(&self) -> Landmarks {
        let [x, y, _, height] = USUAL_BOX;
        let side = self.params.side as f32;
        let scale = side / (self.params.expansion * height);
        let middle = side / 2.0;
        face_template(1).map(|p| Point::new((p.x - x) * scale + middle, (p.y - y) * scale + middle))
    }

    fn jpegs(&self, parents: &[Parent<'_>], pairs: &[Pair], landmarks: &Landmarks) -> Result<Vec<Vec<u8>>, DataError> {
        let to_template = Similarity::least_squares(&landmarks.to_array(), &face_template(1).to_array());
        let to_template = to_template.unwrap_or_else(|| Similarity::scale_then_shift(1.0, 0.0, 0.0));
        let each = pairs.len().div_ceil(self.threads.max(1)).max(1);
        thread::scope(|scope| {
            let work = |pairs: &[Pair]| pairs.iter().map(|pair| self.jpeg(parents, pair, &to_template)).collect();
            let workers: Vec<_> = pairs.chunks(each).map(|pairs| scope.spawn(move || work(pairs))).collect();
            let mut jpegs = Vec::with_capacity(pairs.len());
            for worker in workers {
                let made: Result<Vec<Vec<u8>>, DataError> =
                    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                jpegs.extend(made?);
            }
            Ok(jpegs)
        })
    }

    fn jpeg(&self, parents: &[Parent<'_>], pair: &Pair, to_template: &Similarity) -> Result<Vec<u8>, DataError> {
        let side = self.params.side;
        let cut = |parent: &Parent<'_>| {
            let mut crop = Picture::new(side, side);
            warp_into(&parent.pack.picture(parent.index)?, &parent.from_template.after(to_template), &mut crop);
            Ok::<_, DataError>(crop)
        };
        let (mut mixture, second) = (cut(&parents[pair.first])?, cut(&parents[pair.second])?);
        for (a, b) in mixture.pixels_mut().iter_mut().zip(second.pixels()) {
            *a = (f32::from(*a) * pair.share + f32::from(*b) * (1.0 - pair.share)).round() as u8;
        }
        codec::encode_jpeg(&mixture, self.params.quality).map_err(|error| DataError::Layout {
            path: parents[pair.first].pack.folder().to_owned(),
            reason: format!("a mixture cannot be stored: {error}"),
        })
    }

    fn face(&self, name: &str, number: usize, parents: &[Parent<'_>], pair: &Pair, landmarks: Landmarks) -> PackedFace {
        let told = |place: usize| {
            let face = &parents[place].pack.faces()[parents[place].index];
            format!("{}/{}", face.set, face.file)
        };
        PackedFace {
            set: name.to_owned(),
            file: format!("{number}: {:.2} of {}, {}", pair.share, told(pair.first), told(pair.second)),
            identity: None,
            split: Split::Train,
            labels: Labels::default(),
            scale: 1.0,
            rect: usual_box(&landmarks).unwrap_or_default(),
            landmarks: Some(landmarks),
            detected: None,
        }
    }
}

fn draw(parents: &[Parent<'_>], random: &mut fastrand::Rng) -> Pair {
    let first = random.usize(..parents.len());
    let apart = |other: usize| -> f32 {
        let points = parents[other].aligned.to_array();
        parents[first].aligned.to_array().iter().zip(points).map(|(p, q)| p.distance(q)).sum()
    };
    let other = |random: &mut fastrand::Rng| (first + random.usize(1..parents.len())) % parents.len();
    let drawn: Vec<usize> = (0..PARTNERS).map(|_| other(random)).collect();
    let second = drawn.into_iter().min_by(|&a, &b| apart(a).total_cmp(&apart(b))).unwrap_or(first);
    Pair { first, second, share: LEAST_SHARE + (1.0 - 2.0 * LEAST_SHARE) * random.f32() }
}

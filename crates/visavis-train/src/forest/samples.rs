//! Makes starts of the search from labelled faces: boxes like a detector's, and start shapes.

use fastrand::Rng;
use visavis_face::forest::{BoxFrame, GreyImage, GreyPicture, Level, Mirrored, PixelSample, Sampler, Shape};
use visavis_image::{Landmarks, Point, Rect, Similarity};

use super::TrainForestParams;

/// A training face.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledFace {
    /// The face with a margin.
    pub grey: GreyPicture,
    /// Its keypoints, in pixels of `grey`.
    pub landmarks: Landmarks,
    /// The labelled box, in pixels of `grey`.
    pub rect: Rect,
    /// The detector's box, if it found the face.
    pub detected: Option<Rect>,
}

impl LabelledFace {
    /// The box in which a search would begin.
    #[must_use]
    pub fn search_box(&self) -> Rect {
        self.detected.unwrap_or(self.rect)
    }

    /// Frame and shape of the face, or of its mirror image; `frame` is that of the face itself.
    fn seen(&self, frame: BoxFrame, mirrored: bool) -> (BoxFrame, Shape) {
        if !mirrored {
            return (frame, frame.shape(&self.landmarks));
        }
        let width = self.grey.width() as f32;
        let centre = Point::new(width - frame.centre.x, frame.centre.y);
        let frame = BoxFrame { centre, ..frame };
        (frame, frame.shape(&self.landmarks.mirrored(width)))
    }
}

/// A search in progress: a face, its box, and the current shape.
#[derive(Debug, Clone)]
pub(super) struct Sample<'a> {
    face: &'a LabelledFace,
    mirrored: bool,
    frame: BoxFrame,
    /// The labelled keypoints, in box coordinates.
    pub(super) truth: Shape,
    /// The current estimate.
    pub(super) shape: Shape,
    /// Rotation and scale of `shape` against the mean shape.
    pub(super) turn: Similarity,
}

impl<'a> Sample<'a> {
    fn new(face: &'a LabelledFace, frame: BoxFrame, mirrored: bool, shape: Shape) -> Self {
        let (frame, truth) = face.seen(frame, mirrored);
        Self { face, mirrored, frame, truth, shape, turn: Similarity::IDENTITY }
    }

    /// Reads pixels like [`visavis_face::forest::Forest::locate`].
    pub(super) fn read_pixels(&self, pixels: &[PixelSample], resolution: u16, put: impl FnMut(usize, u8)) {
        let grey = &self.face.grey;
        if self.mirrored {
            let mirror = Mirrored(grey);
            Level::read_pixels(pixels, &Sampler::new(&mirror, self.frame, resolution), &self.shape, &self.turn, put);
        } else {
            Level::read_pixels(pixels, &Sampler::new(grey, self.frame, resolution), &self.shape, &self.turn, put);
        }
    }

    /// Distance between the labelled eyes, in sides of the box.
    pub(super) fn interocular(&self) -> f32 {
        self.truth[0].distance(self.truth[1])
    }
}

/// The mean shape of all faces and their mirror images, each in its search box.
pub(super) fn mean_shape(faces: &[LabelledFace]) -> Shape {
    let mut sums = [[0.0f64; 2]; 5];
    for face in faces {
        for mirrored in [false, true] {
            let (_, shape) = face.seen(BoxFrame::of(&face.search_box()), mirrored);
            for (sum, point) in sums.iter_mut().zip(shape) {
                sum[0] += f64::from(point.x);
                sum[1] += f64::from(point.y);
            }
        }
    }
    let count = (2 * faces.len()).max(1) as f64;
    sums.map(|[x, y]| Point::new((x / count) as f32, (y / count) as f32))
}

/// Searches for measuring: every face once, in its search box.
pub(super) fn searches<'a>(faces: &'a [LabelledFace], mean: &Shape) -> Vec<Sample<'a>> {
    faces.iter().map(|face| Sample::new(face, BoxFrame::of(&face.search_box()), false, *mean)).collect()
}

/// Searches for training: every face [`TrainForestParams::starts`] times, every other time as its mirror image. The first two
/// are like a real search; the others differ in their boxes and start shapes.
pub(super) fn starts<'a>(
    faces: &'a [LabelledFace],
    mean: &Shape,
    params: &TrainForestParams,
    rng: &mut Rng,
) -> Vec<Sample<'a>> {
    let differences: Vec<Difference> = faces.iter().filter_map(Difference::of).collect();
    let mut samples = Vec::with_capacity(faces.len() * params.starts);
    for face in faces {
        let own = BoxFrame::of(&face.search_box());
        for start in 0..params.starts {
            let mirrored = start % 2 == 1;
            if start < 2 {
                samples.push(Sample::new(face, own, mirrored, *mean));
                continue;
            }
            // Half of the boxes are the detector's; half are labelled ones with the detector's error on another face.
            let frame = match rng.choice(&differences).filter(|_| rng.bool()) {
                Some(difference) => difference.applied(BoxFrame::of(&face.rect)),
                None => own,
            };
            let frame = jittered(frame, params.jitter, rng);
            let shape = match rng.choice(faces).filter(|_| rng.f32() < params.foreign_starts) {
                Some(other) => other.seen(BoxFrame::of(&other.search_box()), rng.bool()).1,
                None => *mean,
            };
            samples.push(Sample::new(face, frame, mirrored, shape));
        }
    }
    samples
}

/// The difference between a detector's box and the labelled one.
struct Difference {
    /// In sides of the labelled box.
    shift: Point,
    growth: f32,
}

impl Difference {
    fn of(face: &LabelledFace) -> Option<Self> {
        let (labelled, detected) = (BoxFrame::of(&face.rect), BoxFrame::of(&face.detected?));
        Some(Self { shift: labelled.to_box(detected.centre), growth: detected.side / labelled.side })
    }

    fn applied(&self, labelled: BoxFrame) -> BoxFrame {
        BoxFrame { centre: labelled.to_picture(self.shift), side: labelled.side * self.growth, ..labelled }
    }
}

fn jittered(frame: BoxFrame, jitter: f32, rng: &mut Rng) -> BoxFrame {
    let mut by = || jitter * (2.0 * rng.f32() - 1.0);
    let shift = Point::new(by(), by());
    BoxFrame { centre: frame.to_picture(shift), side: frame.side * (1.0 + by()), ..frame }
}

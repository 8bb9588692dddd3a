//! The pixels that a level reads, and the pairs that are compared.

use fastrand::Rng;
use visavis_face::forest::{PixelSample, Shape};
use visavis_image::Point;

use super::TrainForestParams;

/// The pixels of a level.
pub(super) struct PixelPool {
    pub(super) pixels: Vec<PixelSample>,
    /// Their places while the shape is the mean shape, in box coordinates.
    places: Vec<Point>,
    pair_distance: f32,
}

impl PixelPool {
    /// Draws pixels evenly over the bounds of the mean shape with a margin of `padding`; each moves with its nearest keypoint
    /// (section 2.2.1 of the paper).
    pub(super) fn draw(mean: &Shape, params: &TrainForestParams, rng: &mut Rng) -> Self {
        let bounds = |pick: fn(&Point) -> f32| {
            let (low, high) = mean
                .iter()
                .map(pick)
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
            (low - params.padding, high + params.padding)
        };
        let (across, down) = (bounds(|point| point.x), bounds(|point| point.y));
        let between = |(low, high): (f32, f32), rng: &mut Rng| low + (high - low) * rng.f32();
        let places: Vec<Point> =
            (0..params.pixels).map(|_| Point::new(between(across, rng), between(down, rng))).collect();
        let pixels = places.iter().map(|place| anchored(*place, mean)).collect();
        Self { pixels, places, pair_distance: params.pair_distance }
    }

    /// Draws two different pixels; pairs near each other are more likely (section 2.4.2 of the paper).
    pub(super) fn pair(&self, rng: &mut Rng) -> (u16, u16) {
        /// About every fifth draw has a distance that the prior prefers; the limit ensures an end for a pool without near
        /// pairs.
        const MOST_DRAWS: usize = 200;
        let mut drawn = (0, 1);
        for _ in 0..MOST_DRAWS {
            let (a, b) = (rng.usize(0..self.places.len()), rng.usize(0..self.places.len()));
            if a == b {
                continue;
            }
            drawn = (a as u16, b as u16);
            if rng.f32() < (-self.places[a].distance(self.places[b]) / self.pair_distance).exp() {
                break;
            }
        }
        drawn
    }
}

fn anchored(place: Point, mean: &Shape) -> PixelSample {
    let (mut nearest, mut least) = (0, f32::INFINITY);
    for (index, point) in mean.iter().enumerate() {
        let distance = place.distance(*point);
        if distance < least {
            (nearest, least) = (index, distance);
        }
    }
    let offset = Point::new(place.x - mean[nearest].x, place.y - mean[nearest].y);
    PixelSample { anchor: nearest as u8, offset }
}

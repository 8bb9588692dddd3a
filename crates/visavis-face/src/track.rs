//! Centroid tracking: which detections in successive frames are the same face.

use std::collections::VecDeque;
use std::time::Duration;

use visavis_image::{Landmarks, Point, Rect, Turn};

use crate::Face;

/// Identifies one face while it is in view. Counts up from 1; never reused.
pub type TrackId = u64;

/// How detections are associated over time.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackerParams {
    /// Largest distance of a face from its predicted place, in face sizes (square root of the box's area). A limit in pixels
    /// would be too wide for a far face and too narrow for a near one.
    pub gate: f32,
    /// Largest factor by which a face's size may change between two detections.
    pub most_growth: f32,
    /// A face is shown once it has been seen for this time. Each detection counts for the time to the next one: at 25
    /// detections a second the third one shows a face, at 10 a second the first.
    pub shown_after: Duration,
    /// A face is forgotten if it was not seen for this time, …
    pub forgotten_after: Duration,
    /// … but only after this many missed detections in a row, since detections may be slow, …
    pub forgotten_misses: u32,
    /// … unless it was not seen for this time.
    pub longest_memory: Duration,
    /// Boxes are averaged over this many detections.
    pub box_window: usize,
    /// Landmarks are averaged over this many detections.
    pub landmark_window: usize,
    /// … but never over a longer time than this: the motion of a face is linear only for a short time.
    pub longest_window: Duration,
}

impl Default for TrackerParams {
    fn default() -> Self {
        Self {
            gate: 0.8,
            most_growth: 2.0,
            shown_after: Duration::from_millis(90),
            forgotten_after: Duration::from_millis(500),
            forgotten_misses: 2,
            longest_memory: Duration::from_secs(10),
            box_window: 7,
            landmark_window: 10,
            longest_window: Duration::from_millis(400),
        }
    }
}

/// One detection in a track.
#[derive(Debug, Clone, Copy)]
struct Sight {
    at: Duration,
    rect: Rect,
    landmarks: Option<Landmarks>,
}

/// A face over time.
#[derive(Debug, Clone)]
pub struct Track {
    /// Its identifier.
    pub id: TrackId,
    /// Time of the first detection.
    pub first_seen: Duration,
    /// Time of the last one.
    pub last_seen: Duration,
    /// How often it was detected.
    pub detections: u32,
    /// Score of the last detection.
    pub score: f32,
    /// How the face was turned in the last detection.
    pub turn: Turn,
    /// Number of missed detections in a row.
    misses: u32,
    /// Whether it has been seen for long enough to be shown.
    shown: bool,
    sights: VecDeque<Sight>,
}

impl Track {
    /// The box at time `at`, smoothed over the last detections.
    ///
    /// The value at `at` of a straight line fitted to the window: as steady as a mean, but without its lag when the face
    /// moves. Extrapolates to at most 100 ms after the last detection.
    #[must_use]
    pub fn rect_at(&self, at: Duration, params: &TrackerParams) -> Rect {
        let Some(last) = self.sights.back() else { return Rect::default() };
        let window = || self.window(params.box_window, params);
        let read = |pick: fn(&Rect) -> f32| line_at(window().map(|s| (s.at, pick(&s.rect))), at, last.at);
        let centre = Point::new(read(|r| r.centre().x), read(|r| r.centre().y));
        // Sizes extrapolate badly and change slowly: they stay within the observed range.
        let side = |value: f32, pick: fn(&Rect) -> f32| {
            let (low, high) =
                window().map(|s| pick(&s.rect)).fold((f32::MAX, 0f32), |(low, high), v| (low.min(v), high.max(v)));
            value.clamp(low.min(high), high)
        };
        Rect::around(centre, side(read(|r| r.width), |r| r.width), side(read(|r| r.height), |r| r.height))
    }

    /// The landmarks at time `at`, smoothed like the box; `None` if the last detection had none.
    #[must_use]
    pub fn landmarks_at(&self, at: Duration, params: &TrackerParams) -> Option<Landmarks> {
        let last = self.sights.back()?;
        last.landmarks?;
        let read = |index: usize, pick: fn(Point) -> f32| {
            let values = self
                .window(params.landmark_window, params)
                .filter_map(|s| s.landmarks.map(|l| (s.at, pick(l.to_array()[index]))));
            line_at(values, at, last.at)
        };
        Some(Landmarks::from(std::array::from_fn(|i| Point::new(read(i, |p| p.x), read(i, |p| p.y)))))
    }

    /// Whether it has been seen for long enough to be shown.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    fn window(&self, most: usize, params: &TrackerParams) -> impl Iterator<Item = &Sight> + Clone {
        let from = self.last_seen.saturating_sub(params.longest_window);
        self.sights.iter().rev().take(most).filter(move |sight| sight.at >= from)
    }
}

/// Least-squares line through (time, value), evaluated at `at`; the mean if there are fewer than three samples.
fn line_at(samples: impl Iterator<Item = (Duration, f32)> + Clone, at: Duration, last: Duration) -> f32 {
    const FURTHEST: f64 = 0.1;
    let seconds = |t: Duration| t.as_secs_f64() - last.as_secs_f64();
    let (mut n, mut t_sum, mut v_sum) = (0.0f64, 0.0, 0.0);
    for (t, v) in samples.clone() {
        n += 1.0;
        t_sum += seconds(t);
        v_sum += f64::from(v);
    }
    if n == 0.0 {
        return 0.0;
    }
    let (t_mean, v_mean) = (t_sum / n, v_sum / n);
    let (mut tv, mut tt) = (0.0f64, 0.0);
    for (t, v) in samples {
        tv += (seconds(t) - t_mean) * (f64::from(v) - v_mean);
        tt += (seconds(t) - t_mean).powi(2);
    }
    if n < 3.0 || tt < 1e-9 {
        return v_mean as f32;
    }
    (v_mean + tv / tt * (seconds(at).min(FURTHEST) - t_mean)) as f32
}

/// Associates detections with tracks. The caller gives the time of each detection.
#[derive(Debug, Clone)]
pub struct Tracker {
    params: TrackerParams,
    tracks: Vec<Track>,
    next: TrackId,
    /// Time of the last detection.
    last: Option<Duration>,
    /// The last times between two detections.
    gaps: VecDeque<Duration>,
}

/// The usual time between two detections is the median of so many.
const GAPS: usize = 5;

impl Tracker {
    /// A tracker without tracks.
    #[must_use]
    pub fn new(params: TrackerParams) -> Self {
        Self { params, tracks: Vec::new(), next: 1, last: None, gaps: VecDeque::with_capacity(GAPS) }
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &TrackerParams {
        &self.params
    }

    /// All faces in view, oldest first.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The track with this identifier, while it exists.
    #[must_use]
    pub fn track(&self, id: TrackId) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == id)
    }

    /// Takes the detections of a frame captured at `at` and returns the track of each, in order.
    ///
    /// Pairs of track and face are matched greedily, nearest first (distance from the predicted place in face sizes); each
    /// track gets at most one face and each face one track. A face without a track starts a new one.
    pub fn update(&mut self, at: Duration, faces: &[Face]) -> Vec<TrackId> {
        self.forget(at);
        if let Some(last) = self.last.replace(at) {
            if self.gaps.len() == GAPS {
                self.gaps.pop_front();
            }
            self.gaps.push_back(at.saturating_sub(last));
        }
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            let expected = track.rect_at(at, &self.params);
            for (f, face) in faces.iter().enumerate() {
                if let Some(distance) = gated_distance(&expected, &face.rect, &self.params) {
                    pairs.push((distance, t, f));
                }
            }
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let mut owner: Vec<Option<usize>> = vec![None; faces.len()];
        let mut taken = vec![false; self.tracks.len()];
        for (_, track, face) in pairs {
            if owner[face].is_none() && !taken[track] {
                owner[face] = Some(track);
                taken[track] = true;
            }
        }
        for (track, taken) in self.tracks.iter_mut().zip(&taken) {
            track.misses = if *taken { 0 } else { track.misses + 1 };
        }
        let gap = self.usual_gap();
        faces.iter().zip(owner).map(|(face, owner)| self.note(at, gap, face, owner)).collect()
    }

    /// The usual time between two detections; `None` before the second.
    fn usual_gap(&self) -> Option<Duration> {
        let mut gaps: Vec<Duration> = self.gaps.iter().copied().collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }

    /// Drops the tracks that have not been seen for too long at `now`.
    pub fn forget(&mut self, now: Duration) {
        let params = &self.params;
        self.tracks.retain(|track| {
            let unseen = now.saturating_sub(track.last_seen);
            unseen <= params.forgotten_after
                || track.misses < params.forgotten_misses && unseen <= params.longest_memory
        });
    }

    /// Drops all tracks, for instance at a cut to an unrelated picture.
    pub fn clear(&mut self) {
        self.tracks.clear();
    }

    /// Adds a detection to its track, or starts one. `gap`: the usual time between two detections, if known. At the very first
    /// detection it is not known, and every face is shown.
    fn note(&mut self, at: Duration, gap: Option<Duration>, face: &Face, owner: Option<usize>) -> TrackId {
        let index = owner.unwrap_or_else(|| {
            let id = self.next;
            self.next += 1;
            let sights = VecDeque::with_capacity(self.params.landmark_window.max(self.params.box_window) + 1);
            let (first_seen, last_seen) = (at, at);
            self.tracks.push(Track {
                id,
                first_seen,
                last_seen,
                detections: 0,
                score: 0.0,
                turn: Turn::None,
                misses: 0,
                shown: false,
                sights,
            });
            self.tracks.len() - 1
        });
        let track = &mut self.tracks[index];
        track.last_seen = at;
        track.detections += 1;
        let seen = gap.map(|gap| at.saturating_sub(track.first_seen).saturating_add(gap));
        track.shown |= seen.is_none_or(|seen| seen >= self.params.shown_after);
        (track.score, track.turn) = (face.score, face.turn);
        track.sights.push_back(Sight { at, rect: face.rect, landmarks: face.landmarks });
        while track.sights.len() > self.params.landmark_window.max(self.params.box_window).max(1) {
            track.sights.pop_front();
        }
        track.id
    }
}

/// Distance of the centres in face sizes, `None` beyond the limit.
fn gated_distance(expected: &Rect, found: &Rect, params: &TrackerParams) -> Option<f32> {
    let (a, b) = (expected.area().sqrt(), found.area().sqrt());
    let growth = a.max(b) / a.min(b);
    let distance = expected.centre().distance(found.centre()) / ((a + b) / 2.0);
    (distance <= params.gate && growth <= params.most_growth).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn face(x: f32, y: f32, side: f32) -> Face {
        Face { rect: Rect::around(Point::new(x, y), side, side), score: 0.9, landmarks: None, turn: Turn::None }
    }

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn gate_scales_with_the_face() {
        for (side, shift, same) in
            [(20.0, 10.0, true), (20.0, 50.0, false), (200.0, 50.0, true), (200.0, 150.0, true), (200.0, 250.0, false)]
        {
            let mut tracker = Tracker::new(TrackerParams::default());
            let first = tracker.update(ms(0), &[face(300.0, 300.0, side)])[0];
            let second = tracker.update(ms(40), &[face(300.0 + shift, 300.0, side)])[0];
            assert_eq!(first == second, same, "side {side}, shift {shift}");
        }
    }

    #[test]
    fn no_face_is_taken_twice() {
        let mut tracker = Tracker::new(TrackerParams::default());
        let first = tracker.update(ms(0), &[face(100.0, 100.0, 50.0)]);
        let both = tracker.update(ms(40), &[face(110.0, 100.0, 50.0), face(98.0, 100.0, 50.0)]);
        assert_eq!(both[1], first[0], "the nearer one keeps the identifier");
        assert_ne!(both[0], first[0]);
    }

    /// A tracker after empty pictures at this rate, and the time of the last one.
    fn running(gap: u64) -> (Tracker, u64) {
        let mut tracker = Tracker::new(TrackerParams::default());
        (0..6).for_each(|step| drop(tracker.update(ms(step * gap), &[])));
        (tracker, 5 * gap)
    }

    #[test]
    fn how_many_detections_show_a_face_follows_from_their_rate() {
        for (gap, needed) in [(33, 3), (40, 3), (50, 2), (67, 2), (100, 1), (1000, 1)] {
            let (mut tracker, last) = running(gap);
            for number in 1..=needed {
                tracker.update(ms(last + number * gap), &[face(100.0, 100.0, 50.0)]);
                assert_eq!(tracker.tracks()[0].is_shown(), number == needed, "detection {number} every {gap} ms");
            }
        }
        let mut first = Tracker::new(TrackerParams::default());
        first.update(ms(0), &[face(100.0, 100.0, 50.0)]);
        first.update(ms(40), &[face(100.0, 100.0, 50.0)]);
        assert!(first.tracks()[0].is_shown(), "a face on the very first picture, and it stays");
    }

    #[test]
    fn a_face_is_forgotten_after_half_a_second_and_two_misses() {
        let (mut tracker, last) = running(40);
        tracker.update(ms(last + 40), &[face(100.0, 100.0, 50.0)]);
        (2..13).for_each(|step| drop(tracker.update(ms(last + step * 40), &[])));
        tracker.forget(ms(last + 40 + 500));
        assert_eq!(tracker.tracks().len(), 1);
        tracker.forget(ms(last + 40 + 501));
        assert!(tracker.tracks().is_empty());
    }

    #[test]
    fn at_one_detection_a_second_a_face_keeps_its_name() {
        let mut tracker = Tracker::new(TrackerParams::default());
        let id = tracker.update(ms(0), &[face(100.0, 100.0, 50.0)])[0];
        for second in 1..5 {
            assert_eq!(tracker.update(ms(second * 1000), &[face(100.0, 100.0, 50.0)])[0], id);
        }
        // Missed once, the face is still tracked; missed twice, it is gone.
        tracker.update(ms(5000), &[]);
        assert_eq!(tracker.update(ms(6000), &[face(100.0, 100.0, 50.0)])[0], id);
        tracker.update(ms(7000), &[]);
        tracker.update(ms(8000), &[]);
        assert_ne!(tracker.update(ms(9000), &[face(100.0, 100.0, 50.0)])[0], id);
        // After a long pause no face is matched to a track from before.
        let last = tracker.tracks()[0].id;
        assert_ne!(tracker.update(ms(30_000), &[face(100.0, 100.0, 50.0)])[0], last);
    }

    #[test]
    fn a_vanished_face_comes_back_under_its_name_only_in_time() {
        let mut tracker = Tracker::new(TrackerParams::default());
        let id = tracker.update(ms(0), &[face(100.0, 100.0, 50.0)])[0];
        (1..10).for_each(|step| drop(tracker.update(ms(step * 40), &[])));
        assert_eq!(tracker.update(ms(400), &[face(102.0, 100.0, 50.0)])[0], id);
        (1..15).for_each(|step| drop(tracker.update(ms(400 + step * 40), &[])));
        assert_ne!(tracker.update(ms(1000), &[face(102.0, 100.0, 50.0)])[0], id);
    }

    #[test]
    fn crossing_faces_keep_their_names() {
        // Two faces of 60 px pass each other at 300 px/s each, 25 px apart in height, seen 25 times a second.
        let mut tracker = Tracker::new(TrackerParams::default());
        let mut names = None;
        for step in 0..60u64 {
            let x = step as f32 * 12.0;
            let faces = [face(x, 200.0, 60.0), face(700.0 - x, 225.0, 60.0)];
            let ids = tracker.update(ms(step * 40), &faces);
            assert_eq!(*names.get_or_insert_with(|| ids.clone()), ids, "step {step}");
        }
    }

    #[test]
    fn smoothed_box_is_steady_at_rest_and_does_not_lag_in_motion() {
        let params = TrackerParams::default();
        let mut rest = Tracker::new(params.clone());
        let mut motion = Tracker::new(params.clone());
        for step in 0..20u64 {
            let jitter = if step % 2 == 0 { 2.0 } else { -2.0 };
            rest.update(ms(step * 40), &[face(100.0 + jitter, 100.0, 50.0)]);
            motion.update(ms(step * 40), &[face(100.0 + 6.0 * step as f32, 100.0, 50.0)]);
        }
        let now = ms(19 * 40);
        assert!((rest.tracks()[0].rect_at(now, &params).centre().x - 100.0).abs() < 1.5);
        assert!((motion.tracks()[0].rect_at(now, &params).centre().x - 214.0).abs() < 0.1);
        assert!((motion.tracks()[0].rect_at(now + ms(40), &params).centre().x - 220.0).abs() < 0.1);
        let far = motion.tracks()[0].rect_at(now + ms(400), &params).centre().x;
        assert!((far - 229.0).abs() < 0.1, "no further than 100 ms ahead: {far}");
    }

    proptest! {
        /// Fifty faces move on a grid wide enough for the limit to separate them; identifiers stay, whatever the order.
        #[test]
        fn fifty_faces_keep_their_names(seed in 0u64..1000, steps in 3usize..12) {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut random = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1u64 << 24) as f32
            };
            let mut tracker = Tracker::new(TrackerParams::default());
            let mut names: Vec<Option<TrackId>> = vec![None; 50];
            for step in 0..steps {
                let mut order: Vec<usize> = (0..50).collect();
                for i in (1..50).rev() {
                    order.swap(i, (random() * (i + 1) as f32) as usize % (i + 1));
                }
                let faces: Vec<Face> = order.iter().map(|&i| {
                    let (column, row) = ((i % 10) as f32, (i / 10) as f32);
                    face(column * 100.0 + random() * 12.0, row * 100.0 + random() * 12.0, 50.0 + random() * 6.0)
                }).collect();
                let ids = tracker.update(ms(step as u64 * 40), &faces);
                let mut unique = ids.clone();
                unique.sort_unstable();
                unique.dedup();
                prop_assert_eq!(unique.len(), 50, "no track has two faces");
                for (&who, id) in order.iter().zip(ids) {
                    prop_assert_eq!(*names[who].get_or_insert(id), id);
                }
            }
        }

        #[test]
        fn any_boxes_are_safe(boxes in prop::collection::vec((prop::num::f32::ANY, prop::num::f32::ANY, prop::num::f32::ANY, prop::num::f32::ANY), 0..8), times in prop::collection::vec(0u64..10_000, 1..6)) {
            let mut tracker = Tracker::new(TrackerParams::default());
            let faces: Vec<Face> = boxes.iter().map(|&(x, y, w, h)| Face { rect: Rect::new(x, y, w, h), score: 0.5, landmarks: None, turn: Turn::None }).collect();
            for time in times {
                let ids = tracker.update(ms(time), &faces);
                prop_assert_eq!(ids.len(), faces.len());
            }
        }
    }
}

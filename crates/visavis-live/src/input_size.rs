//! The input size of the detector, chosen by the size of the source and the time that detection takes. Pure logic; time is an
//! argument.

use std::time::Duration;

use visavis_face::detect::InputSizes;

use crate::buffer::Pacing;

/// How the input size of the detector is chosen if the user has not set it.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSizeParams {
    /// Live: the share of the time between two frames that detection may take. The rest is left for recognition, which uses the
    /// same processor.
    pub share: f64,
    /// Live: number of frames that are measured before each decision.
    pub frames: usize,
    /// Live: a size that was too slow is tried again after this time. The time doubles with each further attempt.
    pub retry_after: Duration,
    /// Every frame: number of source pixels, along one side, for one pixel of the input. The time that detection takes is not
    /// considered, so that runs are reproducible.
    pub source_pixels: u32,
    /// Every frame: largest longer side of the input in pixels.
    pub longest: u32,
}

impl Default for InputSizeParams {
    fn default() -> Self {
        Self { share: 0.25, frames: 15, retry_after: Duration::from_secs(60), source_pixels: 3, longest: 960 }
    }
}

/// The longer sides to choose from, in pixels. Detection takes about 1.5 times as long with each as with the one before.
const LONGER_SIDES: [u32; 9] = [320, 416, 512, 640, 800, 960, 1280, 1600, 1920];
/// Limit for the time between two frames: detection should not take a quarter of a second because a source delivers one frame per
/// second.
const LONGEST_INTERVAL: Duration = Duration::from_millis(200);
/// The input becomes larger only if detection is expected to take at most this share of its time budget.
const GROWS_BELOW: f64 = 0.8;
/// The input becomes smaller only if detection takes more than this multiple of its time budget.
const SHRINKS_ABOVE: f64 = 1.5;
/// The longest pause before a size is tried again, in multiples of the first pause.
const LONGEST_PAUSE: u32 = 16;

/// Chooses the input size of one detector.
#[derive(Debug)]
pub(crate) struct InputSizer {
    params: InputSizeParams,
    pacing: Pacing,
    /// Sides must be multiples of this. `None`: the detector's input size is fixed.
    multiple: Option<u32>,
    source: [u32; 2],
    /// The possible sizes, smallest first.
    sizes: Vec<[u32; 2]>,
    /// Index of the present size.
    at: usize,
    /// Durations of detection since the last decision.
    took: Vec<Duration>,
    /// Number and time of the frame before the first of those.
    since: Option<(u64, Duration)>,
    /// Index of the smallest size that was too slow, until when it is not tried again, and the length of that pause.
    too_slow: Option<(usize, Duration, Duration)>,
}

impl InputSizer {
    /// For a detector with these input sizes.
    pub(crate) fn new(params: InputSizeParams, pacing: Pacing, sizes: Option<InputSizes>) -> Self {
        let multiple = match sizes {
            Some(InputSizes::MultiplesOf(multiple)) => Some(multiple.max(1)),
            Some(InputSizes::Fixed(_)) | None => None,
        };
        Self {
            params,
            pacing,
            multiple,
            source: [0; 2],
            sizes: Vec::new(),
            at: 0,
            took: Vec::new(),
            since: None,
            too_slow: None,
        }
    }

    /// Width and height of the input for the next frame, whose width and height are `source`. `None` if the input size is fixed.
    pub(crate) fn size_for(&mut self, source: [u32; 2]) -> Option<[u32; 2]> {
        let multiple = self.multiple?;
        if self.source != source {
            self.source = source;
            self.sizes = sizes(source, multiple);
            self.at = match self.pacing {
                Pacing::Live => 0,
                Pacing::EveryFrame => self.without_clock(),
            };
            self.too_slow = None;
            self.start_over();
        }
        self.sizes.get(self.at).copied()
    }

    /// Records how long detection of frame `seq`, captured at `at`, took.
    pub(crate) fn measured(&mut self, seq: u64, at: Duration, took: Duration) {
        if self.multiple.is_none() || self.pacing == Pacing::EveryFrame {
            return;
        }
        // The first frame of a size is not counted, since the engine prepares for the size.
        let Some((first, start)) = self.since else {
            self.since = Some((seq, at));
            return;
        };
        self.took.push(took);
        if self.took.len() < self.params.frames.max(1) {
            return;
        }
        let frames = u32::try_from(seq.saturating_sub(first)).unwrap_or(u32::MAX).max(1);
        let interval = (at.saturating_sub(start) / frames).min(LONGEST_INTERVAL);
        self.decide(at, interval.mul_f64(self.params.share.max(0.0)));
        self.start_over();
    }

    fn decide(&mut self, now: Duration, budget: Duration) {
        self.took.sort_unstable();
        let median = self.took[self.took.len() / 2];
        let area = |at: usize| self.sizes[at].iter().map(|side| f64::from(*side)).product::<f64>();
        let fits = |at: usize, share: f64| median.mul_f64(area(at) / area(self.at)) <= budget.mul_f64(share);
        if median > budget.mul_f64(SHRINKS_ABOVE) {
            if self.at > 0 {
                let pause = match self.too_slow {
                    Some((_, _, pause)) => (2 * pause).min(LONGEST_PAUSE * self.params.retry_after),
                    None => self.params.retry_after,
                };
                self.too_slow = Some((self.at, now + pause, pause));
                self.at = (0..self.at).rev().find(|at| fits(*at, 1.0)).unwrap_or(0);
            }
            return;
        }
        let end = match self.too_slow {
            Some((size, until, _)) if now < until => size,
            _ => self.sizes.len(),
        };
        if let Some(larger) = (self.at + 1..end).rev().find(|at| fits(*at, GROWS_BELOW)) {
            self.at = larger;
        }
    }

    /// Index of the size that depends on the source alone.
    fn without_clock(&self) -> usize {
        let wanted = self.source[0].max(self.source[1]) / self.params.source_pixels.max(1);
        let most = wanted.min(self.params.longest);
        LONGER_SIDES.iter().take(self.sizes.len()).rposition(|side| *side <= most).unwrap_or(0)
    }

    fn start_over(&mut self) {
        self.took.clear();
        self.since = None;
    }
}

/// The input sizes for a source: its aspect ratio, not larger than the source, each side a multiple of `multiple`.
fn sizes(source: [u32; 2], multiple: u32) -> Vec<[u32; 2]> {
    let long = source[0].max(source[1]).max(1);
    let fitted = |longer: u32| {
        source.map(|side| {
            let side = (u64::from(side) * u64::from(longer)).div_ceil(u64::from(long));
            u32::try_from(side).unwrap_or(u32::MAX).max(1).next_multiple_of(multiple)
        })
    };
    let count = LONGER_SIDES.iter().take_while(|longer| **longer <= long).count().max(1);
    LONGER_SIDES.iter().take(count).map(|longer| fitted(*longer)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: [u32; 2] = [1920, 1080];

    fn sizer(pacing: Pacing) -> InputSizer {
        InputSizer::new(InputSizeParams::default(), pacing, Some(InputSizes::MultiplesOf(32)))
    }

    /// A camera with 30 frames per second, and a machine that takes `per_megapixel`. Returns the widths after each second.
    fn run(sizer: &mut InputSizer, from: u64, seconds: u64, per_megapixel: Duration) -> Vec<u32> {
        let mut widths = Vec::new();
        let mut busy_until = Duration::ZERO;
        for seq in from * 30..(from + seconds) * 30 {
            let at = Duration::from_millis(seq * 1000 / 30);
            let size = sizer.size_for(HD).unwrap();
            if at >= busy_until {
                let took = per_megapixel.mul_f64(f64::from(size[0] * size[1]) / 1e6);
                busy_until = at + took;
                sizer.measured(seq, at, took);
            }
            if seq % 30 == 29 {
                widths.push(size[0]);
            }
        }
        widths
    }

    #[test]
    fn sizes_keep_the_aspect_and_are_multiples() {
        assert_eq!(
            sizes(HD, 32),
            [
                [320, 192],
                [416, 256],
                [512, 288],
                [640, 384],
                [800, 480],
                [960, 544],
                [1280, 736],
                [1600, 928],
                [1920, 1088]
            ]
        );
        assert_eq!(sizes([480, 640], 4), [[240, 320], [312, 416], [384, 512], [480, 640]]);
        assert_eq!(sizes([100, 60], 32), [[320, 192]], "a small source is enlarged");
    }

    #[test]
    fn a_fast_machine_gets_a_larger_input_and_a_slow_one_keeps_its_rate() {
        let fast = run(&mut sizer(Pacing::Live), 0, 10, Duration::from_millis(10));
        assert_eq!(fast[9], 960, "{fast:?}");
        let slow = run(&mut sizer(Pacing::Live), 0, 10, Duration::from_millis(110));
        assert_eq!(slow, [320; 10]);
        // Too slow even for the smallest.
        assert_eq!(run(&mut sizer(Pacing::Live), 0, 5, Duration::from_secs(2)), [320; 5]);
    }

    #[test]
    fn a_busy_machine_gets_a_smaller_input_without_oscillation() {
        let mut sizer = sizer(Pacing::Live);
        assert_eq!(run(&mut sizer, 0, 5, Duration::from_millis(10)).last(), Some(&960));
        let busy = run(&mut sizer, 5, 5, Duration::from_millis(40));
        assert_eq!(busy.last(), Some(&512), "{busy:?}");
        // The machine is fast again. 960 was too slow, so it is tried again only after a minute.
        let after = run(&mut sizer, 10, 100, Duration::from_millis(10));
        assert_eq!((after[20], after[99]), (800, 960), "{after:?}");
        let changes = after.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes <= 2, "{after:?}");
    }

    #[test]
    fn a_load_at_the_limit_changes_nothing() {
        let mut sizer = sizer(Pacing::Live);
        // 640 takes 5.9 ms of 8.3; 800 would take 9.2.
        let widths = run(&mut sizer, 0, 30, Duration::from_millis(24));
        let settled = widths[3];
        assert!(widths[3..].iter().all(|width| *width == settled), "{widths:?}");
        // A little slower and a little faster: still the same.
        for (lap, per_megapixel) in [30, 22, 31, 23].into_iter().enumerate() {
            let widths = run(&mut sizer, 30 + 10 * lap as u64, 10, Duration::from_millis(per_megapixel));
            assert_eq!(widths, [settled; 10], "{per_megapixel}");
        }
    }

    #[test]
    fn every_frame_depends_on_the_source_alone() {
        let mut sizer = sizer(Pacing::EveryFrame);
        for (source, expected) in [
            ([640, 480], [320, 256]),
            ([1280, 720], [416, 256]),
            (HD, [640, 384]),
            ([3840, 2160], [960, 544]),
            ([720, 1280], [256, 416]),
            ([64, 48], [320, 256]),
        ] {
            for seq in 0..40 {
                assert_eq!(sizer.size_for(source), Some(expected));
                sizer.measured(seq, Duration::from_millis(seq * 33), Duration::from_micros(seq % 7));
            }
        }
    }

    #[test]
    fn another_source_starts_again_and_a_fixed_size_stays() {
        let mut sizer = sizer(Pacing::Live);
        run(&mut sizer, 0, 5, Duration::from_millis(10));
        assert_eq!(sizer.size_for([640, 480]), Some([320, 256]));
        for sizes in [None, Some(InputSizes::Fixed([320, 240]))] {
            let mut fixed = InputSizer::new(InputSizeParams::default(), Pacing::Live, sizes);
            assert_eq!(fixed.size_for(HD), None);
        }
    }
}

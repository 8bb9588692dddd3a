//! Estimates how late a picture arrives, from the times that the camera assigns.
//!
//! The clocks of camera and computer are unrelated. The fastest pictures show the difference between them; a picture that
//! arrives later than that was delayed on the way.

use std::time::Duration;

use crate::network::OLD;

/// Largest jump back of a clock in seconds. A larger one means that the clock was set.
const JUMP: f64 = 1.0;
/// Seconds after which pictures that stay late count as punctual: the clock was set, or the way has become longer.
const SETTLED: f64 = 3.0;
/// How fast the fastest picture is forgotten, in seconds per second: more than the drift of any clock.
const FORGOTTEN: f64 = 0.001;

/// Tracks the times of one connection.
#[derive(Debug, Default)]
pub(super) struct Age {
    /// Arrival minus media time of the fastest picture.
    fastest: Option<f64>,
    /// Arrival and media time of the last picture.
    last: Option<(f64, f64)>,
    /// Added to the times of the camera so that they do not jump back.
    shift: f64,
    /// When pictures began to be late, and by how much.
    behind: Option<(f64, f64)>,
}

impl Age {
    /// Takes a picture that arrived at `arrival` with the time `media` of the camera, both in seconds. Returns how late it
    /// is, and its time in seconds on a clock that does not jump back by more than [`JUMP`].
    pub(super) fn of(&mut self, arrival: f64, media: f64) -> (Duration, f64) {
        let mut media = media + self.shift;
        let since = self.last.map_or(0.0, |(last, _)| (arrival - last).max(0.0));
        if let Some((_, last)) = self.last
            && media < last - JUMP
        {
            let wanted = last + since.max(0.001);
            self.shift += wanted - media;
            media = wanted;
        }
        self.last = Some((arrival, media));
        let took = arrival - media;
        let fastest = self.fastest.map_or(took, |fastest| (fastest + since * FORGOTTEN).min(took));
        let mut late = took - fastest;
        self.fastest = Some(fastest);
        if late <= OLD.as_secs_f64() {
            self.behind = None;
        } else {
            let (since, at_first) = *self.behind.get_or_insert((arrival, late));
            if arrival - since > SETTLED && late > at_first - 0.5 {
                (self.fastest, self.behind, late) = (Some(took), None, 0.0);
            }
        }
        (Duration::from_secs_f64(late.clamp(0.0, 3600.0)), media)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lateness in milliseconds of pictures with these arrivals and media times in milliseconds.
    fn late(times: impl IntoIterator<Item = (u32, i64)>) -> Vec<u128> {
        let mut age = Age::default();
        let each = |(arrival, media): (u32, i64)| age.of(f64::from(arrival) / 1e3, media as f64 / 1e3).0.as_millis();
        times.into_iter().map(each).collect()
    }

    fn regular(from: u32, count: u32, offset: i64) -> impl Iterator<Item = (u32, i64)> {
        (0..count).map(move |number| (from + number * 100, i64::from(from + number * 100) + offset))
    }

    #[test]
    fn what_is_held_up_is_late_and_catches_up() {
        // Nothing comes for two seconds, then all at once.
        let burst = (0..20).map(|number| (3000 + number, 1000 + i64::from(number) * 100));
        let late = late(regular(0, 10, 500_000).chain(burst.map(|(at, media)| (at, media + 500_000))));
        assert!(late[..10].iter().all(|&late| late < 5), "{late:?}");
        assert!(late[10] > 1900 && late[29] < 150, "{late:?}");
    }

    #[test]
    fn clocks_that_are_set_make_nothing_late_for_long() {
        for jump in [-3_600_000, -1500, -700, 700, 5000, 3_600_000] {
            let times = regular(0, 50, 0).chain(regular(5000, 100, jump));
            let late = late(times);
            assert!(late[95..].iter().all(|&late| late < 1000), "{jump}: {late:?}");
        }
    }

    #[test]
    fn a_camera_that_stopped_its_clock_is_believed_again() {
        // It was frozen for five seconds, and its times continue without a gap.
        let late = late(regular(0, 20, 0).chain(regular(7000, 60, -5000)));
        assert!(late[21] > 4000, "{late:?}");
        assert!(late[60..].iter().all(|&late| late < 100), "{late:?}");
    }

    #[test]
    fn times_never_jump_back() {
        let mut age = Age::default();
        let mut last = f64::NEG_INFINITY;
        for (number, media) in [10.0, 10.1, 10.2, -500.0, -499.9, 3.0, 3.1].into_iter().enumerate() {
            let at = age.of(number as f64 / 10.0, media).1;
            assert!(at > last, "{at} after {last}");
            last = at;
        }
    }

    #[test]
    fn a_slow_clock_makes_nothing_late() {
        // 100 ppm slow, for a day.
        let times = (0..86_400u32).map(|second| (second * 1000, i64::from(second) * 1000 - i64::from(second) / 10));
        assert!(late(times).iter().all(|&late| late < 50));
    }
}

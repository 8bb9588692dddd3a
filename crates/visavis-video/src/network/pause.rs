//! Pauses between attempts to reopen a stream.

use std::time::Duration;

/// The first pause, and the longest: a camera that was restarted is found within seconds, and an absent one costs little.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// Pauses, each twice as long as the one before.
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSES.0)
    }
}

impl Pause {
    /// The pause before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (self.0 * 2).min(PAUSES.1);
        pause
    }

    /// Resets the pause after a success.
    pub(crate) fn reset(&mut self) {
        self.0 = PAUSES.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut pause = Pause::default();
        let pauses: Vec<u128> = (0..5).map(|_| pause.next().as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 2000]);
        pause.reset();
        assert_eq!(pause.next(), PAUSES.0);
    }
}

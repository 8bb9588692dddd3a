//! Edit lists (ISO/IEC 14496-12, 8.6.6): which parts of a track are shown, and when.

use mp4_atom::{Elst, ElstEntry};

/// A part of the track that is shown. All in the track's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// Start and end in the track.
    start: i64,
    end: i64,
    /// When it starts to be shown.
    at: i64,
}

/// Which parts of a track are shown, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edits(Vec<Part>);

impl Edits {
    /// The whole track, whose first picture is shown at `first`. It is shifted to begin at 0, as players do: reordering, and
    /// cutting without re-encoding, leave an offset.
    pub(super) fn none(first: i64) -> Self {
        Self(vec![Part { start: first, end: i64::MAX, at: 0 }])
    }

    /// From an edit list. `movie_scale` and `track_scale` are the ticks per second of the whole file and of the track.
    ///
    /// # Errors
    /// If the list needs what our player does not support: parts that are shown twice, backwards or at another speed.
    pub(super) fn of(list: &Elst, first: i64, movie_scale: u32, track_scale: u32) -> Result<Self, String> {
        let parts = parts(&list.entries, movie_scale, track_scale)?;
        // A list with pauses only would show nothing.
        Ok(if parts.is_empty() { Self::none(first) } else { Self(parts) })
    }

    /// When a picture is shown whose time in the track is `ticks`, in the track's ticks; `None` if it is not shown.
    pub(super) fn shown_at(&self, ticks: i64) -> Option<i64> {
        let part = self.0.iter().find(|part| (part.start..part.end).contains(&ticks))?;
        Some(part.at.saturating_add(ticks - part.start))
    }
}

fn parts(entries: &[ElstEntry], movie_scale: u32, track_scale: u32) -> Result<Vec<Part>, String> {
    let in_track = |duration: u64| {
        let ticks = u128::from(duration) * u128::from(track_scale) / u128::from(movie_scale.max(1));
        i64::try_from(ticks).unwrap_or(i64::MAX)
    };
    let mut parts: Vec<Part> = Vec::new();
    let mut at = 0i64;
    for entry in entries {
        let lasts = in_track(entry.segment_duration);
        // An empty edit is a pause.
        if let Some(start) = entry.media_time {
            let start = i64::try_from(start).unwrap_or(i64::MAX);
            if (entry.media_rate.integer(), entry.media_rate.decimal()) != (1, 0) {
                return Err("an edit list that changes the speed".into());
            }
            if parts.last().is_some_and(|last| start < last.end) {
                return Err("an edit list that shows parts twice or backwards".into());
            }
            // 0 means: to the end (in a fragmented file, whose length is not known when the list is written).
            let end = if lasts == 0 { i64::MAX } else { start.saturating_add(lasts) };
            parts.push(Part { start, end, at });
        }
        at = at.saturating_add(lasts);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(segment_duration: u64, media_time: Option<u64>) -> ElstEntry {
        ElstEntry { segment_duration, media_time, media_rate: 1.into() }
    }

    /// Ten pictures, 100 ticks apart from 50 on; when they are shown.
    fn shown(entries: Vec<ElstEntry>) -> Vec<Option<i64>> {
        let edits = Edits::of(&Elst { entries }, 50, 10, 1000).unwrap();
        (0..10).map(|index| edits.shown_at(index * 100 + 50)).collect()
    }

    #[test]
    fn the_start_is_cut_off_and_the_end() {
        // From 250 ticks on, for 4 ticks of the file, which are 400 of the track.
        let times = shown(vec![entry(4, Some(250))]);
        assert_eq!(times[..2], [None; 2]);
        assert_eq!(times[2..6], [0, 100, 200, 300].map(Some));
        assert_eq!(times[6..], [None; 4]);
    }

    #[test]
    fn a_pause_delays_and_0_means_to_the_end() {
        let times = shown(vec![entry(20, None), entry(0, Some(50))]);
        assert_eq!((times[0], times[9]), (Some(2000), Some(2900)));
    }

    #[test]
    fn parts_follow_one_another() {
        let times = shown(vec![entry(2, Some(50)), entry(1, None), entry(1, Some(650))]);
        let expected = [Some(0), Some(100), None, None, None, None, Some(300), None, None, None];
        assert_eq!(times, expected);
    }

    #[test]
    fn what_we_cannot_play_is_said() {
        let refused = |entries: &[ElstEntry]| parts(entries, 10, 1000).unwrap_err();
        assert!(refused(&[entry(4, Some(500)), entry(4, Some(0))]).contains("backwards"));
        let slow = ElstEntry { media_rate: 2.into(), ..entry(4, Some(0)) };
        assert!(refused(&[slow]).contains("speed"));
        assert_eq!(shown(vec![entry(9, None)])[0], Some(0), "nothing but a pause is no list");
        assert_eq!(parts(&[entry(u64::MAX, Some(u64::MAX))], 1, u32::MAX).unwrap()[0].end, i64::MAX);
    }
}

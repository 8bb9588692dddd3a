//! The list of samples (encoded pictures) in an index (ISO/IEC 14496-12, 8.6 and 8.7).

use mp4_atom::{Co64, Ctts, Stco, Stsc, Stsz, StszSamples, Stts};

use super::boxes::{parse, require};

/// One encoded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Position in the file.
    pub(super) offset: u64,
    /// Size in bytes.
    pub(super) size: u32,
    /// When it is shown, in the track's ticks, before the edit list is applied.
    pub(super) shown: i64,
}

/// The samples that are in the file, in decoding order.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) list: Vec<Sample>,
    /// Number of samples in the index, including those beyond the end of a truncated file.
    pub(super) named: u64,
    /// Total duration in ticks.
    pub(super) ticks: u64,
}

/// More than three days at 30 pictures per second. An index with more is damaged, or an attack on our memory.
pub(super) const MOST_SAMPLES: u64 = 8_000_000;

impl Samples {
    /// Adds a sample, unless it is beyond the end of the file.
    pub(super) fn push(&mut self, sample: Sample, file_len: u64) -> Result<(), String> {
        self.named += 1;
        if self.named > MOST_SAMPLES {
            return Err(format!("the index has more than {MOST_SAMPLES} pictures"));
        }
        let whole = sample.offset.checked_add(u64::from(sample.size)).is_some_and(|end| end <= file_len);
        // Pictures after a missing one cannot be decoded.
        if whole && self.list.len() as u64 + 1 == self.named {
            self.list.push(sample);
        }
        Ok(())
    }

    /// Reads the sample table of a track. A fragmented file has an empty one.
    pub(super) fn of_table(stbl: &[u8], file_len: u64) -> Result<Self, String> {
        let sizes = require::<Stsz>(stbl)?.samples;
        let count = match &sizes {
            StszSamples::Identical { count, .. } => *count as usize,
            StszSamples::Different { sizes } => sizes.len(),
        };
        let mut samples = Self::default();
        if count == 0 {
            return Ok(samples);
        }
        let size_of = |index: usize| match &sizes {
            StszSamples::Identical { size, .. } => *size,
            StszSamples::Different { sizes } => sizes[index],
        };
        let chunks: Vec<u64> = match parse::<Co64>(stbl)? {
            Some(long) => long.entries,
            None => require::<Stco>(stbl)?.entries.into_iter().map(u64::from).collect(),
        };
        let runs = require::<Stsc>(stbl)?.entries;
        let durations = require::<Stts>(stbl)?.entries;
        let mut durations = Runs::new(durations.iter().map(|run| (run.sample_count, run.sample_delta)));
        let offsets = parse::<Ctts>(stbl)?.map(|box_| box_.entries).unwrap_or_default();
        let mut offsets = Runs::new(offsets.iter().map(|run| (run.sample_count, signed(run.sample_offset))));

        let (mut index, mut run, mut decoded) = (0, 0, 0u64);
        for (chunk, &chunk_offset) in chunks.iter().enumerate() {
            // Runs count chunks from 1 and hold until the next run.
            while runs.get(run + 1).is_some_and(|next| next.first_chunk as usize <= chunk + 1) {
                run += 1;
            }
            let in_chunk = runs.get(run).ok_or("box stsc is empty")?.samples_per_chunk as usize;
            let mut offset = chunk_offset;
            for _ in 0..in_chunk.min(count - index) {
                let size = size_of(index);
                let shift = offsets.next().unwrap_or(0);
                let shown = i64::try_from(decoded).unwrap_or(i64::MAX).saturating_add(shift);
                samples.push(Sample { offset, size, shown }, file_len)?;
                offset = offset.saturating_add(u64::from(size));
                let ticks = u64::from(durations.next().ok_or("box stts has too few times")?);
                decoded = decoded.saturating_add(ticks);
                index += 1;
            }
        }
        if index < count {
            return Err(format!("box stsz has {count} sizes, but the chunks have only {index} pictures"));
        }
        samples.ticks = decoded;
        Ok(samples)
    }

    /// The time of the picture that is shown first.
    pub(super) fn first_shown(&self) -> i64 {
        self.list.iter().map(|sample| sample.shown).min().unwrap_or(0)
    }
}

/// Version 0 of the box has unsigned offsets, but QuickTime and others write signed ones.
fn signed(offset: i64) -> i64 {
    if offset > i64::from(i32::MAX) { offset - (1 << 32) } else { offset }
}

/// Values stored as (how often, what).
struct Runs<I, T> {
    runs: I,
    left: u32,
    value: Option<T>,
}

impl<T: Copy, I: Iterator<Item = (u32, T)>> Runs<I, T> {
    fn new(runs: I) -> Self {
        Self { runs, left: 0, value: None }
    }

    fn next(&mut self) -> Option<T> {
        while self.left == 0 {
            let (count, value) = self.runs.next()?;
            (self.left, self.value) = (count, Some(value));
        }
        self.left -= 1;
        self.value
    }
}

#[cfg(test)]
mod tests {
    use mp4_atom::{CttsEntry, Encode, StscEntry, SttsEntry};

    use super::*;

    fn table(count: u32) -> Vec<u8> {
        let mut stbl = Vec::new();
        Stsz { samples: StszSamples::Different { sizes: (0..count).map(|index| 10 + index).collect() } }
            .encode(&mut stbl)
            .unwrap();
        let run =
            |first_chunk, samples_per_chunk| StscEntry { first_chunk, samples_per_chunk, sample_description_index: 1 };
        Stsc { entries: vec![run(1, 2), run(3, 1)] }.encode(&mut stbl).unwrap();
        Stco { entries: vec![100, 200, 300] }.encode(&mut stbl).unwrap();
        Stts { entries: vec![SttsEntry { sample_count: count, sample_delta: 5 }] }.encode(&mut stbl).unwrap();
        let shift = |sample_count, sample_offset| CttsEntry { sample_count, sample_offset };
        Ctts { entries: vec![shift(1, 10), shift(4, 20)] }.encode(&mut stbl).unwrap();
        stbl
    }

    #[test]
    fn chunks_and_runs_are_spelled_out() {
        let samples = Samples::of_table(&table(5), 1000).unwrap();
        let sample = |offset, size, shown| Sample { offset, size, shown };
        assert_eq!(
            samples.list,
            [sample(100, 10, 10), sample(110, 11, 25), sample(200, 12, 30), sample(212, 13, 35), sample(300, 14, 40)]
        );
        assert_eq!(samples.first_shown(), 10);
        assert_eq!((samples.named, samples.ticks), (5, 25));
    }

    #[test]
    fn signed_offsets_in_a_version_that_has_none() {
        assert_eq!((signed(1024), signed(i64::from(u32::MAX) - 511), signed(-512)), (1024, -512, -512));
    }

    #[test]
    fn samples_behind_the_end_are_named_but_not_listed() {
        let samples = Samples::of_table(&table(5), 220).unwrap();
        assert_eq!((samples.list.len(), samples.named), (3, 5));
    }

    #[test]
    fn contradictions_are_errors() {
        assert!(Samples::of_table(&table(6), 1000).unwrap_err().contains("only 5"));
        let mut huge = Vec::new();
        Stsz { samples: StszSamples::Identical { count: u32::MAX, size: 1 } }.encode(&mut huge).unwrap();
        let run = StscEntry { first_chunk: 1, samples_per_chunk: u32::MAX, sample_description_index: 1 };
        Stsc { entries: vec![run] }.encode(&mut huge).unwrap();
        Stco { entries: vec![8] }.encode(&mut huge).unwrap();
        Stts { entries: vec![SttsEntry { sample_count: u32::MAX, sample_delta: 1 }] }.encode(&mut huge).unwrap();
        assert!(Samples::of_table(&huge, 100).unwrap_err().contains("more than"));
        assert!(Samples::of_table(&[], 100).unwrap_err().contains("stsz"));
    }
}

//! Rows of a snapshot, in owned memory or in a mapped file.

use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;

/// Size of a cache line.
const CACHE_LINE: usize = 64;

/// A slice of plain numbers.
#[derive(Debug)]
pub(super) enum Section<T> {
    /// Owned; can grow.
    Owned(Vec<T>),
    /// A part of an index file.
    Mapped(Part<T>),
}

/// Bytes of a file that are a `[T]`: [`Section::mapped`] has checked their length and alignment.
#[derive(Debug)]
pub(super) struct Part<T> {
    map: Arc<Mmap>,
    bytes: Range<usize>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Pod> Section<T> {
    /// `[len]` numbers at `bytes` of a file; `None` if they are out of range or not aligned.
    pub(super) fn mapped(map: &Arc<Mmap>, bytes: Range<usize>, len: usize) -> Option<Self> {
        let found: &[T] = bytemuck::try_cast_slice(map.get(bytes.clone())?).ok()?;
        (found.len() == len).then(|| Self::Mapped(Part { map: Arc::clone(map), bytes, kind: PhantomData }))
    }

    /// All whole numbers at `bytes` of a file.
    pub(super) fn mapped_whole(map: &Arc<Mmap>, bytes: Range<usize>) -> Option<Self> {
        let len = bytes.len() / size_of::<T>();
        Self::mapped(map, bytes, len)
    }

    /// An owned section to append to. A mapped section is copied first.
    pub(super) fn owned(&mut self) -> &mut Vec<T> {
        if let Self::Mapped(_) = self {
            *self = Self::Owned(self.to_vec());
        }
        match self {
            Self::Owned(numbers) => numbers,
            Self::Mapped(_) => unreachable!("it was made an owned one above"),
        }
    }

    /// The bytes as in a file.
    pub(super) fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

impl<T> Default for Section<T> {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl<T: Pod> Deref for Section<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(numbers) => numbers,
            Self::Mapped(part) => bytemuck::try_cast_slice(&part.map[part.bytes.clone()]).unwrap_or_default(),
        }
    }
}

/// Prefetches the memory of `numbers`.
#[inline]
pub(super) fn fetch<T>(numbers: &[T]) {
    for line in (0..size_of_val(numbers)).step_by(CACHE_LINE) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every processor of this kind has the instruction, which changes nothing and cannot fail.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(numbers.as_ptr().cast::<i8>().wrapping_add(line));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

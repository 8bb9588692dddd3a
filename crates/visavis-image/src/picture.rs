//! Owned RGB8 pictures and the pool that recycles their memory.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// An RGB8 picture, row-major, three bytes a pixel, no padding between rows.
///
/// A picture from a [`PicturePool`] returns its memory to the pool when dropped.
pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
    pool: Weak<FreeList>,
}

impl Picture {
    /// A black picture.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, pixels: vec![0; byte_len(width, height)], pool: Weak::new() }
    }

    /// Takes over `pixels` as a picture.
    ///
    /// # Errors
    /// [`PixelCountError`] if `pixels` does not hold exactly `width * height * 3` bytes.
    pub fn from_rgb(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self, PixelCountError> {
        if pixels.len() == byte_len(width, height) {
            Ok(Self { width, height, pixels, pool: Weak::new() })
        } else {
            Err(PixelCountError { width, height, bytes: pixels.len() })
        }
    }

    /// A picture of one colour.
    #[must_use]
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Self {
        let mut picture = Self::new(width, height);
        for pixel in picture.pixels.chunks_exact_mut(3) {
            pixel.copy_from_slice(&colour);
        }
        picture
    }

    /// Pixels across.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All pixels, RGB RGB …, row after row.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All pixels, mutable.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The bytes of row `y`.
    ///
    /// # Panics
    /// If `y` is not below the height.
    #[must_use]
    pub fn row(&self, y: u32) -> &[u8] {
        let stride = self.width as usize * 3;
        &self.pixels[y as usize * stride..][..stride]
    }

    /// The colour at column `x`, row `y`.
    ///
    /// # Panics
    /// If the position lies outside.
    #[must_use]
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = x as usize * 3;
        let row = self.row(y);
        [row[at], row[at + 1], row[at + 2]]
    }

    /// Sets the colour at column `x`, row `y`.
    ///
    /// # Panics
    /// If the position lies outside.
    pub fn set_pixel(&mut self, x: u32, y: u32, colour: [u8; 3]) {
        assert!(x < self.width && y < self.height, "({x}, {y}) is outside {}x{}", self.width, self.height);
        let at = (y as usize * self.width as usize + x as usize) * 3;
        self.pixels[at..at + 3].copy_from_slice(&colour);
    }

    /// Makes this a copy of `other`, reusing its own memory.
    pub fn copy_from(&mut self, other: &Picture) {
        self.width = other.width;
        self.height = other.height;
        self.pixels.clear();
        self.pixels.extend_from_slice(&other.pixels);
    }

    /// Changes the size; the contents are unspecified afterwards. Reuses the memory if it suffices.
    pub fn reshape(&mut self, width: u32, height: u32) {
        self.width = width;
        self.height = height;
        self.pixels.resize(byte_len(width, height), 0);
    }

    /// Mirrors the picture left to right, in place.
    pub fn mirror(&mut self) {
        let stride = self.width as usize * 3;
        if stride == 0 {
            return;
        }
        for row in self.pixels.chunks_exact_mut(stride) {
            let (mut left, mut right) = (0, stride - 3);
            while left < right {
                for channel in 0..3 {
                    row.swap(left + channel, right + channel);
                }
                left += 3;
                right -= 3;
            }
        }
    }

    /// Converts the picture into its pixels.
    #[must_use]
    pub fn into_pixels(mut self) -> Vec<u8> {
        self.pool = Weak::new();
        std::mem::take(&mut self.pixels)
    }
}

fn byte_len(width: u32, height: u32) -> usize {
    width as usize * height as usize * 3
}

impl Clone for Picture {
    fn clone(&self) -> Self {
        Self { width: self.width, height: self.height, pixels: self.pixels.clone(), pool: Weak::new() }
    }
}

impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        self.width == other.width && self.height == other.height && self.pixels == other.pixels
    }
}

impl Eq for Picture {}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}x{})", self.width, self.height)
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.put(std::mem::take(&mut self.pixels));
        }
    }
}

/// The pixel buffer does not have the stated size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {width}x{height} RGB picture needs {} bytes, got {bytes}", byte_len(*.width, *.height))]
pub struct PixelCountError {
    /// Stated pixels across.
    pub width: u32,
    /// Stated pixels down.
    pub height: u32,
    /// Bytes found.
    pub bytes: usize,
}

/// Recycles the memory of the pictures in a stream, so that a running camera allocates almost nothing.
///
/// The system allocator maps and unmaps a 1280×720 frame (2.8 MB) each time; recycling avoids the page faults. Buffers that were
/// needed only for a moment, while a consumer was slow, are freed after a hundred pictures.
#[derive(Clone)]
pub struct PicturePool {
    free: Arc<FreeList>,
}

/// After this many pictures, the spare buffers that none of these pictures needed are freed.
const CHECK_INTERVAL: usize = 100;

struct FreeList {
    spare: Mutex<Spare>,
    most: usize,
}

struct Spare {
    buffers: Vec<Vec<u8>>,
    /// Pictures since the last check.
    taken: usize,
    /// The smallest number of spare buffers since the last check.
    least: usize,
}

impl FreeList {
    fn spare(&self) -> MutexGuard<'_, Spare> {
        // A poisoned lock only means that a thread panicked while it held the lock: the spare memory is still valid.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, pixels: Vec<u8>) {
        let mut spare = self.spare();
        if spare.buffers.len() < self.most {
            spare.buffers.push(pixels);
        }
    }

    fn take(&self) -> Option<Vec<u8>> {
        let mut spare = self.spare();
        let taken = spare.buffers.pop();
        spare.taken += 1;
        spare.least = spare.least.min(spare.buffers.len());
        if spare.taken == CHECK_INTERVAL {
            let unused = spare.least;
            spare.buffers.drain(..unused);
            (spare.taken, spare.least) = (0, spare.buffers.len());
        }
        taken
    }
}

impl PicturePool {
    /// A pool that keeps at most `most` spare buffers.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let spare = Spare { buffers: Vec::with_capacity(most), taken: 0, least: 0 };
        Self { free: Arc::new(FreeList { spare: Mutex::new(spare), most }) }
    }

    /// A picture with unspecified contents, in recycled memory if there is any.
    #[must_use]
    pub fn take(&self, width: u32, height: u32) -> Picture {
        let mut pixels = self.free.take().unwrap_or_default();
        pixels.resize(byte_len(width, height), 0);
        Picture { width, height, pixels, pool: Arc::downgrade(&self.free) }
    }

    /// Number of spare buffers.
    #[must_use]
    pub fn spare(&self) -> usize {
        self.free.spare().buffers.len()
    }
}

impl fmt::Debug for PicturePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PicturePool({} spare)", self.spare())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_picture_returns_to_its_pool_and_is_used_again() {
        let pool = PicturePool::new(2);
        let picture = pool.take(8, 4);
        let address = picture.pixels().as_ptr();
        drop(picture);
        assert_eq!(pool.spare(), 1);
        let again = pool.take(8, 4);
        assert_eq!(again.pixels().as_ptr(), address);
        assert_eq!(pool.spare(), 0);
    }

    #[test]
    fn pool_keeps_no_more_than_asked() {
        let pool = PicturePool::new(1);
        drop((pool.take(2, 2), pool.take(2, 2), pool.take(2, 2)));
        assert_eq!(pool.spare(), 1);
    }

    #[test]
    fn spare_buffers_that_are_no_longer_needed_are_freed() {
        let pool = PicturePool::new(8);
        let crowd: Vec<_> = (0..5).map(|_| pool.take(2, 2)).collect();
        drop(crowd);
        assert_eq!(pool.spare(), 5);
        // Two pictures at a time are used from now on.
        let mut held = None;
        for _ in 0..3 * CHECK_INTERVAL {
            held = Some(pool.take(2, 2));
        }
        drop(held);
        assert_eq!(pool.spare(), 2);
    }

    #[test]
    fn picture_outlives_its_pool() {
        let pool = PicturePool::new(1);
        let picture = pool.take(2, 2);
        drop(pool);
        assert_eq!(picture.pixels().len(), 12);
    }

    #[test]
    fn wrong_byte_count_is_refused() {
        let error = Picture::from_rgb(2, 2, vec![0; 11]).unwrap_err();
        assert_eq!(error.to_string(), "a 2x2 RGB picture needs 12 bytes, got 11");
    }

    #[test]
    fn mirror_twice_is_identity_and_once_swaps_columns() {
        let mut picture = Picture::from_rgb(3, 1, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        let before = picture.clone();
        picture.mirror();
        assert_eq!(picture.pixels(), [7, 8, 9, 4, 5, 6, 1, 2, 3]);
        picture.mirror();
        assert_eq!(picture, before);
    }
}

//! JPEG pictures one after the other, as `ffmpeg -f mjpeg -` and webcams send them.

use std::borrow::Cow;
use std::io::{self, Read};

/// Largest picture, in bytes. A 4K webcam sends 2 MB.
pub(crate) const MOST_BYTES: usize = 32 << 20;
const CHUNK: usize = 64 << 10;
/// The name of the format of a file of such pictures.
pub(crate) const FILM: &str = "a sequence of JPEG pictures";
/// Number of bytes that are read of a file to find out whether it is a film.
const MOST_EXAMINED: u64 = 64 << 20;

/// Why there is no further picture.
#[derive(Debug)]
pub(crate) enum SplitError {
    Read(io::Error),
    /// The stream ended within a picture.
    CutShort,
    /// A picture without an end within the maximum size.
    TooLong,
    /// Another picture began before this one had ended after this many bytes. The next call returns the other one.
    NoEnd(usize),
    /// A waiting read was interrupted. The next call continues.
    Interrupted,
}

/// Splits a stream into its pictures.
///
/// It parses the markers (ITU-T T.81, annex B), so that a thumbnail inside a picture does not end it, and skips data between
/// pictures, such as the headers of a multipart stream.
pub(crate) struct Splitter<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Length of the picture that [`next`](Self::next) returned; it is dropped at the next call.
    spent: usize,
    most: usize,
    ended: bool,
    /// Number of bytes that were read in total.
    seen: u64,
    /// Whether there were other bytes than zeros between the pictures.
    strays: bool,
}

/// Position within a picture, from its first byte.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Before a marker.
    Marker(usize),
    /// Within entropy-coded data.
    Scan(usize),
}

enum Step {
    Go(State),
    /// The picture ends before this position.
    End(usize),
    /// Another picture starts at this position: the current one has no end.
    Restart(usize),
    More,
}

impl<R: Read> Splitter<R> {
    pub(crate) fn new(stream: R, most: usize) -> Self {
        Self { stream, buffer: Vec::new(), spent: 0, most, ended: false, seen: 0, strays: false }
    }

    /// Number of bytes that were read so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The bytes of the next picture; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, SplitError> {
        self.buffer.drain(..self.spent);
        self.spent = 0;
        if !self.seek_start()? {
            return Ok(None);
        }
        let mut state = State::Marker(2);
        loop {
            match step(&self.buffer, state) {
                Step::Go(next) => state = next,
                Step::End(at) => {
                    self.spent = at;
                    return Ok(Some(&self.buffer[..at]));
                }
                Step::Restart(at) => {
                    self.spent = at;
                    return Err(SplitError::NoEnd(at));
                }
                Step::More => self.fill_picture()?,
            }
        }
    }

    /// Moves the start of the next picture to the front of the buffer. Returns `false` if there is none.
    fn seek_start(&mut self) -> Result<bool, SplitError> {
        loop {
            let start = start(&self.buffer);
            // Only the last two bytes can be the beginning of a start.
            let between = start.unwrap_or(self.buffer.len().saturating_sub(2));
            self.strays |= self.buffer.drain(..between).any(|byte| byte != 0);
            if start.is_some() {
                return Ok(true);
            }
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    /// Reads more data of a picture, up to the maximum size.
    fn fill_picture(&mut self) -> Result<(), SplitError> {
        if self.buffer.len() > self.most {
            // The data are dropped; another picture may follow.
            self.buffer.clear();
            return Err(SplitError::TooLong);
        }
        if !self.fill()? {
            self.buffer.clear();
            return Err(SplitError::CutShort);
        }
        Ok(())
    }

    /// Reads more data. Returns `false` at the end.
    fn fill(&mut self) -> Result<bool, SplitError> {
        while !self.ended {
            let len = self.buffer.len();
            self.buffer.resize(len + CHUNK, 0);
            let read = self.stream.read(&mut self.buffer[len..]);
            self.buffer.truncate(len + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.seen += count as u64;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(SplitError::Interrupted),
                Err(error) => {
                    self.ended = true;
                    return Err(SplitError::Read(error));
                }
            }
        }
        Ok(false)
    }
}

/// The start of a picture: SOI and the first byte of the next marker.
fn start(buffer: &[u8]) -> Option<usize> {
    buffer.windows(3).position(|bytes| bytes == [0xFF, 0xD8, 0xFF])
}

fn step(buffer: &[u8], state: State) -> Step {
    match state {
        State::Scan(from) => {
            let Some(at) = buffer.get(from..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)) else {
                return if buffer.len() > from { Step::Go(State::Scan(buffer.len())) } else { Step::More };
            };
            match buffer.get(from + at + 1) {
                None if at == 0 => Step::More,
                None => Step::Go(State::Scan(from + at)),
                // A stuffed 0xFF or a restart marker: the scan continues.
                Some(0 | 0xD0..=0xD7) => Step::Go(State::Scan(from + at + 2)),
                // Fill bytes.
                Some(0xFF) => Step::Go(State::Scan(from + at + 1)),
                Some(_) => Step::Go(State::Marker(from + at)),
            }
        }
        State::Marker(at) => {
            let Some(&[first, marker]) = buffer.get(at..at + 2) else { return Step::More };
            let length = buffer.get(at + 2..at + 4).map(|bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]));
            match (first, marker, length) {
                (0xFF, 0xFF, _) => Step::Go(State::Marker(at + 1)),
                (0xFF, 0xD9, _) => Step::End(at + 2),
                (0xFF, 0xD8, _) => Step::Restart(at),
                (0xFF, 0x01 | 0xD0..=0xD7, _) => Step::Go(State::Marker(at + 2)),
                (0xFF, 0, _) | (..0xFF, _, _) => Step::Restart(at),
                (_, _, None) => Step::More,
                (_, _, Some(..2)) => Step::Restart(at + 2),
                (_, 0xDA, Some(length)) => Step::Go(State::Scan(at + 2 + length)),
                (_, _, Some(length)) => Step::Go(State::Marker(at + 2 + length)),
            }
        }
    }
}

/// The segments of a picture up to its first scan: the marker of each, and the bytes from its contents on.
fn segments(picture: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = 2;
    std::iter::from_fn(move || {
        let Some(&[0xFF, marker, high, low]) = picture.get(at..at + 4) else { return None };
        let contents = &picture[at + 4..];
        at += 2 + (usize::from(high) << 8 | usize::from(low));
        Some((marker, contents))
    })
}

/// Whether a file with these first bytes may be a film: it begins with a JPEG picture that is no photo of a camera.
pub(crate) fn may_be_film(head: &[u8]) -> bool {
    start(head) == Some(0) && !is_photo(head)
}

/// Whether a picture contains what cameras and phones write into photos (EXIF, MPF). After a photo, others may follow in the same
/// file: previews, the second picture of a stereo camera.
fn is_photo(picture: &[u8]) -> bool {
    segments(picture).any(|(marker, contents)| match marker {
        0xE1 => contents.starts_with(b"Exif\0"),
        0xE2 => contents.starts_with(b"MPF\0"),
        _ => false,
    })
}

/// Height and width in the frame header.
fn size(picture: &[u8]) -> Option<[u8; 4]> {
    let is_frame = |marker: u8| matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
    let (_, header) = segments(picture).find(|&(marker, _)| is_frame(marker))?;
    header.get(1..5)?.try_into().ok()
}

/// Whether a file of `length` bytes is a film: at least three pictures of one size one after the other, with nothing but zeros
/// between them. A single photo is read to its middle at most.
pub(crate) fn is_film(file: impl Read, length: u64) -> bool {
    let most = usize::try_from(length / 2).unwrap_or(usize::MAX).min(MOST_BYTES);
    let mut pictures = Splitter::new(file.take(MOST_EXAMINED), most);
    let mut sizes = Vec::new();
    while sizes.len() < 3 {
        match pictures.next() {
            Ok(Some(picture)) if !is_photo(picture) => sizes.push(size(picture)),
            _ => return false,
        }
        if pictures.strays {
            return false;
        }
    }
    sizes[0].is_some() && sizes.iter().all(|size| *size == sizes[0])
}

/// Adds an AVI1 segment if it and the Huffman tables are missing. Webcams leave out the tables, which are fixed for Motion
/// JPEG (T.81, annex K); with an AVI1 segment, decoders use the standard ones.
pub(crate) fn with_huffman_tables(picture: &[u8]) -> Cow<'_, [u8]> {
    for (marker, contents) in segments(picture) {
        if marker == 0xC4 || marker == 0xE0 && contents.starts_with(b"AVI1\0") {
            return Cow::Borrowed(picture);
        }
        if marker == 0xDA {
            let mut whole = Vec::with_capacity(picture.len() + 18);
            whole.extend_from_slice(&picture[..2]);
            whole.extend_from_slice(b"\xFF\xE0\0\x10AVI1\0\0\0\0\0\0\0\0\0\0");
            whole.extend_from_slice(&picture[2..]);
            return Cow::Owned(whole);
        }
    }
    Cow::Borrowed(picture)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use visavis_image::{Picture, codec};

    use super::*;

    /// Delivers a stream in pieces of given lengths.
    struct Pieces<'a> {
        bytes: &'a [u8],
        lengths: std::iter::Cycle<std::vec::IntoIter<usize>>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.lengths.next().unwrap().min(self.bytes.len()).min(out.len());
            out[..count].copy_from_slice(&self.bytes[..count]);
            self.bytes = &self.bytes[count..];
            Ok(count)
        }
    }

    fn split<R: Read>(stream: R) -> (Vec<Vec<u8>>, Option<SplitError>) {
        let mut splitter = Splitter::new(stream, 1 << 20);
        let mut pictures = Vec::new();
        loop {
            match splitter.next() {
                Ok(Some(picture)) => pictures.push(picture.to_vec()),
                Ok(None) => return (pictures, None),
                Err(error) => return (pictures, Some(error)),
            }
        }
    }

    /// All pictures, whatever lies between them.
    fn split_all(bytes: &[u8]) -> usize {
        let mut splitter = Splitter::new(bytes, 1 << 20);
        let mut pictures = 0;
        // Every error consumes bytes, so this ends.
        loop {
            match splitter.next() {
                Ok(Some(_)) => pictures += 1,
                Ok(None) => return pictures,
                Err(_) => {}
            }
        }
    }

    /// A picture with a thumbnail in an APP segment, two scans, a restart marker, fill bytes and stuffing.
    fn tricky(seed: u8) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 12];
        bytes.extend([0xFF, 0xD8, 0xFF, 0xDB, 0xFF, 0xD9, seed, seed, 0xFF, 0xD9]);
        bytes.extend([0xFF, 0xDA, 0, 4, 1, 2, seed, 0xFF, 0, 0xFF, 0xD3, 0xFF, 0xFF, 0, 7]);
        bytes.extend([0xFF, 0xC4, 0, 4, 0xFF, 0xD9, 0xFF, 0xFF, 0xDA, 0, 2, seed, 0xFF, 0xD9]);
        bytes
    }

    #[test]
    fn thumbnails_and_scans_do_not_end_a_picture() {
        let stream = [tricky(1), tricky(2)].concat();
        assert_eq!(split(stream.as_slice()).0, [tricky(1), tricky(2)]);
    }

    #[test]
    fn a_picture_without_an_end_costs_only_itself() {
        let mut stream = tricky(1);
        stream.truncate(stream.len() - 2);
        let cut = stream.len();
        stream.extend(tricky(2));
        let mut splitter = Splitter::new(stream.as_slice(), 1 << 20);
        assert!(matches!(splitter.next(), Err(SplitError::NoEnd(bytes)) if bytes == cut));
        assert_eq!(splitter.next().unwrap(), Some(tricky(2).as_slice()));
        assert!(splitter.next().unwrap().is_none());
    }

    #[test]
    fn an_interruption_loses_nothing() {
        struct Interrupting<'a>(&'a [u8], bool);
        impl Read for Interrupting<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(&mut out[..5]) }
            }
        }
        let stream = [tricky(1), tricky(2)].concat();
        let mut splitter = Splitter::new(Interrupting(&stream, false), 1 << 20);
        let (mut found, mut interrupted) = (Vec::new(), 0);
        loop {
            match splitter.next() {
                Ok(Some(picture)) => found.push(picture.to_vec()),
                Ok(None) => break,
                Err(SplitError::Interrupted) => interrupted += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(found, [tricky(1), tricky(2)]);
        assert!(interrupted > 10);
    }

    #[test]
    fn endless_and_cut_pictures_are_errors() {
        let endless = [&[0xFF, 0xD8, 0xFF, 0xDA, 0, 2][..], &[5; 3 << 20]].concat();
        assert!(matches!(split(endless.as_slice()), (none, Some(SplitError::TooLong)) if none.is_empty()));
        let whole = tricky(1);
        for cut in 3..whole.len() {
            assert!(matches!(split(&whole[..cut]), (none, Some(SplitError::CutShort)) if none.is_empty()), "{cut}");
        }
        assert!(matches!(split(&b"no pictures here"[..]), (none, None) if none.is_empty()));
    }

    #[test]
    fn only_three_equal_pictures_in_a_row_are_a_film() {
        let jpeg = |width| codec::encode_jpeg(&Picture::filled(width, 16, [90; 3]), 90).unwrap();
        let is_film = |parts: &[&[u8]]| {
            let file = parts.concat();
            may_be_film(&file[..200]) && is_film(file.as_slice(), file.len() as u64)
        };
        let (picture, other) = (jpeg(16), jpeg(24));
        let with = |segment: &[u8]| [&picture[..2], segment, &picture[2..]].concat();
        assert!(is_film(&[&picture, &picture, &picture]));
        assert!(is_film(&[&picture, &[0; 9], &picture, &picture, b"rest"]));
        // Photos: alone, with a preview, with something else after the picture, with several pictures that a camera wrote.
        assert!(!is_film(&[&picture]));
        assert!(!is_film(&[&picture, &picture]));
        assert!(!is_film(&[&picture, &picture, &other]));
        assert!(!is_film(&[&picture, &[0; 5000]]));
        assert!(!is_film(&[&picture, b"\0\0\0\x18ftypmp42", &picture, &picture]));
        for segment in [&b"\xFF\xE1\0\x08Exif\0\0"[..], b"\xFF\xE2\0\x06MPF\0"] {
            assert!(!is_film(&[&with(segment), &picture, &picture]));
        }
    }

    #[test]
    fn motion_jpeg_without_tables_decodes() {
        let whole = codec::encode_jpeg(&Picture::filled(16, 16, [200, 60, 20]), 90).unwrap();
        // Removes every DHT segment, as webcams do. Our encoder uses the standard tables.
        let (mut bare, mut at) = (whole[..2].to_vec(), 2);
        while whole[at + 1] != 0xDA {
            let next = at + 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
            if whole[at + 1] != 0xC4 && whole[at + 1] != 0xE0 {
                bare.extend(&whole[at..next]);
            }
            at = next;
        }
        bare.extend(&whole[at..]);
        assert!(matches!(with_huffman_tables(&whole), Cow::Borrowed(_)));
        let mended = with_huffman_tables(&bare);
        let decoded = codec::decode(&mended, 1000).unwrap();
        assert_eq!(decoded, codec::decode(&whole, 1000).unwrap());
    }

    proptest! {
        #[test]
        fn any_chunks_give_the_same_pictures(
            seeds in prop::collection::vec(0u8..0xFF, 0..5),
            between in prop::collection::vec(0u8..0xFF, 0..9),
            lengths in prop::collection::vec(1usize..40, 1..8),
        ) {
            let pictures: Vec<_> = seeds.iter().map(|&seed| tricky(seed)).collect();
            let mut stream = between.clone();
            for picture in &pictures {
                stream.extend(picture);
                stream.extend(&between);
            }
            let (found, error) = split(Pieces { bytes: &stream, lengths: lengths.into_iter().cycle() });
            prop_assert_eq!(found, pictures);
            prop_assert!(error.is_none());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop::sample::select(vec![0u8, 2, 0xC4, 0xD0, 0xD8, 0xD9, 0xDA, 0xFF]), 0..200)) {
            split_all(&bytes);
        }
    }
}

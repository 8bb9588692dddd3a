//! Files of 2 GB that are nearly empty on the disk, and pipes without end.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::PoisonError;
use std::thread;

use visavis_image::{Picture, codec};

use crate::{ALONE, first_error_or_end, forget_peak, memory};

const LENGTH: u64 = 2 << 30;
/// How much the process may grow: the index of a film may have 256 MiB.
const MOST_GROWTH_MIB: u64 = 400;

fn sparse(path: &Path, head: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(head).unwrap();
    file.set_len(LENGTH).unwrap();
}

/// Opens and reads a source until its first error or its end. Returns what came instead of pictures.
fn read(spec: &str) -> String {
    forget_peak();
    let before = memory("VmRSS");
    let said = first_error_or_end(spec.to_owned()).map_or_else(|| "the end".to_owned(), |error| error.to_string());
    let grown = memory("VmHWM").saturating_sub(before);
    println!("{spec}: grown by {grown} MiB: {said}");
    assert!(grown < MOST_GROWTH_MIB, "{spec}: {grown} MiB");
    said
}

/// A box of an MP4 (ISO/IEC 14496-12, 4.2).
fn mp4_box(kind: &[u8; 4], length: u32, body: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes()[..], kind, body].concat()
}

#[test]
fn files_larger_than_the_memory_are_not_read_into_it() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let picture = Picture::filled(64, 48, [90; 3]);
    let jpeg = codec::encode_jpeg(&picture, 90).unwrap();
    let png = codec::encode_png(&picture).unwrap();
    let film = mp4_box(b"ftyp", 16, b"isom\0\0\0\x01");
    let gif = [&b"GIF89a\x40\0\x30\0\0\0\0"[..], b"\x2C\0\0\0\0\x40\0\x30\0\0\x08\xFF"].concat();
    let heads: [(&str, Vec<u8>); 14] = [
        ("nothing", Vec::new()),
        ("whole.jpg", jpeg.clone()),
        ("cut.jpg", jpeg[..jpeg.len() / 2].to_vec()),
        ("whole.png", png.clone()),
        ("cut.png", png[..40].to_vec()),
        ("a.gif", gif),
        ("a.webp", b"RIFF\xF0\xFF\xFF\x7FWEBPVP8L\xE0\xFF\xFF\x7F\x2F".to_vec()),
        ("a.bmp", b"BM\0\0\0\x7F\0\0\0\0\x36\0\0\0\x28\0\0\0\x40\0\0\0\x30\0\0\0\x01\0\x18\0".to_vec()),
        ("zeros.mp4", film.clone()),
        ("index.mp4", [film.clone(), mp4_box(b"moov", 0x7FFF_FF00, b"")].concat()),
        ("to-the-end.mp4", [film.clone(), mp4_box(b"moov", 0, b"")].concat()),
        ("data.mp4", [film, mp4_box(b"mdat", 0, b"")].concat()),
        ("a.mkv", b"\x1A\x45\xDF\xA3\xA3\x42\x86\x81\x01\x42\xF7\x81\x01\x42\x82\x88matroska".to_vec()),
        ("a.tiff", b"II\x2A\0\x08\0\0\0\0\0".to_vec()),
    ];
    for (name, head) in &heads {
        let path = folder.path().join(name);
        sparse(&path, head);
        let spec = path.display().to_string();
        for spec in [spec.clone(), format!("virtual:{spec}")] {
            let said = read(&spec);
            assert!(said.contains(name), "{said}");
        }
    }
    // All of them together.
    let said = read(&folder.path().display().to_string());
    assert!(said.contains('.'), "{said}");
}

#[test]
fn a_pipe_without_end_is_not_kept_in_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let jpeg = codec::encode_jpeg(&Picture::filled(64, 48, [90; 3]), 90).unwrap();
    // A picture without an end, and no picture at all.
    for (name, head, filler) in [("endless", &jpeg[..jpeg.len() - 2], 0x55), ("zeros", &[], 0)] {
        let path = folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (to, head) = (path.clone(), head.to_vec());
        let writing = thread::spawn(move || {
            let mut pipe = File::options().write(true).open(to).unwrap();
            // Ends with an error when the reader closes the pipe.
            let _ = pipe.write_all(&head);
            let more = vec![filler; 1 << 20];
            for _ in 0..1024 {
                if pipe.write_all(&more).is_err() {
                    return;
                }
            }
            // A damaged picture ends the waiting of a reader that found none.
            let _ = pipe.write_all(b"\xFF\xD8\xFF\xD9");
        });
        let said = read(&path.display().to_string());
        assert!(said.contains(name), "{said}");
        writing.join().unwrap();
    }
}

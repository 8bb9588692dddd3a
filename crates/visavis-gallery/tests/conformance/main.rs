//! The conformance checks over a gallery in a file.

#![allow(clippy::print_stderr, reason = "a test says which check runs")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

mod checks;

use std::path::Path;

use visavis_gallery::{EmbeddingId, Gallery, GalleryKey, GalleryParams, SqliteStore};

/// Runs all checks, each in a folder of its own. `create` creates a gallery at a path.
fn check_all(create: impl Fn(&Path, &EmbeddingId) -> Gallery) {
    for (what, check) in checks::CHECKS {
        eprintln!("{what}");
        let folder = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        check(&|network| {
            count.set(count.get() + 1);
            create(&folder.path().join(format!("{}.gallery", count.get())), network)
        });
    }
}

#[test]
fn a_gallery_in_a_file_does_what_every_gallery_does() {
    check_all(|path, network| Gallery::create(path, network).unwrap());
}

#[test]
fn an_encrypted_gallery_does_what_every_gallery_does() {
    check_all(|path, network| {
        let key = GalleryKey::generate().unwrap();
        Gallery::create(path, network).unwrap().change_key(Some(&key)).unwrap();
        let params = GalleryParams { key: Some(key), ..GalleryParams::default() };
        Gallery::over(SqliteStore::open(path).unwrap(), Some(network), params).unwrap()
    });
}

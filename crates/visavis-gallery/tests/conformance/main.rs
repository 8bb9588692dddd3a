//! The conformance checks over a gallery in a file.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, also in what tests share")]

mod checks;

use visavis_gallery::{Gallery, GalleryKey, GalleryParams, SqliteStore};

#[test]
fn a_gallery_in_a_file_does_what_every_gallery_does() {
    for (what, check) in checks::CHECKS {
        eprintln!("{what}");
        let folder = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        check(&|network| {
            count.set(count.get() + 1);
            let path = folder.path().join(format!("{}.gallery", count.get()));
            Gallery::create(&path, network).unwrap()
        });
    }
}

#[test]
fn an_encrypted_gallery_does_what_every_gallery_does() {
    for (what, check) in checks::CHECKS {
        eprintln!("{what}");
        let folder = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        check(&|network| {
            count.set(count.get() + 1);
            let path = folder.path().join(format!("{}.gallery", count.get()));
            let key = GalleryKey::generate().unwrap();
            Gallery::create(&path, network).unwrap().change_key(Some(&key)).unwrap();
            let params = GalleryParams { key: Some(key), ..GalleryParams::default() };
            Gallery::over(SqliteStore::open(&path).unwrap(), Some(network), params).unwrap()
        });
    }
}

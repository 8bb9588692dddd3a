use std::path::PathBuf;

use tempfile::TempDir;
use visavis_infer::manifest::Metric;

use super::*;
use crate::{IdentityParams, IndexBuilder, NewPhoto, index_path};

fn owl() -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length: 2,
        metric: Metric::Euclidean,
        same_person: 0.6,
        likeness: None,
        identity: IdentityParams::default(),
    }
}

fn hawk() -> EmbeddingId {
    EmbeddingId { name: "hawk".into(), fingerprint: "99".into(), length: 3, metric: Metric::Cosine, ..owl() }
}

fn photo(face: u8) -> NewPhoto {
    NewPhoto {
        source: format!("{face}.jpg"),
        sha256: None,
        vector: vec![f32::from(face), 1.0],
        thumbnail: Some(vec![0xFF, 0xD8, 0xFF, face]),
        score: None,
    }
}

/// The vector of the new network (`hawk`) for a thumbnail of [`photo`].
fn hawks(jpeg: &[u8], _: usize, _: usize) -> Result<Vec<f32>, GalleryError> {
    Ok(vec![1.0, f32::from(jpeg[3]), 0.0])
}

fn two_people() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.gallery");
    let file = Gallery::create(&path, &owl()).unwrap();
    file.add("Ada", &[photo(1), photo(2)]).unwrap();
    file.add("Grace", &[photo(9)]).unwrap();
    (folder, path)
}

#[test]
fn another_network_looks_at_the_photos() {
    let (_folder, path) = two_people();
    let file = Gallery::open(&path, None).unwrap();
    let builder = IndexBuilder::new(&file, 1).unwrap();
    builder.work(|_| {});
    builder.finish(&file).unwrap();
    let ada = file.find_person("Ada").unwrap().id;
    file.deny(ada, &[5.0, 5.0]).unwrap();
    file.watch(file.find_person("Grace").unwrap().id, true).unwrap();

    let mut told = Vec::new();
    let converted = file.convert(&hawk(), |jpeg, done, photos| {
        told.push((done, photos));
        hawks(jpeg, done, photos)
    });
    assert_eq!(converted.unwrap(), Converted { photos: 3, denials: 1 });
    assert_eq!(told, [(0, 3), (1, 3), (2, 3)]);
    assert!(!index_path(&path).exists(), "the index has the old vectors");

    assert!(matches!(Gallery::open(&path, Some(&owl())), Err(GalleryError::OtherNetwork { .. })));
    let gallery = Gallery::open(&path, Some(&hawk())).unwrap();
    let found = gallery.search(&[1.0, 9.0, 0.0], 1).unwrap();
    assert_eq!((&*found[0].name, found[0].watched, found[0].distance), ("Grace", true, 0.0));
    gallery.add("Ada", &[NewPhoto { vector: vec![0.0, 0.0, 1.0], ..photo(3) }]).unwrap();
}

#[test]
fn what_is_added_meanwhile_is_looked_at_too() {
    let (_folder, path) = two_people();
    let other = Gallery::open(&path, Some(&owl())).unwrap();
    let file = Gallery::open(&path, None).unwrap();
    let mut looks = 0;
    let converted = file
        .convert(&hawk(), |jpeg, done, photos| {
            looks += 1;
            if looks == 2 {
                other.add("Mary", &[photo(30)])?;
                other.remove_person(other.find_person("Grace")?.id)?;
            }
            hawks(jpeg, done, photos)
        })
        .unwrap();
    assert_eq!(converted.photos, 3);
    let gallery = Gallery::open(&path, Some(&hawk())).unwrap();
    assert_eq!(&*gallery.search(&[1.0, 30.0, 0.0], 1).unwrap()[0].name, "Mary");
    assert_eq!(gallery.people().unwrap().len(), 2);
}

#[test]
fn who_has_it_open_for_the_old_network_searches_on_and_changes_nothing() {
    let (_folder, path) = two_people();
    let old = Gallery::open(&path, Some(&owl())).unwrap();
    Gallery::open(&path, None).unwrap().convert(&hawk(), hawks).unwrap();
    for refused in [
        old.refresh().map(drop),
        old.add("Mary", &[photo(30)]).map(drop),
        old.meet(&photo(31), 7).map(drop),
        old.remove_person(old.find_person("Ada").unwrap().id).map(drop),
    ] {
        assert!(matches!(refused, Err(GalleryError::OtherNetwork { .. })), "{refused:?}");
    }
    assert_eq!(&*old.search(&[9.0, 1.0], 1).unwrap()[0].name, "Grace");
    assert_eq!(Gallery::open(&path, Some(&hawk())).unwrap().people().unwrap().len(), 2);
}

#[test]
fn a_conversion_that_fails_changes_nothing() {
    let (_folder, path) = two_people();
    let open = || Gallery::open(&path, None).unwrap();
    let stopped = open().convert(&hawk(), |jpeg, done, photos| match done {
        2 => Err(GalleryError::NoPhoto { person: "stopped".into() }),
        _ => hawks(jpeg, done, photos),
    });
    assert!(matches!(stopped, Err(GalleryError::NoPhoto { .. })));
    let short = open().convert(&hawk(), |_, _, _| Ok::<_, GalleryError>(vec![1.0]));
    assert!(matches!(short, Err(GalleryError::Query { .. })), "{short:?}");
    open().add("Mary", &[NewPhoto { thumbnail: None, ..photo(40) }]).unwrap();
    let bare = open().convert(&hawk(), hawks);
    assert!(matches!(bare, Err(GalleryError::NoThumbnail { photos: 1, .. })), "{bare:?}");
    let gallery = Gallery::open(&path, Some(&owl())).unwrap();
    assert_eq!(&*gallery.search(&[9.0, 1.0], 1).unwrap()[0].name, "Grace");
}

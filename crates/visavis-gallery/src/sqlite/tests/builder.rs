//! Galleries that are built beside an old one and take its place.

use super::*;

#[test]
fn a_builder_replaces_only_at_the_end() {
    let (folder, path) = folder();
    drop(two_people(&path));
    let hawk = EmbeddingId { name: "hawk".into(), ..network() };
    let mut builder = GalleryBuilder::new(&path, &hawk, None).unwrap();
    builder.add("Eve", &[photo("eve.jpg", [0.0; 3])]).unwrap();
    assert_eq!(builder.people().unwrap().len(), 1);
    let old = Gallery::open(&path, Some(&network())).unwrap();
    assert_eq!(names(&old), [("Ada".into(), 2), ("Grace".into(), 1)]);
    drop(old);
    builder.finish().unwrap();
    assert_eq!(listing(&folder), ["faces.gallery"]);
    let new = Gallery::open(&path, Some(&hawk)).unwrap();
    assert_eq!(names(&new), [("Eve".into(), 1)]);
    assert_eq!(new.snapshot().unwrap().photos(), 1);
}

#[test]
fn a_dropped_builder_leaves_nothing() {
    let (folder, path) = folder();
    let mut builder = GalleryBuilder::new(&path, &network(), None).unwrap();
    builder.add("Eve", &[photo("eve.jpg", [0.0; 3])]).unwrap();
    assert!(!path.exists() && listing(&folder).len() == 1, "{:?}", listing(&folder));
    drop(builder);
    assert!(listing(&folder).is_empty(), "{:?}", listing(&folder));
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_killed_builder_left_is_deleted() {
    let (folder, path) = folder();
    // No process has such a high number.
    let left = ["", "-wal", "-shm", "-journal"].map(|end| format!(".faces.gallery.4294967295-0.building{end}"));
    let others = [".faces.gallery.1x-0.building", ".other.gallery.4294967295-0.building"];
    let own = format!(".faces.gallery.{}-999999.building", process::id());
    let leave = || {
        for name in left.iter().map(String::as_str).chain(others).chain([own.as_str()]) {
            fs::write(folder.path().join(name), b"embeddings").unwrap();
        }
    };
    let mut kept = vec![others[0].to_owned(), own.clone(), others[1].to_owned(), "faces.gallery".into()];
    kept.sort();
    leave();
    let mut builder = GalleryBuilder::new(&path, &network(), None).unwrap();
    builder.add("Ada", &[photo("ada.jpg", [0.0; 3])]).unwrap();
    builder.add("Eve", &[photo("eve.jpg", [0.0; 3])]).unwrap();
    builder.finish().unwrap();
    assert_eq!(listing(&folder), kept);
    // So does a removal, since the person may be in these files too.
    leave();
    let gallery = Gallery::open(&path, None).unwrap();
    gallery.remove_person(gallery.find_person("Ada").unwrap().id).unwrap();
    drop(gallery);
    assert_eq!(listing(&folder), kept);
}

#[test]
fn a_target_without_a_name_or_a_folder_is_refused() {
    let (folder, path) = folder();
    let missing = folder.path().join("missing").join("faces.gallery");
    for (target, why) in [
        (PathBuf::new(), "the path is empty"),
        (missing, "there is no folder"),
        (path.join(""), "the path is that of a folder"),
    ] {
        let checked = GalleryBuilder::check_target(&target).unwrap_err();
        let built = GalleryBuilder::new(&target, &network(), None).unwrap_err();
        for error in [checked, built] {
            let text = error.to_string();
            assert!(matches!(error, GalleryError::Target { .. }) && text.contains(why), "{text}");
            assert!(!text.contains(BUILDING), "{text}");
        }
    }
    GalleryBuilder::check_target(&path).unwrap();
    assert_eq!(listing(&folder), Vec::<String>::new());
}

#[test]
fn two_builders_do_not_meet() {
    let (folder, path) = folder();
    let mut first = GalleryBuilder::new(&path, &network(), None).unwrap();
    let mut second = GalleryBuilder::new(&path, &network(), None).unwrap();
    first.add("Ada", &[photo("ada.jpg", [0.0; 3])]).unwrap();
    second.add("Eve", &[photo("eve.jpg", [0.0; 3])]).unwrap();
    first.finish().unwrap();
    second.finish().unwrap();
    assert_eq!(names(&Gallery::open(&path, None).unwrap()), [("Eve".into(), 1)]);
    assert_eq!(listing(&folder)[0], "faces.gallery");
}

#[test]
fn a_gallery_in_use_is_not_replaced() {
    let (folder, path) = folder();
    let user = two_people(&path);
    let mut builder = GalleryBuilder::new(&path, &network(), None).unwrap();
    builder.add("Eve", &[photo("eve.jpg", [0.0; 3])]).unwrap();
    let error = builder.finish().unwrap_err();
    assert!(matches!(error, GalleryError::InUse { .. }), "{error}");
    assert_eq!(names(&user), [("Ada".into(), 2), ("Grace".into(), 1)]);
    drop(user);
    assert_eq!(names(&Gallery::open(&path, None).unwrap()), [("Ada".into(), 2), ("Grace".into(), 1)]);
    assert_eq!(listing(&folder), ["faces.gallery"]);
}

#[test]
fn a_builder_takes_no_log_of_a_lost_gallery() {
    let (folder, path) = folder();
    // A log left by a killed program, whose gallery was deleted.
    let lost = two_people(&path);
    let log = fs::read(folder.path().join("faces.gallery-wal")).unwrap();
    assert!(!log.is_empty());
    drop(lost);
    fs::remove_file(&path).unwrap();
    fs::write(folder.path().join("faces.gallery-wal"), log).unwrap();
    let mut builder = GalleryBuilder::new(&path, &network(), None).unwrap();
    builder.add("Eve", &[photo("eve.jpg", [0.0; 3])]).unwrap();
    builder.finish().unwrap();
    assert_eq!(names(&Gallery::open(&path, None).unwrap()), [("Eve".into(), 1)]);
}

#[test]
fn a_builder_replaces_a_damaged_gallery() {
    let (_folder, path) = folder();
    let whole = whole_file();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(Gallery::open(&path, None), Err(GalleryError::Damaged { .. })));
    let mut builder = GalleryBuilder::new(&path, &network(), None).unwrap();
    builder.add("Eve", &[photo("eve.jpg", [0.0; 3])]).unwrap();
    builder.finish().unwrap();
    assert_eq!(names(&Gallery::open(&path, Some(&network())).unwrap()), [("Eve".into(), 1)]);
}

use super::*;

/// A folder with empty files of these names.
fn folder_of(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
    folder
}

/// (person, path below the folder)
fn found(folder: &tempfile::TempDir, place: &str) -> Vec<(String, String)> {
    let FoundPhotos { photos, skipped } = photos_in(folder.path().join(place)).unwrap();
    assert_eq!(skipped, Vec::<String>::new());
    let below = |path: &Path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap().replace('\\', "/");
    photos.iter().map(|photo| (photo.person.clone(), below(&photo.path))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(person, path)| (person.to_string(), path.to_string())).collect()
}

#[test]
fn folders_and_file_names_tell_names() {
    let folder = folder_of(&[
        "Ada_Lovelace/2.jpg",
        "Ada_Lovelace/1.PNG",
        "Ada_Lovelace/notes.txt",
        "Ada_Lovelace/.hidden.jpg",
        ".cache/x.jpg",
        "Grace_Hopper_1.jpeg",
        "Grace Hopper (2).webp",
        "README.md",
    ]);
    assert_eq!(
        found(&folder, "."),
        pairs(&[
            ("Ada Lovelace", "Ada_Lovelace/1.PNG"),
            ("Ada Lovelace", "Ada_Lovelace/2.jpg"),
            ("Grace Hopper", "Grace Hopper (2).webp"),
            ("Grace Hopper", "Grace_Hopper_1.jpeg"),
        ])
    );
}

#[test]
fn a_photo_may_have_any_ending_or_none() {
    let photos = ["a.tif", "b.TIFF", "c.jp2", "d.pgm", "e.ppm", "f.heic", "g.avif", "h.jxl", "i.jfif", "j", "k.bak"];
    let mut files: Vec<String> = photos.iter().map(|photo| format!("Ada/{photo}")).collect();
    files.extend(NO_PHOTOS.map(|ending| format!("Ada/x.{ending}")));
    files.extend(["Grace_1".to_owned(), "people.gallery".into(), "people.gallery.index".into(), "Thumbs.DB".into()]);
    let folder = folder_of(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let mut expected: Vec<(String, String)> = files[..photos.len()].iter().map(|f| ("Ada".into(), f.clone())).collect();
    expected.push(("Grace".into(), "Grace_1".into()));
    assert_eq!(found(&folder, "."), expected);
}

#[test]
fn what_cannot_be_taken_is_reported_and_the_rest_is_taken() {
    let long = "x".repeat(201);
    let folder = folder_of(&["Ada/1.jpg", "Ada/deeper/3.jpg", "_/1.jpg", "Eve.jpg", &format!("{long}/1.jpg")]);
    let FoundPhotos { photos, skipped } = photos_in(folder.path()).unwrap();
    assert_eq!(photos.iter().map(|photo| &*photo.person).collect::<Vec<_>>(), ["Ada", "Eve"]);
    assert_eq!(skipped.len(), 3, "{skipped:?}");
    let place = folder.path().display().to_string();
    for (name, why) in [("deeper", "the folder of a person"), (long.as_str(), "longer than 200 bytes"), ("_", "empty")]
    {
        let is_reported = skipped
            .iter()
            .any(|text| text.strip_prefix(&place).is_some_and(|text| text.contains(name) && text.contains(why)));
        assert!(is_reported, "{name}: {skipped:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn line_breaks_sockets_and_dangling_links_are_skipped() {
    let folder = folder_of(&["Ada/1.jpg", "Eve\nNoon/1.jpg"]);
    std::os::unix::fs::symlink("missing.jpg", folder.path().join("Ada/2.jpg")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("Ada/3.jpg")).unwrap();
    let FoundPhotos { photos, skipped } = photos_in(folder.path()).unwrap();
    assert_eq!((photos.len(), skipped.len()), (1, 3), "{skipped:?}");
    assert!(
        skipped.iter().any(|text| text.contains(r"Eve\nNoon") && text.contains("control characters")),
        "{skipped:?}"
    );
    let irregular = skipped.iter().filter(|text| text.contains("no regular file"));
    assert_eq!(irregular.count(), 2, "{skipped:?}");
}

#[test]
fn a_table_tells_names() {
    let folder = folder_of(&["a/1.jpg", "a/images/2.jpg", "a/images/1.jpg"]);
    let table =
        "party, Name ,FILE\nx,\"LOVELACE, Ada\",1.jpg\ny, Grace ,2.jpg\r\nz,Grace,images/1.jpg\nz,Grace,2.jpg\n";
    fs::write(folder.path().join("a/people.csv"), table).unwrap();
    let expected = pairs(&[("LOVELACE, Ada", "a/1.jpg"), ("Grace", "a/images/2.jpg"), ("Grace", "a/images/1.jpg")]);
    assert_eq!(found(&folder, "a/people.csv"), expected);
    assert_eq!(found(&folder, "a"), expected, "a folder with one table is told by it");
}

#[test]
fn headings_may_be_any_of_the_known_ones() {
    let folder = folder_of(&["1.jpg"]);
    for person in PERSON_COLUMNS {
        for file in FILE_COLUMNS {
            for table in [format!("{person},{file}\nAda,1.jpg\n"), format!("\u{feff}{file},{person}\n1.jpg,Ada")] {
                fs::write(folder.path().join("t.csv"), &table).unwrap();
                assert_eq!(found(&folder, "t.csv"), pairs(&[("Ada", "1.jpg")]), "{table}");
            }
        }
    }
    fs::write(folder.path().join("t.csv"), "label,name,file\n7,Ada,1.jpg\n").unwrap();
    assert_eq!(found(&folder, "t.csv"), pairs(&[("Ada", "1.jpg")]), "a name tells more than a label");
}

#[test]
fn faults_of_a_table_are_named_with_their_line() {
    let folder = folder_of(&["1.jpg", "2.jpg"]);
    let path = folder.path().join("people.csv");
    for (table, line, why) in [
        ("", 1, "no column for the person"),
        ("file,age\n1.jpg,3\n", 1, "needs one of name, person, label, but has file, age"),
        ("name,age\nAda,3\n", 1, "needs one of file, image, path, filename"),
        ("name,file\nAda,1.jpg\nEve,3.jpg\n", 3, "no such file"),
        ("name,file\nAda,1.jpg\n\n\nEve,3.jpg\n", 5, "3.jpg"),
        ("name,file\n,1.jpg\n", 2, "it is empty"),
        ("name,file\nAda,\n", 2, "column file is empty"),
        ("name,file\nLovelace, Ada,1.jpg\n", 2, "3 columns, but the header has 2"),
        ("name,file\nAda,1.jpg\nEve,1.jpg\n", 3, "\"Eve\" here, but for \"Ada\" in line 2"),
        ("name,file\nAda,.\n", 2, "no such file"),
        ("name,file\nA\u{202E}da,1.jpg\n", 2, "invisible"),
    ] {
        fs::write(&path, table).unwrap();
        let error = photos_in(&path).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, GalleryError::Table { line: found, .. } if found == line), "{table:?}: {text}");
        assert!(text.contains(why) && text.contains("people.csv"), "{table:?}: {text}");
    }
    // An absolute path is named once.
    let absolute = folder.path().join("none.jpg").display().to_string();
    fs::write(&path, format!("name,file\nAda,{absolute}\n")).unwrap();
    let text = photos_in(&path).unwrap_err().to_string();
    assert!(text.ends_with(&format!("no such file: {absolute}")), "{text}");
    fs::write(&path, b"name,file\nAda,1.jpg\n\xFF\xFE,2.jpg\n").unwrap();
    let text = photos_in(&path).unwrap_err().to_string();
    assert!(text.contains("people.csv, line 3: it is not valid UTF-8"), "{text}");
    fs::write(&path, b"\xFF\xFE,file\nAda,1.jpg\n").unwrap();
    let text = photos_in(&path).unwrap_err().to_string();
    assert!(text.contains("people.csv, line 1: it is not valid UTF-8"), "{text}");
}

#[test]
fn places_without_people_are_refused() {
    let folder = folder_of(&["empty/notes.txt", "two/a.csv", "two/b.csv", "Ada.jpg", "none/people.csv"]);
    fs::write(folder.path().join("none/people.csv"), "name,file\n").unwrap();
    for (place, why) in [
        ("empty", "a subfolder for each person"),
        ("two", "several CSV files"),
        ("Ada.jpg", "neither a folder nor a CSV file"),
        ("none", "no line after the header"),
        ("nowhere", "no such file or folder"),
    ] {
        let error = photos_in(folder.path().join(place)).unwrap_err();
        assert!(matches!(error, GalleryError::NoPhotos { .. }), "{error}");
        assert!(error.to_string().contains(why) && error.to_string().contains(place), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_name_that_is_not_text_is_named() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder_of(&[]);
    fs::write(folder.path().join(OsStr::from_bytes(b"Ad\xFF.jpg")), b"").unwrap();
    let text = photos_in(folder.path()).unwrap_err().to_string();
    assert!(text.contains("Ad") && text.contains("not valid UTF-8"), "{text}");
    // In the folder of a person only the name of the folder counts.
    fs::create_dir(folder.path().join("Ada")).unwrap();
    fs::write(folder.path().join("Ada").join(OsStr::from_bytes(b"\xFF.jpg")), b"").unwrap();
    let FoundPhotos { photos, skipped } = photos_in(folder.path()).unwrap();
    assert_eq!((&*photos[0].person, photos.len()), ("Ada", 1));
    assert!(skipped.len() == 1 && skipped[0].contains("not valid UTF-8"), "{skipped:?}");
}

#[test]
fn the_shared_galleries_are_understood() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    for (place, photos, people, first) in
        [("portraits", 412, 412, "ADERHOLT, Robert"), ("celebrities", 1402, 24, "Barack Obama")]
    {
        let place = shared.join(place);
        if !place.is_dir() {
            println!("skipped: there is no {}", place.display());
            continue;
        }
        let found = photos_in(&place).unwrap().photos;
        let names: std::collections::BTreeSet<&str> = found.iter().map(|photo| &*photo.person).collect();
        assert_eq!((found.len(), names.len(), &*found[0].person), (photos, people, first));
    }
}

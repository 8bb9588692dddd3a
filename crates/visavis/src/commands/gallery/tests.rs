use tempfile::TempDir;
use visavis_gallery::{IdentityParams, NewPhoto};
use visavis_infer::manifest::Metric;

use super::*;

/// A gallery of Ada and Eve.
fn two_people() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.gallery");
    let network = EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length: 2,
        metric: Metric::Euclidean,
        same_person: 0.5,
        likeness: None,
        identity: IdentityParams::default(),
    };
    let gallery = Gallery::create(&path, &network).unwrap();
    for name in ["Ada", "Eve"] {
        let (source, vector) = ("1.jpg".into(), vec![1.0, 0.0]);
        let photo = NewPhoto { source, sha256: None, vector, thumbnail: None, score: None };
        gallery.add(name, &[photo]).unwrap();
    }
    (folder, path)
}

fn run_with(words: &[&str]) -> Result<()> {
    run(&Args::try_parse_from([&["gallery"][..], words].concat())?)
}

#[test]
fn a_person_is_not_merged_into_themselves() {
    let (_folder, path) = two_people();
    let path = path.to_str().unwrap();
    let said = run_with(&["merge", path, "Ada", " Ada"]).unwrap_err().to_string();
    assert!(said.contains("the same person"), "{said}");
    run_with(&["merge", path, "Ada", "Eve"]).unwrap();
    assert_eq!(Gallery::open(path, None).unwrap().people().unwrap().len(), 1);
}

#[test]
fn an_export_is_complete_or_not_there() {
    let (folder, path) = two_people();
    let path = path.to_str().unwrap();
    let zip = folder.path().join("ada.zip");
    let export = |out: &Path| run_with(&["export", path, "Ada", "--out", out.to_str().unwrap()]);
    export(&zip).unwrap();
    let whole = fs::read(&zip).unwrap();
    assert!(zip::ZipArchive::new(io::Cursor::new(&whole)).is_ok());
    for (out, why) in [(zip.clone(), "exists already"), (folder.path().join("missing/ada.zip"), "cannot be written")] {
        let said = format!("{:#}", export(&out).unwrap_err());
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(fs::read(&zip).unwrap(), whole);
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["ada.zip", "people.gallery"]);
}

#[test]
fn mistakes_of_a_build_are_found_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, missing) = (folder.path().join("people"), folder.path().join("missing/new.gallery"));
    fs::create_dir(&photos).unwrap();
    let (photos, missing) = (photos.to_str().unwrap(), missing.to_str().unwrap());
    for (out, why) in
        [("", "the path is empty"), (missing, "there is no folder"), ("new.gallery", "no photos of people")]
    {
        let said = run_with(&["build", photos, "--out", out]).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_search_for_no_person_is_refused() {
    let parse = |top| Args::try_parse_from(["gallery", "search", "people.gallery", "1.jpg", "--top", top]);
    assert!(parse("1").is_ok());
    assert!(parse("0").is_err_and(|error| error.to_string().contains("--top")));
}

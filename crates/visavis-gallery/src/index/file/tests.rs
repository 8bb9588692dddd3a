use std::path::Path;

use tempfile::TempDir;
use visavis_infer::manifest::Metric;

use super::super::tests::{clustered, noisy};
use super::*;
use crate::{
    GalleryBuilder, GalleryParams, IdentityParams, IndexBuilder, IndexReport, NewPhoto, PersonId, SqliteStore,
};

const LENGTH: usize = 24;

fn network(metric: Metric) -> EmbeddingId {
    EmbeddingId {
        name: "owl".into(),
        fingerprint: "1a2b".into(),
        length: LENGTH,
        metric,
        same_person: 0.5,
        likeness: None,
        identity: IdentityParams::default(),
    }
}

fn photo(vector: Vec<f32>) -> NewPhoto {
    NewPhoto { source: "x.jpg".into(), sha256: None, vector, thumbnail: None, score: None }
}

/// A gallery of `people` with three photos each, and its vectors.
fn gallery(metric: Metric, people: usize) -> (TempDir, PathBuf, Vec<(i64, Vec<f32>)>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.gallery");
    let vectors = clustered(people, 3, LENGTH);
    let mut builder = GalleryBuilder::new(&path, &network(metric), None).unwrap();
    for (person, photos) in vectors.chunks(3).enumerate() {
        let photos: Vec<NewPhoto> = photos.iter().map(|(_, vector)| photo(vector.clone())).collect();
        builder.add(&format!("Person {person} é"), &photos).unwrap();
    }
    builder.finish().unwrap();
    (folder, path, vectors)
}

fn build(path: &Path) -> IndexReport {
    let file = Gallery::open(path, None).unwrap();
    let builder = IndexBuilder::new(&file, 2).unwrap();
    let told = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                builder.work(|rows| {
                    told.fetch_add(rows, std::sync::atomic::Ordering::Relaxed);
                });
            });
        }
    });
    assert_eq!(told.into_inner(), builder.photos());
    builder.finish(&file).unwrap()
}

fn as_indexed(path: &Path, metric: Metric) -> Option<(Snapshot, i64)> {
    indexed(&Gallery::open(path, Some(&network(metric))).unwrap())
}

#[test]
fn what_was_written_is_what_is_read() {
    for metric in [Metric::Cosine, Metric::Euclidean] {
        let (_folder, path, vectors) = gallery(metric, 200);
        assert!(as_indexed(&path, metric).is_none());
        let report = build(&path);
        assert_eq!((report.people, report.photos), (200, 600));
        assert_eq!(report.bytes, fs::metadata(index_path(&path)).unwrap().len());
        let read = Gallery::open(&path, Some(&network(metric))).unwrap().snapshot().unwrap();
        let (mapped, _) = as_indexed(&path, metric).unwrap();
        assert!(!mapped.is_approximate(), "600 photos are few");
        let mapped = mapped.approximate_from(0);
        assert_eq!((mapped.people(), mapped.photos()), (read.people(), read.photos()));
        assert_eq!(mapped.last_photo(), read.last_photo());
        assert_eq!(mapped.name(PersonId(7)), Some("Person 6 é"));
        let (mut asked, mut found) = (0, 0);
        for (_, vector) in vectors.iter().step_by(17) {
            let query = noisy(vector, 0.1, 5);
            let exact = read.search_exact(&query, 4).unwrap();
            assert_eq!(mapped.search_exact(&query, 4).unwrap(), exact);
            asked += 1;
            found += usize::from(mapped.search(&query, 4).unwrap()[0] == exact[0]);
        }
        // Several threads built the graph, so it may miss one now and then.
        assert!(found * 10 >= asked * 9, "{found} of {asked}");
    }
}

#[test]
fn damaged_and_foreign_ones_are_as_good_as_none() {
    let (_folder, path, _) = gallery(Metric::Cosine, 40);
    build(&path);
    let index = index_path(&path);
    let whole = fs::read(&index).unwrap();
    let opened = || as_indexed(&path, Metric::Cosine);
    assert!(opened().is_some());
    for length in (0..whole.len()).step_by(whole.len() / 60) {
        fs::write(&index, &whole[..length]).unwrap();
        assert!(opened().is_none(), "{length} bytes");
    }
    // A changed byte of the header: refused. Elsewhere: no panic, whatever is found.
    let header: Header = bytemuck::pod_read_unaligned(&whole[..size_of::<Header>()]);
    let [near, first, above] = [9, 10, 11].map(|section| header.sections[section][0] as usize);
    for at in 0..size_of::<Header>() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        fs::write(&index, &bytes).unwrap();
        assert!(opened().is_none(), "byte {at}");
    }
    for at in (size_of::<Header>()..near).step_by(97).chain((near..whole.len()).step_by(31)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xFF;
        fs::write(&index, &bytes).unwrap();
        if let Some((found, _)) = opened() {
            found.approximate_from(0).search(&[1.0; LENGTH], 7).unwrap();
        }
    }
    // A header that is valid, with contents that are not.
    let forge = |change: &dyn Fn(&mut Header, &mut Vec<u8>)| {
        let (mut header, mut bytes) = (header, whole.clone());
        change(&mut header, &mut bytes);
        header.digest = digest(&header);
        bytes[..size_of::<Header>()].copy_from_slice(bytemuck::bytes_of(&header));
        fs::write(&index, &bytes).unwrap();
        opened().is_some()
    };
    assert!(forge(&|_, _| {}));
    assert!(!forge(&|header, _| header.photos += 1));
    assert!(!forge(&|header, _| header.people -= 1));
    assert!(!forge(&|header, _| header.expansion = 0));
    assert!(!forge(&|header, _| header.expansion = 1 << 40));
    assert!(!forge(&|header, _| header.sections[0] = [1, header.sections[0][1]]));
    assert!(!forge(&|header, _| header.sections[3] = [u64::MAX, 16]));
    assert!(!forge(&|header, _| header.sections[5][1] = 3));
    assert!(!forge(&|header, _| header.sections.swap(0, 6)));
    assert!(!forge(&|header, _| header.room[0] -= 1));
    assert!(!forge(&|header, _| header.entry = header.photos));
    for at in [near, first, above] {
        assert!(!forge(&|_, bytes| bytes[at..at + 4].fill(0xFF)));
    }
    assert!(!forge(&|_, bytes| {
        let end = bytes.len();
        bytes[end - 400..].fill(0x7F);
    }));
    assert!(!forge(&|header, _| header.token[0] ^= 1));
    assert!(!forge(&|header, _| header.changes += 1_000));
    assert!(!index.exists(), "it would seem to fit later");
    assert!(!forge(&|header, _| header.format += 1));
    fs::write(&index, &whole).unwrap();
    let other = EmbeddingId { fingerprint: "other".into(), ..network(Metric::Cosine) };
    // SAFETY: no program changes the file of this test while it is mapped.
    let map = Arc::new(unsafe { Mmap::map(&File::open(&index).unwrap()) }.unwrap());
    assert!(read(&map, &network(Metric::Cosine)).is_ok());
    assert!(read(&map, &other).is_err() && read(&map, &network(Metric::Euclidean)).is_err());
}

#[test]
fn removal_deletes_it_and_so_does_a_new_gallery() {
    let (_folder, path, vectors) = gallery(Metric::Cosine, 10);
    let file = Gallery::open(&path, None).unwrap();
    build(&path);
    let visitor = photo(vectors[0].1.clone());
    file.meet(&visitor, 100).unwrap();
    assert_eq!(file.forget_met_before(50).unwrap(), 0);
    file.watch(file.find_person("Person 1 é").unwrap().id, true).unwrap();
    assert!(index_path(&path).exists());
    assert_eq!(file.forget_met_before(200).unwrap(), 1);
    assert!(!index_path(&path).exists());
    build(&path);
    let killed = index_path(&path).with_extension("index.77-0.building");
    fs::write(&killed, "their vectors").unwrap();
    file.remove_person(file.find_person("Person 3 é").unwrap().id).unwrap();
    assert!(!index_path(&path).exists() && !killed.exists());
    // Built from the state before the removal.
    let builder = IndexBuilder::new(&file, 1).unwrap();
    builder.work(|_| {});
    file.remove_person(file.find_person("Person 4 é").unwrap().id).unwrap();
    assert!(matches!(builder.finish(&file), Err(GalleryError::Index { .. })));
    assert!(!index_path(&path).exists());
    // Nothing is written before all photos are in the graph.
    assert!(matches!(IndexBuilder::new(&file, 1).unwrap().finish(&file), Err(GalleryError::Index { .. })));
    build(&path);
    drop(file);
    let mut builder = GalleryBuilder::new(&path, &network(Metric::Cosine), None).unwrap();
    builder.add("Ada", &[visitor]).unwrap();
    assert!(index_path(&path).exists());
    builder.finish().unwrap();
    assert!(!index_path(&path).exists());
}

#[test]
fn what_changed_since_is_caught_up_with() {
    let (_folder, path, vectors) = gallery(Metric::Cosine, 300);
    build(&path);
    {
        let file = Gallery::open(&path, None).unwrap();
        file.add("Eve", &[photo(vectors[0].1.iter().map(|value| -value).collect())]).unwrap();
        file.merge(PersonId(1), PersonId(2)).unwrap();
        file.rename(file.find_person("Person 5 é").unwrap().id, "Grace").unwrap();
    }
    let open = |approximate_from: usize| {
        let params = GalleryParams { approximate_from, ..GalleryParams::default() };
        Gallery::over(SqliteStore::open(&path).unwrap(), Some(&network(Metric::Cosine)), params).unwrap()
    };
    let opened = open(0);
    assert!(opened.is_approximate() && index_path(&path).exists());
    let names = |query: &[f32]| {
        let found = opened.search(query, 3).unwrap();
        assert_eq!(found, opened.search_exact(query, 3).unwrap());
        found[0].name.to_string()
    };
    let opposite: Vec<f32> = vectors[0].1.iter().map(|value| -value).collect();
    assert_eq!(names(&opposite), "Eve");
    assert_eq!(names(&vectors[0].1), "Person 1 é");
    assert_eq!(names(&vectors[3 * 5].1), "Grace");
    opened.remove_person(opened.find_person("Grace").unwrap().id).unwrap();
    assert_ne!(names(&vectors[3 * 5].1), "Grace");
    assert!(!index_path(&path).exists());
    assert!(!open(0).is_approximate());
}

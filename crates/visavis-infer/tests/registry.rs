//! The sources of networks, and what may be in them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and says why it skips")]

mod support;

use std::fs;
use std::path::Path;

use support::{detector_manifest, face_manifest, forest_manifest, onnx, sha256};
use visavis_infer::{
    EmbeddedModel, EngineChoice, EngineOptions, InferError, Manifest, ModelSource, Precision, Problem, Registry,
    Runtime, Task, Tensor, WeightsLocation, fingerprint, runtime::Search,
};

fn put(folder: &Path, name: &str, weights: &[u8]) {
    fs::write(folder.join(format!("{name}.toml")), face_manifest(name, weights)).unwrap();
    fs::write(folder.join(format!("{name}.onnx")), weights).unwrap();
}

/// An embedded network is static.
fn embedded(name: &str, weights: Vec<u8>) -> EmbeddedModel {
    EmbeddedModel { manifest: face_manifest(name, &weights).leak(), weights: weights.leak(), quantised: None }
}

fn tract() -> (Runtime, EngineOptions) {
    (
        Runtime::from_search(&Search::default()),
        EngineOptions { engine: EngineChoice::Tract, ..EngineOptions::default() },
    )
}

#[test]
fn three_sources_join() {
    let (user, extra) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(user.path(), "mine", &onnx::face_network(1));
    put(extra.path(), "given", &onnx::face_network(2));
    let detector = onnx::detector_network(3);
    fs::write(extra.path().join("finder.toml"), detector_manifest("finder", &detector)).unwrap();
    fs::write(extra.path().join("finder.onnx"), &detector).unwrap();
    fs::write(extra.path().join("README.md"), "nothing to see").unwrap();
    let inside = [embedded("ours", onnx::face_network(4))];
    let registry = Registry::join(&inside, Some(user.path()), &[extra.path().to_owned()]).unwrap();
    let names: Vec<_> = registry.entries().map(|entry| entry.manifest.name.as_str()).collect();
    assert_eq!(names, ["finder", "given", "mine", "ours"]);
    assert!(registry.problems().is_empty(), "{:?}", registry.problems());
    assert_eq!(registry.get("ours").unwrap().found_in, ModelSource::Embedded);
    assert_eq!(registry.get("mine").unwrap().found_in, ModelSource::User(user.path().to_owned()));
    assert_eq!(registry.get("given").unwrap().found_in, ModelSource::Folder(extra.path().to_owned()));
    let of_age: Vec<_> = registry.for_task(Task::Age).map(|entry| entry.manifest.name.as_str()).collect();
    assert_eq!(of_age, ["given", "mine", "ours"]);
    assert_eq!(registry.for_task(Task::Detection).count(), 1);
    assert_eq!(registry.known_without_weights().count(), 8);
    // The network of each source runs.
    let (runtime, options) = tract();
    for name in ["given", "mine", "ours"] {
        let mut model = registry.load(name, &runtime, &options).unwrap();
        assert_eq!(model.run(&Tensor::zeros(&[1, 3, 12, 16])).unwrap().len(), 2);
    }
}

#[test]
fn later_folders_take_precedence_with_a_warning() {
    let (user, first, last) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let inside = [embedded("face", onnx::face_network(1)), embedded("same", onnx::face_network(9))];
    put(user.path(), "face", &onnx::face_network(2));
    put(user.path(), "same", &onnx::face_network(9));
    let registry = Registry::join(&inside, Some(user.path()), &[]).unwrap();
    assert_eq!(registry.get("face").unwrap().found_in, ModelSource::User(user.path().to_owned()));
    // The same network twice is no conflict.
    let [Problem::Conflict { name, used, hidden }] = registry.problems() else {
        panic!("{:?}", registry.problems());
    };
    assert_eq!((name.as_str(), hidden.as_str()), ("face", "manifest in the program"));
    assert!(used.ends_with("face.toml"));

    put(first.path(), "face", &onnx::face_network(3));
    put(last.path(), "face", &onnx::face_network(4));
    let folders = [first.path().to_owned(), last.path().to_owned()];
    let registry = Registry::join(&inside, Some(user.path()), &folders).unwrap();
    assert_eq!(registry.get("face").unwrap().found_in, ModelSource::Folder(last.path().to_owned()));
    assert_eq!(registry.problems().len(), 3);
}

#[test]
fn wrong_hash_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let weights = onnx::face_network(1);
    put(folder.path(), "face", &weights);
    let other = onnx::face_network(2);
    fs::write(folder.path().join("face.onnx"), &other).unwrap();
    let registry = Registry::join(&[], None, &[folder.path().to_owned()]).unwrap();
    let error = registry.get("face").unwrap().verify().unwrap_err().to_string();
    for part in ["face: refused", &sha256(&weights), &sha256(&other), "face.onnx"] {
        assert!(error.contains(part), "{error}");
    }
    let (runtime, options) = tract();
    assert!(matches!(registry.load("face", &runtime, &options), Err(InferError::Hash { .. })));
    fs::write(folder.path().join("face.onnx"), &weights).unwrap();
    registry.get("face").unwrap().verify().unwrap();
    registry.load("face", &runtime, &options).unwrap();
}

#[test]
fn a_forest_is_registered_but_is_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let weights = b"as far as the registry goes, any bytes are a forest";
    fs::write(folder.path().join("wood.toml"), forest_manifest("wood", weights)).unwrap();
    fs::write(folder.path().join("wood.forest"), weights).unwrap();
    fs::write(folder.path().join("stray.forest"), weights).unwrap();
    let registry = Registry::join(&[], None, &[folder.path().to_owned()]).unwrap();
    let entry = registry.for_task(Task::Keypoints).next().unwrap();
    assert_eq!(entry.manifest.name, "wood");
    assert_eq!(*entry.read().unwrap(), weights[..]);
    let (runtime, options) = tract();
    let error = registry.load("wood", &runtime, &options).map(|_| ()).unwrap_err();
    assert!(matches!(&error, InferError::NotANetwork { model } if model == "wood"), "{error}");
    assert!(registry.get("stray").unwrap_err().to_string().contains("stray.toml"));
    fs::write(folder.path().join("wood.forest"), b"another").unwrap();
    assert!(matches!(registry.get("wood").unwrap().read(), Err(InferError::Hash { .. })));
}

#[test]
fn a_missing_output_is_named_with_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let weights = onnx::face_network(1);
    put(folder.path(), "face", &weights);
    let text = face_manifest("face", &weights).replace("tensor = \"age\"", "tensor = \"years\"");
    fs::write(folder.path().join("face.toml"), text).unwrap();
    let registry = Registry::join(&[], None, &[folder.path().to_owned()]).unwrap();
    let (runtime, options) = tract();
    let error = registry.load("face", &runtime, &options).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("face:") && error.contains("`years`") && error.contains("gender"), "{error}");
}

#[test]
fn a_broken_manifest_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let weights = onnx::face_network(1);
    put(folder.path(), "good", &weights);
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("a.toml", "this is not toml".into());
    // The manifest's name differs from the file's.
    write("b.toml", face_manifest("unknown_task", &weights).replace("\"age\", \"gender\"", "\"age\", \"smell\""));
    write("c.toml", face_manifest("no_weights", &weights));
    fs::write(folder.path().join("stray.onnx"), &weights).unwrap();
    let registry = Registry::join(&[], None, &[folder.path().to_owned()]).unwrap();
    assert_eq!(registry.entries().count(), 1);
    registry.get("good").unwrap().verify().unwrap();
    assert_eq!(registry.problems().len(), 4, "{:?}", registry.problems());

    assert!(registry.get("a").unwrap_err().to_string().contains("a.toml"));
    let error = registry.get("unknown_task").unwrap_err().to_string();
    for part in ["b.toml", "line 5", "tasks", "smell", "similarity"] {
        assert!(error.contains(part), "no {part} in: {error}");
    }
    let error = registry.get("no_weights").unwrap_err().to_string();
    assert!(error.contains("c.toml: file:") && error.contains("no_weights.onnx"), "{error}");
    let error = registry.get("stray").unwrap_err().to_string();
    assert!(error.contains("stray.toml") && error.contains("docs/manifest.md"), "{error}");
}

#[test]
fn a_broken_manifest_is_not_replaced_behind_the_users_back() {
    let folder = tempfile::tempdir().unwrap();
    let weights = onnx::face_network(1);
    fs::write(folder.path().join("face.toml"), face_manifest("face", &weights).replace("format = 1", "format = 9"))
        .unwrap();
    let registry = Registry::join(&[embedded("face", weights)], None, &[folder.path().to_owned()]).unwrap();
    assert!(registry.get("face").unwrap_err().to_string().contains("format"));
}

#[test]
fn known_networks_need_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("yunet_n.onnx"), b"not really").unwrap();
    let registry = Registry::join(&[], None, &[folder.path().to_owned()]).unwrap();
    let entry = registry.get("yunet_n").unwrap();
    assert_eq!(entry.weights, WeightsLocation::File(folder.path().join("yunet_n.onnx")));
    assert!(matches!(entry.verify(), Err(InferError::Hash { .. })));
    assert_eq!(registry.known_without_weights().count(), 7);
    let error = registry.get("mtcnn_onet").unwrap_err().to_string();
    assert!(error.contains("mtcnn_onet.onnx") && error.contains("folder of networks"), "{error}");
}

/// Puts a network with an 8-bit version into a folder. The two have different weights, so that a run shows which one it was.
fn put_quantised(folder: &Path, single: &[u8], quantised: &[u8]) {
    let version = format!("[quantised]\nfile = \"face.int8.onnx\"\nsha256 = \"{}\"\n\n[input]", sha256(quantised));
    fs::write(folder.join("face.toml"), face_manifest("face", single).replace("[input]", &version)).unwrap();
    fs::write(folder.join("face.onnx"), single).unwrap();
    fs::write(folder.join("face.int8.onnx"), quantised).unwrap();
}

#[test]
fn an_8_bit_version_belongs_to_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let (single, quantised) = (onnx::face_network(1), onnx::face_network(2));
    put_quantised(folder.path(), &single, &quantised);
    let registry = Registry::join(&[], None, &[folder.path().to_owned()]).unwrap();
    assert!(registry.problems().is_empty(), "{:?}", registry.problems());
    assert_eq!(registry.entries().count(), 1);
    let entry = registry.get("face").unwrap();
    assert_eq!(entry.quantised, Some(WeightsLocation::File(folder.path().join("face.int8.onnx"))));
    entry.verify().unwrap();
    // Embeddings of both versions may be compared.
    let plain = Manifest::parse(&face_manifest("face", &single), "face.toml").unwrap();
    assert_eq!(fingerprint(&entry.manifest), fingerprint(&plain));

    fs::write(folder.path().join("face.int8.onnx"), b"damaged").unwrap();
    let error = entry.verify().unwrap_err().to_string();
    assert!(error.contains("face.int8.onnx"), "{error}");
    fs::remove_file(folder.path().join("face.int8.onnx")).unwrap();
    let registry = Registry::join(&[], None, &[folder.path().to_owned()]).unwrap();
    let error = registry.get("face").unwrap_err().to_string();
    assert!(error.contains("quantised.file") && error.contains("face.int8.onnx"), "{error}");
}

#[test]
fn only_onnx_runtime_runs_8_bit_versions() {
    let folder = tempfile::tempdir().unwrap();
    let (single, quantised) = (onnx::face_network(1), onnx::face_network(2));
    put_quantised(folder.path(), &single, &quantised);
    let registry = Registry::join(&[], None, &[folder.path().to_owned()]).unwrap();
    let entry = registry.get("face").unwrap();
    let picture = Tensor { shape: vec![1, 3, 12, 16], data: support::noise(3 * 12 * 16, 5, -1.0, 1.0) };
    let expected = |runtime: &Runtime, options: &EngineOptions, bytes: &[u8]| {
        runtime.load(&entry.manifest, bytes, options).unwrap().run(&picture).unwrap()
    };
    let found = |runtime: &Runtime, options: &EngineOptions| {
        let mut model = entry.load(runtime, options).unwrap();
        (model.run(&picture).unwrap(), model.placement().engine.contains("8-bit"))
    };
    let (runtime, options) = tract();
    assert_eq!(found(&runtime, &options), (expected(&runtime, &options, &single), false));
    let runtime = Runtime::discover(None);
    let auto = EngineOptions { engine: EngineChoice::OnnxRuntime, ..EngineOptions::default() };
    if runtime.choose(&auto).is_err() {
        return println!("skipped for ONNX Runtime: none was found; VISAVIS_ONNXRUNTIME can name one");
    }
    let exact = EngineOptions { precision: Precision::Single, ..auto.clone() };
    assert_eq!(found(&runtime, &auto), (expected(&runtime, &auto, &quantised), true));
    assert_eq!(found(&runtime, &exact), (expected(&runtime, &exact, &single), false));
}

#[test]
fn unknown_names_come_with_near_ones() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "my_face", &onnx::face_network(1));
    let registry = Registry::join(&[], None, &[folder.path().to_owned()]).unwrap();
    assert!(registry.get("my_fase").unwrap_err().to_string().contains("did you mean my_face?"));
    assert!(registry.get("xyz").unwrap_err().to_string().contains("there are my_face"));
    let empty = Registry::join(&[], None, &[]).unwrap();
    assert!(empty.get("xyz").unwrap_err().to_string().contains("there are no networks"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    let error = Registry::join(&[], None, std::slice::from_ref(&absent)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(absent.to_str().unwrap()), "{error}");
    // The user's own folder need not exist.
    Registry::join(&[], Some(&absent), &[]).unwrap();
}

#[test]
fn a_network_of_an_earlier_version_names_its_successor() {
    let name = "multitask_mobilenetv1";
    let error = Registry::join(&[], None, &[]).unwrap().get(name).map(|_| ()).unwrap_err();
    assert!(matches!(&error, InferError::Retired { successor: "multitask_efficientnet_lite0", .. }), "{error}");
    // A known network whose weights are in a folder is used as any other.
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), name, b"weights");
    Registry::join(&[], None, &[folder.path().to_owned()]).unwrap().get(name).unwrap();
}

#[test]
fn fingerprints_follow_what_changes_the_numbers() {
    let registry = Registry::join(&[], None, &[]).unwrap();
    let dlib = registry.known_without_weights().find(|manifest| manifest.name == "dlib_face_recognition").unwrap();
    // Galleries on disk store this: it must not change.
    assert_eq!(fingerprint(dlib), "74a9050a76cfe563");
    let mut same = dlib.clone();
    same.title = "another".into();
    same.sha256 = same.sha256.to_uppercase();
    same.input.batch = false;
    assert_eq!(fingerprint(&same), fingerprint(dlib));
    let mut other = dlib.clone();
    other.input.mean = [1.0; 3];
    assert_ne!(fingerprint(&other), fingerprint(dlib));
    let mut other = dlib.clone();
    other.crop = Some(visavis_infer::manifest::Crop::Aligned);
    assert_ne!(fingerprint(&other), fingerprint(dlib));
    let mut other = dlib.clone();
    other.sha256 = sha256(b"other");
    assert_ne!(fingerprint(&other), fingerprint(dlib));
}

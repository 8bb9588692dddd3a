//! Gallery files that were made to attack the program that opens them.

use super::*;

/// A gallery whose tables were changed by these statements.
fn changed(statements: &str) -> (TempDir, PathBuf) {
    let (folder, path) = folder();
    drop(two_people(&path));
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(statements).unwrap();
    (folder, path)
}

#[test]
fn a_view_in_place_of_a_table_is_refused() {
    let (_folder, path) = changed("ALTER TABLE meta RENAME TO old; CREATE VIEW meta AS SELECT * FROM old;");
    let error = Gallery::open(&path, Some(&network())).err().unwrap();
    assert!(error.to_string().contains("view"), "{error}");
    // One that computes without end.
    let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n WHERE i < 0";
    let (_folder, path) = changed(&format!("ALTER TABLE person RENAME TO old; CREATE VIEW person AS {endless};"));
    assert!(Gallery::open(&path, Some(&network())).is_err());
}

#[test]
fn a_trigger_is_not_run() {
    let (_folder, path) = changed("CREATE TRIGGER hidden AFTER UPDATE ON meta BEGIN DELETE FROM person; END;");
    let gallery = Gallery::open(&path, Some(&network())).unwrap();
    gallery.add("Eve", &[photo("eve.jpg", [5.0, 5.0, 5.0])]).unwrap();
    assert_eq!(gallery.people().unwrap().len(), 3);
    // Those that SQLite itself needs for foreign keys are run.
    let ada = gallery.find_person("Ada").unwrap().id;
    let photos = gallery.photos(ada).unwrap();
    gallery.remove_person(ada).unwrap();
    assert!(gallery.source(photos[0]).unwrap().is_none());
}

#[test]
fn a_value_of_a_gigabyte_is_not_read() {
    let (_folder, path) = changed("UPDATE photo SET thumbnail = zeroblob(40000000) WHERE id = 1;");
    let gallery = Gallery::open(&path, Some(&network())).unwrap();
    assert!(gallery.thumbnail(PhotoId(1)).is_err());
    assert!(gallery.thumbnail(PhotoId(2)).unwrap().is_some());
}

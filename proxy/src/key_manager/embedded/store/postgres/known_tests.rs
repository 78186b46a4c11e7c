//! States that follow each other, and rows that somebody changed, without a database.

use tempfile::TempDir;
use time::OffsetDateTime;

use super::super::super::super::record::Usages;
use super::*;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const PLACE: &str = "the database";

/// The rows that a database would hold.
#[derive(Clone, Default)]
struct Tables {
    store: Rows,
    keys: Rows,
    credentials: Rows,
    control: Rows,
}

impl Tables {
    fn write(&mut self, write: &Write) {
        for (rows, change) in [
            (&mut self.store, &write.store),
            (&mut self.keys, &write.keys),
            (&mut self.credentials, &write.credentials),
            (&mut self.control, &write.control),
        ] {
            for name in &change.remove {
                rows.remove(name);
            }
            rows.extend(change.put.clone());
        }
    }

    fn raw(&self) -> Raw {
        let Self {
            store,
            keys,
            credentials,
            control,
        } = self.clone();
        Raw {
            store,
            keys,
            credentials,
            control,
        }
    }

    fn all(&mut self) -> [&mut Rows; 4] {
        [
            &mut self.store,
            &mut self.keys,
            &mut self.credentials,
            &mut self.control,
        ]
    }
}

/// A root key in a folder of its own.
struct RootKeyFile(TempDir);

impl RootKeyFile {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn source(&self) -> RootKeySource {
        RootKeySource::File(self.0.path().join("root.key"))
    }
}

fn key(byte: u8) -> KeyRecord {
    KeyRecord::new(Usages::EncryptDecrypt, Zeroizing::new([byte; 32]), NOW)
}

fn credential() -> CredentialRecord {
    CredentialRecord {
        uri_path_prefix: "/a".try_into().unwrap(),
        secret: "s".repeat(43).as_str().try_into().unwrap(),
        created: NOW,
    }
}

fn id(name: &str) -> ExternalKeyId {
    name.try_into().unwrap()
}

fn access_key_id() -> AccessKeyId {
    "ABCDEFGHIJKLMNOP2345".try_into().unwrap()
}

fn contents() -> Contents {
    Contents {
        keys: [(id("a"), key(1)), (id("b"), key(2))].into(),
        credentials: [(access_key_id(), credential())].into(),
        control: [("block".into(), b"1".to_vec())].into(),
    }
}

/// A store with these contents, its rows, and its root key.
fn created() -> (Known, Tables, RootKeyFile) {
    let file = RootKeyFile::new();
    let (root_key, derivation) = file.source().create().unwrap();
    let (known, write) = Known::create(&root_key, derivation, &contents()).unwrap();
    let mut tables = Tables::default();
    tables.write(&write);
    (known, tables, file)
}

fn verify(
    tables: &Tables,
    file: &RootKeyFile,
    before: Option<&Known>,
) -> Result<(Known, Difference), PostgresError> {
    match Known::verify(tables.raw(), &file.source(), before, PLACE) {
        Ok(verified) => Ok(verified),
        Err(StoreError::Postgres(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn refusal(tables: &Tables, file: &RootKeyFile, before: Option<&Known>) -> PostgresError {
    match verify(tables, file, before) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

/// What a difference does, in words.
fn words(difference: &Difference) -> Vec<String> {
    let word = |change: &Change<'_>| match change {
        Change::PutKey(id, key) => format!("+key {id} {}", key.current.material[0]),
        Change::RemoveKey(id) => format!("-key {id}"),
        Change::PutCredential(id, _) => format!("+credential {id}"),
        Change::RemoveCredential(id) => format!("-credential {id}"),
        Change::PutControl(name, _) => format!("+control {name}"),
        Change::RemoveControl(name) => format!("-control {name}"),
    };
    difference.changes().iter().map(word).collect()
}

/// The changes by which the second state of these tests follows the first.
fn change(known: &Known) -> (Known, Write) {
    let (c, access_key_id, credential) = (id("c"), access_key_id(), credential());
    let (again, new) = (key(9), key(3));
    let changes = [
        Change::PutKey(&id("a"), &again),
        Change::RemoveKey(&id("b")),
        Change::PutKey(&c, &new),
        Change::RemoveCredential(&access_key_id),
        Change::PutCredential(&"QRSTUVWXYZABCDEFGHIJ".try_into().unwrap(), &credential),
        Change::RemoveControl("block"),
        Change::PutControl("admin", b"2"),
    ];
    // As it is taken to the thread that writes.
    let difference = Difference::of(&changes);
    known.next(&difference.changes()).unwrap()
}

const CHANGED: [&str; 7] = [
    "+key a 9",
    "+key c 3",
    "+credential QRSTUVWXYZABCDEFGHIJ",
    "+control admin",
    "-key b",
    "-credential ABCDEFGHIJKLMNOP2345",
    "-control block",
];

#[test]
fn what_was_written_is_read_again_and_no_row_shows_it() {
    let (known, mut tables, file) = created();
    for rows in tables.all() {
        assert!(!rows.is_empty());
        for row in rows.values() {
            let shows = |part: &[u8]| row.windows(part.len()).any(|window| window == part);
            assert!(!shows(&[1; 32]) && !shows(&[b's'; 43]));
        }
    }
    let (again, difference) = verify(&tables, &file, None).unwrap();
    assert_eq!(
        words(&difference),
        [
            "+key a 1",
            "+key b 2",
            "+credential ABCDEFGHIJKLMNOP2345",
            "+control block"
        ]
    );
    for known in [&known, &again] {
        assert_eq!((known.generation(), known.manifest().generation), (1, 1));
        assert_eq!(known.key(&id("b")).unwrap().encode(), key(2).encode());
        assert!(known.key(&id("c")).is_none());
        assert_eq!(known.manifest_bytes(), tables.store[MANIFEST]);
        assert_eq!(known.contents().unwrap().control, contents().control);
        assert_eq!(known.mark(), again.mark());
    }
    assert!(known.root_key_id() == file.source().create().unwrap().0.id());
    assert_eq!(again.mark().generation, 1);
    assert_eq!(difference.into_contents().keys.len(), 2);
}

#[test]
fn a_change_is_the_next_generation_and_what_is_new_in_it_alone_is_taken_up() {
    let (known, mut tables, file) = created();
    let (next, write) = change(&known);
    assert_eq!((next.generation(), known.generation()), (2, 1));
    tables.write(&write);
    for before in [Some(&known), None] {
        let (verified, difference) = verify(&tables, &file, before).unwrap();
        assert_eq!(verified.mark(), next.mark());
        let words = words(&difference);
        match before {
            Some(_) => assert_eq!(words, CHANGED),
            None => assert_eq!(words, CHANGED[..4]),
        }
    }
    let (_, nothing) = verify(&tables, &file, Some(&next)).unwrap();
    assert_eq!(words(&nothing), [""; 0]);
    assert_eq!(known.generation_in(next.manifest_bytes()), Some(2));
    let (other, ..) = created();
    assert_eq!(other.generation_in(next.manifest_bytes()), None);
}

#[test]
fn a_row_that_was_changed_removed_added_or_exchanged_is_damage() {
    let (known, tables, file) = created();
    let damaged = |tables: &Tables, what: &str| {
        for before in [None, Some(&known)] {
            let error = refusal(tables, &file, before);
            let told = matches!(error, PostgresError::Damaged { .. });
            // A header is of another root key, or of another store, or damaged: nobody knows.
            let header = matches!(
                error,
                PostgresError::Foreign { .. } | PostgresError::WrongRootKey { .. }
            );
            assert!(told || header && what.ends_with(HEADER), "{what}: {error}");
        }
    };
    for table in 0..4 {
        let names: Vec<_> = tables.clone().all()[table].keys().cloned().collect();
        for name in names {
            let row = tables.clone().all()[table][&name].clone();
            for at in [0, 1, 20, row.len() / 2, row.len() - 1] {
                let mut bad = tables.clone();
                bad.all()[table].get_mut(&name).unwrap()[at] ^= 1;
                damaged(&bad, &format!("byte {at} of {table} {name}"));
            }
            let mut less = tables.clone();
            less.all()[table].remove(&name);
            damaged(&less, &format!("without {table} {name}"));
        }
        if table > 0 {
            let mut more = tables.clone();
            more.all()[table].insert("more".into(), vec![7; 60]);
            damaged(&more, &format!("more in {table}"));
        }
    }
    let mut exchanged = tables.clone();
    let (a, b) = (tables.keys["a"].clone(), tables.keys["b"].clone());
    exchanged.keys = [("a".into(), b), ("b".into(), a)].into();
    damaged(&exchanged, "exchanged");
}

#[test]
fn no_store_is_told_from_one_that_is_gone() {
    let (known, tables, file) = created();
    let nothing = Tables::default();
    let error = refusal(&nothing, &file, None);
    assert!(
        matches!(error, PostgresError::NotInitialised { .. }),
        "{error}"
    );
    let error = refusal(&nothing, &file, Some(&known));
    assert!(matches!(error, PostgresError::Damaged { .. }), "{error}");
    let mut headless = tables;
    headless.store.remove(HEADER);
    let error = refusal(&headless, &file, None);
    assert!(matches!(error, PostgresError::Damaged { .. }), "{error}");
}

#[test]
fn an_older_another_or_a_foreign_state_does_not_follow_a_known_one() {
    let (known, tables, file) = created();
    let (next, _) = change(&known);
    match refusal(&tables, &file, Some(&next)) {
        PostgresError::Older {
            found, expected, ..
        } => assert_eq!((found, expected), (1, 2)),
        other => panic!("{other}"),
    }
    // Of the same generation, but with another history.
    let mut elsewhere = tables.clone();
    elsewhere.write(&known.next(&[Change::RemoveKey(&id("a"))]).unwrap().1);
    match refusal(&elsewhere, &file, Some(&next)) {
        PostgresError::Diverged { generation, .. } => assert_eq!(generation, 2),
        other => panic!("{other}"),
    }
    assert!(verify(&elsewhere, &file, Some(&known)).is_ok());

    let (_, foreign, its_file) = created();
    let error = refusal(&foreign, &its_file, Some(&known));
    assert!(matches!(error, PostgresError::Foreign { .. }), "{error}");
    let error = refusal(&foreign, &file, None);
    assert!(
        matches!(error, PostgresError::WrongRootKey { .. }),
        "{error}"
    );
}

#[test]
fn the_same_records_under_another_root_key_are_the_next_generation() {
    let (known, mut tables, old_file) = created();
    let new_file = RootKeyFile::new();
    let (root_key, derivation) = new_file.source().create().unwrap();
    let (next, write) = known.rewrapped(&root_key, derivation).unwrap();
    assert!(next.root_key_id() == root_key.id());
    tables.write(&write);
    // The file `generation` goes on being authentic.
    let body = b"what the generation file says";
    let mac = hmac::sign(&known.mark_key(), body);
    hmac::verify(&next.mark_key(), body, mac.as_ref()).unwrap();

    let error = refusal(&tables, &old_file, Some(&known));
    assert!(
        matches!(error, PostgresError::WrongRootKey { .. }),
        "{error}"
    );
    let (verified, difference) = verify(&tables, &new_file, Some(&known)).unwrap();
    assert_eq!((verified.generation(), verified.mark()), (2, next.mark()));
    assert_eq!(verified.mark().store_id, known.mark().store_id);
    let rewrapped = verified.contents().unwrap();
    assert_eq!(rewrapped.keys[&id("a")].encode(), key(1).encode());
    assert_eq!((rewrapped.keys.len(), rewrapped.credentials.len()), (2, 1));
    assert_eq!(rewrapped.control, contents().control);
    assert!(difference.into_contents().keys.contains_key(&id("b")));
}

/// A passphrase takes its time, and what the platform gave at the start may be gone.
#[test]
fn the_root_key_is_asked_for_only_where_the_header_is_another() {
    let (known, mut tables, file) = created();
    let (next, write) = change(&known);
    tables.write(&write);
    std::fs::remove_file(file.source().path()).unwrap();
    let (verified, _) = verify(&tables, &file, Some(&known)).unwrap();
    assert_eq!(verified.mark(), next.mark());
    assert!(verified.root_key_id() == known.root_key_id());
    let anew = Known::verify(tables.raw(), &file.source(), None, PLACE).map(drop);
    assert!(matches!(anew, Err(StoreError::RootKey(_))), "{anew:?}");
}

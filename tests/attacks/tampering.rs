//! Messages that were changed, and messages where they do not belong: through the pipeline, as KMS would send them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::in_process::{FIELDS, Message, PLACES, Pipeline, Stores, base64};

/// The pipeline, and messages of each place and version.
struct Scene {
    pipeline: Pipeline,
    messages: Vec<Message>,
    _stores: Stores,
}

impl Scene {
    fn new() -> Self {
        let stores = Stores::new();
        let mut messages = Vec::new();
        for version in 0..3 {
            if version > 0 {
                stores.rotate();
            }
            let pipeline = stores.pipeline();
            for place in PLACES {
                for (plaintext, aad) in [(32, 100), (0, 0), (1, 33), (32, 0), (4_096, 8_192)] {
                    let plaintext = vec![b'p'; plaintext];
                    messages.push(pipeline.encrypt(place, &plaintext, &vec![b'a'; aad]));
                }
            }
        }
        Self {
            pipeline: stores.pipeline(),
            messages,
            _stores: stores,
        }
    }

    fn opens(&self, message: &Message) {
        let (status, answer) = self.pipeline.decrypt(message.at, &message.fields);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["plaintext"], base64(&message.plaintext));
    }

    fn refuses(&self, message: &Message, what: &str) {
        let (status, answer) = self.pipeline.decrypt(message.at, &message.fields);
        assert_eq!((status, &answer), (400, &refused()), "{what}");
    }
}

/// One for each thread of the tests.
fn with_scene<T>(work: impl FnOnce(&Scene) -> T) -> T {
    thread_local!(static SCENE: Scene = Scene::new());
    SCENE.with(work)
}

/// The one answer, whatever is wrong: which check has failed is nobody's business.
fn refused() -> Value {
    json!({
        "errorName": "InvalidCiphertextException",
        "errorMessage": "the ciphertext, initialization vector, tag, metadata or AAD is not what Encrypt gave",
    })
}

#[test]
fn every_bit_of_every_field_of_a_message_counts() {
    with_scene(|scene| {
        let message = &scene.messages[0];
        scene.opens(message);
        let mut bits = 0;
        for (field, name) in FIELDS.iter().enumerate() {
            for bit in 0..message.fields[field].len() * 8 {
                let mut changed = message.clone();
                changed.fields[field][bit / 8] ^= 1 << (bit % 8);
                scene.refuses(&changed, &format!("bit {bit} of {name}"));
                bits += 1;
            }
        }
        // Ciphertext 32, initialization vector 12, tag 16, metadata 20, AAD 100.
        assert_eq!(bits, 180 * 8);
        scene.opens(message);
    });
}

#[test]
fn every_other_length_of_a_field_is_refused() {
    with_scene(|scene| {
        let message = &scene.messages[0];
        for (field, name) in FIELDS.iter().enumerate() {
            let len = message.fields[field].len();
            for other in (0..=len + 2).filter(|other| *other != len) {
                let mut changed = message.clone();
                changed.fields[field].resize(other, 0);
                scene.refuses(&changed, &format!("{name} of {other} bytes"));
            }
        }
    });
}

#[test]
fn a_credential_serves_no_other_prefix() {
    with_scene(|scene| {
        for (signer, at) in [("/b", PLACES[0]), ("/a", PLACES[2])] {
            let (status, answer) = scene.pipeline.post(signer, at, "decrypt", &json!({}));
            assert_eq!(status, 401, "{answer}");
            assert_eq!(answer["errorName"], "AuthenticationFailedException");
        }
    });
}

#[test]
fn messages_of_all_versions_open_where_they_belong() {
    with_scene(|scene| {
        let versions = scene.messages.iter().map(|message| &message.fields[3][..4]);
        let versions: BTreeSet<_> = versions.map(<[u8]>::to_vec).collect();
        assert_eq!(versions.len(), 3);
        scene
            .messages
            .iter()
            .for_each(|message| scene.opens(message));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_change_of_any_message_is_taken(
        plaintext in prop::collection::vec(any::<u8>(), 0..200),
        aad in prop::collection::vec(any::<u8>(), 0..200),
        place in 0..PLACES.len(),
        changes in prop::collection::vec((0..FIELDS.len(), any::<Index>(), 1_u8..=255), 1..4),
    ) {
        with_scene(|scene| {
            let message = scene.pipeline.encrypt(PLACES[place], &plaintext, &aad);
            scene.opens(&message);
            let mut changed = message.clone();
            for (field, at, change) in &changes {
                let bytes = &mut changed.fields[*field];
                match bytes.len() {
                    0 => bytes.push(*change),
                    len => bytes[at.index(len)] ^= change,
                }
            }
            // Changes can undo each other.
            if changed.fields == message.fields {
                scene.opens(&changed);
            } else {
                scene.refuses(&changed, &format!("{changes:?}"));
            }
        });
    }

    /// Of two messages, whatever their places, versions and AADs, no mixture opens, nor does one at the place of the other.
    #[test]
    fn messages_do_not_cross_keys_versions_prefixes_or_aads(
        first in any::<Index>(),
        second in any::<Index>(),
        of_second in prop::collection::vec(any::<bool>(), FIELDS.len()),
        at_second in any::<bool>(),
    ) {
        with_scene(|scene| {
            let pick = |index: &Index| &scene.messages[index.index(scene.messages.len())];
            let (first, second) = (pick(&first), pick(&second));
            let mut mixed = first.clone();
            for (field, _) in of_second.iter().enumerate().filter(|(_, of_second)| **of_second) {
                mixed.fields[field] = second.fields[field].clone();
            }
            if at_second {
                mixed.at = second.at;
            }
            let is = |whole: &Message| mixed.fields == whole.fields && mixed.at == whole.at;
            match [first, second].into_iter().find(|whole| is(whole)) {
                Some(whole) => scene.opens(whole),
                None => scene.refuses(&mixed, "a mixture"),
            }
        });
    }

    /// The border between two fields is bound, too: bytes cannot move from one into the other.
    #[test]
    fn bytes_do_not_move_between_aad_and_metadata(
        aad in prop::collection::vec(any::<u8>(), 0..64),
        moved in 1_usize..20,
    ) {
        with_scene(|scene| {
            let message = scene.pipeline.encrypt(PLACES[0], b"secret", &aad);
            let [.., metadata, aad] = &message.fields;
            let mut longer = message.clone();
            longer.fields[4] = [aad, &metadata[..moved]].concat();
            longer.fields[3] = metadata[moved..].to_vec();
            scene.refuses(&longer, "from the metadata into the AAD");
        });
    }
}

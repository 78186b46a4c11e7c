//! Writes a JSON object whose members are all base64: what a proxy answers to Encrypt and Decrypt.
//!
//! Base64 needs no escapes, so it is encoded straight into the body: no string of its own to scan, copy and wipe.

use base64_simd::{AsOut as _, STANDARD};
use zeroize::Zeroizing;

use super::base64_len;

/// The object so far; wiped on drop.
pub(super) struct Base64Object {
    text: Zeroizing<Vec<u8>>,
    capacity: usize,
}

impl Base64Object {
    /// An object without members yet, with room for exactly these: names and numbers of bytes.
    ///
    /// So no copy of the text stays behind in a smaller buffer, and the buffer can be sent as it is.
    pub(super) fn with_room_for(members: impl IntoIterator<Item = (&'static str, usize)>) -> Self {
        // Both braces; of each member its quotes, colon and comma, of which one member has none.
        let member = |(name, len): (&str, usize)| name.len() + base64_len(len) + 6;
        let capacity = 1 + members.into_iter().map(member).sum::<usize>();
        let mut text = Zeroizing::new(Vec::with_capacity(capacity));
        text.push(b'{');
        Self { text, capacity }
    }

    /// Adds a member; its name must need no escapes.
    pub(super) fn member(mut self, name: &'static str, bytes: &[u8]) -> Self {
        let text = &mut *self.text;
        if text.len() > 1 {
            text.push(b',');
        }
        text.push(b'"');
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\":\"");
        let start = text.len();
        text.resize(start + base64_len(bytes.len()), 0);
        let room = text.get_mut(start..).unwrap_or_default();
        // A buffer too small would be a defect here, and a panic there.
        let _ = STANDARD.encode(bytes, room.as_out());
        text.push(b'"');
        self
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> Zeroizing<Vec<u8>> {
        self.text.push(b'}');
        let len = self.text.len();
        debug_assert_eq!(len, self.capacity, "the room that was asked for");
        self.text
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose};

    use super::*;

    #[test]
    fn serde_json_reads_every_length() {
        for len in 0..200 {
            let bytes: Vec<u8> = (0..len).map(|n: u8| n.wrapping_mul(7)).collect();
            let object = Base64Object::with_room_for([("first", bytes.len()), ("second", 12)])
                .member("first", &bytes)
                .member("second", b"Hello World!");
            let value: serde_json::Value = serde_json::from_slice(&object.finish()).unwrap();
            let expected = serde_json::json!({
                "first": general_purpose::STANDARD.encode(&bytes),
                "second": "SGVsbG8gV29ybGQh",
            });
            assert_eq!(value, expected);
        }
    }
}

//! The encryption context: pairs of strings, without order, that a ciphertext is bound to.

use std::collections::BTreeMap;

use ring::digest;

/// Exact, case-sensitive pairs; no pairs and no context are the same.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// Whether there are no pairs.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The additional authenticated data of KMS's own layer: `header ‖ 00 ‖ canonical form`.
    pub(crate) fn aad(&self, header: &[u8]) -> Vec<u8> {
        let mut aad = header.to_vec();
        aad.push(WHOLE);
        self.canonical(&mut aad);
        aad
    }

    /// The additional authenticated data sent to a proxy: [`aad`](Self::aad), or, where that is longer than the
    /// 8,192 bytes that every proxy takes, `header ‖ 01 ‖ SHA-256(canonical form)`.
    pub(crate) fn proxy_aad(&self, header: &[u8]) -> Vec<u8> {
        let whole = self.aad(header);
        if whole.len() <= MAX_PROXY_AAD_LEN {
            return whole;
        }
        let mut canonical = Vec::new();
        self.canonical(&mut canonical);
        let mut aad = header.to_vec();
        aad.push(HASHED);
        aad.extend_from_slice(digest::digest(&digest::SHA256, &canonical).as_ref());
        aad
    }

    /// The number of pairs, then each key and value after its length, in the order of the keys' UTF-8 bytes;
    /// numbers are 32 bits, big-endian.
    fn canonical(&self, out: &mut Vec<u8>) {
        let len = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
        out.extend_from_slice(&len(self.0.len()));
        for text in self.0.iter().flat_map(|(key, value)| [key, value]) {
            out.extend_from_slice(&len(text.len()));
            out.extend_from_slice(text.as_bytes());
        }
    }
}

impl From<BTreeMap<String, String>> for EncryptionContext {
    fn from(pairs: BTreeMap<String, String>) -> Self {
        Self(pairs)
    }
}

const WHOLE: u8 = 0;
const HASHED: u8 = 1;
const MAX_PROXY_AAD_LEN: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        EncryptionContext(pairs.collect())
    }

    #[test]
    fn the_canonical_form_is_counted_and_sorted_by_bytes() {
        // "Z" < "a" < "é" as UTF-8.
        let expected =
            b"H\0\0\0\0\x03\0\0\0\x01Z\0\0\0\0\0\0\0\x01a\0\0\0\x021=\0\0\0\x02\xc3\xa9\0\0\0\x01x";
        assert_eq!(
            context(&[("é", "x"), ("a", "1="), ("Z", "")]).aad(b"H"),
            expected
        );
        assert_eq!(
            context(&[("Z", ""), ("é", "x"), ("a", "1=")]).aad(b"H"),
            expected
        );
        assert_eq!(context(&[]).aad(b"H"), b"H\0\0\0\0\0");
    }

    #[test]
    fn bytes_cannot_move_between_keys_and_values() {
        let all = [
            context(&[]),
            context(&[("", "")]),
            context(&[("a", "bc")]),
            context(&[("ab", "c")]),
            context(&[("a", "b"), ("c", "")]),
            context(&[("A", "bc")]),
        ];
        for (i, left) in all.iter().enumerate() {
            for right in &all[i + 1..] {
                assert_ne!(left.aad(b"H"), right.aad(b"H"));
            }
        }
    }

    #[test]
    fn the_proxy_never_gets_more_than_8192_bytes() {
        let header = [7; 100];
        for len in [8_192 - 100 - 14, 8_192 - 100 - 13] {
            let context = context(&[("k", &"v".repeat(len))]);
            let (whole, sent) = (context.aad(&header), context.proxy_aad(&header));
            if whole.len() <= 8_192 {
                assert_eq!((sent, whole.len()), (whole.clone(), 8_192));
            } else {
                assert_eq!((sent.len(), sent[100]), (100 + 1 + 32, 1));
            }
        }
    }
}

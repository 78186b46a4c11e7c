//! The chain: every line has a number, the MAC of the line before it, and a MAC of its own over all of that.
//!
//! `{"sequence":7,"previous":"…",` what happened `,"mac":"…"}`. So a line proves itself whatever became of its neighbours,
//! and its neighbours prove that nothing between them is missing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::key::AuditKey;

/// HMAC-SHA-256 of a line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Mac([u8; 32]);

impl Mac {
    pub(super) fn of(tag: &hmac::Tag) -> Self {
        Self(tag.as_ref().try_into().expect("32 bytes: SHA-256 output"))
    }

    pub(super) fn verifies(&self, key: &hmac::Key, signed: &[u8]) -> bool {
        hmac::verify(key, signed, &self.0).is_ok()
    }

    pub(super) fn push(&self, line: &mut Vec<u8>) {
        let mut text = [0; MAC_TEXT];
        let len = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        debug_assert_eq!(len, Ok(MAC_TEXT));
        line.extend_from_slice(&text);
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (len == bytes.len()).then_some(Self(bytes))
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// The end of the chain: the last line's number and MAC. Before the first line, number 0 and zeros.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Position {
    /// Lines are numbered from 1.
    pub(super) sequence: u64,
    /// What the next line has as `previous`.
    pub(super) mac: Mac,
}

impl Position {
    //= xks §Logging R39: whatever is done to the lines shows.
    /// Appends a JSON object with at least one member, and the end of its line, to `lines` as the next line of the chain.
    pub(super) fn seal(&mut self, key: &AuditKey, object: &[u8], lines: &mut Vec<u8>) {
        let start = lines.len();
        let sequence = self.sequence + 1;
        lines.extend_from_slice(SEQUENCE);
        lines.extend_from_slice(sequence.to_string().as_bytes());
        lines.extend_from_slice(PREVIOUS);
        self.mac.push(lines);
        lines.extend_from_slice(b"\",");
        let members = object.strip_prefix(b"{").unwrap_or(object);
        lines.extend_from_slice(members.strip_suffix(b"}\n").unwrap_or(members));
        let signed = lines.get(start..).unwrap_or_default();
        let mac = Mac::of(&hmac::sign(key.of_lines(), signed));
        lines.extend_from_slice(MAC);
        mac.push(lines);
        lines.extend_from_slice(END);
        lines.push(b'\n');
        *self = Self { sequence, mac };
    }
}

/// A line as it stands in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) sequence: u64,
    pub(super) previous: Mac,
    pub(super) mac: Mac,
    signed: &'a [u8],
}

impl<'a> Line<'a> {
    /// Takes a line, without its end, apart.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let at = line.len().checked_sub(MAC.len() + MAC_TEXT + END.len())?;
        let (signed, mac) = line.split_at_checked(at)?;
        let mac = mac.strip_prefix(MAC)?.strip_suffix(END)?;
        let rest = signed.strip_prefix(SEQUENCE)?;
        let digits = rest.iter().position(|b| !b.is_ascii_digit())?;
        let (sequence, rest) = rest.split_at_checked(digits)?;
        let previous = rest.strip_prefix(PREVIOUS)?.get(..MAC_TEXT)?;
        Some(Self {
            sequence: str::from_utf8(sequence).ok()?.parse().ok()?,
            previous: Mac::parse(previous)?,
            mac: Mac::parse(mac)?,
            signed,
        })
    }

    /// Whether whoever has the key wrote it so.
    pub(super) fn is_authentic(&self, key: &AuditKey) -> bool {
        self.mac.verifies(key.of_lines(), self.signed)
    }

    /// Whether it is no request, but tells of something else.
    pub(super) fn is_event(&self) -> bool {
        let time = |members: &&[u8]| members.starts_with(b"\"time\":\"");
        let rest = self
            .members()
            .filter(time)
            .and_then(|members| members.get(TIME_LEN..));
        rest.is_some_and(|rest| rest.starts_with(b",\"event\":"))
    }

    /// What happened, as an object.
    pub(super) fn object(&self) -> Vec<u8> {
        let members = self.members().unwrap_or_default();
        [b"{", members, b"}"].concat()
    }

    fn members(&self) -> Option<&'a [u8]> {
        let previous = self
            .signed
            .windows(PREVIOUS.len())
            .position(|part| part == PREVIOUS)?;
        self.signed.get(previous + PREVIOUS.len() + MAC_TEXT + 2..)
    }

    pub(super) fn position(&self) -> Position {
        Position {
            sequence: self.sequence,
            mac: self.mac,
        }
    }
}

const SEQUENCE: &[u8] = b"{\"sequence\":";
const PREVIOUS: &[u8] = b",\"previous\":\"";
const MAC: &[u8] = b",\"mac\":\"";
const END: &[u8] = b"\"}";
/// `"time":"2026-11-24T07:38:39.123456Z"`
const TIME_LEN: usize = 36;
/// 32 bytes in base64url without padding.
const MAC_TEXT: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    /// Taken with Python's hmac and base64, so that the format cannot drift.
    #[test]
    fn the_format_is_what_a_second_implementation_makes_of_it() {
        let key = AuditKey::from_bytes(&[7; 32]);
        let mut lines = Vec::new();
        let mut position = Position::default();
        position.seal(&key, b"{\"event\":\"opened\"}\n", &mut lines);
        position.seal(&key, b"{\"time\":\"2026\",\"status\":200}\n", &mut lines);
        assert_eq!(str::from_utf8(&lines).unwrap(), VECTOR);
        assert_eq!(key.id(), "2c53008c282c1676");
        let mut end = Position::default();
        for line in VECTOR.lines() {
            let line = Line::parse(line.as_bytes()).unwrap();
            assert!(line.is_authentic(&key));
            assert_eq!(line.previous, end.mac);
            end = line.position();
        }
        assert_eq!(end, position);
    }

    const VECTOR: &str = concat!(
        "{\"sequence\":1,\"previous\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"event\":\"opened\",\"mac\":\"KpMQ9DS4VDU-R9doLOzh7sJiV8jhL8NjHlwiT6Tzd0Q\"}\n",
        "{\"sequence\":2,\"previous\":\"KpMQ9DS4VDU-R9doLOzh7sJiV8jhL8NjHlwiT6Tzd0Q\",\"time\":\"2026\",\"status\":200,\"mac\":\"NDhaRQOi0hnoiROc4yvcBfgb97SeHPxEKg3CRv-keXA\"}\n",
    );

    #[test]
    fn no_byte_of_a_line_can_change() {
        let key = AuditKey::from_bytes(&[7; 32]);
        let line = VECTOR.lines().next().unwrap().as_bytes();
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut changed = line.to_vec();
                changed[at] ^= 1 << bit;
                let authentic = Line::parse(&changed).is_some_and(|l| l.is_authentic(&key));
                assert!(!authentic, "bit {bit} of byte {at}");
            }
        }
        let other = AuditKey::from_bytes(&[8; 32]);
        assert!(!Line::parse(line).unwrap().is_authentic(&other));
    }
}

//! Properties: what `aws-sigv4` signs is accepted, and nothing near it is.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use time::Duration;
use xks_api::sigv4::Verifier;

use crate::signer::{NOW, Request, Signer, verifier};

const SECOND_ID: &str = "SECONDSECONDSECONDSECOND";
const SECOND_SECRET: &str = "SECONDSECONDSECONDSECONDSECONDSECONDSECONDSECOND";

prop_compose! {
    fn request()(
        method in "[A-Z]{1,8}",
        segments in vec("[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,12}", 1..6),
        host in "[a-z0-9-]{1,20}(\\.[a-z]{2,5}){0,2}(:[1-9][0-9]{3})?",
        http2 in any::<bool>(),
        // `z` before a name keeps it clear of those that have a meaning of their own.
        headers in btree_map("(z[a-z0-9_-]{0,12}|content-type|x-amz-content-sha256)", "[\t -~]{0,40}", 0..6),
        order in any::<Index>(),
        body in vec(any::<u8>(), 0..700),
    ) -> Request {
        let mut headers: Vec<_> = headers.into_iter().map(|(n, v)| (n, v.into_bytes())).collect();
        if !http2 {
            headers.push(("host".into(), host.clone().into_bytes()));
        }
        if !headers.is_empty() {
            let at = order.index(headers.len());
            headers.rotate_left(at);
        }
        Request {
            method,
            path: format!("/{}", segments.join("/")),
            query: None,
            authority: http2.then_some(host),
            headers,
            body,
        }
    }
}

prop_compose! {
    fn signer()(
        id in "[A-Z2-7]{20,30}",
        secret in "[A-Za-z0-9/+=]{43,64}",
        region in "[a-z]{2}-[a-z]{4,9}-[1-9]",
        seconds in -86_400i64 * 400..86_400 * 4_000,
    ) -> Signer {
        let time = NOW + Duration::seconds(seconds);
        Signer { id, secret, region, time, ..Signer::default() }
    }
}

type Mutation = fn(&mut Request, Index);

/// Each changes one thing that the signature must cover.
const MUTATIONS: [(&str, Mutation); 19] = [
    ("method", |r, i| {
        let at = i.index(r.method.len());
        let old = r.method.as_bytes()[at];
        let new = if old == b'A' { "B" } else { "A" };
        r.method.replace_range(at..=at, new);
    }),
    ("longer method", |r, _| r.method.push('X')),
    ("path character", |r, i| {
        let at = 1 + i.index(r.path.len() - 1);
        let old = r.path.as_bytes()[at];
        r.path
            .replace_range(at..=at, if old == b'a' { "b" } else { "a" });
    }),
    ("longer path", |r, _| r.path.push('x')),
    ("slash after the path", |r, _| r.path.push('/')),
    ("escape in the path", |r, i| {
        let at = 1 + i.index(r.path.len() - 1);
        let escaped = format!("%{:02X}", r.path.as_bytes()[at]);
        r.path.replace_range(at..=at, &escaped);
    }),
    ("query", |r, _| r.query = Some(String::new())),
    ("bit of the body", |r, i| match r.body.is_empty() {
        true => r.body.push(0),
        false => {
            let bit = i.index(r.body.len() * 8);
            r.body[bit / 8] ^= 1 << (bit % 8);
        }
    }),
    ("longer body", |r, _| r.body.push(b' ')),
    ("shorter body", |r, _| match r.body.pop() {
        Some(_) => (),
        None => r.body.push(b' '),
    }),
    ("value of a signed header", |r, i| {
        signed_header(r, i).1.push(b'x');
    }),
    ("first byte of a signed header", |r, i| {
        signed_header(r, i).1.insert(0, b'-');
    }),
    ("signed header is gone", |r, i| {
        let name = signed_header(r, i).0.clone();
        r.headers.retain(|(n, _)| *n != name);
    }),
    ("signed header comes twice", |r, i| {
        let (name, value) = signed_header(r, i).clone();
        r.headers.push((name, value));
    }),
    ("host", |r, _| match &mut r.authority {
        Some(authority) => authority.push('x'),
        None => r.value("host").push(b'x'),
    }),
    ("second of the time", |r, _| {
        let value = r.value("x-amz-date");
        value[14] = if value[14] == b'9' {
            b'8'
        } else {
            value[14] + 1
        };
    }),
    ("day of the scope", |r, _| {
        edit(r, |text| {
            let at = text.find('/').unwrap() + 8;
            let new = if &text[at..=at] == "1" { "2" } else { "1" };
            text.replace_range(at..=at, new);
        })
    }),
    ("Region", |r, _| {
        edit(r, |text| {
            let at = text.find("/kms-xks-proxy").unwrap() - 1;
            let new = if &text[at..=at] == "1" { "2" } else { "1" };
            text.replace_range(at..=at, new);
        })
    }),
    ("access key id", |r, _| {
        edit(r, |text| {
            let from = text.find('=').unwrap() + 1;
            let to = text.find('/').unwrap();
            text.replace_range(from..to, SECOND_ID);
        })
    }),
];

/// A header that `aws-sigv4` signed: all but its own `authorization`.
fn signed_header(request: &mut Request, index: Index) -> &mut (String, Vec<u8>) {
    let signed = request
        .headers
        .iter_mut()
        .filter(|(n, _)| n != "authorization");
    let mut signed: Vec<_> = signed.collect();
    let at = index.index(signed.len());
    signed.swap_remove(at)
}

fn edit(request: &mut Request, change: impl FnOnce(&mut String)) {
    let value = request.value("authorization");
    let mut text = String::from_utf8(std::mem::take(value)).unwrap();
    change(&mut text);
    *value = text.into_bytes();
}

fn verifier_of(signer: &Signer) -> Verifier {
    verifier(&[(&signer.id, &signer.secret), (SECOND_ID, SECOND_SECRET)])
}

proptest! {
    #[test]
    fn what_the_oracle_signs_is_accepted_and_no_mutation_of_it(
        request in request(),
        signer in signer(),
        skew in -300i64..=300,
        index in any::<Index>(),
    ) {
        let signed = signer.sign(request);
        let verifier = verifier_of(&signer);
        let now = signer.time + Duration::seconds(skew);
        // Without the cache, then with it.
        for _ in 0..2 {
            let id = signed.verify_at(&verifier, now);
            prop_assert_eq!(id.as_ref().map(|id| id.as_str()), Ok(&*signer.id));
        }
        for (name, mutate) in MUTATIONS {
            let mut changed = signed.clone();
            mutate(&mut changed, index);
            prop_assert!(changed.verify_at(&verifier, now).is_err(), "{}: {:?}", name, changed);
        }
    }

    #[test]
    fn every_nibble_of_the_signature_counts(signer in signer(), nibble in 0usize..64, add in 1u8..16) {
        let mut signed = signer.sign(Request::encrypt());
        let verifier = verifier_of(&signer);
        prop_assert!(signed.verify_at(&verifier, signer.time).is_ok());
        edit(&mut signed, |text| {
            let at = text.len() - 64 + nibble;
            let old = u8::from_str_radix(&text[at..=at], 16).unwrap();
            text.replace_range(at..=at, &format!("{:x}", (old + add) % 16));
        });
        prop_assert!(signed.verify_at(&verifier, signer.time).is_err());
    }

    #[test]
    fn every_character_of_the_secret_counts(signer in signer(), index in any::<Index>()) {
        let signed = signer.sign(Request::encrypt());
        let mut other = signer.clone();
        let at = index.index(other.secret.len());
        let new = if &other.secret[at..=at] == "+" { "/" } else { "+" };
        other.secret.replace_range(at..=at, new);
        prop_assert!(signed.verify_at(&verifier_of(&other), signer.time).is_err());
    }

    /// The only freedom that the grammar leaves is the space after each comma.
    #[test]
    fn an_authorization_header_has_no_second_spelling(
        at in any::<Index>(),
        remove in 0usize..4,
        insert in "[ -~\u{e9}]{0,3}",
    ) {
        let signed = Signer::default().sign(Request::encrypt());
        let mut changed = signed.clone();
        let spelling = |r: &mut Request| {
            String::from_utf8(r.value("authorization").clone()).unwrap().replace(", ", ",")
        };
        edit(&mut changed, |text| {
            let from = at.index(text.len() + 1);
            let to = (from + remove).min(text.len());
            text.replace_range(from..to, &insert);
        });
        if changed.verify().is_ok() {
            prop_assert_eq!(spelling(&mut changed), spelling(&mut signed.clone()));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        authorization in vec(any::<u8>(), 0..200),
        date in "\\PC{0,20}",
        method in "\\PC{0,5}",
        path in "\\PC{0,20}",
        headers in vec(("\\PC{0,5}", vec(any::<u8>(), 0..9)), 0..4),
    ) {
        let mut request = Signer::default().sign(Request::encrypt());
        request.method = method;
        request.path = path;
        *request.value("x-amz-date") = date.into_bytes();
        request.headers.extend(headers);
        prop_assert!(request.verify().is_err());
        *request.value("authorization") = authorization;
        prop_assert!(request.verify().is_err());
    }
}

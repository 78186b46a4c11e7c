//! The ciphertext data integrity value: computed once more, and by whom it is wrong.

use ring::digest::{Context, SHA256};

use super::super::answer::Sealed;
use super::super::case::Check::Story;
use super::super::case::{Case, Finding, Outcome, must};
use super::super::kit::{AAD, Kit, PLAINTEXT};
use super::encrypt::same;
use super::{APPENDIX_C, ENCRYPT};

pub(super) const CASES: &[Case] = &[
    must(
        "cdiv-is-there",
        ENCRYPT,
        "an Encrypt that names the algorithm of a CDIV is answered with one",
        Story(|kit| match kit.seal(PLAINTEXT, Some(AAD))?.cdiv {
            Some(_) => Ok(()),
            None => Err(Finding::failed("ciphertextDataIntegrityValue is missing")),
        }),
    ),
    must(
        "cdiv-of-32-bytes",
        ENCRYPT,
        "the CDIV is a SHA-256, of 32 bytes before base64",
        Story(|kit| match kit.seal(PLAINTEXT, Some(AAD))?.cdiv {
            Some(cdiv) if cdiv.len() == 32 => Ok(()),
            Some(cdiv) => Err(Finding::failed(format!(
                "the ciphertextDataIntegrityValue has {} bytes",
                cdiv.len()
            ))),
            None => Err(Finding::failed("ciphertextDataIntegrityValue is missing")),
        }),
    ),
    must(
        "cdiv-over-all-fields",
        APPENDIX_C,
        "the CDIV covers AAD, metadata, vector, ciphertext and tag, in this order and as bytes",
        Story(|kit| right(&kit.seal(PLAINTEXT, Some(AAD))?)),
    ),
    must(
        "cdiv-without-aad",
        APPENDIX_C,
        "an AAD that is not there counts as no bytes in the CDIV",
        Story(|kit| right(&kit.seal(PLAINTEXT, None)?)),
    ),
    must(
        "cdiv-with-an-empty-aad",
        APPENDIX_C,
        "an empty AAD counts as no bytes in the CDIV",
        Story(|kit| right(&kit.seal(PLAINTEXT, Some(b""))?)),
    ),
    must(
        "cdiv-at-the-largest-sizes",
        APPENDIX_C,
        "the CDIV is right for 4,300 bytes of plaintext with 8,192 of AAD",
        Story(|kit| right(&kit.seal(&[0x61; 4300], Some(&[0x62; 8192]))?)),
    ),
    must(
        "cdiv-of-one-byte",
        APPENDIX_C,
        "the CDIV is right for one byte of plaintext with one of AAD",
        Story(|kit| right(&kit.seal(b"1", Some(b"2"))?)),
    ),
    must(
        "cdiv-differs-each-time",
        APPENDIX_C,
        "the CDIV is that of the answer that it comes with, and not of an earlier one",
        Story(|kit| {
            right(&kit.seal(PLAINTEXT, Some(AAD))?)?;
            right(&kit.seal(PLAINTEXT, Some(AAD))?)
        }),
    ),
    must(
        "cdiv-promises-that-it-decrypts",
        APPENDIX_C,
        "an Encrypt that is answered with a CDIV can be decrypted: ten of ten are",
        Story(|kit| {
            for _ in 0..10 {
                let sealed = kit.seal(PLAINTEXT, Some(AAD))?;
                right(&sealed)?;
                same(&kit.open(&sealed)?, PLAINTEXT)?;
            }
            Ok(())
        }),
    ),
];

/// Compares the CDIV with the one that is computed here; of a wrong one it tells how it came about, if that can be told.
pub(super) fn right(sealed: &Sealed) -> Outcome {
    let Some(theirs) = &sealed.cdiv else {
        return Err(Finding::failed("ciphertextDataIntegrityValue is missing"));
    };
    let empty = Vec::new();
    let aad = sealed.aad.as_ref().unwrap_or(&empty);
    let metadata = sealed.metadata.as_ref().unwrap_or(&empty);
    let (iv, text, tag) = (&sealed.iv, &sealed.ciphertext, &sealed.tag);
    if *theirs == sha256(&[aad, metadata, iv, text, tag]) {
        return Ok(());
    }
    let mistakes = [
        ("without the AAD", sha256(&[metadata, iv, text, tag])),
        ("without the metadata", sha256(&[aad, iv, text, tag])),
        ("without the vector", sha256(&[aad, metadata, text, tag])),
        ("without the ciphertext", sha256(&[aad, metadata, iv, tag])),
        ("without the tag", sha256(&[aad, metadata, iv, text])),
        (
            "with the metadata first",
            sha256(&[metadata, aad, iv, text, tag]),
        ),
        (
            "with the ciphertext before the vector",
            sha256(&[aad, metadata, text, iv, tag]),
        ),
    ];
    let mistake = mistakes.iter().find(|(_, made)| made == theirs);
    Err(Finding::failed(match mistake {
        Some((how, _)) => format!("the ciphertextDataIntegrityValue was computed {how}"),
        None => "the ciphertextDataIntegrityValue is not that of the answer".to_owned(),
    }))
}

fn sha256(parts: &[&Vec<u8>]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// What the kit's Encrypt is checked for besides, wherever a case needs a ciphertext that KMS would take.
pub(super) fn taken_by_kms(kit: &Kit<'_>, plaintext: &[u8], aad: Option<&[u8]>) -> Outcome {
    let sealed = kit.seal(plaintext, aad)?;
    if sealed.ciphertext.len() != plaintext.len() {
        return Err(Finding::failed(
            "the ciphertext is not as long as the plaintext",
        ));
    }
    right(&sealed)?;
    same(&kit.open(&sealed)?, plaintext)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    /// Appendix C.
    fn example() -> Sealed {
        let decode = |text| STANDARD.decode(text).unwrap();
        Sealed {
            aad: Some(b"project=nile,department=marketing".to_vec()),
            metadata: Some(b"key_version=1".to_vec()),
            iv: decode("HMrlRw85cAJUd5Ax"),
            ciphertext: decode("ghxkK1txeDNn3q8Y"),
            tag: decode("vBxN2ncH1oEkR8WVXpmyYQ=="),
            cdiv: Some(decode("qHA/ImC9h5HsLRXqCyPmWgYx7tzyoTplzILbP0fPXsc=")),
        }
    }

    #[test]
    fn the_example_of_the_specification_is_right_and_each_change_is_wrong() {
        right(&example()).unwrap();
        let changes: [fn(&mut Sealed); 6] = [
            |sealed| sealed.aad = None,
            |sealed| sealed.metadata = None,
            |sealed| sealed.iv.truncate(11),
            |sealed| sealed.ciphertext.push(0),
            |sealed| sealed.tag[0] ^= 1,
            |sealed| sealed.cdiv = None,
        ];
        for change in changes {
            let mut sealed = example();
            change(&mut sealed);
            right(&sealed).unwrap_err();
        }
    }

    #[test]
    fn a_cdiv_without_the_aad_is_told_so() {
        let mut sealed = example();
        let aad = sealed.aad.take();
        let all = [
            sealed.metadata.as_ref().unwrap(),
            &sealed.iv,
            &sealed.ciphertext,
            &sealed.tag,
        ];
        sealed.cdiv = Some(sha256(&all));
        sealed.aad = aad;
        let Err(Finding::Failed(text)) = right(&sealed) else {
            panic!("not found");
        };
        assert!(text.contains("without the AAD"), "{text}");
    }
}

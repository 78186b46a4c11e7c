//! Many requests at a time, each with its own answer.

use std::thread;

use super::super::case::Check::Story;
use super::super::case::{Case, Finding, Outcome, must};
use super::super::connection::Connection;
use super::super::kit::Kit;
use super::super::wire::Wire;
use super::encrypt::same;
use super::{CONTENT_TYPE, OPERATIONS};

pub(super) const CASES: &[Case] = &[
    must(
        "encrypts-at-a-time",
        CONTENT_TYPE,
        "sixteen connections at a time are served, and each gets the answer to its own request",
        Story(|kit| {
            let plaintexts: Vec<Vec<u8>> = (1..=16).map(|len| vec![b'e'; len]).collect();
            let wires = plaintexts
                .iter()
                .map(|text| kit.encrypt_of(text, None).sign());
            for (answer, plaintext) in together(kit, wires.collect())?.iter().zip(&plaintexts) {
                let sealed = answer.sealed(None)?;
                same(&kit.open(&sealed)?, plaintext)?;
            }
            Ok(())
        }),
    ),
    must(
        "decrypts-at-a-time",
        CONTENT_TYPE,
        "sixteen ciphertexts that are decrypted at a time give each its own plaintext",
        Story(|kit| {
            let mut plaintexts = Vec::new();
            let mut wires = Vec::new();
            for number in 0..16_u8 {
                let plaintext = vec![number; 32];
                wires.push(kit.decrypt(&kit.seal(&plaintext, None)?).sign());
                plaintexts.push(plaintext);
            }
            for (answer, plaintext) in together(kit, wires)?.iter().zip(&plaintexts) {
                same(&answer.plaintext()?, plaintext)?;
            }
            Ok(())
        }),
    ),
    must(
        "genuine-and-forged-at-a-time",
        OPERATIONS,
        "forged requests among genuine ones are refused, and the genuine ones served",
        Story(|kit| {
            let wires = (0..16).map(|number| match number % 2 {
                0 => kit.encrypt().sign(),
                _ => kit.encrypt().sign().signature(|_| "1".repeat(64)),
            });
            for (number, answer) in together(kit, wires.collect())?.iter().enumerate() {
                match number % 2 {
                    0 => answer.served(xks_api::route::OperationName::Encrypt)?,
                    _ => answer.refused(super::super::case::AUTHENTICATION)?,
                }
            }
            Ok(())
        }),
    ),
    must(
        "operations-at-a-time",
        OPERATIONS,
        "the four operations go on beside each other",
        Story(|kit| {
            let names = xks_api::route::OperationName::ALL;
            let mut wires = Vec::new();
            for name in names.into_iter().cycle().take(16) {
                wires.push(kit.request(name)?.sign());
            }
            let sent: Vec<_> = wires.iter().map(|wire| wire.operation).collect();
            for (answer, name) in together(kit, wires)?.iter().zip(sent) {
                answer.served(name)?;
            }
            Ok(())
        }),
    ),
];

/// Sends each over a connection of its own, all at once.
fn together(kit: &Kit<'_>, wires: Vec<Wire>) -> Result<Vec<super::super::answer::Answer>, Finding> {
    let (target, tls) = (kit.target, &kit.tls);
    let results = thread::scope(|scope| {
        let threads: Vec<_> = wires
            .iter()
            .map(|wire| {
                scope.spawn(move || {
                    let mut connection = Connection::open(target, tls)?;
                    connection.exchange(&wire.bytes(), &wire.method)
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.collect::<Vec<_>>()
    });
    let mut answers = Vec::new();
    for (wire, result) in wires.iter().zip(results) {
        let result = result.map_err(|_| Finding::failed("a thread of the suite failed"))?;
        kit.note(wire, &result);
        let checked: Outcome = match &result {
            Ok(_) => Ok(()),
            Err(trouble) => Err(Finding::failed(format!("expected an answer; {trouble}"))),
        };
        checked?;
        answers.extend(result.ok());
    }
    Ok(answers)
}

//! `/control/v1/transition`: CONNECTING and DISCONNECTING that last, attempts that fail.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ControlError;
use super::request::{Answer, ControlRequest};
use super::stores::known;
use crate::connection::ConnectionErrorCode;
use crate::simulator::Simulator;
use crate::transitions::{Phase, Transitions};

/// Of `hold` and `release`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Which {
    #[serde(default)]
    custom_key_store_id: Option<String>,
    #[serde(default)]
    states: Option<Vec<State>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum State {
    Connecting,
    Disconnecting,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Fail {
    #[serde(default)]
    custom_key_store_id: Option<String>,
    connection_error_code: String,
}

impl Which {
    fn phases(&self) -> Result<Vec<Phase>, ControlError> {
        let phase = |state: &State| match state {
            State::Connecting => Phase::Connecting,
            State::Disconnecting => Phase::Disconnecting,
        };
        match &self.states {
            None => Ok(vec![Phase::Connecting, Phase::Disconnecting]),
            Some(states) if states.is_empty() => Err(ControlError::invalid(
                "States is empty; name CONNECTING, DISCONNECTING or both, or leave it out for both.",
            )),
            Some(states) => Ok(states.iter().map(phase).collect()),
        }
    }
}

pub(super) fn answer(simulator: &Simulator, request: &ControlRequest<'_>) -> Answer {
    let transitions = simulator.connector().transitions();
    let store = |id: &Option<String>| match id {
        None => Ok(()),
        Some(id) => known(simulator, id).map(drop),
    };
    match (request.path, request.method) {
        ([], &Method::GET) => {}
        ([], _) => return Err(ControlError::method("GET")),
        ([move_ @ ("hold" | "release")], &Method::POST) => {
            let which: Which = request.input()?;
            // What is held of a store that was deleted can be released.
            let held = transitions.settings().held;
            let held = held.iter().any(|(id, _)| *id == which.custom_key_store_id);
            if !held || *move_ == "hold" {
                store(&which.custom_key_store_id)?;
            }
            let (id, phases) = (which.custom_key_store_id.as_deref(), which.phases()?);
            match *move_ {
                "hold" => transitions.hold(id, &phases),
                _ => transitions.release(id, &phases),
            }
        }
        (["fail"], &Method::POST) => {
            let fail: Fail = request.input()?;
            let code = code(&fail.connection_error_code)?;
            store(&fail.custom_key_store_id)?;
            transitions.fail(fail.custom_key_store_id.as_deref(), code);
        }
        (["reset"], &Method::POST) => {
            request.no_input()?;
            transitions.reset();
        }
        (["hold" | "release" | "fail" | "reset"], _) => return Err(ControlError::method("POST")),
        _ => return Err(super::unknown_path()),
    }
    Ok(settings(transitions))
}

fn code(word: &str) -> Result<ConnectionErrorCode, ControlError> {
    ConnectionErrorCode::from_wire(word).ok_or_else(|| {
        let words = ConnectionErrorCode::ALL.map(ConnectionErrorCode::as_str);
        ControlError::invalid(format!(
            "'{}' is no ConnectionErrorCode; expected one of {}.",
            word.escape_default(),
            words.join(", ")
        ))
    })
}

fn settings(transitions: &Transitions) -> Value {
    let settings = transitions.settings();
    let held: Vec<_> = settings
        .held
        .iter()
        .map(|(store, phase)| {
            let state = match phase {
                Phase::Connecting => "CONNECTING",
                Phase::Disconnecting => "DISCONNECTING",
            };
            json!({"CustomKeyStoreId": store, "State": state})
        })
        .collect();
    let failures: Vec<_> = settings
        .failures
        .iter()
        .map(|(store, code)| {
            json!({"CustomKeyStoreId": store, "ConnectionErrorCode": code.as_str()})
        })
        .collect();
    json!({"Held": held, "Failures": failures})
}

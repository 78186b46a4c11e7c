//! `/control/v1/clock`: the simulator's time.

use http::Method;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::duration::Span;
use super::error::ControlError;
use super::request::{Answer, ControlRequest};
use crate::clock::Clock;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Advance {
    by: Span,
}

pub(super) fn answer(clock: &Clock, request: &ControlRequest<'_>) -> Answer {
    match (request.path, request.method) {
        ([], &Method::GET) => {}
        ([], _) => return Err(ControlError::method("GET")),
        (["freeze"], &Method::POST) => {
            request.no_input()?;
            clock.freeze();
        }
        (["resume"], &Method::POST) => {
            request.no_input()?;
            clock.resume();
        }
        (["reset"], &Method::POST) => {
            request.no_input()?;
            clock.reset();
        }
        (["advance"], &Method::POST) => {
            let Advance { by: Span(by) } = request.input()?;
            clock.advance(by);
        }
        (["freeze" | "resume" | "reset" | "advance"], _) => {
            return Err(ControlError::method("POST"));
        }
        _ => return Err(super::unknown_path()),
    }
    let now = OffsetDateTime::from(clock.now()).format(&Rfc3339);
    let now = now.map_err(|_| ControlError::internal("The time cannot be written."))?;
    Ok(json!({"Now": now, "Frozen": clock.is_frozen()}))
}

//! What the forms of the console do: the operations of KMS on stores, and the calls of the control API.

use std::sync::Arc;

use http::Method;
use http::request::Parts;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use xks_page::{Fields, InUrl};

use super::form::number;
use super::presets::Preset;
use crate::actions::custom_key_store::{connect_store, disconnect_store};
use crate::control::{Call, ControlError, perform, read_loss, saved};
use crate::events::{Origin, record_call};
use crate::fault::Scope;
use crate::http::PeerAddress;
use crate::operation::Operation;
use crate::simulator::{Caller, Simulator};
use crate::visibility::Home;

/// Where to go afterwards: a path, and the word for what was done.
pub(super) struct Done {
    pub(super) back: String,
    pub(super) word: &'static str,
}

/// Does what a form asks for.
///
/// # Errors
/// What is wrong; then nothing has changed.
pub(super) async fn act(
    simulator: &Arc<Simulator>,
    path: &[&str],
    fields: &Fields,
    head: &Parts,
) -> Result<Done, ControlError> {
    match path {
        ["stores", id, move_ @ ("connect" | "disconnect")] => {
            let (operation, word) = match *move_ {
                "connect" => (Operation::ConnectCustomKeyStore, "connect"),
                _ => (Operation::DisconnectCustomKeyStore, "disconnect"),
            };
            move_store(simulator, id, operation, head).await?;
            Ok(Done {
                back: format!("/console/stores/{id}"),
                word,
            })
        }
        // The API would mend all links; this is the fault that is for all of them.
        ["switch", "mend"]
            if fields.get("CustomKeyStoreId").is_none()
                && fields.get("XksProxyUriEndpoint").is_none() =>
        {
            simulator.connector().faults().clear(&Scope::All);
            Ok(Done {
                back: back(fields),
                word: "mended",
            })
        }
        ["switch", which @ ..] => {
            let (word, call) = switch(which, fields)?;
            perform(simulator, call).await?;
            Ok(Done {
                back: back(fields),
                word,
            })
        }
        _ => Err(ControlError::not_found("There is no such form.")),
    }
}

/// ConnectCustomKeyStore or DisconnectCustomKeyStore, as the root of the store's account calls it.
async fn move_store(
    simulator: &Arc<Simulator>,
    id: &str,
    operation: Operation,
    head: &Parts,
) -> Result<(), ControlError> {
    let home = home_of(simulator, id).ok_or_else(|| {
        let id = id.escape_default();
        ControlError::not_found(format!("There is no custom key store '{id}'."))
    })?;
    let principal = format!("arn:aws:iam::{}:root", home.account);
    let request_id = Uuid::new_v4().to_string();
    let caller = Caller::new(home.account, home.region, principal, request_id);
    let peer = head.extensions.get::<PeerAddress>();
    let origin = Origin::new(
        &head.headers,
        peer.map(|PeerAddress(address)| *address),
        None,
        simulator.clock().now(),
    );
    let parameters = Map::from_iter([("customKeyStoreId".to_owned(), id.into())]);
    caller.subjects().requested(Some(parameters));
    let outcome = match operation {
        Operation::ConnectCustomKeyStore => connect_store(simulator, &caller, id).await,
        _ => disconnect_store(simulator, &caller, id).await,
    };
    saved(simulator).await?;
    let answer = outcome.as_ref().map(|()| &b"{}"[..]);
    record_call(simulator.events(), operation, &caller, &origin, answer);
    outcome.map_err(|error| {
        let message = error.message().unwrap_or_default();
        ControlError::conflict(format!("{}: {message}", error.name()))
    })
}

fn home_of(simulator: &Simulator, id: &str) -> Option<Home> {
    let regions = simulator.regions().into_iter();
    let mut homes = regions.filter(|(_, region)| region.lock().stores.find(id).is_some());
    homes.next().map(|(home, _)| home)
}

/// The call of the control API that a form stands for, and the word for it.
fn switch<'c>(
    which: &[&'c str],
    fields: &Fields,
) -> Result<(&'static str, Call<'c>), ControlError> {
    let store = fields.get("CustomKeyStoreId");
    let rate = || number::<u32>(fields, "Rate");
    Ok(match *which {
        ["link"] => ("fault", put("link", &[], fault(fields)?)),
        ["mend"] => {
            let of = |name: &str, value: &str| Some(format!("{name}={}", InUrl(value)));
            let query = match (store, fields.get("XksProxyUriEndpoint")) {
                (Some(id), _) => of("CustomKeyStoreId", id),
                (None, Some(endpoint)) => of("XksProxyUriEndpoint", endpoint),
                (None, None) => None,
            };
            let call = call(Method::DELETE, "link", &[], Value::Null);
            ("mended", Call { query, ..call })
        }
        [move_ @ ("hold" | "release")] => {
            let states: Vec<_> = fields.all("State").collect();
            let body = json!({"CustomKeyStoreId": store, "States": states});
            ("transition", post("transition", &[move_], body))
        }
        ["fail"] => {
            let code = fields.get("Code").unwrap_or_default();
            let body = json!({"CustomKeyStoreId": store, "ConnectionErrorCode": code});
            ("transition", post("transition", &["fail"], body))
        }
        ["transitions-reset"] => ("transition", post("transition", &["reset"], Value::Null)),
        ["quota"] => {
            let body = json!({"CustomKeyStoreId": store, "RequestsPerSecond": rate()?});
            ("quota", put("quota", &[], body))
        }
        ["quota-account"] => {
            let body = json!({"RequestsPerSecond": rate()?});
            ("quota", put("quota", &["account"], body))
        }
        ["quota-keys"] => {
            let body = json!({"MaxKeys": rate()?});
            ("quota", put("quota", &["keys"], body))
        }
        ["quota-reset"] => ("quota", call(Method::DELETE, "quota", &[], Value::Null)),
        ["lag"] => {
            let lag = number::<u32>(fields, "LagMs")?.unwrap_or_default();
            let seed = number::<u64>(fields, "Seed")?.unwrap_or_default();
            let body = json!({"LagMs": lag, "Seed": seed});
            ("lag", put("consistency", &[], body))
        }
        ["clock", "advance"] => {
            let body = json!({"By": fields.get("By").unwrap_or_default()});
            ("clock", post("clock", &["advance"], body))
        }
        ["clock", ref rest @ ..] => ("clock", post("clock", rest, Value::Null)),
        ["cluster", id, ref part @ ..] => ("cluster", cluster(id, part, fields)?),
        ["service", name] => ("service", service(name, fields)),
        ["reset"] => ("reset", post("reset", &[], Value::Null)),
        _ => return Err(ControlError::not_found("There is no such switch.")),
    })
}

/// The members of `PUT /control/v1/link`: those of a preset, or those of the form.
fn fault(fields: &Fields) -> Result<Value, ControlError> {
    let mut members = match fields.get("preset") {
        Some(word) => Preset::find(word).map(Preset::members).ok_or_else(|| {
            ControlError::invalid(format!("There is no switch '{}'.", word.escape_default()))
        })?,
        None => own_fault(fields)?,
    };
    for name in ["CustomKeyStoreId", "XksProxyUriEndpoint"] {
        if let (Some(value), Some(members)) = (fields.get(name), members.as_object_mut()) {
            members.insert(name.to_owned(), value.into());
        }
    }
    Ok(members)
}

fn own_fault(fields: &Fields) -> Result<Value, ControlError> {
    let mut members = Map::new();
    for name in [
        "LatencyMs",
        "JitterMs",
        "ResetAfterBytes",
        "BytesPerSecond",
        "Times",
        "Seed",
    ] {
        if let Some(number) = number::<u64>(fields, name)? {
            members.insert(name.to_owned(), number.into());
        }
    }
    if let Some(loss) = number::<f64>(fields, "Loss")? {
        members.insert("Loss".to_owned(), read_loss(loss)?);
    }
    for name in ["Tcp", "Tls"] {
        if let Some(word) = fields.get(name) {
            members.insert(name.to_owned(), word.into());
        }
    }
    let operations: Vec<_> = fields.all("Operations").collect();
    if operations.is_empty() {
        return Err(ControlError::invalid(
            "No operation is ticked that meets the fault; tick one at least.",
        ));
    }
    members.insert("Operations".to_owned(), operations.into());
    let mut reply = Map::new();
    if let Some(status) = number::<u16>(fields, "Status")? {
        reply.insert("Status".to_owned(), status.into());
    }
    for name in ["ErrorName", "Body", "Defect"] {
        if let Some(text) = fields.get(name) {
            reply.insert(name.to_owned(), text.into());
        }
    }
    if !reply.is_empty() {
        members.insert("Reply".to_owned(), reply.into());
    }
    Ok(members.into())
}

fn cluster<'c>(id: &'c str, part: &[&'c str], fields: &Fields) -> Result<Call<'c>, ControlError> {
    let path = |rest: &[&'c str]| [&["clusters", id][..], rest].concat();
    let mut members = flags(
        fields,
        &["Reachable", "SecurityGroupSound", "SessionsLeft", "Deleted"],
    );
    for name in ["Kmsuser", "State"] {
        if let Some(word) = fields.get(name) {
            members.insert(name.to_owned(), word.into());
        }
    }
    if let Some(addresses) = number::<u32>(fields, "FreeAddresses")? {
        members.insert("FreeAddresses".to_owned(), addresses.into());
    }
    let (method, path, body) = match *part {
        ["password"] => (Method::POST, path(&["kmsuser", "password"]), Value::Null),
        ["hsms"] => (Method::POST, path(&["hsms"]), Value::Null),
        ref rest => (Method::PATCH, path(rest), members.into()),
    };
    Ok(Call {
        path,
        ..call(method, "cloudhsm", &[], body)
    })
}

fn service<'c>(name: &'c str, fields: &Fields) -> Call<'c> {
    let body = match fields.get("AllowKms") {
        None => {
            let names = ["AcceptanceRequired", "Interface", "PrivateDnsNameVerified"];
            flags(fields, &names).into()
        }
        Some("true") => json!({"AllowedPrincipals": ["*"]}),
        Some(_) => json!({"AllowedPrincipals": []}),
    };
    call(Method::PATCH, "vpc-endpoint-services", &[name], body)
}

/// The fields that are `true` or `false`.
fn flags(fields: &Fields, names: &[&str]) -> Map<String, Value> {
    let given = names.iter().filter_map(|name| {
        let value = fields.get(name)?;
        Some(((*name).to_owned(), Value::Bool(value == "true")))
    });
    given.collect()
}

fn put<'c>(resource: &'static str, path: &[&'c str], body: Value) -> Call<'c> {
    call(Method::PUT, resource, path, body)
}

fn post<'c>(resource: &'static str, path: &[&'c str], body: Value) -> Call<'c> {
    call(Method::POST, resource, path, body)
}

fn call<'c>(method: Method, resource: &'static str, path: &[&'c str], body: Value) -> Call<'c> {
    Call {
        method,
        resource,
        path: path.to_vec(),
        query: None,
        body,
    }
}

/// The page of the console that the form was on; nowhere else leads a form.
fn back(fields: &Fields) -> String {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_');
    let given = fields.get("back").unwrap_or_default();
    match given.starts_with("/console/") && given.bytes().all(allowed) {
        true => given.to_owned(),
        false => "/console/".to_owned(),
    }
}

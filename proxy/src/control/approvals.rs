//! Requests that wait for the approval of a second administrator.

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::admins::home;
use super::error::ControlError;
use super::scopes::Scopes;
use super::store::{ControlChange, ControlRecords};
use crate::key_manager::embedded::{AdminError, timestamp};

/// A request that waits.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PendingRequest {
    /// The operation as the configuration names it.
    pub operation: String,
    /// Of what.
    pub of: String,
    /// The key manager that was meant, if it was one.
    pub key_manager: Option<String>,
    /// Who asked.
    pub requested_by: String,
    /// When the request is void, in seconds since 1970.
    pub expires: i64,
    /// Who has approved; only of what the one who asked has to carry out.
    pub approved_by: Option<String>,
    /// What is carried out when it is approved, if that is done at once.
    pub command: Option<Value>,
}

/// What administrators are told of a request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PendingInfo {
    /// Names it.
    pub id: String,
    /// The operation as the configuration names it.
    pub operation: String,
    /// Of what.
    pub of: String,
    /// Who asked.
    pub requested_by: String,
    /// Who has approved.
    pub approved_by: Option<String>,
    /// When it is void, in RFC 3339.
    pub expires: String,
}

impl PendingRequest {
    /// For administrators.
    pub fn info(&self, id: &str) -> PendingInfo {
        PendingInfo {
            id: id.to_owned(),
            operation: self.operation.clone(),
            of: self.of.clone(),
            requested_by: self.requested_by.clone(),
            approved_by: self.approved_by.clone(),
            expires: OffsetDateTime::from_unix_timestamp(self.expires)
                .map_or_else(|_| String::new(), timestamp),
        }
    }

    fn record(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers encode")
    }
}

/// Keeps a request; gives its id.
///
/// # Errors
/// What the store refuses.
pub fn request(scopes: &Scopes, request: &PendingRequest) -> Result<String, AdminError> {
    let mut random = [0; 4];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| ControlError::NoRandomBytes)?;
    let id = format!("{:08x}", u32::from_be_bytes(random));
    home(scopes)?.change(&mut |records| {
        let mut changes = vec![ControlChange::Put(record_name(&id), request.record())];
        // What nobody approved in time goes with the next request.
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let void = all(records).into_iter().filter(|(_, p)| p.expires <= now);
        changes.extend(void.map(|(id, _)| ControlChange::Remove(record_name(&id))));
        Ok(changes)
    })?;
    Ok(id)
}

/// The requests that are not void, by id.
pub fn pending(scopes: &Scopes) -> Vec<(String, PendingRequest)> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let Ok(home) = home(scopes) else {
        return Vec::new();
    };
    let records = home.control().records();
    let all = all(&records).into_iter();
    all.filter(|(_, request)| request.expires > now).collect()
}

/// Takes a request away: it is carried out, or void, and never a second time.
///
/// # Errors
/// [`ControlError::NoSuchRequest`]; what `allowed` refuses; what the store refuses.
pub fn take(
    scopes: &Scopes,
    id: &str,
    allowed: impl Fn(&PendingRequest) -> Result<(), ControlError>,
) -> Result<PendingRequest, AdminError> {
    change(scopes, id, |request| {
        allowed(request)?;
        Ok(ControlChange::Remove(record_name(id)))
    })
}

/// Notes on a request that it is approved, for the one who asked to carry it out.
///
/// # Errors
/// As for [`take`].
pub fn mark(
    scopes: &Scopes,
    id: &str,
    by: &str,
    allowed: impl Fn(&PendingRequest) -> Result<(), ControlError>,
) -> Result<PendingRequest, AdminError> {
    change(scopes, id, |request| {
        allowed(request)?;
        let approved = PendingRequest {
            approved_by: Some(by.to_owned()),
            ..request.clone()
        };
        Ok(ControlChange::Put(record_name(id), approved.record()))
    })
}

fn change(
    scopes: &Scopes,
    id: &str,
    decide: impl Fn(&PendingRequest) -> Result<ControlChange, ControlError>,
) -> Result<PendingRequest, AdminError> {
    let mut taken = None;
    home(scopes)?.change(&mut |records| {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let found = all(records).into_iter().find(|(known, _)| known == id);
        let found = found.filter(|(_, request)| request.expires > now);
        let (_, request) = found.ok_or_else(|| ControlError::NoSuchRequest(id.to_owned()))?;
        let change = decide(&request)?;
        taken = Some(request);
        Ok(vec![change])
    })?;
    Ok(taken.expect("a change was decided on"))
}

fn all(records: &ControlRecords) -> Vec<(String, PendingRequest)> {
    let mut all = Vec::new();
    for (name, record) in records {
        let id = name.strip_prefix(RECORD).map(str::to_owned);
        all.extend(id.zip(serde_json::from_slice(record).ok()));
    }
    all
}

fn record_name(id: &str) -> String {
    format!("{RECORD}{id}")
}

const RECORD: &str = "approval/";

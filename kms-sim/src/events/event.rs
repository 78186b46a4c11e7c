//! One event as a line of JSON: CloudTrail's members in CloudTrail's order.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Filter;
use crate::connection::{ConnectionErrorCode, ConnectionState};
use crate::rfc3339;
use crate::rotation::RotationType;
use crate::visibility::Home;

/// One event, and what filters look at.
pub(crate) struct Event {
    number: u64,
    name: &'static str,
    error_code: Option<Box<str>>,
    request_id: Option<Box<str>>,
    keys: Vec<Arc<str>>,
    custom_key_store_id: Option<Box<str>>,
    line: Box<str>,
}

/// What CloudTrail shows of an event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record<'r> {
    pub(super) event_version: &'static str,
    pub(super) user_identity: Value,
    pub(super) event_time: String,
    pub(super) event_source: &'static str,
    pub(super) event_name: &'static str,
    pub(super) aws_region: &'r str,
    #[serde(rename = "sourceIPAddress")]
    pub(super) source_ip_address: &'r str,
    pub(super) user_agent: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_code: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_message: Option<&'r str>,
    pub(super) request_parameters: Option<Map<String, Value>>,
    pub(super) response_elements: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) additional_event_data: Map<String, Value>,
    #[serde(rename = "requestID", skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<&'r str>,
    #[serde(rename = "eventID")]
    pub(super) event_id: String,
    pub(super) read_only: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) resources: Vec<Value>,
    pub(super) event_type: &'static str,
    pub(super) management_event: bool,
    pub(super) recipient_account_id: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_event_details: Option<Value>,
    pub(super) event_category: &'static str,
}

impl<'r> Record<'r> {
    /// A record of which the rest is to be filled in.
    pub(super) fn new(name: &'static str, home: &'r Home, when: SystemTime) -> Self {
        Self {
            event_version: "1.08",
            user_identity: Value::Null,
            event_time: rfc3339::seconds(when),
            event_source: "kms.amazonaws.com",
            event_name: name,
            aws_region: &home.region,
            source_ip_address: INTERNAL,
            user_agent: INTERNAL,
            error_code: None,
            error_message: None,
            request_parameters: None,
            response_elements: None,
            additional_event_data: Map::new(),
            request_id: None,
            event_id: Uuid::new_v4().to_string(),
            read_only: false,
            resources: Vec::new(),
            event_type: "AwsApiCall",
            management_event: true,
            recipient_account_id: &home.account,
            service_event_details: None,
            event_category: "Management",
        }
    }

    /// The event; `keys` and the store are what it is about.
    pub(super) fn into_event(self, keys: Vec<Arc<str>>, store: Option<&str>) -> Event {
        Event {
            number: 0,
            name: self.event_name,
            error_code: self.error_code.map(Into::into),
            request_id: self.request_id.map(Into::into),
            keys,
            custom_key_store_id: store.map(Into::into),
            line: serde_json::to_string(&self).unwrap_or_default().into(),
        }
    }
}

impl Event {
    /// Its place among all events.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The record, without a line break.
    pub(crate) const fn line(&self) -> &str {
        &self.line
    }

    pub(super) fn numbered(mut self, number: u64) -> Self {
        self.number = number;
        self
    }

    /// Whether it is wanted.
    pub(super) fn is(&self, filter: &Filter<'_>) -> bool {
        let error = self.error_code.as_deref();
        let is_key = |key: &str| {
            let named = |arn: &Arc<str>| **arn == *key || arn.rsplit('/').next() == Some(key);
            self.keys.iter().any(named)
        };
        filter.operation.is_none_or(|name| name == self.name)
            && filter.error.is_none_or(|wanted| match wanted {
                ANY => error.is_some(),
                wanted => error == Some(wanted),
            })
            && filter.key.is_none_or(is_key)
            && filter
                .store
                .is_none_or(|id| self.custom_key_store_id.as_deref() == Some(id))
            && filter
                .request_id
                .is_none_or(|id| self.request_id.as_deref() == Some(id))
    }
}

/// What happens without a call.
pub(super) struct ServiceEvent;

impl ServiceEvent {
    //= kms guide "DeleteKey" (CloudTrail)
    pub(super) fn delete_key(arn: &str, when: SystemTime) -> Event {
        let id = key_id(arn);
        Self::of_key("DeleteKey", arn, json!({"keyId": id}), when)
    }

    //= kms guide "RotateKey" (CloudTrail)
    pub(super) fn rotate_key(arn: &str, kind: RotationType, when: SystemTime) -> Event {
        let kind = match kind {
            RotationType::Automatic => "AUTOMATIC",
            RotationType::OnDemand => "ON_DEMAND",
        };
        let details = json!({"rotationType": kind, "keyId": key_id(arn)});
        Self::of_key("RotateKey", arn, details, when)
    }

    fn of_key(name: &'static str, arn: &str, details: Value, when: SystemTime) -> Event {
        let home = home_of(arn);
        let mut record = Record::new(name, &home, when);
        record.user_identity = json!({"accountId": home.account, "invokedBy": INTERNAL});
        record.event_type = "AwsServiceEvent";
        record.resources = vec![resource(arn)];
        record.service_event_details = Some(details);
        record.into_event(vec![arn.into()], None)
    }

    /// CloudTrail has no such event.
    pub(super) fn connection_state(
        home: &Home,
        store: &str,
        state: ConnectionState,
        code: Option<ConnectionErrorCode>,
        when: SystemTime,
    ) -> Event {
        let mut details = Map::from_iter([
            ("customKeyStoreId".to_owned(), store.into()),
            ("connectionState".to_owned(), state.as_str().into()),
        ]);
        if let Some(code) = code {
            details.insert("connectionErrorCode".to_owned(), code.as_str().into());
        }
        let mut record = Record::new("ConnectionStateChange", home, when);
        record.user_identity = json!({"accountId": home.account, "invokedBy": KMS_SIM});
        (record.source_ip_address, record.user_agent) = (KMS_SIM, KMS_SIM);
        record.event_type = KMS_SIM_EVENT;
        record.service_event_details = Some(details.into());
        record.into_event(Vec::new(), Some(store))
    }
}

/// `arn:aws:kms:<region>:<account>:key/<id>`
fn home_of(arn: &str) -> Home {
    let mut parts = arn.split(':').skip(3).map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (region, account) = (next(), next());
    Home { account, region }
}

fn key_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// An element of `resources`.
pub(super) fn resource(arn: &str) -> Value {
    let kind = match arn.contains(":alias/") {
        true => "AWS::KMS::Alias",
        false => "AWS::KMS::Key",
    };
    json!({"accountId": home_of(arn).account, "type": kind, "ARN": arn})
}

/// For filters: whatever error.
pub(crate) const ANY: &str = "any";

/// Who calls what nobody called.
const INTERNAL: &str = "AWS Internal";
pub(super) const KMS_SIM: &str = "kms-sim";
/// `eventType` of what CloudTrail does not record.
pub(super) const KMS_SIM_EVENT: &str = "KmsSimEvent";

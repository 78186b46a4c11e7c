//! The table `[traces]`.

use std::num::NonZeroU64;

use super::document::{integer, text};
use super::read::{Fields, Reader};
use crate::traces::{Endpoint, Settings};

impl Reader<'_> {
    /// `None` also if something is wrong with it, which is a problem then.
    pub(super) fn traces(&self, root: &Fields<'_, '_>) -> Option<Settings> {
        let fields = root.section("traces");
        if !root.has("traces") {
            return None;
        }
        let expected = match cfg!(feature = "otel") {
            true => "the URL of a collector's OTLP over HTTP: https://, or http:// on this machine",
            false => "no such table: this program was built without the feature otel",
        };
        let endpoint = fields.required(
            "endpoint",
            |value| {
                let endpoint = Endpoint::try_from(value.as_str()?).ok();
                endpoint.filter(|_| cfg!(feature = "otel"))
            },
            expected,
        );
        let roots = match &endpoint {
            Some(endpoint) if endpoint.is_tls() => {
                self.file(&fields, "ca_file", |path| self.files.certificates(path))
            }
            _ => {
                // So that it is known as a field.
                fields.optional("ca_file", text, "the name of a PEM file");
                Some(Vec::new())
            }
        };
        let expected = "a number from 1 to 1000000";
        let one_in = fields.optional("one_in", integer(1..=1_000_000), expected);
        let service_name = fields.optional("service_name", text, "a name for this service");
        fields.refuse_others();
        Some(Settings {
            endpoint: endpoint?,
            roots: roots?,
            one_in: one_in.and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN),
            service_name: service_name.unwrap_or_else(|| "xks-proxy".to_owned()),
        })
    }
}

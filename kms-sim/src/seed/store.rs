//! `[[custom-key-stores]]`: external key stores and CloudHSM key stores, with the ids that tests know.

use std::collections::BTreeMap;
use std::sync::Arc;

use xks_api::ids::{AccessKeyId, SecretAccessKey};
use zeroize::Zeroizing;

use super::cluster::{CLUSTER_ID, PASSWORD, SERVICE_NAME, SeedCluster, password};
use super::{ACCOUNT, Once, Reader, account};
use crate::actions::custom_key_store::patterns::{
    is_uri_endpoint, is_uri_path, is_vpc_endpoint_service_name,
};
use crate::cloudhsm::ClusterId;
use crate::custom_key_store::{
    Backing, CloudHsmCluster, Connectivity, CustomKeyStoreId, StoreImage, VpcEndpointServiceName,
    XksProxy,
};
use crate::state_image::Record;
use crate::toml_document::Section;
use crate::visibility::Home;

/// A store that keys can name.
pub(super) enum SeedStore {
    External,
    CloudHsm(ClusterId),
}

pub(super) type SeedStores = BTreeMap<(Home, String), SeedStore>;

impl Reader<'_> {
    /// The stores, and those that are to be connected.
    pub(super) fn stores(
        &self,
        sections: Vec<Section>,
        clusters: &BTreeMap<ClusterId, SeedCluster>,
        records: &mut Vec<Record>,
    ) -> (SeedStores, Vec<(Home, CustomKeyStoreId)>) {
        let (mut ids, mut names, mut endpoints) =
            (Once::default(), Once::default(), Once::default());
        let (mut stores, mut connected) = (SeedStores::new(), Vec::new());
        let mut counts: BTreeMap<Home, usize> = BTreeMap::new();
        for section in sections {
            let home = self.home(&section);
            let id = section.text("id", CustomKeyStoreId::parse, STORE_ID);
            let id = section.required("id", id, STORE_ID);
            let expected = "1 to 256 characters";
            let named = |text: &str| {
                (1..=256)
                    .contains(&text.chars().count())
                    .then(|| text.to_owned())
            };
            let name = section.text("name", named, expected);
            let name = section.required("name", name, expected);
            let connect = section.boolean("connected").unwrap_or(false);
            let backing = match section.has("cluster") {
                true => self.cloud_hsm(&section, clusters),
                false => self.proxy(&section, &home),
            };
            if let Some(id) = &id {
                ids.check(&section, &home, "id", id.as_str());
            }
            if let Some(name) = &name {
                names.check(&section, &home, "name", name);
            }
            if let Some(Backing::Xks(proxy)) = &backing {
                let uri = format!("{}{}", proxy.uri_endpoint, proxy.uri_path);
                endpoints.check(&section, &home, "uri-path", &uri);
            }
            let count = counts.entry(home.clone()).or_default();
            *count += 1;
            if *count == 11 {
                let expected = "at most 10 custom key stores in an account and Region";
                section.problem("", "an eleventh one", expected);
            }
            if let (Some(id), Some(name), Some(backing)) = (id, name, backing) {
                let kind = match &backing {
                    Backing::Xks(_) => SeedStore::External,
                    Backing::CloudHsm(cluster) => SeedStore::CloudHsm(cluster.id.clone()),
                };
                stores.insert((home.clone(), id.to_string()), kind);
                if connect {
                    connected.push((home.clone(), id.clone()));
                }
                let image = StoreImage::new(home, id, name, self.now, &backing);
                records.push(Record::CustomKeyStore(Box::new(image)));
            }
            section.finish();
        }
        (stores, connected)
    }

    fn cloud_hsm(
        &self,
        section: &Section,
        clusters: &BTreeMap<ClusterId, SeedCluster>,
    ) -> Option<Backing> {
        let password = section.secret("key-store-password", password, PASSWORD);
        let id = section.text("cluster", |text| Some(ClusterId::from(text)), CLUSTER_ID)?;
        let Some(cluster) = clusters.get(&id) else {
            let expected = "the id of one of the [[clusters]] of this file";
            section.problem("cluster", format!("\"{id}\""), expected);
            return None;
        };
        Some(Backing::CloudHsm(CloudHsmCluster {
            id,
            certificate: Arc::new(cluster.certificate.clone()),
            trust_anchor_certificate: cluster.certificate.pem().to_owned(),
            password: password.unwrap_or_else(|| cluster.password.clone()),
        }))
    }

    fn proxy(&self, section: &Section, home: &Home) -> Option<Backing> {
        let matches = |fits: fn(&str) -> bool| {
            move |text: &str| {
                let fits = (10..=128).contains(&text.len()) && fits(text);
                fits.then(|| text.to_owned())
            }
        };
        let expected = "https:// and a host, without a port: kms-sim finds the proxy by --resolve HOST=IP:PORT (or \
                        `cluster`, for a CloudHSM key store)";
        let uri_endpoint = section.text("uri-endpoint", matches(is_uri_endpoint), expected);
        let uri_endpoint = section.required("uri-endpoint", uri_endpoint, expected);
        let expected = "a path such as /kms/xks/v1 or /prefix/kms/xks/v1";
        let uri_path = section.text("uri-path", matches(is_uri_path), expected);
        let uri_path = section.required("uri-path", uri_path, expected);
        let expected = "20 to 30 of A-Z 2-7";
        let id = |text: &str| AccessKeyId::try_from(text).ok();
        let access_key_id = section.text("access-key-id", id, expected);
        let access_key_id = section.required("access-key-id", access_key_id, expected);
        let secret = self.secret_access_key(section);
        let connectivity = self.connectivity(section, home);
        Some(Backing::Xks(XksProxy {
            connectivity,
            uri_endpoint: uri_endpoint?,
            uri_path: uri_path?,
            access_key_id: access_key_id?,
            secret: secret?,
        }))
    }

    fn secret_access_key(&self, section: &Section) -> Option<SecretAccessKey> {
        let parse = |text: String| {
            let text = Zeroizing::new(text);
            SecretAccessKey::try_from(text.trim_end()).ok()
        };
        let expected = "43 to 64 of A-Z a-z 0-9 / + =, or the name of a file with it as secret-access-key-file";
        if !section.has("secret-access-key-file") {
            let secret = section.secret("secret-access-key", parse, expected);
            return section.required("secret-access-key", secret, expected);
        }
        if section.has("secret-access-key") {
            // Taken, or it would be told to be no field.
            section.secret("secret-access-key", Some, expected);
            let found = "beside secret-access-key-file";
            section.problem("secret-access-key", found, "one of the two");
        }
        let expected = "a file with 43 to 64 of A-Z a-z 0-9 / + =";
        let secret = parse(self.file(section, "secret-access-key-file", expected)?);
        if secret.is_none() {
            section.problem(
                "secret-access-key-file",
                "a file with another content",
                expected,
            );
        }
        secret
    }

    fn connectivity(&self, section: &Section, home: &Home) -> Connectivity {
        let named = |text: &str| {
            let fits = (20..=64).contains(&text.len()) && is_vpc_endpoint_service_name(text);
            fits.then(|| text.to_owned())
        };
        let owner = section.text("vpc-endpoint-service-owner", account, ACCOUNT);
        match section.text("vpc-endpoint-service", named, SERVICE_NAME) {
            None => {
                if owner.is_some() {
                    let found = "no vpc-endpoint-service with it";
                    section.problem("vpc-endpoint-service-owner", found, "both or neither");
                }
                Connectivity::PublicEndpoint
            }
            Some(name) => Connectivity::VpcEndpointService(VpcEndpointServiceName {
                name,
                owner: owner.unwrap_or_else(|| home.account.clone()),
            }),
        }
    }
}

pub(super) const STORE_ID: &str = "cks- and 17 of 0-9 a-f";

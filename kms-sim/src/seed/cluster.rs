//! `[[clusters]]` and `[[vpc-endpoint-services]]`: what lies outside of KMS.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{ACCOUNT, Once, REGION, Reader, account, region_name};
use crate::actions::custom_key_store::patterns::{is_cluster_id, is_vpc_endpoint_service_name};
use crate::cloudhsm::{
    CloudHsm, ClusterCertificate, ClusterId, ClusterImage, KeyStorePassword, MAX_HSMS, NewCluster,
};
use crate::state_image::Record;
use crate::toml_document::Section;
use crate::visibility::Visibility;
use crate::vpc_endpoint_service::VpcEndpointService;

/// A cluster that stores can name.
pub(super) struct SeedCluster {
    pub(super) image: ClusterImage,
    pub(super) certificate: ClusterCertificate,
    pub(super) password: KeyStorePassword,
}

impl Reader<'_> {
    pub(super) fn clusters(&self, sections: Vec<Section>) -> BTreeMap<ClusterId, SeedCluster> {
        let mut once = Once::default();
        let mut clusters = BTreeMap::new();
        for section in sections {
            let id = section.text("id", cluster_id, CLUSTER_ID);
            let id = section.required("id", id, CLUSTER_ID);
            if let Some(id) = &id {
                once.check(&section, &self.home, "id", id.as_str());
            }
            if let (Some(id), Some(cluster)) = (id, self.cluster(&section)) {
                let image = cluster.image.with_id(id.clone());
                clusters.insert(id, SeedCluster { image, ..cluster });
            }
            section.finish();
        }
        clusters
    }

    fn cluster(&self, section: &Section) -> Option<SeedCluster> {
        let mut new = NewCluster::in_region(&self.home.region);
        new.visibility = visibility(section);
        let most = u32::try_from(MAX_HSMS).unwrap_or(u32::MAX);
        if let Some(hsms) = section.integer("hsms", 0, most) {
            new.hsms = usize::try_from(hsms).unwrap_or(usize::MAX);
        }
        new.password = section.secret("kmsuser-password", password, PASSWORD);
        let expected = "a file with the cluster certificate (customerCA) in PEM";
        let pem = self.file(section, "certificate-file", expected);
        let own = pem.and_then(|pem| {
            let certificate = ClusterCertificate::from_pem(&pem);
            if certificate.is_none() {
                section.problem("certificate-file", "no certificate in the file", expected);
            }
            certificate
        });
        if section.has("availability-zones") {
            let expected = "a list with at least one Availability Zone such as \"us-east-1a\"";
            new.availability_zones =
                section.texts("availability-zones", |zone| !zone.is_empty(), expected);
            if new.availability_zones.is_empty() {
                section.problem("availability-zones", "none", expected);
                return None;
            }
        }
        let scratch = CloudHsm::default();
        let created = match scratch.create_cluster(new.clone()) {
            Ok(created) => created,
            Err(error) => {
                section.problem("", error.to_string(), "a cluster that can be made");
                return None;
            }
        };
        let password = new.password.or(created.key_store_password)?;
        let image = scratch.lock().cluster_image(&created.id)?;
        let certificate = match own {
            Some(certificate) => certificate,
            None => ClusterCertificate::from_pem(&created.trust_anchor_certificate)?,
        };
        Some(SeedCluster {
            image: image.with_certificate(&certificate),
            certificate,
            password,
        })
    }

    pub(super) fn vpc_endpoint_services(&self, sections: Vec<Section>, records: &mut Vec<Record>) {
        let mut once = Once::default();
        for section in sections {
            let named = |text: &str| {
                let fits = (20..=64).contains(&text.len()) && is_vpc_endpoint_service_name(text);
                fits.then(|| text.to_owned())
            };
            let name = section.text("name", named, SERVICE_NAME);
            let name = section.required("name", name, SERVICE_NAME);
            let host = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let expected = "the host name of the proxy, such as \"xks.test\"";
            let private_dns_name = section.text("private-dns-name", host, expected);
            let private_dns_name = section.required("private-dns-name", private_dns_name, expected);
            let owner = section.text("owner", account, ACCOUNT);
            let visibility = visibility(&section);
            if let (Some(name), Some(host)) = (name, private_dns_name)
                && let Ok(sound) = VpcEndpointService::sound(&self.home.region, &host)
            {
                once.check(&section, &self.home, "name", &name);
                records.push(Record::VpcEndpointService(VpcEndpointService {
                    name,
                    owner,
                    visibility,
                    ..sound
                }));
            }
            section.finish();
        }
    }
}

fn visibility(section: &Section) -> Visibility {
    Visibility {
        account: section.text("account", account, ACCOUNT),
        region: section.text("region", region_name, REGION),
    }
}

fn cluster_id(text: &str) -> Option<ClusterId> {
    is_cluster_id(text).then(|| ClusterId::from(text))
}

/// A password of the `kmsuser`.
pub(super) fn password(text: String) -> Option<KeyStorePassword> {
    KeyStorePassword::try_from(Zeroizing::new(text)).ok()
}

pub(super) const CLUSTER_ID: &str = "cluster- and 11 to 16 of 2-7 a-z A-Z";
pub(super) const PASSWORD: &str = "7 to 32 characters";
pub(super) const SERVICE_NAME: &str =
    "a name such as com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0";

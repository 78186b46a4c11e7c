//! What the state of a store means, and what to look at when it is not as it should be.

use crate::connection::{ConnectionErrorCode, ConnectionState};
use crate::custom_key_store::CustomKeyStoreType;

/// What a ConnectionErrorCode means, and what to look at, likeliest first.
pub(super) struct Explanation {
    pub(super) meaning: &'static str,
    pub(super) checks: &'static [&'static str],
}

/// What a state means for the keys of a store.
pub(super) const fn state(state: ConnectionState, kind: CustomKeyStoreType) -> &'static str {
    match (state, kind) {
        (ConnectionState::Connected, CustomKeyStoreType::ExternalKeyStore) => {
            "KMS asks the proxy for every cryptographic operation. The state stays CONNECTED when the proxy fails later."
        }
        (ConnectionState::Connected, CustomKeyStoreType::AwsCloudHsm) => {
            "KMS is logged in to the cluster as kmsuser. The state stays CONNECTED when the cluster fails later."
        }
        (ConnectionState::Connecting, CustomKeyStoreType::ExternalKeyStore) => {
            "KMS looks for the proxy and asks it how it is. Until it is CONNECTED, cryptographic operations fail."
        }
        (ConnectionState::Connecting, CustomKeyStoreType::AwsCloudHsm) => {
            "KMS logs in to the cluster. Until it is CONNECTED, cryptographic operations fail."
        }
        (ConnectionState::Failed, _) => {
            "The last attempt to connect has failed. Mend the cause, disconnect, and connect again."
        }
        (ConnectionState::Disconnected, CustomKeyStoreType::ExternalKeyStore) => {
            "Not one byte goes to the proxy. Every key of the store is Unavailable until the store is connected."
        }
        (ConnectionState::Disconnected, CustomKeyStoreType::AwsCloudHsm) => {
            "KMS is logged out of the cluster. Every key of the store is Unavailable until the store is connected."
        }
        (ConnectionState::Disconnecting, _) => {
            "No new request starts; those under way end within 500 ms. Every key of the store is Unavailable already."
        }
    }
}

/// Why an attempt has failed.
pub(super) const fn connection_error(code: ConnectionErrorCode) -> Explanation {
    use ConnectionErrorCode as Code;
    let (meaning, checks): (_, &'static [&'static str]) = match code {
        Code::InvalidCredentials => (
            "The proxy does not take the signature, or the cluster does not take the password, that KMS has.",
            &[
                "An external key store: UpdateCustomKeyStore with the access key id and secret that the proxy has.",
                "The Region that the proxy expects in a signature, and the proxy's clock: a signature is good for 5 minutes.",
                "A CloudHSM key store: UpdateCustomKeyStore with the password that the kmsuser has now.",
            ],
        ),
        Code::XksProxyAccessDenied => (
            "The proxy refuses KMS although the signature is right.",
            &[
                "The proxy's request log names what denied it; the kmsRequestId is in the last requests below.",
                "Policies of the proxy that are about the health request.",
            ],
        ),
        Code::XksProxyInvalidConfiguration => (
            "The proxy answers, but not for this path.",
            &["XksProxyUriPath of the store: the proxy's own prefix, then /kms/xks/v1."],
        ),
        Code::XksProxyInvalidResponse => (
            "KMS does not understand what answers at the endpoint.",
            &[
                "Whether the address of serve --resolve is that of an XKS proxy and of nothing before it.",
                "The proxy's request log for this moment.",
            ],
        ),
        Code::XksProxyInvalidTlsConfiguration => (
            "KMS and the proxy agree on no TLS.",
            &[
                "serve --trust-ca: does it name the authority of the proxy's certificate?",
                "The certificate: is it for the host of XksProxyUriEndpoint, and is it valid today?",
                "serve --client-cert, if the proxy asks for a client certificate.",
            ],
        ),
        Code::XksProxyNotReachable => (
            "KMS gets no connection, or the proxy says that all of its key managers are UNAVAILABLE.",
            &[
                "Does the proxy run and listen?",
                "serve --resolve HOST=IP:PORT: KMS dials port 443 of the host unless it is told another address.",
                "What the proxy's health says of its key managers.",
            ],
        ),
        Code::XksProxyTimedOut => (
            "KMS reaches the proxy, but has no answer within its time limit (250 ms with AWS).",
            &[
                "The load of the proxy, of its key manager and of this machine.",
                "serve --proxy-timeout-ms, on a machine that is busy or under a debugger.",
            ],
        ),
        Code::XksVpcEndpointServiceNotFound => (
            "KMS finds no VPC endpoint service of that name, or may not use it.",
            &[
                "kms-sim ctl vpc list: is it there, for this account and Region?",
                "Its allowed principals: cks.kms.REGION.amazonaws.com must be among them.",
                "The owner that the store names.",
            ],
        ),
        Code::XksVpcEndpointServiceInvalidConfiguration => (
            "The VPC endpoint service does not have what KMS asks for.",
            &[
                "A network load balancer in two Availability Zones.",
                "No acceptance of connection requests.",
                "A private DNS name whose domain is verified, the same as the host of XksProxyUriEndpoint.",
            ],
        ),
        Code::ClusterNotFound => (
            "There is no such CloudHSM cluster for this account and Region.",
            &["kms-sim ctl cloudhsm list-clusters: was it deleted?"],
        ),
        Code::InsufficientCloudHsmHsms => (
            "The cluster has no HSM that is ACTIVE.",
            &["kms-sim ctl cloudhsm add-hsm, or set-hsm --state ACTIVE."],
        ),
        Code::InsufficientFreeAddressesInSubnet => (
            "A subnet of the cluster has no free address for KMS.",
            &["kms-sim ctl cloudhsm set-subnet --free-addresses."],
        ),
        Code::SubnetNotFound => (
            "A subnet of the cluster was deleted.",
            &["A new cluster from a backup of this one, and UpdateCustomKeyStore with its id."],
        ),
        Code::UserLockedOut => (
            "The kmsuser is locked after too many wrong passwords.",
            &["kms-sim ctl cloudhsm set-password, then UpdateCustomKeyStore with that password."],
        ),
        Code::UserLoggedIn => (
            "Somebody else is logged in to the cluster as kmsuser.",
            &["kms-sim ctl cloudhsm set --kmsuser logged-out, and a new password for KMS."],
        ),
        Code::UserNotFound => (
            "The cluster has no kmsuser.",
            &[
                "kms-sim ctl cloudhsm set-password creates it; then UpdateCustomKeyStore with that password.",
            ],
        ),
        Code::InternalError => (
            "Something failed within KMS.",
            &["Disconnect and connect again."],
        ),
        Code::NetworkErrors => (
            "KMS met errors of the network on the way.",
            &[
                "The cluster's switches below: reachable, security group, sessions.",
                "Disconnect and connect again.",
            ],
        ),
    };
    Explanation { meaning, checks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_says_what_to_look_at() {
        for code in ConnectionErrorCode::ALL {
            let Explanation { meaning, checks } = connection_error(code);
            assert!(meaning.ends_with('.') && !checks.is_empty(), "{code:?}");
        }
    }
}

//! What to do about what KMS says: its exceptions, and the codes of a connection that failed.
//!
//! The codes and exceptions are those that KMS's API reference has for external key stores.

/// What a code means, and what to look at, likeliest first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Explanation {
    /// KMS's word for it.
    pub code: &'static str,
    /// In one sentence.
    pub meaning: &'static str,
    /// One thing to look at each.
    pub checks: &'static [&'static str],
}

/// Explains the ConnectionErrorCode of an external key store.
pub fn connection_error(code: &str) -> Option<&'static Explanation> {
    CONNECTION_ERRORS.iter().find(|e| e.code == code)
}

/// Explains an exception of an operation on external key stores or their keys.
pub fn refusal(kind: &str) -> Option<&'static Explanation> {
    REFUSALS.iter().find(|e| e.code == kind)
}

const CONNECTION_ERRORS: &[Explanation] = &[
    Explanation {
        code: "INVALID_CREDENTIALS",
        meaning: "the proxy does not take the signature of the credential that KMS has",
        checks: &[
            "`xks-proxy kms status`: is the access key id that KMS has among the proxy's?",
            "`xks-proxy kms rotate-credential` gives KMS a new one",
            "the clock of the proxy: a signature is good for 5 minutes",
            "`regions` of the key store in the configuration: is KMS's Region in it?",
            "whether something between KMS and the proxy changes the Host header or the path",
        ],
    },
    Explanation {
        code: "XKS_PROXY_ACCESS_DENIED",
        meaning: "the proxy refuses KMS although the signature is right",
        checks: &[
            "the proxy's request log: the line with this request names what denied it",
            "a firewall or gateway before the proxy that answers with 403",
        ],
    },
    Explanation {
        code: "XKS_PROXY_INVALID_CONFIGURATION",
        meaning: "the proxy answers, but not for this path",
        checks: &[
            "XksProxyUriPath: the prefix of the key store in the configuration and /kms/xks/v1",
            "`xks-proxy check --config FILE` on the proxy, and `xks-proxy reload` after a change",
            "whether a load balancer or gateway rewrites paths",
        ],
    },
    Explanation {
        code: "XKS_PROXY_INVALID_RESPONSE",
        meaning: "KMS does not understand what answers at the endpoint",
        checks: &[
            "`curl -i https://ENDPOINT/ping`: is it xks-proxy that answers, or something before it?",
            "the proxy's request log for this moment",
        ],
    },
    Explanation {
        code: "XKS_PROXY_INVALID_TLS_CONFIGURATION",
        meaning: "KMS and the proxy agree on no TLS",
        checks: &[
            "`xks-proxy check --config FILE --host NAME`: dates, chain and name of the certificate",
            "the certificate must be of a public CA that KMS trusts, with its intermediates in certificate_file",
            "it must be for the host of the XksProxyUriEndpoint, or for the private DNS name of the endpoint service",
            "[tls.client]: with a client CA configured, its file and subject_common_names must fit KMS's Region",
            "a load balancer must pass TLS 1.2 or 1.3 through, not end it",
        ],
    },
    Explanation {
        code: "XKS_PROXY_NOT_REACHABLE",
        meaning: "KMS gets no connection, or the proxy says that all of its key managers are UNAVAILABLE",
        checks: &[
            "that the proxy runs and listens, and that `curl https://ENDPOINT/ping` answers from elsewhere",
            "DNS: the endpoint's name leads to the proxy or its load balancer",
            "port 443 through firewalls, security groups and the load balancer's targets",
            "`xks-proxy check --config FILE`: do the key managers answer?",
        ],
    },
    Explanation {
        code: "XKS_PROXY_TIMED_OUT",
        meaning: "KMS reaches the proxy, but has no answer within 250 ms",
        checks: &[
            "`xks-proxy check --config FILE` measures the key managers against the 250 ms",
            "the way from KMS's Region to the proxy: AWS asks for 35 ms there and back at most",
            "the load of the proxy and of the machine",
        ],
    },
    Explanation {
        code: "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION",
        meaning: "the endpoint service does not have what KMS asks for",
        checks: VPC_ENDPOINT_SERVICE,
    },
    Explanation {
        code: "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND",
        meaning: "KMS finds no endpoint service of that name, or may not use it",
        checks: &[
            "the service's name and Region",
            "Allow principals has cks.kms.REGION.amazonaws.com",
            "--vpc-endpoint-service-owner, where another account has the service",
        ],
    },
    Explanation {
        code: "INTERNAL_ERROR",
        meaning: "something failed within KMS",
        checks: &["disconnect and connect again: `xks-proxy kms connect` does both"],
    },
    Explanation {
        code: "NETWORK_ERRORS",
        meaning: "KMS met errors of the network on the way",
        checks: &[
            "connect again: `xks-proxy kms connect`",
            "the network between KMS's Region and the proxy",
        ],
    },
];

const REFUSALS: &[Explanation] = &[
    Explanation {
        code: "CustomKeyStoreNameInUseException",
        meaning: "another custom key store of the account in this Region has the name",
        checks: &["give another --name"],
    },
    Explanation {
        code: "LimitExceededException",
        meaning: "the account has as many custom key stores, or KMS keys, as it may",
        checks: &[
            "remove one that is not needed, or ask AWS for a higher quota (Service Quotas, AWS KMS)",
        ],
    },
    Explanation {
        code: "XksProxyUriInUseException",
        meaning: "another external key store of the Region has this endpoint and path",
        checks: &[
            "`xks-proxy kms status` finds it, if it is in this account",
            "give the key store another prefix in the proxy's configuration",
        ],
    },
    Explanation {
        code: "XksProxyUriEndpointInUseException",
        meaning: "another external key store of the Region has this endpoint with another connectivity",
        checks: &[
            "give both the same connectivity, or this one an endpoint of its own",
            "each VPC endpoint service needs a private DNS name of its own",
        ],
    },
    Explanation {
        code: "XksProxyUriUnreachableException",
        meaning: "KMS does not reach the proxy at the endpoint, or all of its key managers are UNAVAILABLE",
        checks: &[
            "that the proxy runs and listens, and that `curl https://ENDPOINT/ping` answers from elsewhere",
            "DNS: the endpoint's name leads to the proxy or its load balancer",
            "port 443 through firewalls, security groups and the load balancer's targets",
            "`xks-proxy check --config FILE --host NAME`: certificate and key managers",
        ],
    },
    Explanation {
        code: "XksProxyIncorrectAuthenticationCredentialException",
        meaning: "the proxy does not take the signature of the credential",
        checks: &[
            "that the endpoint leads to this proxy and no other",
            "that the server that answers there has taken up the credential: `xks-proxy credential list`, `xks-proxy reload`",
            "the clock of the proxy: a signature is good for 5 minutes",
            "`regions` of the key store in the configuration: is KMS's Region in it?",
        ],
    },
    Explanation {
        code: "XksProxyInvalidConfigurationException",
        meaning: "the proxy answers, but not as KMS asks for: the message says more",
        checks: &[
            "the path: the prefix of the key store in the configuration and /kms/xks/v1",
            "`xks-proxy check --config FILE --host NAME`: certificate, chain and name",
        ],
    },
    Explanation {
        code: "XksProxyInvalidResponseException",
        meaning: "KMS does not understand what answers at the endpoint",
        checks: &[
            "`curl -i https://ENDPOINT/ping`: is it xks-proxy that answers, or something before it?",
            "the proxy's request log for this moment",
        ],
    },
    Explanation {
        code: "XksProxyVpcEndpointServiceInUseException",
        meaning: "another external key store of the Region goes through this endpoint service",
        checks: &["make an endpoint service for each external key store"],
    },
    Explanation {
        code: "XksProxyVpcEndpointServiceNotFoundException",
        meaning: "KMS finds no endpoint service of that name, or may not use it",
        checks: &[
            "the service's name and Region",
            "Allow principals has cks.kms.REGION.amazonaws.com",
            "--vpc-endpoint-service-owner, where another account has the service",
        ],
    },
    Explanation {
        code: "XksProxyVpcEndpointServiceInvalidConfigurationException",
        meaning: "the endpoint service does not have what KMS asks for: the message says more",
        checks: VPC_ENDPOINT_SERVICE,
    },
    Explanation {
        code: "CustomKeyStoreInvalidStateException",
        meaning: "the store's ConnectionState does not allow it",
        checks: &["`xks-proxy kms status` shows the state; `xks-proxy kms connect` connects it"],
    },
    Explanation {
        code: "CustomKeyStoreNotFoundException",
        meaning: "the account has no such custom key store in this Region",
        checks: &["account and Region: --profile and --region"],
    },
    Explanation {
        code: "XksKeyNotFoundException",
        meaning: "the proxy has no external key of that name in this key store",
        checks: &[
            "`xks-proxy key list`; `xks-proxy key create NAME` makes one",
            "`keys` of the key store in the configuration: does it take the name in?",
        ],
    },
    Explanation {
        code: "XksKeyInvalidConfigurationException",
        meaning: "the external key is disabled, or may not both encrypt and decrypt",
        checks: &["`xks-proxy key show NAME`: status ENABLED and usage ENCRYPT,DECRYPT"],
    },
    Explanation {
        code: "XksKeyAlreadyInUseException",
        meaning: "another KMS key of the store has this external key",
        checks: &["`xks-proxy kms status` shows which"],
    },
    Explanation {
        code: "KMSInvalidStateException",
        meaning: "the key cannot be used as it is, or its store cannot be reached",
        checks: &["`xks-proxy kms status` shows the states of both"],
    },
    Explanation {
        code: "AccessDeniedException",
        meaning: "the caller may not do this",
        checks: &[
            "`aws sts get-caller-identity`: is it the account and role that was meant?",
            "its IAM policy: proxy/docs/kms.md lists what each command needs",
        ],
    },
    Explanation {
        code: "UnrecognizedClientException",
        meaning: "AWS does not know the access key, or not with this token",
        checks: &["the credentials: is a session token missing, or of another access key?"],
    },
    Explanation {
        code: "InvalidSignatureException",
        meaning: "AWS cannot verify the signature",
        checks: &[
            "the secret access key",
            "the clock of this machine: a signature is good for 5 minutes",
        ],
    },
    Explanation {
        code: "ExpiredTokenException",
        meaning: "the temporary credentials have expired",
        checks: &["get new ones, for example with `aws sso login`"],
    },
    Explanation {
        code: "ThrottlingException",
        meaning: "the account calls KMS more often than its quota allows",
        checks: &["wait a little and run this again: it goes on where it was"],
    },
];

/// What KMS asks of an endpoint service, when a store is made and when it is connected.
const VPC_ENDPOINT_SERVICE: &[&str] = &[
    "it has a network load balancer in at least two subnets, each in another Availability Zone",
    "Allow principals has cks.kms.REGION.amazonaws.com",
    "it does not ask for acceptance of connection requests",
    "it has a private DNS name, unique in the Region, whose domain is verified",
    "the proxy's certificate is for that private DNS name",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes and exceptions of KMS's model (2014-11-01) that are not of CloudHSM key stores alone.
    #[test]
    fn everything_that_kms_says_of_external_key_stores_is_explained() {
        for code in [
            "INVALID_CREDENTIALS",
            "NETWORK_ERRORS",
            "INTERNAL_ERROR",
            "XKS_PROXY_ACCESS_DENIED",
            "XKS_PROXY_NOT_REACHABLE",
            "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND",
            "XKS_PROXY_INVALID_RESPONSE",
            "XKS_PROXY_INVALID_CONFIGURATION",
            "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION",
            "XKS_PROXY_TIMED_OUT",
            "XKS_PROXY_INVALID_TLS_CONFIGURATION",
        ] {
            let explanation = connection_error(code).expect(code);
            assert!(!explanation.checks.is_empty(), "{code}");
        }
        for kind in [
            "CustomKeyStoreNameInUseException",
            "LimitExceededException",
            "XksProxyUriInUseException",
            "XksProxyUriEndpointInUseException",
            "XksProxyUriUnreachableException",
            "XksProxyIncorrectAuthenticationCredentialException",
            "XksProxyVpcEndpointServiceInUseException",
            "XksProxyVpcEndpointServiceNotFoundException",
            "XksProxyVpcEndpointServiceInvalidConfigurationException",
            "XksProxyInvalidResponseException",
            "XksProxyInvalidConfigurationException",
            "CustomKeyStoreInvalidStateException",
            "CustomKeyStoreNotFoundException",
            "XksKeyInvalidConfigurationException",
            "XksKeyAlreadyInUseException",
            "XksKeyNotFoundException",
        ] {
            assert!(refusal(kind).is_some(), "{kind}");
        }
    }
}

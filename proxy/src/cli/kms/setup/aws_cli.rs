//! Commands of the AWS CLI, versions 1 and 2, for bash.

use std::fmt::Write as _;

use super::Plan;

/// What is longer than a name goes into `--cli-input-json`: version 1 would fetch a parameter that is an URL.
pub(super) fn text(plan: &Plan) -> String {
    let q = quoted;
    let mut input = serde_json::json!({
        "CustomKeyStoreName": plan.name,
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyConnectivity": plan.connectivity(),
        "XksProxyUriEndpoint": plan.uri_endpoint,
    });
    if let Some(input) = input.as_object_mut() {
        for (member, value) in [
            (
                "XksProxyVpcEndpointServiceName",
                &plan.vpc_endpoint_service_name,
            ),
            (
                "XksProxyVpcEndpointServiceOwner",
                &plan.vpc_endpoint_service_owner,
            ),
        ] {
            if let Some(value) = value {
                input.insert(member.to_owned(), value.clone().into());
            }
        }
    }
    let mut text = format!(
        "# Links the external key store {prefix:?} of {config} to AWS KMS, with bash and the AWS CLI.\n\
         # `xks-proxy kms link` does the same, writes the secret nowhere, and can be run again.\n\
         set -euo pipefail\n\
         umask 077\n\
         secrets=$(mktemp -d)\n\
         trap 'rm -rf \"$secrets\"' EXIT\n\n\
         # The credential that KMS signs with. Its secret is in this folder until the end, and nowhere else.\n\
         xks-proxy credential create --config {file} --uri-path-prefix {quoted_prefix} --to \"$secrets/credential.json\"\n\
         # That file has the rest of the input; together they are one JSON object.\n\
         {{ printf '%s,' {input}; cut -c 2- \"$secrets/credential.json\"; }} > \"$secrets/create.json\"\n\n\
         store=$(aws kms create-custom-key-store --cli-input-json \"file://$secrets/create.json\" \\\n    \
             --query CustomKeyStoreId --output text)\n\
         aws kms connect-custom-key-store --custom-key-store-id \"$store\"\n\
         state=CONNECTING\n\
         while [ \"$state\" = CONNECTING ]; do\n    \
             sleep 1\n    \
             state=$(aws kms describe-custom-key-stores --custom-key-store-id \"$store\" \\\n        \
                 --query 'CustomKeyStores[0].ConnectionState' --output text)\n\
         done\n\
         echo \"$store is $state\"\n\
         [ \"$state\" = CONNECTED ]\n",
        prefix = plan.prefix,
        config = plan.config,
        file = q(&plan.config),
        quoted_prefix = q(&plan.prefix),
        input = q(input.to_string().trim_end_matches('}')),
    );
    if plan.keys.is_empty() {
        text.push_str("\n# --key NAME of `xks-proxy kms setup` adds the commands for keys.\n");
    }
    for key in &plan.keys {
        let _ = write!(
            text,
            "\naws kms create-key --origin EXTERNAL_KEY_STORE --custom-key-store-id \"$store\" \\\n    \
             --xks-key-id {} --query KeyMetadata.Arn --output text\n",
            q(key)
        );
    }
    text
}

/// A word of a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:+=@,%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

//! A configuration for Terraform's AWS provider, as of its resource `aws_kms_custom_key_store` (5.84).

use std::fmt::Write as _;

use super::Plan;

pub(super) fn text(plan: &Plan) -> String {
    let q = quoted;
    let name = plan.named_keys('_');
    let mut text = format!(
        "# Links the external key store {prefix:?} of {config} to AWS KMS.\n\
         #\n\
         # The provider creates the store and does not connect it, and KMS makes keys in a CONNECTED store alone:\n\
         #   export TF_VAR_xks_access_key_id=… TF_VAR_xks_secret_access_key=…     from `xks-proxy credential create`\n\
         #   terraform apply\n\
         #   xks-proxy kms connect --config {config}                or aws kms connect-custom-key-store\n\
         #   terraform apply -var xks_connected=true\n\
         #\n\
         # The secret is in Terraform's state from then on: keep that encrypted, or use `xks-proxy kms link`.\n\
         terraform {{\n  \
           required_providers {{\n    \
             aws = {{\n      source  = \"hashicorp/aws\"\n      version = \">= 5.84\"\n    }}\n  \
           }}\n}}\n\n\
         variable \"xks_access_key_id\" {{\n  type = string\n}}\n\n\
         variable \"xks_secret_access_key\" {{\n  type      = string\n  sensitive = true\n}}\n\n\
         variable \"xks_connected\" {{\n  type    = bool\n  default = false\n}}\n\n\
         resource \"aws_kms_custom_key_store\" \"xks\" {{\n  \
           custom_key_store_name  = {name}\n  \
           custom_key_store_type  = \"EXTERNAL_KEY_STORE\"\n  \
           xks_proxy_connectivity = \"{connectivity}\"\n  \
           xks_proxy_uri_endpoint = {endpoint}\n  \
           xks_proxy_uri_path     = {path}\n",
        prefix = plan.prefix,
        config = plan.config,
        name = q(&plan.name),
        connectivity = plan.connectivity(),
        endpoint = q(&plan.uri_endpoint),
        path = q(&plan.uri_path),
    );
    if let Some(service) = &plan.vpc_endpoint_service_name {
        let _ = writeln!(
            text,
            "  xks_proxy_vpc_endpoint_service_name = {}",
            q(service)
        );
    }
    if plan.vpc_endpoint_service_owner.is_some() {
        text.push_str(
            "  # The provider has no attribute for the owner of the endpoint service: a service of another account needs\n  \
             # `xks-proxy kms link`.\n",
        );
    }
    text.push_str(
        "\n  xks_proxy_authentication_credential {\n    \
           access_key_id         = var.xks_access_key_id\n    \
           raw_secret_access_key = var.xks_secret_access_key\n  \
         }\n}\n\n\
         output \"custom_key_store_id\" {\n  value = aws_kms_custom_key_store.xks.id\n}\n",
    );
    if name.is_empty() {
        text.push_str("\n# --key NAME of `xks-proxy kms setup` adds the resources of keys.\n");
    }
    for (name, key) in name {
        let _ = write!(
            text,
            "\nresource \"aws_kms_key\" \"{name}\" {{\n  \
               count                   = var.xks_connected ? 1 : 0\n  \
               custom_key_store_id     = aws_kms_custom_key_store.xks.id\n  \
               xks_key_id              = {}\n  \
               deletion_window_in_days = 30\n}}\n",
            q(key)
        );
    }
    text
}

/// A string of HCL, in which nothing is a template.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    let text = text.replace('\n', "\\n").replace("${", "$${");
    format!("\"{}\"", text.replace("%{", "%%{"))
}

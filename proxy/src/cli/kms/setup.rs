//! `xks-proxy kms setup`: what links a key store by other means, to paste; secrets are never in it.

mod aws_cli;
mod cloudformation;
mod terraform;

use clap::{Args, ValueEnum};
use serde_json::json;
use xks_api::ids::ExternalKeyId;

use super::KeyStoreArguments;
use crate::cli::output::{OutputArguments, json, print};
use crate::cli::{Failure, external_key_id};

/// Print what links a key store by other means: the AWS CLI, Terraform, CloudFormation.
///
/// Makes nothing and calls nobody. Secrets are not printed: the text names the file or variable that they come from.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    key_store: KeyStoreArguments,
    /// For which tool
    #[arg(long, value_enum)]
    format: Format,
    /// An external key that gets a KMS key; may be given several times
    #[arg(long = "key", value_name = "EXTERNAL_KEY", value_parser = external_key_id)]
    keys: Vec<ExternalKeyId>,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Commands of the AWS CLI
    Cli,
    /// A configuration for Terraform or OpenTofu
    Terraform,
    /// A template, for what CloudFormation can do
    Cloudformation,
}

/// What all formats say.
struct Plan {
    config: String,
    prefix: String,
    name: String,
    uri_endpoint: String,
    uri_path: String,
    vpc_endpoint_service_name: Option<String>,
    vpc_endpoint_service_owner: Option<String>,
    keys: Vec<String>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let proxy = arguments.key_store.find()?;
    let mut named: Vec<_> = proxy.selection.named().map(ToString::to_string).collect();
    // Of a set, in no order.
    named.sort_unstable();
    let plan = Plan {
        config: proxy.config.display().to_string(),
        prefix: proxy.prefix.as_str().to_owned(),
        name: proxy.store_name(),
        uri_endpoint: proxy.endpoint()?.to_string(),
        uri_path: proxy.uri_path(),
        vpc_endpoint_service_name: proxy.link.vpc_endpoint_service_name.clone(),
        vpc_endpoint_service_owner: proxy.link.vpc_endpoint_service_owner.clone(),
        keys: match &*arguments.keys {
            [] => named,
            keys => keys.iter().map(ToString::to_string).collect(),
        },
    };
    let text = match arguments.format {
        Format::Cli => aws_cli::text(&plan),
        Format::Terraform => terraform::text(&plan),
        Format::Cloudformation => cloudformation::text(&plan),
    };
    match arguments.output.is_json() {
        true => json(&plan.with(&text)),
        false => print(text.as_bytes()),
    }
}

impl Plan {
    /// What the text says, and the text.
    fn with(&self, text: &str) -> serde_json::Value {
        json!({
            "custom_key_store_name": self.name,
            "connectivity": self.connectivity(),
            "uri_endpoint": self.uri_endpoint,
            "uri_path": self.uri_path,
            "vpc_endpoint_service_name": self.vpc_endpoint_service_name,
            "vpc_endpoint_service_owner": self.vpc_endpoint_service_owner,
            "external_keys": self.keys,
            "text": text,
        })
    }

    fn connectivity(&self) -> &'static str {
        match self.vpc_endpoint_service_name {
            None => "PUBLIC_ENDPOINT",
            Some(_) => "VPC_ENDPOINT_SERVICE",
        }
    }

    /// The keys with names for them that are letters, digits and one other character.
    fn named_keys(&self, other: char) -> Vec<(String, &str)> {
        let mut names: Vec<(String, &str)> = Vec::new();
        for key in &self.keys {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { other };
            let mut name: String = key.chars().map(plain).collect();
            if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
                name.insert_str(0, "key");
            }
            while names.iter().any(|(taken, _)| *taken == name) {
                name.push('x');
            }
            names.push((name, key));
        }
        names
    }
}

const EXAMPLES: &str = "\
Examples:
  xks-proxy kms setup --config FILE --format cli
  xks-proxy kms setup --config FILE --format terraform --key payroll --key invoices > kms.tf
  xks-proxy kms setup --config FILE --format cloudformation > kms.yaml";

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn plan() -> Plan {
        Plan {
            config: "/etc/it's.toml".into(),
            prefix: "/a".into(),
            name: "a ${name} \"quoted\"".into(),
            uri_endpoint: "https://xks.example.com".into(),
            uri_path: "/a/kms/xks/v1".into(),
            vpc_endpoint_service_name: None,
            vpc_endpoint_service_owner: None,
            keys: ["pay.roll", "pay_roll", "1st"].map(str::to_owned).to_vec(),
        }
    }

    #[test]
    fn keys_have_names_of_their_own() {
        let plan = plan();
        let names = plan.named_keys('_');
        let names: Vec<_> = names.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["pay_roll", "pay_rollx", "key1st"]);
    }

    #[test]
    fn each_format_quotes_as_its_tool_reads() {
        let plan = plan();
        let cli = aws_cli::text(&plan);
        assert!(cli.contains("--config '/etc/it'\\''s.toml'"), "{cli}");
        assert!(cli.contains(r#""a ${name} \"quoted\"""#), "{cli}");
        let terraform = terraform::text(&plan);
        assert!(
            terraform.contains(r#""a $${name} \"quoted\"""#),
            "{terraform}"
        );
        let template = cloudformation::text(&plan);
        assert!(template.contains("pay.roll"), "{template}");
    }
}

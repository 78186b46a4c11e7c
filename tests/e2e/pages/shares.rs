//! Which test takes which block of which page: the list that [`crate::page::Share`] gives out.
//!
//! Blocks of the languages of [`super::languages`] that one test takes on every page are not in it.

use crate::page::Block;

/// What a test takes of a page.
pub(crate) struct Given {
    pub(crate) page: &'static str,
    pub(crate) blocks: Blocks,
    /// The name of its function.
    pub(crate) test: &'static str,
}

pub(crate) enum Blocks {
    /// All that no other line of the list names.
    Others,
    /// That whose first line begins so.
    Beginning(&'static str),
}

/// Whose block this is.
pub(crate) fn test_of(page: &str, block: &Block) -> Option<&'static str> {
    if !super::languages::needs_a_test_of_its_own(&block.language) {
        return None;
    }
    let here = || SHARES.iter().filter(|given| given.page == page);
    let named = here().find(|given| given.is_named(block));
    let others = || here().find(|given| matches!(given.blocks, Blocks::Others));
    named.or_else(others).map(|given| given.test)
}

impl Given {
    /// Whether the list names this block, for whatever page.
    pub(crate) fn is_named(&self, block: &Block) -> bool {
        matches!(self.blocks, Blocks::Beginning(beginning) if block.text.starts_with(beginning))
    }
}

const fn others(page: &'static str, test: &'static str) -> Given {
    Given {
        page,
        blocks: Blocks::Others,
        test,
    }
}

const fn one(page: &'static str, beginning: &'static str, test: &'static str) -> Given {
    Given {
        page,
        blocks: Blocks::Beginning(beginning),
        test,
    }
}

pub(crate) const SHARES: &[Given] = &[
    one("README.md", "cargo run", CARGO),
    one("README.md", "./tests/run", CARGO),
    one("README.md", "cargo build", CLIENTS_OF_THE_README),
    one("README.md", "import os", CLIENTS_OF_THE_README),
    one(
        "README.md",
        "export AWS_ENDPOINT_URL_KMS",
        CLIENTS_OF_THE_README,
    ),
    // From `rustup component add` to `kms create-key`.
    others(
        "README.md",
        "the_five_steps_of_the_readme_lead_to_a_kms_key",
    ),
    one(
        "benches/README.md",
        "cargo build --profile dist --bin xks-load",
        "the_load_tool_does_as_the_pages_say",
    ),
    others("benches/README.md", CARGO),
    others(
        "kms-sim/docs/accounts.md",
        "the_page_about_accounts_shows_what_is_said",
    ),
    one(
        "kms-sim/docs/clients.md",
        "export AWS_ENDPOINT_URL_KMS",
        COMMANDS_FOR_CLIENTS,
    ),
    one(
        "kms-sim/docs/clients.md",
        "[profile kms-sim]",
        COMMANDS_FOR_CLIENTS,
    ),
    one(
        "kms-sim/docs/clients.md",
        "AWS_ACCESS_KEY_ID=111122223333",
        COMMANDS_FOR_CLIENTS,
    ),
    one(
        "kms-sim/docs/clients.md",
        "import boto3\n",
        "its_code_for_python_and_javascript_runs",
    ),
    one(
        "kms-sim/docs/clients.md",
        "import { CreateKeyCommand",
        "its_code_for_python_and_javascript_runs",
    ),
    one(
        "kms-sim/docs/clients.md",
        "let config",
        "its_code_for_rust_is_code_of_these_tests",
    ),
    one(
        "kms-sim/docs/clients.md",
        "import random",
        "its_pytest_fixtures_work",
    ),
    one(
        "kms-sim/docs/clients.md",
        "import pytest",
        "its_pytest_fixtures_work",
    ),
    one(
        "kms-sim/docs/clients.md",
        "jobs:",
        "its_recipe_for_continuous_integration_works",
    ),
    one(
        "kms-sim/docs/clients.md",
        "provider \"aws\"",
        "terraform_manages_a_store_and_its_keys",
    ),
    one(
        "kms-sim/docs/conformance.md",
        "- name: XKS conformance",
        "the_job_of_the_page_runs_conformance",
    ),
    others(
        "kms-sim/docs/conformance.md",
        "the_page_about_conformance_does_as_it_says",
    ),
    others(
        "kms-sim/docs/console.md",
        "the_command_of_the_page_says_where_the_console_is",
    ),
    others(
        "kms-sim/docs/control.md",
        "the_page_about_the_control_api_does_as_it_says",
    ),
    others(
        "kms-sim/docs/observation.md",
        "the_page_about_observation_shows_what_is_printed",
    ),
    others(
        "kms-sim/docs/state.md",
        "the_page_about_state_does_as_it_says",
    ),
    others(
        "proxy/docs/audit.md",
        "the_page_about_the_audit_log_leads_to_lines_that_are_verified",
    ),
    others(
        "proxy/docs/authorization.md",
        "the_page_about_authorization_does_as_it_says",
    ),
    one(
        "proxy/docs/aws.md",
        "certbot",
        "its_certificate_is_where_its_configuration_looks",
    ),
    one(
        "proxy/docs/aws.md",
        "resource ",
        "its_configuration_for_terraform_is_valid",
    ),
    others(
        "proxy/docs/aws.md",
        "its_commands_of_the_aws_cli_go_through_a_stores_life",
    ),
    others(
        "proxy/docs/deployment.md",
        "the_page_about_deployment_names_what_there_is",
    ),
    others(
        "proxy/docs/embedded.md",
        "the_page_about_the_embedded_key_manager_leads_to_a_connected_key_store",
    ),
    one(
        "proxy/docs/kill-switch.md",
        "xks-proxy block all --reason \"under attack\" --server",
        SEVERAL_ADMINS,
    ),
    one(
        "proxy/docs/kill-switch.md",
        "$ xks-proxy unblock all",
        SEVERAL_ADMINS,
    ),
    others(
        "proxy/docs/kill-switch.md",
        "the_commands_of_the_page_do_what_it_says",
    ),
    others(
        "proxy/docs/kms.md",
        "the_rehearsal_of_the_guide_goes_as_it_is_printed",
    ),
    one(
        "proxy/docs/metrics.md",
        "scrape_configs:",
        "prometheus_takes_the_configuration_of_the_page",
    ),
    others(
        "proxy/docs/metrics.md",
        "the_page_about_metrics_leads_to_a_scrape",
    ),
    others(
        "proxy/docs/pkcs11.md",
        "the_page_about_hsms_leads_to_a_connected_key_store",
    ),
    others("proxy/docs/postgresql.md", "from_nothing_to_a_fleet"),
    others(
        "proxy/docs/quotas.md",
        "the_page_about_quotas_does_as_it_says",
    ),
    one("proxy/docs/rotations.md", "./tests/rotations", CARGO),
    one(
        "proxy/docs/rotations.md",
        "[Socket]",
        "systemd_takes_the_drop_ins_of_the_pages",
    ),
    one(
        "proxy/docs/deployment.md",
        "[Service]",
        "systemd_takes_the_drop_ins_of_the_pages",
    ),
    others(
        "proxy/docs/rotations.md",
        "the_commands_of_the_page_rotate_what_they_say",
    ),
    one(
        "proxy/docs/scaling.md",
        "xks-load",
        "the_load_tool_does_as_the_pages_say",
    ),
    one("proxy/docs/scaling.md", "psql", "from_nothing_to_a_fleet"),
    one("proxy/docs/scaling.md", "cargo test", CARGO),
    others("proxy/docs/testing.md", CARGO),
    others(
        "proxy/docs/status.md",
        "the_commands_of_the_status_page_do_what_it_says",
    ),
    others(
        "proxy/docs/transit.md",
        "the_commands_of_the_page_lead_to_a_connected_key_store",
    ),
];

const CARGO: &str = "what_pages_ask_of_cargo_and_of_scripts_is_there";
const CLIENTS_OF_THE_README: &str = "the_client_code_of_the_readme_runs";
const COMMANDS_FOR_CLIENTS: &str = "its_commands_and_its_profile_reach_kms_sim";
const SEVERAL_ADMINS: &str = "admins_elsewhere_and_two_of_them_do_as_the_page_says";

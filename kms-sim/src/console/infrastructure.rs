//! The switches of what stores stand on: simulated CloudHSM clusters and VPC endpoint services.

use xks_page::{Html, html};

use super::Console;
use super::switches::open;
use crate::cloudhsm::{ClusterId, ClusterState, HsmState, KmsuserChange};
use crate::simulator::Simulator;

/// A cluster.
pub(super) fn cluster(
    page: &mut Html,
    simulator: &Simulator,
    console: &Console,
    back: &str,
    id: &str,
) {
    let Ok(cluster) = simulator.cloud_hsm().cluster(&ClusterId::from(id)) else {
        html!(
            page,
            "<p class=\"problem bad\">There is no cluster {} any more.</p>",
            id
        );
        return;
    };
    let parts = &cluster.configuration;
    let action = format!("/console/switch/cluster/{id}");
    html!(page, "<ul class=\"switches\">");
    for (member, is_on, label, note) in [
        (
            "Reachable",
            !parts.reachable,
            "HSMs cannot be reached",
            "Packets of KMS vanish.",
        ),
        (
            "SecurityGroupSound",
            !parts.security_group_sound,
            "Security group closed",
            "TCP ports 2223-2225.",
        ),
        (
            "SessionsLeft",
            !parts.sessions_left,
            "No sessions left",
            "An HSM takes no more PKCS #11 sessions.",
        ),
    ] {
        // A switch that is on is a cluster that is not sound.
        toggle(
            page,
            console,
            &action,
            back,
            &Toggle {
                member,
                is_on,
                value: if is_on { "true" } else { "false" },
                label,
                note,
            },
        );
    }
    html!(page, "</ul>");
    let user = match &cluster.kmsuser {
        None => "there is none".to_owned(),
        Some(user) => format!(
            "{}{}{}",
            if user.locked_out { "locked out, " } else { "" },
            if user.logged_in_elsewhere {
                "logged in by a person, "
            } else {
                ""
            },
            if user.kms_logged_in {
                "KMS is logged in"
            } else {
                "KMS is not logged in"
            }
        ),
    };
    html!(
        page,
        "<p>kmsuser: {}. State of the cluster: {}.</p>",
        user,
        parts.state.as_str()
    );
    let kmsuser = Words {
        label: "What happens to the kmsuser",
        member: "Kmsuser",
        words: KmsuserChange::WORDS,
        current: None,
    };
    words(page, console, &action, back, &kmsuser);
    let state = Words {
        label: "State of the cluster",
        member: "State",
        words: ClusterState::WORDS,
        current: Some(parts.state.as_str()),
    };
    words(page, console, &action, back, &state);
    open(page, console, &format!("{action}/password"), back, "row");
    html!(
        page,
        "<p>Gives the kmsuser a random password that KMS does not know.</p><button>Change the password behind KMS's \
         back</button></form>"
    );
    for hsm in &parts.hsms {
        let action = format!("{action}/hsms/{}", hsm.id.as_str());
        let label = format!("{} in {}", hsm.id.as_str(), hsm.availability_zone);
        let state = Words {
            label: &label,
            member: "State",
            words: HsmState::WORDS,
            current: Some(hsm.state.as_str()),
        };
        words(page, console, &action, back, &state);
    }
    open(page, console, &format!("{action}/hsms"), back, "row");
    html!(
        page,
        "<button>Add an HSM</button></form><ul class=\"switches\">"
    );
    for subnet in &parts.subnets {
        let zone = &subnet.availability_zone;
        let action = format!("{action}/subnets/{zone}");
        let deleted = Toggle {
            member: "Deleted",
            is_on: subnet.deleted,
            value: if subnet.deleted { "false" } else { "true" },
            label: &format!("Subnet of {zone} deleted"),
            note: "It can be brought back.",
        };
        toggle(page, console, &action, back, &deleted);
        let is_full = subnet.free_addresses == 0;
        let full = Toggle {
            member: "FreeAddresses",
            is_on: is_full,
            value: if is_full { "250" } else { "0" },
            label: &format!("Subnet of {zone} full"),
            note: &format!("{} free addresses", subnet.free_addresses),
        };
        toggle(page, console, &action, back, &full);
    }
    html!(page, "</ul>");
}

/// A VPC endpoint service.
pub(super) fn service(
    page: &mut Html,
    simulator: &Simulator,
    console: &Console,
    back: &str,
    name: &str,
) {
    let Ok(service) = simulator.vpc_endpoint_services().describe(name) else {
        html!(
            page,
            "<p class=\"problem bad\">There is no VPC endpoint service {}.</p>",
            name
        );
        return;
    };
    let action = format!("/console/switch/service/{name}");
    html!(page, "<ul class=\"switches\">");
    for (member, is_on, value, label, note) in [
        (
            "AcceptanceRequired",
            service.acceptance_required,
            !service.acceptance_required,
            "Connections must be accepted",
            "KMS's are not.",
        ),
        (
            "Interface",
            !service.interface,
            !service.interface,
            "Not for interface endpoints",
            "No network load balancer.",
        ),
        (
            "PrivateDnsNameVerified",
            !service.private_dns_name_verified,
            !service.private_dns_name_verified,
            "Domain not verified",
            "Of the private DNS name.",
        ),
        (
            "AllowKms",
            service.allowed_principals.is_empty(),
            service.allowed_principals.is_empty(),
            "KMS is not allowed",
            "It is not among the allowed principals.",
        ),
    ] {
        toggle(
            page,
            console,
            &action,
            back,
            &Toggle {
                member,
                is_on,
                value: if value { "true" } else { "false" },
                label,
                note,
            },
        );
    }
    html!(page, "</ul>");
}

/// A member that is true or false.
struct Toggle<'t> {
    member: &'static str,
    is_on: bool,
    /// What pressing it sets.
    value: &'t str,
    label: &'t str,
    note: &'t str,
}

fn toggle(page: &mut Html, console: &Console, action: &str, back: &str, toggle: &Toggle<'_>) {
    html!(page, "<li>");
    open(page, console, action, back, "");
    html!(
        page,
        "<input type=\"hidden\" name=\"{}\" value=\"{}\"><button id=\"{}-{}\" aria-pressed=\"{}\">{}<small>{}</small></button></form></li>",
        toggle.member,
        toggle.value,
        action,
        toggle.member,
        toggle.is_on,
        toggle.label,
        toggle.note
    );
}

/// A choice of words.
struct Words<'w> {
    label: &'w str,
    member: &'static str,
    words: &'w [&'w str],
    /// The one that it is now, if it is one of them.
    current: Option<&'w str>,
}

fn words(page: &mut Html, console: &Console, action: &str, back: &str, words: &Words<'_>) {
    open(page, console, action, back, "row");
    html!(
        page,
        "<label>{}<select name=\"{}\">",
        words.label,
        words.member
    );
    for word in words.words {
        match words.current == Some(*word) {
            true => html!(page, "<option selected>{}</option>", word),
            false => html!(page, "<option>{}</option>", word),
        }
    }
    html!(page, "</select></label><button>Set</button></form>");
}

//! What is made of results: lines for people, JSON, JUnit XML, a page, and the list of all cases.

mod file;
pub mod html;
pub mod json;
pub mod junit;
pub mod list;
pub mod text;

pub use file::ReportFile;

/// Where the specification is.
pub const SPECIFICATION: &str =
    "https://github.com/aws/aws-kms-xksproxy-api-spec/blob/main/xks_proxy_api_spec.md";
/// The version that the suite was written to.
pub const VERSION: &str = "1.0.3";

/// The address of a section of the specification.
pub(super) fn address(section: &str) -> String {
    let anchor = match section {
        "API content type" => "api-content-type",
        "API operations" => "api-operations",
        "GetKeyMetadata" => "getkeymetadata",
        "Encrypt" => "encrypt",
        "Decrypt" => "decrypt",
        "GetHealthStatus" => "gethealthstatus",
        "Error codes" => "error-codes",
        "Authentication" => "authentication",
        "SigV4 credentials rotation" => "sigv4-credentials-rotation",
        "Load balancer health checks" => "load-balancer-health-checks",
        "Appendix A" => "appendix-a-using-sigv4-to-sign-xks-proxy-requests",
        "Appendix A, task 1" => "task-1-create-a-canonical-request",
        "Appendix A, task 2" => "task-2-create-a-string-to-sign",
        "Appendix A, task 3" => "task-3-calculate-the-signature",
        "Appendix A, task 4" => "task-4-match-the-signature",
        "Appendix B" => "appendix-b-requestmetadata-fields",
        "Appendix C" => "appendix-c-ciphertext-data-integrity-value-cdiv-implementation-guidelines",
        _ => "",
    };
    format!("{SPECIFICATION}#{anchor}")
}

/// Text that cannot become markup, in XML and in HTML; characters that XML does not have are replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' | ' '..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' => {
                escaped.push(c);
            }
            '\u{10000}'..='\u{10ffff}' => escaped.push(c),
            _ => escaped.push('\u{fffd}'),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::cases;

    #[test]
    fn every_section_has_an_address() {
        for case in cases() {
            let address = address(case.section);
            assert!(!address.ends_with('#'), "{}: {}", case.name, case.section);
        }
    }

    #[test]
    fn what_a_proxy_says_cannot_become_markup() {
        assert_eq!(
            escaped("<a href='x'>&\"\u{0}\u{1b}"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\u{fffd}\u{fffd}"
        );
    }
}

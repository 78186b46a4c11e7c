//! `proxy/docs/audit.md`: its commands are run as they are printed there, one after another.

use crate::page::Page;

#[test]
fn the_page_about_the_audit_log_leads_to_lines_that_are_verified() {
    let _alone = crate::alone();
    let ran = Page::read("proxy/docs/audit.md")
        .run("the_page_about_the_audit_log_leads_to_lines_that_are_verified");
    ran.says(&[
        "audit log: lines go to",
        "each is as it was written, and none is missing",
        // What KMS asked for CreateKey.
        "\"operation\":\"GetKeyMetadata\"",
        "\"findings\": []",
        // Both lines of the command that was altered, by file, line and number.
        "altered  altered/audit-00000000000000000001.jsonl:",
        "exit status 1",
    ]);
    assert_eq!(
        ran.stdout.matches("altered  altered/").count(),
        2,
        "{}",
        ran.stdout
    );
    let log = ran
        .folder
        .path()
        .join("xks-audit/audit/audit-00000000000000000001.jsonl");
    let log = std::fs::read_to_string(log).unwrap();
    for command in ["create-key", "create-credential", "disable-key"] {
        let lines = log
            .lines()
            .filter(|line| line.contains(&format!("\"command\":\"{command}\"")));
        let phases: Vec<_> = lines
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line["phase"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(phases, ["requested", "done"], "{command}");
    }
}

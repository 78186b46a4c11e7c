//! `proxy/docs/embedded.md`: its commands are run as they are printed there, one after another.

use crate::page::Page;

#[test]
fn the_page_about_the_embedded_key_manager_leads_to_a_connected_key_store() {
    let _alone = crate::alone();
    let ran = Page::read("proxy/docs/embedded.md")
        .run("the_page_about_the_embedded_key_manager_leads_to_a_connected_key_store");
    ran.says(&[
        "it has no credential yet",
        "is CONNECTED",
        "arn:aws:kms:us-east-1:",
        "restored has 1 keys and 1 credentials of backup",
    ]);
    // The server that runs, the command that asked it, and the backup tell of the same key.
    let current = ran.stdout.matches("    2     CURRENT").count();
    assert_eq!(current, 2, "{}", ran.stdout);
}

//! `proxy/docs/quotas.md`: its commands are run as they are printed there.

use crate::page::Page;

#[test]
fn the_page_about_quotas_does_as_it_says() {
    let _alone = crate::alone();
    let page = Page::read("proxy/docs/quotas.md");
    let ran = page.run("the_page_about_quotas_does_as_it_says");
    let served = ran.stdout.matches("\"keySpec\":\"AES_256\"").count();
    let [refusal] = *page.blocks("text") else {
        panic!("one answer is shown")
    };
    let refused = ran.stdout.matches(refusal.trim_end()).count();
    // The burst, and one for each second that the ten requests take.
    assert!(
        served >= 5 && refused >= 1 && served + refused == 10,
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}

//! `xks-load` as `benches/README.md` and `proxy/docs/scaling.md` show it: for a second each, and with less of everything.

use std::path::Path;

use crate::page::{Page, run_commands};

use super::stand_ins;

#[test]
fn the_load_tool_does_as_the_pages_say() {
    let _alone = crate::alone();
    let test = "the_load_tool_does_as_the_pages_say";
    let commands = ["proxy/docs/scaling.md", "benches/README.md"]
        .map(|page| Page::read(page).share(test).rest());
    let commands = commands
        .concat()
        .replace("target/dist/xks-load", "xks-load")
        .replace("/tmp/xks", "xks")
        .replace("--duration 60s", "--duration 1s")
        .replace("--duration 8s", "--duration 1s")
        .replace("--rate 1800", "--rate 50")
        .replace("--connections 4000", "--connections 40")
        // Of a build without optimization, on a machine with other things to do.
        .replace("p99=50ms", "p99=20s");
    let tool = Path::new(env!("CARGO_BIN_EXE_xks-load"));
    let prepare = format!(
        "export calls=/dev/null here=$PWD PATH=$PATH:{}\n{}\n\
         xks-proxy dev --data-dir xks --listen 127.0.0.1:8443 >proxy.log 2>&1 &\n\
         export XKS_PROXY_CONFIG=xks/xks-proxy.toml\n\
         until xks-proxy key list >keys.txt 2>&1 && grep -q demo keys.txt; do sleep 0.2; done\n\
         xks-proxy key create payroll\n\
         xks-proxy credential create --uri-path-prefix /dev/tenant-a --to credential.json\n\
         cp xks/ca.pem ca.pem\n",
        tool.parent().expect("a folder").display(),
        stand_ins::functions(&[&stand_ins::CARGO]),
    );
    let ran = run_commands(&(prepare + &commands), "");
    assert!(ran.folder.path().join("load.html").is_file());
    let told = ran.stdout + &ran.stderr;
    assert!(told.matches("answered").count() >= 3, "{told}");
}

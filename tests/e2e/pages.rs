//! The documentation as a whole: nothing on a page is untried, and nothing that it names is missing.
//!
//! | module | what |
//! |---|---|
//! | [`shares`] | which test takes which block |
//! | [`languages`] | what is done with blocks of each language |
//! | [`shown`] | commands of a block and what is shown of their output |
//! | [`stand_ins`] | commands that cannot be run here, why, and what is looked at instead |
//! | `coverage` | each block has a test, each test of the list is there |
//! | `links` | links, anchors, pictures and paths lead somewhere |
//! | `options` | options that a page names are options of the program |
//! | `names` | settings and variables that a page names are there |
//! | `settings` | blocks of TOML are read by the program that they are for; JSON is JSON |
//! | `pictures` | each picture is one of `tests/pictures` |
//! | `cargo_lines` | what is asked of Cargo and of scripts is there |
//! | `deployment`, `five_steps` | `proxy/docs/deployment.md`, and the README's steps from a package to a KMS key |
//! | `simulator` | `control.md`, `observation.md`, `state.md` and `accounts.md` of kms-sim |
//! | `load` | `xks-load` in `benches/README.md` and `proxy/docs/scaling.md` |

mod cargo_lines;
mod coverage;
mod deployment;
mod five_steps;
pub(crate) mod languages;
mod links;
mod load;
mod names;
mod options;
mod pictures;
mod settings;
pub(crate) mod shares;
pub(crate) mod shown;
mod simulator;
pub(crate) mod stand_ins;

use crate::page::Page;

/// What stands between single backticks, on one line, with the line of the page where it begins.
fn inline_code(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let code = prose.split('`').skip(1).step_by(2);
    code.map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

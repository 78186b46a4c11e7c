//! Pages for people, made on the server: what the console of kms-sim and the status page of the proxy have in common.
//!
//! | module | owns |
//! |---|---|
//! | `html` | templates with everything escaped that is put into them |
//! | `document` | the frame of a page: title, navigation, the parts that stay up to date |
//! | `table` | tables that are lists of cards on a phone; names and what they are |
//! | `plot` | latency and requests over time, drawn as SVG |
//! | `figures` | numbers and lengths of time as people read them |
//! | `fields` | the parameters of a query, the fields of a form |
//!
//! It knows no server, no key store and no KMS, and nothing is loaded from elsewhere.

mod document;
mod fields;
mod figures;
mod html;
mod plot;
mod table;

pub use document::{Asset, SECURITY_POLICY, Site, open_live};
pub use fields::{Fields, decoded};
pub use figures::{Count, Milliseconds, about, counted};
pub use html::{Escaped, Html, InUrl};
pub use plot::{Plots, Point, sparkline};
pub use table::{Table, fact, figure};

//! The frame of every page: title, navigation, the parts that stay up to date; and the files that pages load.

use crate::{Html, html};

/// What the pages of one program have in common.
#[derive(Clone, Copy, Debug)]
pub struct Site<'s> {
    /// The program, as titles and the top of each page name it.
    pub name: &'static str,
    /// Another text for each process: a page of another one is loaded anew.
    pub process: &'s str,
    /// What the navigation is called by those who hear it.
    pub navigation: &'static str,
    /// Paths and names; the first one is where the name of the program leads.
    pub places: &'static [(&'static str, &'static str)],
    /// Where the style sheet, the script and the icon are, in this order.
    pub assets: [&'static str; 3],
    /// How often live parts are asked for, in milliseconds.
    pub every_ms: u32,
}

impl Site<'_> {
    /// A whole document; `place` is the path of the place that it belongs to, if it belongs to one.
    pub fn document(&self, title: &str, place: &str, main: &Html, footer: &Html) -> String {
        let mut page = Html::default();
        let [look, script, icon] = self.assets;
        html!(
            page,
            "<!doctype html>\n<html lang=\"en\" data-process=\"{}\" data-name=\"{}\" data-every=\"{}\">\n<head>\n\
             <meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} · {}</title>\n",
            self.process,
            self.name,
            self.every_ms,
            title,
            self.name
        );
        html!(
            page,
            "<link rel=\"icon\" href=\"{}\">\n<link rel=\"stylesheet\" href=\"{}\">\n\
             <script src=\"{}\" defer></script>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#main\">Skip to the content</a>\n",
            icon,
            look,
            script
        );
        self.header(&mut page, place);
        html!(page, "<main id=\"main\" tabindex=\"-1\">\n");
        page.push(main);
        html!(page, "</main>\n<footer><p>");
        page.push(footer);
        html!(
            page,
            "</p></footer>\n<p id=\"announcer\" class=\"unseen\" aria-live=\"polite\"></p>\n</body>\n</html>\n"
        );
        page.into_string()
    }

    fn header(&self, page: &mut Html, place: &str) {
        let [_, _, icon] = self.assets;
        let root = self.places.first().map_or("/", |(path, _)| path);
        html!(
            page,
            "<header class=\"top\"><a class=\"brand\" href=\"{}\"><img src=\"{}\" alt=\"\" width=\"26\" \
             height=\"26\"> {}</a>\n<nav aria-label=\"{}\"><ul>",
            root,
            icon,
            self.name,
            self.navigation
        );
        for (path, name) in self.places {
            match *path == place {
                true => html!(
                    page,
                    "<li><a href=\"{}\" aria-current=\"page\">{}</a></li>",
                    path,
                    name
                ),
                false => html!(page, "<li><a href=\"{}\">{}</a></li>", path, name),
            }
        }
        // The script fills it; without one nothing is live.
        html!(page, "</ul></nav><div id=\"live\"></div></header>\n");
    }
}

/// Opens a part of a page that the script keeps up to date; the caller closes the `div`.
pub fn open_live(page: &mut Html, id: &str, class: &str) {
    html!(page, "<div data-live id=\"{}\" class=\"{}\">", id, class);
}

/// A file that pages load.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// `Content-Type`
    pub content_type: &'static str,
    /// What is in it.
    pub content: &'static str,
}

impl Asset {
    /// How pages look.
    pub const LOOK: Self = Self {
        content_type: "text/css; charset=utf-8",
        content: include_str!("look.css"),
    };
    /// What keeps the live parts of pages up to date.
    pub const SCRIPT: Self = Self {
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("live.js"),
    };

    /// An icon, drawn as SVG.
    pub const fn icon(content: &'static str) -> Self {
        Self {
            content_type: "image/svg+xml",
            content,
        }
    }
}

/// `Content-Security-Policy`: nothing but the pages' own files is loaded, and nobody frames them.
pub const SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::piece;

    const SITE: Site<'_> = Site {
        name: "a & b",
        process: "1",
        navigation: "Places",
        places: &[("/x", "First"), ("/y", "Second")],
        assets: ["/look.css", "/live.js", "/icon.svg"],
        every_ms: 1_000,
    };

    #[test]
    fn a_document_has_its_title_its_place_and_no_script_of_its_own() {
        let page = SITE.document("<Keys>", "/y", &piece!("<h1>K</h1>"), &piece!("end"));
        for part in [
            "<title>&lt;Keys&gt; · a &amp; b</title>",
            "<a href=\"/x\">First</a>",
            "<a href=\"/y\" aria-current=\"page\">Second</a>",
            "<main id=\"main\" tabindex=\"-1\">\n<h1>K</h1></main>",
        ] {
            assert!(page.contains(part), "no {part} in {page}");
        }
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("<script src=\"/live.js\" defer></script>"));
    }
}

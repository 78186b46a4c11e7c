//! Tables that are lists of cards where there is no room for columns; names and what they are; single numbers.

use std::fmt::Display;

use crate::{Html, html};

/// A table whose cells name their column where there is no room for columns.
#[derive(Debug)]
pub struct Table {
    columns: &'static [&'static str],
}

impl Table {
    /// Opens one; `caption` is for those who do not see it.
    pub fn open(page: &mut Html, caption: &str, columns: &'static [&'static str]) -> Self {
        html!(
            page,
            "<table role=\"table\"><caption class=\"unseen\">{}</caption><thead role=\"rowgroup\"><tr role=\"row\">",
            caption
        );
        for column in columns {
            html!(
                page,
                "<th role=\"columnheader\" scope=\"col\">{}</th>",
                column
            );
        }
        html!(page, "</tr></thead><tbody role=\"rowgroup\">");
        Self { columns }
    }

    /// A row; one piece for each column.
    pub fn row(&self, page: &mut Html, cells: &[Html]) {
        html!(page, "<tr role=\"row\">");
        for (column, cell) in self.columns.iter().zip(cells) {
            html!(page, "<td role=\"cell\" data-label=\"{}\"><div>", column);
            page.push(cell);
            html!(page, "</div></td>");
        }
        html!(page, "</tr>");
    }

    /// Closes it.
    pub fn close(self, page: &mut Html) {
        html!(page, "</tbody></table>");
    }
}

/// A name and what it is, in a list of such.
pub fn fact(page: &mut Html, name: &str, value: &Html) {
    html!(page, "<div><dt>{}</dt><dd>", name);
    page.push(value);
    html!(page, "</dd></div>");
}

/// A number and what it counts, in a list of such: `<ul class="figures">`.
pub fn figure(page: &mut Html, number: impl Display, what: &str, class: &str) {
    html!(
        page,
        "<li class=\"{}\"><b>{}</b> {}</li>",
        class,
        number,
        what
    );
}

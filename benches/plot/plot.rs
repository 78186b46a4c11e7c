//! Plots as SVG, for the report of `xks-load` and for the figures of `compare`. How the classes look is said by whoever shows
//! them: `line1` to `line4`, `grid`, and `x` and `y` for the texts of the axes.

/// Name, class, points.
pub(crate) type Line<'a> = (&'a str, &'a str, Vec<(f64, f64)>);

/// Lines over a width, which begins at 0, with these marks below.
pub(crate) fn plot(unit: &str, lines: &[Line<'_>], width: f64, ticks: &[(f64, String)]) -> String {
    let highest = lines
        .iter()
        .flat_map(|(_, _, points)| points)
        .map(|(_, y)| *y)
        .fold(0.0, f64::max);
    let top = nice(highest);
    let x = |value: f64| LEFT + (RIGHT - LEFT) * value / width;
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * value / top;
    let names: Vec<_> = lines.iter().map(|(name, _, _)| *name).collect();
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 720 240' role='img' aria-label='{} in {}, at most {}'>",
        escaped(&names.join(" and ")),
        escaped(unit),
        short(highest)
    );
    for line in 0..=4 {
        let value = top * f64::from(line) / 4.0;
        svg.push_str(&format!("<line class='grid' x1='{LEFT}' x2='{RIGHT}' y1='{0:.1}' y2='{0:.1}' /><text x='{1}' y='{2:.1}' class='y'>{3}</text>",
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            short(value)
        ));
    }
    svg.push_str(&format!("<text x='{LEFT}' y='14'>{}</text>", escaped(unit)));
    for (value, label) in ticks {
        svg.push_str(&format!(
            "<text x='{:.1}' y='{}' class='x'>{}</text>",
            x(*value),
            BOTTOM + 18.0,
            escaped(label)
        ));
    }
    for (index, (name, class, points)) in lines.iter().enumerate() {
        let path: Vec<_> = points
            .iter()
            .map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py)))
            .collect();
        svg.push_str(&format!(
            "<polyline class='{class}' points='{}' />",
            path.join(" ")
        ));
        if lines.len() > 1 {
            let right = RIGHT - 80.0 * index as f64;
            svg.push_str(&format!(
                "<text x='{right:.1}' y='14' class='y {class}'>{}</text>",
                escaped(name)
            ));
        }
    }
    svg + "</svg>\n"
}

/// The next of 1, 2, 5 times a power of ten.
pub(crate) fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= value);
    factor.unwrap_or(10.0) * power
}

fn short(value: f64) -> String {
    match value {
        _ if value >= 10_000.0 => format!("{:.0}k", value / 1e3),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 1.0 => format!("{:.1}", value).trim_end_matches(".0").to_owned(),
        _ if value == 0.0 => "0".into(),
        _ => format!("{value:.2}"),
    }
}

/// A text that cannot become part of the markup.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

const LEFT: f64 = 56.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 210.0;

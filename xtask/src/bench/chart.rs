//! Bar charts as SVG: one picture a row of the scoreboard, one panel a figure, one bar a server.

use super::report::short;
use std::fmt::Write as _;

/// One figure of one row, for every server that has it.
pub struct Panel {
    /// What is shown, with its unit.
    pub title: String,
    /// Server and value.
    pub bars: Vec<(&'static str, f64)>,
}

const WIDTH: f64 = 760.0;
const LABELS: f64 = 130.0;
const VALUES: f64 = 80.0;
const BAR: f64 = 16.0;
const GAP: f64 = 5.0;
const TITLE: f64 = 34.0;

/// The picture.
pub fn svg(title: &str, panels: &[Panel]) -> String {
    let panel_height = |panel: &Panel| TITLE + panel.bars.len() as f64 * (BAR + GAP);
    let height = 40.0 + panels.iter().map(panel_height).sum::<f64>() + 10.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"16\">{}</text>\n",
        escaped(title)
    );
    let mut y = 40.0;
    for panel in panels {
        let _ = writeln!(
            out,
            "<text x=\"10\" y=\"{:.0}\" fill=\"#444\">{}</text>",
            y + 20.0,
            escaped(&panel.title)
        );
        y += TITLE - 6.0;
        let most = panel.bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        for (server, value) in &panel.bars {
            let width = (value / most * (WIDTH - LABELS - VALUES)).max(1.0);
            let fill = if server.starts_with("Kolk") { "#1f6f8b" } else { "#b8b8b8" };
            let text = y + BAR - 4.0;
            let _ = writeln!(
                out,
                "<text x=\"{:.0}\" y=\"{text:.0}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LABELS}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{fill}\"/>\
                 <text x=\"{:.1}\" y=\"{text:.0}\">{}</text>",
                LABELS - 6.0,
                escaped(server),
                LABELS + width + 5.0,
                short(*value)
            );
            y += BAR + GAP;
        }
        y += 6.0;
    }
    out.push_str("</svg>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_is_the_greatest_value() {
        let panel = Panel { title: "a < b".to_owned(), bars: vec![("Kolk", 10.0), ("Kafka", 5.0)] };
        let picture = svg("title", &[panel]);
        let widths: Vec<f64> = picture
            .split(" width=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next()?.parse().ok())
            .collect();
        assert_eq!(widths, [550.0, 275.0]);
        assert!(picture.contains("a &lt; b") && picture.ends_with("</svg>\n"));
        assert_eq!(picture.matches('<').count(), picture.matches('>').count());
    }
}

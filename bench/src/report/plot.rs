//! The plot: ns per frame against the length of the list.

use std::fmt::Write as _;

use crate::{
    cases::{SIZES, Situation, short},
    frame::Family,
    packets::Contender,
    results::Results,
};

/// One line of a panel.
struct Line {
    situation: Situation,
    contender: Contender,
    label: &'static str,
    style: &'static str,
}

const LINES: [Line; 4] = [
    Line {
        situation: Situation::Unlisted,
        contender: Contender::Reference,
        label: "LPM_TRIE, dropped",
        style: "stroke:#b0492b;stroke-dasharray:5 3",
    },
    Line {
        situation: Situation::Listed,
        contender: Contender::Reference,
        label: "LPM_TRIE, passed",
        style: "stroke:#b0492b",
    },
    Line {
        situation: Situation::Unlisted,
        contender: Contender::Portcullis,
        label: "Portcullis, dropped",
        style: "stroke:#1f5f8b;stroke-dasharray:5 3",
    },
    Line {
        situation: Situation::Listed,
        contender: Contender::Portcullis,
        label: "Portcullis, passed",
        style: "stroke:#1f5f8b",
    },
];

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 34.0;
const PLOT_WIDTH: f64 = WIDTH - LEFT - 16.0;
const PLOT_HEIGHT: f64 = HEIGHT - TOP - 46.0;
const LEGEND: f64 = 26.0;

/// Draws one panel for each family, with the same scale.
pub fn svg(results: &Results) -> String {
    let all =
        Family::ALL.into_iter().flat_map(|family| LINES.iter().flat_map(move |line| points(results, family, line)));
    let top = scale(all.map(|(_, ns)| ns).fold(0.0, f64::max));
    let (width, height) = (2.0 * WIDTH, HEIGHT + LEGEND);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Nanoseconds per frame above a bare XDP_DROP, by prefixes in the list</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (number, family) in Family::ALL.into_iter().enumerate() {
        panel(&mut text, results, family, number as f64 * WIDTH, top);
    }
    for (number, line) in LINES.iter().enumerate() {
        let (x, y) = (LEFT + 195.0 * number as f64, HEIGHT + 8.0);
        put(&mut text, format_args!("<path d=\"M{x} {y}h28\" style=\"{};stroke-width:2\"/>", line.style));
        put(&mut text, format_args!("<text x=\"{}\" y=\"{}\">{}</text>", x + 34.0, y + 4.0, line.label));
    }
    text.push_str("</svg>\n");
    text
}

fn panel(text: &mut String, results: &Results, family: Family, left: f64, top: f64) {
    let x = |prefixes: usize| {
        let (least, most) = (SIZES.first().copied().unwrap_or(1), SIZES.last().copied().unwrap_or(1));
        let share = (prefixes as f64 / least as f64).ln() / (most as f64 / least as f64).ln();
        left + LEFT + share * PLOT_WIDTH
    };
    let y = |ns: f64| TOP + PLOT_HEIGHT * (1.0 - ns / top);
    let centre = left + LEFT + PLOT_WIDTH / 2.0;
    let name = family.name().trim_start_matches('v');
    let title = format!("IPv{name}: ns per frame above a bare XDP_DROP");
    put(text, format_args!("<text x=\"{centre}\" y=\"18\" text-anchor=\"middle\">{title}</text>"));
    for step in 0..=4 {
        let ns = top * f64::from(step) / 4.0;
        let (from, at) = (left + LEFT, y(ns));
        put(text, format_args!("<path d=\"M{from} {at:.1}h{PLOT_WIDTH}\" stroke=\"#ddd\"/>"));
        let (right, base) = (from - 6.0, at + 4.0);
        put(text, format_args!("<text x=\"{right}\" y=\"{base:.1}\" text-anchor=\"end\">{ns:.0}</text>"));
    }
    for prefixes in SIZES {
        let (at, base) = (x(prefixes), TOP + PLOT_HEIGHT + 17.0);
        put(text, format_args!("<text x=\"{at:.1}\" y=\"{base}\" text-anchor=\"middle\">{}</text>", short(prefixes)));
    }
    let base = TOP + PLOT_HEIGHT + 34.0;
    put(text, format_args!("<text x=\"{centre}\" y=\"{base}\" text-anchor=\"middle\">prefixes in the list</text>"));
    for line in &LINES {
        let points = points(results, family, line);
        let path: Vec<_> = points.iter().map(|(prefixes, ns)| format!("{:.1} {:.1}", x(*prefixes), y(*ns))).collect();
        if path.is_empty() {
            continue;
        }
        let d = path.join("L");
        put(text, format_args!("<path d=\"M{d}\" fill=\"none\" style=\"{};stroke-width:2\"/>", line.style));
        for (prefixes, ns) in points {
            let (at, height) = (x(prefixes), y(ns));
            put(
                text,
                format_args!(
                    "<circle cx=\"{at:.1}\" cy=\"{height:.1}\" r=\"3\" fill=\"#fff\" style=\"{}\"/>",
                    line.style
                ),
            );
        }
    }
}

/// Length of the list, ns; ascending.
fn points(results: &Results, family: Family, line: &Line) -> Vec<(usize, f64)> {
    let of_line =
        results.packets.iter().filter(|one| one.case.family == family && one.case.situation == line.situation);
    let mut points: Vec<_> =
        of_line.filter_map(|one| Some((one.case.prefixes, one.net(line.contender)?.max(0.0)))).collect();
    points.sort_by_key(|(prefixes, _)| *prefixes);
    points
}

/// A round number at the top of the axis: 1, 2 or 4 times a power of ten.
fn scale(most: f64) -> f64 {
    let mut top = 10.0;
    while top < most {
        let next = [top * 2.0, top * 4.0].into_iter().find(|next| *next >= most);
        if let Some(next) = next {
            return next;
        }
        top *= 10.0;
    }
    top
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_a_round_number_above_all() {
        assert_eq!([7.0, 15.0, 21.0, 99.0, 100.0, 1600.0].map(scale), [10.0, 20.0, 40.0, 100.0, 100.0, 2000.0]);
    }
}

//! A card as a badge: an SVG picture for a README.

use super::card::Card;
use super::scenario::Class;
use std::fmt::Write as _;

/// Width of a letter of the badge's font, about, in pixels.
const LETTER: usize = 7;
/// Beside each text, in pixels.
const MARGIN: usize = 12;

/// The badge: the share of points, green; red where a check for safety was not met.
#[must_use]
pub fn badge(card: &Card) -> String {
    let (total, safety) = (card.total(), card.class(Class::Safety));
    let label = format!("rehearsal score: {}", card.client.name);
    let (value, colour) = if safety.met < safety.judged {
        (format!("{:.0} %, unsafe", total.percent()), "#c0392b")
    } else if total.percent() >= 90.0 {
        (format!("{:.0} %, safe", total.percent()), "#2e8b57")
    } else {
        (format!("{:.0} %, safe", total.percent()), "#b8860b")
    };
    draw(&label, &value, colour)
}

fn draw(label: &str, value: &str, colour: &str) -> String {
    let width = |text: &str| text.chars().count() * LETTER + MARGIN;
    let (left, right) = (width(label), width(value));
    let all = left + right;
    let (label, value) = (super::report::escaped(label), super::report::escaped(value));
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all}\" height=\"20\" role=\"img\" aria-label=\"{label}: {value}\">"
    );
    let _ = writeln!(out, "  <title>{label}: {value}</title>");
    let _ = writeln!(out, "  <rect width=\"{left}\" height=\"20\" fill=\"#444\"/>");
    let _ = writeln!(out, "  <rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{colour}\"/>");
    let _ = writeln!(
        out,
        "  <g fill=\"#fff\" font-family=\"Verdana,Geneva,sans-serif\" font-size=\"11\" text-anchor=\"middle\">"
    );
    let _ = writeln!(out, "    <text x=\"{}\" y=\"14\">{label}</text>", left / 2);
    let _ = writeln!(out, "    <text x=\"{}\" y=\"14\">{value}</text>", left + right / 2);
    out.push_str("  </g>\n</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::super::card::tests::{card, judged, scenario};
    use super::super::scenario::Group;
    use super::super::verdict::Verdict;
    use super::*;

    #[test]
    fn a_badge_has_the_share_and_says_what_is_not_safe() {
        let of = |verdict| {
            let checks = vec![judged("a", Class::Liveness, Verdict::Pass), judged("b", Class::Safety, verdict)];
            badge(&card(vec![scenario("s", Group::Watches, checks)]))
        };
        assert!(of(Verdict::Pass).contains("100 %, safe"));
        assert!(of(Verdict::Fail).contains("0 %, unsafe"));
    }

    #[test]
    fn names_are_escaped() {
        let mut card = card(Vec::new());
        card.client.name = "<c&d>".into();
        assert!(badge(&card).contains("score: &lt;c&amp;d&gt;<"));
    }
}

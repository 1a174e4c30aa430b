//! The page: one HTML file with everything in it, that asks nobody for anything.
//!
//! `page.html` holds markup, style and script; the time line goes into it as JSON, or the page fetches it from the
//! server that sent it. It never becomes markup: the script writes text nodes only.

use super::timeline::Timeline;

const PAGE: &str = include_str!("page.html");
const PLACE: &str = "/*TIMELINE*/null";

/// The page with a time line in it.
#[must_use]
pub fn page(timeline: &Timeline) -> String {
    // `</script>` in a recorded body would end the script; `<` is the only character that can do that.
    PAGE.replacen(PLACE, &timeline.to_json().replace('<', "\\u003c"), 1)
}

/// The page for a running server: fetches `v1/timeline` beside itself, again and again.
#[must_use]
pub fn live_page() -> &'static str {
    PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_cannot_end_the_script() {
        let timeline = Timeline { name: "</script><script>alert(1)".into(), ..Timeline::default() };
        let page = page(&timeline);
        assert!(!page.contains("</script><script>alert"));
        assert!(page.contains(r"\u003c/script>\u003cscript>alert(1)"));
    }

    #[test]
    fn the_page_asks_nobody_for_anything() {
        for outside in ["http://", "https://", "//cdn", "@import", "<link", "src="] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
        assert_eq!(PAGE.matches(PLACE).count(), 1);
    }
}

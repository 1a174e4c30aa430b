//! Our own client's score card: full marks in safety, and nothing lost beyond what client-go's rules cost.
//!
//! The adapter is an example of this package, which a build of the tests brings along.

use rehearsal::score::{Card, Class, Profile, Suite, play};
use std::ffi::OsString;
use std::path::PathBuf;

/// `target/<profile>/examples/score_adapter`, beside the folder of this test.
fn adapter() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let path = deps.parent().unwrap().join("examples/score_adapter");
    assert!(path.exists(), "{} is not there: cargo build --example score_adapter", path.display());
    path
}

async fn card(flags: &[&str]) -> Card {
    let command = std::iter::once(adapter().into_os_string()).chain(flags.iter().map(OsString::from)).collect();
    let suite = Suite { profile: Profile::Short, only: Vec::new(), jobs: 12, command, show_stderr: true };
    play(&suite, |_| {}).await.unwrap()
}

fn failures(card: &Card) -> Vec<String> {
    let each = card.scenarios.iter().flat_map(|s| s.failures().map(move |c| format!("{}/{}", s.id, c.id)));
    each.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_is_safe_and_loses_points_only_where_client_go_does() {
    let card = card(&[]).await;
    let safety = card.class(Class::Safety);
    assert!(safety.judged > 30 && safety.met == safety.judged, "{:?}", failures(&card));
    let known = [
        // Flat waits, and a busy loop where the server says zero.
        "throttled-fleet/scatters",
        "retry-after-zero/no-hot-loop",
        // A write is repeated when it is told to come back, and nobody says that its outcome is unknown.
        "told-back-create/no-duplicate",
        "told-back-named/does-not-blame-itself",
        "lost-answer-reset/tells-that-it-cannot-know",
        "hanging-create/tells-that-it-cannot-know",
        // A 401 is given back, and a token file is read once a minute.
        "plugin-renewal/repeats-itself",
        "token-file/recovers",
        "token-file/repeats-itself",
    ];
    let unknown: Vec<_> = failures(&card).into_iter().filter(|f| !known.contains(&f.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_improvement_it_has_full_marks() {
    let card = card(&["--improved"]).await;
    assert!(failures(&card).is_empty(), "{:?}", failures(&card));
    assert_eq!(card.total().earned, card.total().possible);
}

//! The subscriber behind `tracing`: to stderr, `-v` for more, `RUST_LOG` for anything else.

use tracing_subscriber::EnvFilter;

/// Starts logging. 0 shows warnings, 1 lifecycle, 2 debugging, 3 everything of ours.
pub(crate) fn start(verbosity: u8, access_log: bool) {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let mut default = format!("warn,rehearsal={level},rehearsal_fakeserver={level},fakeserver={level}");
    if access_log {
        default.push_str(",fakeserver::access=info");
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let started = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    // A library user may have a subscriber already; theirs stays.
    drop(started);
}

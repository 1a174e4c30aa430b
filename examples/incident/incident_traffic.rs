//! What others did on the day of the incident: apps come and change, and beside them much that has nothing to do with it.

mod traffic;

use rehearsal::client::{Config, Qps};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config { qps: Qps(-1.0), ..Config::infer()? };
    Ok(traffic::run(&config).await?)
}

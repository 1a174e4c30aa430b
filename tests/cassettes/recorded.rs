//! A cluster that `rehearsal record` stands in front of.

use crate::process::Rehearsal;
use rehearsal::{Cluster, Controllers};
use std::path::PathBuf;

/// The cluster, and a directory with its kubeconfig (`real`) and the tape (`x.tape.yaml`).
pub(crate) struct Server {
    pub(crate) cluster: Cluster,
    dir: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::builder().controllers(Controllers::none()).tls(true).start().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("real"), cluster.kubeconfig().unwrap()).unwrap();
        Self { cluster, dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn record(&self, more: &[&str]) -> Rehearsal {
        let (real, tape) = (self.path("real").display().to_string(), self.path("x.tape.yaml").display().to_string());
        let args = ["record", "--kubeconfig", &real, "-o", &tape];
        Rehearsal::start(args.iter().copied().chain(more.iter().copied()))
    }
}

/// Runs to the end: exit code, standard output, standard error.
pub(crate) async fn outcome(process: Rehearsal) -> (Option<i32>, String, String) {
    let (status, out, err) = tokio::task::spawn_blocking(|| process.end()).await.unwrap();
    (status.code(), out.join("\n"), err.join("\n"))
}

//! Pods as streams: running a command, attaching to one, forwarding ports, following logs.
//!
//! Counterparts: client-go `tools/remotecommand`, `tools/portforward` and `util/websocket`. Everything but logs speaks
//! WebSocket; SPDY, which client-go falls back to for servers before 1.29, is not here: such servers are offered the older
//! WebSocket protocol instead. These requests are neither throttled nor retried, as in client-go.

mod channel;
mod connect;
mod listen;
mod log_options;
mod options;
mod port_forward;
mod remote_command;

pub use channel::{ChannelReader, ChannelWriter};
pub use listen::{ForwardedPort, PortSpec};
pub use log_options::PodLogOptions;
pub use options::{PodAttachOptions, PodExecOptions, PodPortForwardOptions};
pub use port_forward::{PortForward, PortStream};
pub use remote_command::{ExitCode, RemoteCommand, Resizer, TerminalSize};

use crate::error::Error;
use crate::rest::{ByteStream, QueryParams, Request, RestClient};
use rehearsal_apimachinery::GroupVersion;
use std::time::Duration;

/// Exit codes cannot be told without this version, half-closed input not without `v5`.
const COMMAND_PROTOCOLS: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// The one WebSocket protocol of port forwarding that needs no SPDY inside.
const FORWARD_PROTOCOLS: &[&str] = &["v4.channel.k8s.io"];

/// A GET of a pod's subresource. `client` may be for any group. Streams outlive the configuration's timeout.
fn of_pod(client: &RestClient, namespace: &str, pod: &str, subresource: &str, options: &impl QueryParams) -> Request {
    client
        .group_version(GroupVersion::new("", "v1"))
        .get()
        .namespace(namespace)
        .resource("pods")
        .name(pod)
        .subresource(&[subresource])
        // What the client speaks otherwise says nothing about a stream.
        .header("accept", "application/json, */*")
        .params(options)
        .timeout(Duration::ZERO)
}

/// Runs a command in a container of a pod.
///
/// # Errors
/// The server's refusal as a status; an answer that does not switch protocols; a connection that cannot be made.
pub async fn exec(
    client: &RestClient,
    namespace: &str,
    pod: &str,
    options: &PodExecOptions,
) -> Result<RemoteCommand, Error> {
    let (socket, protocol) = of_pod(client, namespace, pod, "exec", options).upgrade(COMMAND_PROTOCOLS).await?;
    Ok(RemoteCommand::start(socket, &protocol, options.streams()))
}

/// Joins the streams of a container's main process.
///
/// # Errors
/// As [`exec`].
pub async fn attach(
    client: &RestClient,
    namespace: &str,
    pod: &str,
    options: &PodAttachOptions,
) -> Result<RemoteCommand, Error> {
    let (socket, protocol) = of_pod(client, namespace, pod, "attach", options).upgrade(COMMAND_PROTOCOLS).await?;
    Ok(RemoteCommand::start(socket, &protocol, options.streams()))
}

/// Connects to ports of a pod, one stream a port; a port that is needed twice takes two calls.
///
/// # Errors
/// As [`exec`], and when no port is named.
pub async fn port_forward(
    client: &RestClient,
    namespace: &str,
    pod: &str,
    options: &PodPortForwardOptions,
) -> Result<PortForward, Error> {
    if options.ports.is_empty() {
        return Err(Error::Request("at least one port is required to forward".into()));
    }
    let request = of_pod(client, namespace, pod, "portforward", options);
    let (socket, _) = request.upgrade(FORWARD_PROTOCOLS).await?;
    Ok(PortForward::start(socket, &options.ports))
}

/// Reads a container's log; with `follow` the stream goes on until the container ends. [`ByteStream::lines`] cuts it.
///
/// # Errors
/// The server's refusal, or that no answer arrives.
pub async fn logs(
    client: &RestClient,
    namespace: &str,
    pod: &str,
    options: &PodLogOptions,
) -> Result<ByteStream, Error> {
    of_pod(client, namespace, pod, "log", options).stream().await
}

//! Pods as streams: commands, attached processes, forwarded ports.
//!
//! Counterpart: client-go has no typed methods for these; its callers build the request and hand it to `remotecommand` or
//! `portforward`. How they travel is in `stream/`.

use super::TypedResource;
use crate::error::Error;
use crate::stream::{
    ForwardedPort, PodAttachOptions, PodExecOptions, PodPortForwardOptions, PortForward, PortSpec, RemoteCommand,
    attach, exec, port_forward,
};
use k8s_openapi::api::core::v1::Pod;

impl TypedResource<Pod> {
    /// The namespace; a pod of all of them is none.
    fn one_namespace(&self) -> Result<&str, Error> {
        match self.namespace() {
            "" => Err(Error::Request("an empty namespace may not be set when a resource name is provided".into())),
            namespace => Ok(namespace),
        }
    }

    /// Runs a command in a container. See [`exec`].
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving; a handle without a namespace.
    pub async fn exec(&self, name: &str, options: &PodExecOptions) -> Result<RemoteCommand, Error> {
        exec(self.rest_client(), self.one_namespace()?, name, options).await
    }

    /// Joins the streams of a container's main process. See [`attach`].
    ///
    /// # Errors
    /// As [`TypedResource::exec`].
    pub async fn attach(&self, name: &str, options: &PodAttachOptions) -> Result<RemoteCommand, Error> {
        attach(self.rest_client(), self.one_namespace()?, name, options).await
    }

    /// Connects to ports of a pod. See [`port_forward`].
    ///
    /// # Errors
    /// As [`TypedResource::exec`].
    pub async fn port_forward(&self, name: &str, options: &PodPortForwardOptions) -> Result<PortForward, Error> {
        port_forward(self.rest_client(), self.one_namespace()?, name, options).await
    }

    /// Listens on a local port that leads to one of a pod. See [`ForwardedPort::listen`].
    ///
    /// # Errors
    /// When the local port cannot be listened on; a handle without a namespace.
    pub async fn listen(&self, name: &str, spec: PortSpec) -> Result<ForwardedPort, Error> {
        ForwardedPort::listen(self.rest_client(), self.one_namespace()?, name, spec).await
    }
}

//! Turning a request into a WebSocket: the HTTP/1.1 handshake, over the client's own credentials, proxies and TLS.
//!
//! Counterpart: client-go `transport/websocket`. What travels afterwards is none of its business.

use crate::error::{Error, TransportError, TransportKind};
use crate::rest::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rand::Rng as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A WebSocket that has shaken hands.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

impl Request {
    /// Asks to switch to one of the protocols, and gives the socket with the one that the server chose.
    pub(super) async fn upgrade(self, protocols: &[&str]) -> Result<(Socket, String), Error> {
        let nonce: [u8; 16] = self.client.shared.chance.lock().random();
        let key = STANDARD.encode(nonce);
        let request = self
            .header(CONNECTION.as_str(), "Upgrade")
            .header(UPGRADE.as_str(), "websocket")
            .header(SEC_WEBSOCKET_VERSION.as_str(), "13")
            .header(SEC_WEBSOCKET_KEY.as_str(), &key)
            .header(SEC_WEBSOCKET_PROTOCOL.as_str(), &protocols.join(", "));
        let mut response = request.send_once().await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(request.refusal(response).await);
        }
        let fault = |source| Error::Transport { action: request.action(), source };
        let protocol = agreed(response.headers(), &key, protocols).map_err(fault)?;
        let upgraded = hyper::upgrade::on(&mut response)
            .await
            .map_err(|e| fault(TransportError::with_source(TransportKind::Upgrade, e)))?;
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
        Ok((socket, protocol))
    }
}

/// The protocol that the answer names, if the answer is one to this request.
fn agreed(headers: &HeaderMap, key: &str, protocols: &[&str]) -> Result<String, TransportError> {
    let bad = |text: String| Err(TransportError::new(TransportKind::Upgrade, text));
    let said = |name: &HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().trim();
    if !said(&UPGRADE).eq_ignore_ascii_case("websocket") {
        return bad(format!("the server switched to {:?} instead of websocket", said(&UPGRADE)));
    }
    if said(&SEC_WEBSOCKET_ACCEPT) != derive_accept_key(key.as_bytes()) {
        return bad("the server's answer belongs to another WebSocket handshake".into());
    }
    let chosen = said(&SEC_WEBSOCKET_PROTOCOL);
    if !protocols.contains(&chosen) {
        return bad(format!("the server chose the protocol {chosen:?} of {protocols:?}"));
    }
    Ok(chosen.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(upgrade: &str, accept: &str, protocol: &str) -> Result<String, TransportError> {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, upgrade.parse().unwrap());
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept.parse().unwrap());
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol.parse().unwrap());
        agreed(&headers, "dGhlIHNhbXBsZSBub25jZQ==", &["v5.channel.k8s.io", "v4.channel.k8s.io"])
    }

    #[test]
    fn an_answer_must_fit_the_request() {
        const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(answer("WebSocket", ACCEPT, "v4.channel.k8s.io").unwrap(), "v4.channel.k8s.io");
        for error in [
            answer("SPDY/3.1", ACCEPT, "v4.channel.k8s.io"),
            answer("websocket", "other", "v4.channel.k8s.io"),
            answer("websocket", ACCEPT, "channel.k8s.io"),
            answer("websocket", ACCEPT, ""),
        ] {
            assert_eq!(error.unwrap_err().kind(), TransportKind::Upgrade);
        }
    }
}

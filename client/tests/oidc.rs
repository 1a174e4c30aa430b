//! The `oidc` auth provider against a scripted issuer: tokens that are good, tokens that are renewed, and files.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use rehearsal_client::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::tls::{Authority, TlsPeer};
use support::{Act, Peer, answer, json};

fn jwt(expires: u64, name: &str) -> String {
    format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{expires},"sub":"{name}"}}"#)))
}

const FAR: u64 = 99_999_999_999;

/// An issuer that gives a new token, and a new refresh token where one is named.
async fn issuer(id_token: Option<String>, refresh: Option<&'static str>, basic: bool) -> Peer {
    let address: Arc<Mutex<String>> = Arc::default();
    let known = address.clone();
    let refused = Mutex::new(!basic);
    let peer = Peer::by_path(move |path| match path {
        "/base/.well-known/openid-configuration" => {
            json(200, &format!(r#"{{"token_endpoint":"http://{}/token"}}"#, known.lock()))
        }
        "/token" if std::mem::take(&mut *refused.lock()) => json(401, r#"{"error":"invalid_client"}"#),
        "/token" => {
            let id = id_token.as_ref().map(|t| format!(r#""id_token":"{t}","#)).unwrap_or_default();
            let refresh = refresh.map(|t| format!(r#""refresh_token":"{t}","#)).unwrap_or_default();
            json(200, &format!(r#"{{{id}{refresh}"access_token":"a","token_type":"Bearer"}}"#))
        }
        _ => answer(404, &[], ""),
    })
    .await;
    address.lock().clone_from(&peer.address);
    peer
}

fn write_kubeconfig(dir: &Path, server: &TlsPeer, issuer: &str, id_token: &str) -> PathBuf {
    let file = dir.join("config");
    let ca = base64::engine::general_purpose::STANDARD.encode(&server.authority.pem);
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'https://{}', certificate-authority-data: {ca}}}}}]\n\
         users:\n- name: u\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        \
         idp-issuer-url: {issuer}\n        client-id: me\n        client-secret: p&ss\n        \
         id-token: {id_token}\n        refresh-token: old\n        odd: kept\n",
        server.address
    );
    std::fs::write(&file, text).unwrap();
    file
}

fn load(file: &Path) -> Config {
    let (client, error) = ClientConfig::load(&LoadingRules::explicit(file.to_str().unwrap()));
    assert_eq!(error, None);
    client.client_config().unwrap()
}

/// The tokens that a server saw.
async fn ask(config: &Config, times: usize) -> Vec<Result<(), Error>> {
    let client = RestClient::unversioned(config).unwrap();
    let mut results = Vec::new();
    for _ in 0..times {
        results.push(client.get().abs_path(&["/x"]).send().await.map(drop));
    }
    results
}

#[tokio::test]
async fn a_token_that_is_good_is_used_without_asking_the_issuer() {
    let server = TlsPeer::start("127.0.0.1").await;
    let dir = tempfile::tempdir().unwrap();
    let token = jwt(FAR, "ann");
    let file = write_kubeconfig(dir.path(), &server, "http://127.0.0.1:1", &token);
    assert!(ask(&load(&file), 2).await.iter().all(Result::is_ok));
    assert_eq!(server.tokens(), [Some(format!("Bearer {token}")), Some(format!("Bearer {token}"))]);
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_and_written_back() {
    let server = TlsPeer::start("127.0.0.1").await;
    let dir = tempfile::tempdir().unwrap();
    let new = jwt(FAR, "new");
    let issuer = issuer(Some(new.clone()), Some("newer"), true).await;
    let url = format!("http://{}/base/", issuer.address);
    let file = write_kubeconfig(dir.path(), &server, &url, &jwt(1, "old"));
    let config = load(&file);
    assert!(ask(&config, 2).await.iter().all(Result::is_ok));
    assert!(ask(&config.clone(), 1).await.iter().all(Result::is_ok), "clones share the tokens");
    assert!(server.tokens().iter().all(|t| t.as_deref() == Some(format!("Bearer {new}").as_str())));
    let asked = issuer.received();
    assert_eq!(asked.len(), 2, "one discovery, one refresh");
    assert_eq!(String::from_utf8_lossy(&asked[1].body), "grant_type=refresh_token&refresh_token=old");
    assert_eq!(asked[1].header("authorization"), Some("Basic bWU6cCUyNnNz"), "the secret is escaped");
    let written = Kubeconfig::read(&file).unwrap();
    let entry = written.users["u"].auth_provider.clone().unwrap();
    let said = |name: &str| entry.config[name].expose().to_owned();
    assert_eq!((said("id-token"), said("refresh-token"), said("odd")), (new, "newer".into(), "kept".into()));
}

#[tokio::test]
async fn an_issuer_that_wants_the_client_in_the_form_gets_it_there() {
    let server = TlsPeer::start("127.0.0.1").await;
    let dir = tempfile::tempdir().unwrap();
    let issuer = issuer(Some(jwt(FAR, "new")), None, false).await;
    let url = format!("http://{}/base", issuer.address);
    let file = write_kubeconfig(dir.path(), &server, &url, &jwt(1, "old"));
    assert!(ask(&load(&file), 1).await[0].is_ok());
    let last = issuer.received().pop().unwrap();
    assert_eq!(last.header("authorization"), None);
    assert_eq!(
        String::from_utf8_lossy(&last.body),
        "client_id=me&client_secret=p%26ss&grant_type=refresh_token&refresh_token=old"
    );
    let entry = Kubeconfig::read(&file).unwrap().users["u"].auth_provider.clone().unwrap();
    assert_eq!(entry.config["refresh-token"].expose(), "old", "kept where the issuer gives no other");
}

#[tokio::test]
async fn what_cannot_be_renewed_is_an_error_before_anything_is_sent() {
    let server = TlsPeer::start("127.0.0.1").await;
    let dir = tempfile::tempdir().unwrap();
    let without_id = issuer(None, None, true).await;
    let silent = Peer::start([Act::Close]).await;
    for (url, words) in [
        (format!("http://{}/base", without_id.address), "did not contain an id_token"),
        (format!("http://{}/other", without_id.address), "answered 404"),
        (format!("http://{}", silent.address), "discovery"),
    ] {
        let file = write_kubeconfig(dir.path(), &server, &url, &jwt(1, "old"));
        let error = ask(&load(&file), 1).await.pop().unwrap().unwrap_err();
        assert_eq!(error.transport().unwrap().kind(), TransportKind::Credentials);
        assert!(error.to_string().contains(words), "{error}");
    }
    let mut alone = load(&write_kubeconfig(dir.path(), &server, "http://127.0.0.1:1", &jwt(1, "old")));
    alone.auth_provider.as_mut().unwrap().entry.config.remove("refresh-token");
    let error = ask(&alone, 1).await.pop().unwrap().unwrap_err();
    assert!(error.to_string().contains("cannot refresh without refresh-token"), "{error}");
    assert!(server.tokens().is_empty());
}

#[tokio::test]
async fn an_issuer_is_trusted_by_its_own_authority() {
    let server = TlsPeer::start("127.0.0.1").await;
    let issuer = TlsPeer::start("127.0.0.1").await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("https://{}", issuer.address);
    let file = write_kubeconfig(dir.path(), &server, &url, &jwt(1, "old"));
    let mut config = load(&file);
    let encode = |pem: &str| Secret::from(base64::engine::general_purpose::STANDARD.encode(pem));
    for (pem, words) in [(issuer.authority.pem.clone(), "no token_endpoint"), (Authority::new().pem, "certificate")] {
        let entry = &mut config.auth_provider.as_mut().unwrap().entry;
        entry.config.insert("idp-certificate-authority-data".into(), encode(&pem));
        let error = ask(&config, 1).await.pop().unwrap().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

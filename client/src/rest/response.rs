//! Reading an answer: when it is an error, which one, and how a body becomes a value.
//!
//! Counterpart: `transformResponse` and `Result` of client-go `rest/request.go`, and `NewGenericServerResponse`.

use super::codec::{json, media_type};
use super::head::Head;
use super::{Codecs, MEDIA_JSON, Warning};
use crate::error::{CAUSE_UNEXPECTED_SERVER_RESPONSE, DecodeError, Error, StatusError};
use bytes::Bytes;
use http::{Method, StatusCode};
use rehearsal_apimachinery::status::{Outcome, StatusDetails};
use rehearsal_apimachinery::{GroupResource, Status, StatusReason};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Text of an error body that is kept. (client-go `maxUnstructuredResponseTextBytes`)
const MAX_TEXT: usize = 2048;

/// A type that knows which kind of object it is read from.
pub trait ObjectKind: DeserializeOwned {
    /// `apiVersion` of the object.
    const API_VERSION: &'static str;
    /// `kind` of the object.
    const KIND: &'static str;
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct RestResponse {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) codecs: Codecs,
    /// The error made from the status code alone.
    pub(crate) generic: Option<Box<StatusError>>,
    /// Whether it is the failure of a write that may have taken place, and the client tells.
    pub(crate) unknown: bool,
}

impl RestResponse {
    /// HTTP status.
    #[must_use]
    pub fn status_code(&self) -> StatusCode {
        self.status
    }

    /// Media type of the body; the client's own when the server named none.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// Whether the answer was 201.
    #[must_use]
    pub fn was_created(&self) -> bool {
        self.status == StatusCode::CREATED
    }

    /// `Warning` headers.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The body, whatever it says.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body, or the error made from the status code; a `Status` in the body is not looked at.
    ///
    /// # Errors
    /// Any status outside of 200 to 206.
    pub fn raw(&self) -> Result<Bytes, Error> {
        match &self.generic {
            Some(error) => Err(self.told(error.clone())),
            None => Ok(self.body.clone()),
        }
    }

    /// The refusal, read from the body where it is a `Status`. `None` is success.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        let generic = self.generic.as_ref()?;
        Some(match self.status_in_body() {
            Some(status) => self.told(Box::new(StatusError { status, body: self.body.clone() })),
            None => self.told(generic.clone()),
        })
    }

    fn told(&self, refusal: Box<StatusError>) -> Error {
        let error = Error::Status(refusal);
        if self.unknown { Error::UnknownOutcome { cause: Box::new(error) } } else { error }
    }

    /// A failure `Status` in the body.
    fn status_in_body(&self) -> Option<Status> {
        let value = self.decode_value().ok()?;
        failure_of(value)
    }

    fn decode_value(&self) -> Result<Value, DecodeError> {
        let codec = self.codecs.find(&self.content_type)?;
        if self.body.is_empty() {
            return Err(DecodeError::Empty { code: self.status.as_u16() });
        }
        codec
            .decode(&self.body)
            .map_err(|message| DecodeError::Malformed { media_type: codec.media_type().to_owned(), message })
    }

    /// The object as JSON, `kind` and `apiVersion` included.
    ///
    /// # Errors
    /// The refusal; a body that cannot be read; a failure `Status` under a success code.
    pub fn object(&self) -> Result<Value, Error> {
        if let Some(error) = self.error() {
            return Err(error);
        }
        let value = self.decode_value()?;
        if value.get("kind").and_then(Value::as_str) == Some("Status")
            && let Some(status) = failure_of(value.clone())
        {
            return Err(Error::Status(Box::new(StatusError { status, body: self.body.clone() })));
        }
        Ok(value)
    }

    /// The object as a type of a known kind.
    ///
    /// # Errors
    /// As [`RestResponse::object`], and [`DecodeError::KindMismatch`] for an object of another kind.
    pub fn into<T: ObjectKind>(self) -> Result<T, Error> {
        let head = self.head(Head::is_whole)?;
        let (kind, api_version) = (head.kind.unwrap_or_default(), head.api_version.unwrap_or_default());
        if kind != T::KIND || api_version != T::API_VERSION {
            return Err(Error::Decode(DecodeError::KindMismatch {
                expected: format!("{}, Kind={}", T::API_VERSION, T::KIND),
                received: format!("{api_version}, Kind={kind}"),
            }));
        }
        self.read()
    }

    /// The object as any type; kinds are not compared.
    ///
    /// # Errors
    /// As [`RestResponse::object`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.head(|head| head.kind.is_some())?;
        self.read()
    }

    /// JSON goes into the type straight from the bytes: a LIST of thousands is never held as a tree.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if self.is_json() {
            return json(&self.body).map_err(|e| self.malformed(&e));
        }
        serde_json::from_value(self.object()?).map_err(|e| self.malformed(&e.to_string()))
    }

    /// `kind` and `apiVersion`, as much of them as is wanted. A failure `Status` is an error.
    fn head(&self, enough: fn(&Head) -> bool) -> Result<Head, Error> {
        if let Some(error) = self.error() {
            return Err(error);
        }
        if !self.is_json() {
            let value = self.object()?;
            let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
            return Ok(Head { kind: text("kind"), api_version: text("apiVersion") });
        }
        if self.body.is_empty() {
            return Err(Error::Decode(DecodeError::Empty { code: self.status.as_u16() }));
        }
        let head = Head::peek(&self.body, enough).map_err(|e| self.malformed(&e.to_string()))?;
        if head.kind.as_deref() == Some("Status") {
            self.object()?;
        }
        Ok(head)
    }

    fn is_json(&self) -> bool {
        self.content_type == MEDIA_JSON || media_type(&self.content_type).as_deref() == Some(MEDIA_JSON)
    }

    fn malformed(&self, message: &str) -> Error {
        let media_type = media_type(&self.content_type).unwrap_or_default();
        Error::Decode(DecodeError::Malformed { media_type, message: message.to_owned() })
    }
}

/// A failure `Status`; its apiVersion may be missing, its kind may not.
fn failure_of(value: Value) -> Option<Status> {
    if value.get("kind").and_then(Value::as_str) != Some("Status") {
        return None;
    }
    let mut status: Status = serde_json::from_value(value).ok()?;
    if status.api_version.is_empty() {
        status.api_version = "v1".into();
    }
    (status.api_version == "v1" && status.status == Some(Outcome::Failure)).then_some(status)
}

/// What a request asked for, as far as errors tell it.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) resource: GroupResource,
    pub(crate) name: &'a str,
}

/// The error of a status code without a readable `Status`.
pub(crate) fn generic(
    asked: &Asked<'_>,
    status: StatusCode,
    content_type: Option<&str>,
    body: &Bytes,
    retry_after: Option<&str>,
) -> Box<StatusError> {
    let text = text_of(content_type, body);
    let (reason, mut message) = words(asked.method, status.as_u16(), &text);
    if !asked.resource.resource.is_empty() {
        let verb = asked.method.as_str().to_lowercase();
        let what = [verb.as_str(), &asked.resource.to_string(), asked.name].join(" ");
        message = format!("{message} ({})", what.trim_end());
    }
    let details = StatusDetails {
        name: asked.name.to_owned(),
        group: asked.resource.group.clone(),
        kind: asked.resource.resource.clone(),
        retry_after_seconds: retry_after.and_then(|t| t.parse().ok()).unwrap_or_default(),
        ..StatusDetails::default()
    };
    let status = Status { reason, ..Status::failure(status.as_u16(), StatusReason::InternalError, message) }
        .details(details)
        .cause(CAUSE_UNEXPECTED_SERVER_RESPONSE, text, "");
    Box::new(StatusError { status, body: body.clone() })
}

/// The text of the body where it is text, a placeholder otherwise.
fn text_of(content_type: Option<&str>, body: &Bytes) -> String {
    let is_text = content_type.is_none_or(|c| c.is_empty() || media_type(c).is_some_and(|m| m.starts_with("text/")));
    if !is_text {
        return "unknown".into();
    }
    String::from_utf8_lossy(&body[..body.len().min(MAX_TEXT)]).trim().to_owned()
}

fn words(method: &Method, code: u16, text: &str) -> (Option<StatusReason>, String) {
    use StatusReason as R;
    let (reason, words) = match code {
        400 => (R::BadRequest, "the server rejected our request for an unknown reason"),
        401 => (R::Unauthorized, "the server has asked for the client to provide credentials"),
        403 => (R::Forbidden, text),
        404 => (R::NotFound, "the server could not find the requested resource"),
        405 => (R::MethodNotAllowed, "the server does not allow this method on the requested resource"),
        406 if text.is_empty() || text == "unknown" => {
            (R::NotAcceptable, "the server was unable to respond with a content type that the client supports")
        }
        406 => (R::NotAcceptable, text),
        409 if method == Method::POST => (R::AlreadyExists, "the server reported a conflict"),
        409 => (R::Conflict, "the server reported a conflict"),
        415 => (R::UnsupportedMediaType, text),
        422 => (R::Invalid, "the server rejected our request due to an error in our request"),
        429 => (R::TooManyRequests, "the server has received too many requests and has asked us to try again later"),
        503 => (R::ServiceUnavailable, "the server is currently unable to handle the request"),
        504 => (
            R::Timeout,
            "the server was unable to return a response in the time allotted, but may still be processing the request",
        ),
        500.. => {
            let words = format!("an error on the server ({text:?}) has prevented the request from succeeding");
            return (Some(R::InternalError), words);
        }
        code => {
            let words = format!("the server responded with the status code {code} but did not return more information");
            return (None, words);
        }
    };
    (Some(reason), words.to_owned())
}

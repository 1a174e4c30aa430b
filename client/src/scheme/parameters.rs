//! Options to query parameters and back.
//!
//! Counterpart: apimachinery `runtime.ParameterCodec` and `conversion/queryparams`.

use crate::rest::QueryParams;
use rehearsal_apimachinery::options::{CreateOptions, GetOptions, ListOptions, PatchOptions, UpdateOptions};

/// Options that can be read from query parameters.
pub trait FromQuery: Sized {
    /// Reads them; of a repeated parameter that is no list the first value counts, unknown ones are passed over.
    ///
    /// # Errors
    /// The text of the 400 that a server would answer.
    fn from_query(pairs: &[(String, String)]) -> Result<Self, String>;
}

macro_rules! always {
    ($($type:ident),*) => {
        $(impl FromQuery for $type {
            fn from_query(pairs: &[(String, String)]) -> Result<Self, String> {
                Ok($type::from_query(pairs))
            }
        })*
    };
}

always!(GetOptions, CreateOptions, UpdateOptions, PatchOptions);

impl FromQuery for ListOptions {
    fn from_query(pairs: &[(String, String)]) -> Result<Self, String> {
        ListOptions::from_query(pairs)
    }
}

/// Writes and reads the parameters of requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct ParameterCodec;

impl ParameterCodec {
    /// The parameters that say what the options say.
    #[must_use]
    pub fn encode(&self, options: &impl QueryParams) -> Vec<(String, String)> {
        options.query()
    }

    /// The options that the parameters say.
    ///
    /// # Errors
    /// As [`FromQuery::from_query`].
    pub fn decode<T: FromQuery>(&self, pairs: &[(String, String)]) -> Result<T, String> {
        T::from_query(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_go_there_and_back() {
        let options = ListOptions::default().labels("a=b").limit(5).timeout_seconds(7).send_initial_events(false);
        let pairs = ParameterCodec.encode(&options);
        assert_eq!(ParameterCodec.decode::<ListOptions>(&pairs).unwrap(), options);
        let apply = PatchOptions::default().field_manager("me").force(false);
        assert_eq!(ParameterCodec.decode::<PatchOptions>(&ParameterCodec.encode(&apply)).unwrap(), apply);
        let wrong = [("limit".to_owned(), "x".to_owned())];
        assert!(ParameterCodec.decode::<ListOptions>(&wrong).unwrap_err().contains("ParseInt"));
    }
}

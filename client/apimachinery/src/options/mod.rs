//! Request options of the verbs: read from and written to the query string, and checked as the server checks them.
//!
//! Counterparts: `meta/v1.ListOptions` and its siblings, their generated `url.Values` conversions, and
//! `meta/v1/validation`. Reading fails with the text of a 400; checking returns the field errors that the caller wraps
//! as `ListOptions.meta.k8s.io "" is invalid`. Of a repeated parameter the first value counts, as in Go.

mod delete;
mod query;
mod validate;

pub use delete::{DeleteOptions, Preconditions};
pub use query::{parse_bool, parse_int, parse_resource_version, parse_uint, query_bool};
pub use validate::{
    FIELD_MANAGER_MAX_LENGTH, validate_create_options, validate_delete_options, validate_field_manager,
    validate_list_options, validate_patch_options, validate_update_options,
};

use query::{Writer, all, flag, number, text};

/// Decoded query parameters, in order of appearance.
pub type QueryPairs = Vec<(String, String)>;

/// Options of get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetOptions {
    /// `resourceVersion`: not older than this.
    pub resource_version: String,
}

/// Options of list, watch and deletecollection. Selectors are kept as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// `labelSelector`
    pub label_selector: String,
    /// `fieldSelector`
    pub field_selector: String,
    /// `watch`
    pub watch: bool,
    /// `allowWatchBookmarks`
    pub allow_watch_bookmarks: bool,
    /// `resourceVersion`
    pub resource_version: String,
    /// `resourceVersionMatch`: `Exact`, `NotOlderThan` or empty.
    pub resource_version_match: String,
    /// `timeoutSeconds` of the call.
    pub timeout_seconds: Option<i64>,
    /// `limit`: items of a page; 0 means no limit.
    pub limit: i64,
    /// `continue`: token of the next page.
    pub continue_token: String,
    /// `sendInitialEvents`
    pub send_initial_events: Option<bool>,
}

/// Options of create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// `dryRun`: empty or `All`.
    pub dry_run: Vec<String>,
    /// `fieldManager`
    pub field_manager: String,
    /// `fieldValidation`: `Ignore`, `Warn`, `Strict` or empty.
    pub field_validation: String,
}

/// Options of update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateOptions {
    /// `dryRun`: empty or `All`.
    pub dry_run: Vec<String>,
    /// `fieldManager`
    pub field_manager: String,
    /// `fieldValidation`: `Ignore`, `Warn`, `Strict` or empty.
    pub field_validation: String,
}

/// Options of patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchOptions {
    /// `dryRun`: empty or `All`.
    pub dry_run: Vec<String>,
    /// `force`: take fields away from other managers; apply only.
    pub force: Option<bool>,
    /// `fieldManager`
    pub field_manager: String,
    /// `fieldValidation`: `Ignore`, `Warn`, `Strict` or empty.
    pub field_validation: String,
}

impl GetOptions {
    /// Reads the query.
    #[must_use]
    pub fn from_query(query: &[(String, String)]) -> Self {
        Self { resource_version: text(query, "resourceVersion") }
    }

    /// The query that says the same.
    #[must_use]
    pub fn to_query(&self) -> QueryPairs {
        Writer::default().text("resourceVersion", &self.resource_version).0
    }

    /// Sets `resourceVersion`.
    #[must_use]
    pub fn resource_version(mut self, version: impl Into<String>) -> Self {
        self.resource_version = version.into();
        self
    }
}

impl ListOptions {
    /// Reads the query.
    ///
    /// # Errors
    /// The server's text for a malformed number.
    pub fn from_query(query: &[(String, String)]) -> Result<Self, String> {
        Ok(Self {
            label_selector: text(query, "labelSelector"),
            field_selector: text(query, "fieldSelector"),
            watch: flag(query, "watch").unwrap_or_default(),
            allow_watch_bookmarks: flag(query, "allowWatchBookmarks").unwrap_or_default(),
            resource_version: text(query, "resourceVersion"),
            resource_version_match: text(query, "resourceVersionMatch"),
            timeout_seconds: number(query, "timeoutSeconds")?,
            limit: number(query, "limit")?.unwrap_or_default(),
            continue_token: text(query, "continue"),
            send_initial_events: flag(query, "sendInitialEvents"),
        })
    }

    /// The query that says the same, in key order.
    #[must_use]
    pub fn to_query(&self) -> QueryPairs {
        Writer::default()
            .flag("allowWatchBookmarks", self.allow_watch_bookmarks.then_some(true))
            .text("continue", &self.continue_token)
            .text("fieldSelector", &self.field_selector)
            .text("labelSelector", &self.label_selector)
            .number("limit", Some(self.limit).filter(|n| *n != 0))
            .text("resourceVersion", &self.resource_version)
            .text("resourceVersionMatch", &self.resource_version_match)
            .flag("sendInitialEvents", self.send_initial_events)
            .number("timeoutSeconds", self.timeout_seconds)
            .flag("watch", self.watch.then_some(true))
            .0
    }

    /// Sets `labelSelector`.
    #[must_use]
    pub fn labels(mut self, selector: &(impl ToString + ?Sized)) -> Self {
        self.label_selector = selector.to_string();
        self
    }

    /// Sets `fieldSelector`.
    #[must_use]
    pub fn fields(mut self, selector: &(impl ToString + ?Sized)) -> Self {
        self.field_selector = selector.to_string();
        self
    }

    /// Sets `limit`.
    #[must_use]
    pub fn limit(mut self, items: i64) -> Self {
        self.limit = items;
        self
    }

    /// Sets `continue`.
    #[must_use]
    pub fn continue_token(mut self, token: impl Into<String>) -> Self {
        self.continue_token = token.into();
        self
    }

    /// Sets `resourceVersion`.
    #[must_use]
    pub fn resource_version(mut self, version: impl Into<String>) -> Self {
        self.resource_version = version.into();
        self
    }

    /// Sets `resourceVersionMatch`.
    #[must_use]
    pub fn resource_version_match(mut self, rule: impl Into<String>) -> Self {
        self.resource_version_match = rule.into();
        self
    }

    /// Sets `timeoutSeconds`.
    #[must_use]
    pub fn timeout_seconds(mut self, seconds: i64) -> Self {
        self.timeout_seconds = Some(seconds);
        self
    }

    /// Sets `allowWatchBookmarks`.
    #[must_use]
    pub fn bookmarks(mut self) -> Self {
        self.allow_watch_bookmarks = true;
        self
    }

    /// Sets `sendInitialEvents`.
    #[must_use]
    pub fn send_initial_events(mut self, send: bool) -> Self {
        self.send_initial_events = Some(send);
        self
    }
}

/// The members and builders that create, update and patch share.
macro_rules! write_options {
    ($name:ident) => {
        impl $name {
            /// Sets `dryRun=All`.
            #[must_use]
            pub fn dry_run(mut self) -> Self {
                self.dry_run = vec!["All".into()];
                self
            }

            /// Sets `fieldManager`.
            #[must_use]
            pub fn field_manager(mut self, name: impl Into<String>) -> Self {
                self.field_manager = name.into();
                self
            }

            /// Sets `fieldValidation`.
            #[must_use]
            pub fn field_validation(mut self, level: impl Into<String>) -> Self {
                self.field_validation = level.into();
                self
            }

            /// Whether nothing may be stored.
            #[must_use]
            pub fn is_dry_run(&self) -> bool {
                !self.dry_run.is_empty()
            }
        }
    };
}

write_options!(CreateOptions);
write_options!(UpdateOptions);
write_options!(PatchOptions);

impl CreateOptions {
    /// Reads the query.
    #[must_use]
    pub fn from_query(query: &[(String, String)]) -> Self {
        Self {
            dry_run: all(query, "dryRun"),
            field_manager: text(query, "fieldManager"),
            field_validation: text(query, "fieldValidation"),
        }
    }

    /// The query that says the same, in key order.
    #[must_use]
    pub fn to_query(&self) -> QueryPairs {
        Writer::default()
            .all("dryRun", &self.dry_run)
            .text("fieldManager", &self.field_manager)
            .text("fieldValidation", &self.field_validation)
            .0
    }
}

impl UpdateOptions {
    /// Reads the query.
    #[must_use]
    pub fn from_query(query: &[(String, String)]) -> Self {
        let CreateOptions { dry_run, field_manager, field_validation } = CreateOptions::from_query(query);
        Self { dry_run, field_manager, field_validation }
    }

    /// The query that says the same, in key order.
    #[must_use]
    pub fn to_query(&self) -> QueryPairs {
        Writer::default()
            .all("dryRun", &self.dry_run)
            .text("fieldManager", &self.field_manager)
            .text("fieldValidation", &self.field_validation)
            .0
    }
}

impl PatchOptions {
    /// Reads the query.
    #[must_use]
    pub fn from_query(query: &[(String, String)]) -> Self {
        Self {
            dry_run: all(query, "dryRun"),
            force: flag(query, "force"),
            field_manager: text(query, "fieldManager"),
            field_validation: text(query, "fieldValidation"),
        }
    }

    /// The query that says the same, in key order.
    #[must_use]
    pub fn to_query(&self) -> QueryPairs {
        Writer::default()
            .all("dryRun", &self.dry_run)
            .text("fieldManager", &self.field_manager)
            .text("fieldValidation", &self.field_validation)
            .flag("force", self.force)
            .0
    }

    /// Sets `force`.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = Some(force);
        self
    }
}

#[cfg(test)]
mod tests;

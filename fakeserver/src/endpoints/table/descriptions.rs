//! Descriptions of columns.
//!
//! The three long ones are what the real server sends, as our transcripts of it show. For the others it sends the
//! documentation of a member of the type; ours are short sentences of our own (DIFFERENCE: descriptions of columns).

/// Of `Name` columns.
pub(crate) const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some \
resources may allow a client to request the generation of an appropriate name automatically. Name is primarily \
intended for creation idempotence and configuration definition. Cannot be updated. More info: \
https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// Of `Age` and `Created At` columns.
pub(crate) const CREATION_TIMESTAMP: &str = "CreationTimestamp is a timestamp representing the server time when this object \
was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set \
this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. \
More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// Of the `Data` column of config maps.
const CONFIG_MAP_DATA: &str = "Data contains the configuration data. Each key must consist of alphanumeric \
characters, '-', '_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in \
Data must not overlap with the keys in the BinaryData field, this is enforced during validation process.";

/// The description of a column of a built-in kind.
#[must_use]
pub(crate) fn describe(kind: &str, column: &str) -> String {
    match (kind, column) {
        (_, "Name") => NAME.to_owned(),
        (_, "Age" | "Created At") => CREATION_TIMESTAMP.to_owned(),
        ("ConfigMap", "Data") => CONFIG_MAP_DATA.to_owned(),
        (_, "Containers") => "Names of the containers of the pod template.".to_owned(),
        (_, "Images") => "Images of the containers of the pod template.".to_owned(),
        (_, "Selector" | "Pod-Selector") => "Selector of the pods that belong to the object.".to_owned(),
        (_, "Ready") => format!("How much of the {kind} is ready."),
        (_, "Desired") => format!("How many pods the {kind} wants."),
        (_, "Current") => format!("How many pods the {kind} has."),
        _ => format!("{column} of the {kind}."),
    }
}

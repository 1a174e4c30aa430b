//! What an author says in `#[resource(…)]`, checked as far as the API server would check it.

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{DeriveInput, Error, LitInt, LitStr, Path, Token, parenthesized};

/// A printer column.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) path: String,
    pub(crate) priority: Option<i64>,
}

/// JSON paths of a scale.
#[derive(Debug)]
pub(crate) struct Scale {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// Everything said.
pub(crate) struct Attributes {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: LitStr,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) namespaced: bool,
    pub(crate) status: Option<Path>,
    pub(crate) scale: Option<Scale>,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) schema: Option<Path>,
    pub(crate) status_schema: Option<Path>,
    pub(crate) derives: Vec<Path>,
    pub(crate) krate: Option<Path>,
}

/// As they come.
#[derive(Default)]
struct Said {
    group: Option<LitStr>,
    version: Option<LitStr>,
    kind: Option<LitStr>,
    plural: Option<LitStr>,
    singular: Option<LitStr>,
    scope: Option<LitStr>,
    status: Option<LitStr>,
    schema: Option<LitStr>,
    status_schema: Option<LitStr>,
    krate: Option<LitStr>,
    scale: Option<Scale>,
    short_names: Vec<LitStr>,
    categories: Vec<LitStr>,
    columns: Vec<Column>,
    derives: Vec<Path>,
}

const KNOWN: &str = "group, version, kind, plural, singular, scope, status, scale, short_names, categories, column, \
                     schema, status_schema, derive, crate";

impl Attributes {
    pub(crate) fn of(input: &DeriveInput) -> Result<Self, Error> {
        let mut said = Said::default();
        let mut any = false;
        for attribute in input.attrs.iter().filter(|a| a.path().is_ident("resource")) {
            any = true;
            attribute.parse_nested_meta(|meta| said.hear(&meta))?;
        }
        if !any {
            let message = "derive(CustomResource) needs #[resource(group = \"…\", version = \"…\", kind = \"…\", plural = \"…\")]";
            return Err(Error::new_spanned(&input.ident, message));
        }
        said.checked(input.ident.span())
    }
}

impl Said {
    fn hear(&mut self, meta: &ParseNestedMeta<'_>) -> Result<(), Error> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let place = match name.as_str() {
            "group" => &mut self.group,
            "version" => &mut self.version,
            "kind" => &mut self.kind,
            "plural" => &mut self.plural,
            "singular" => &mut self.singular,
            "scope" => &mut self.scope,
            "status" => &mut self.status,
            "schema" => &mut self.schema,
            "status_schema" => &mut self.status_schema,
            "crate" => &mut self.krate,
            "scale" => {
                self.scale = Some(scale(meta)?);
                return Ok(());
            }
            "column" => {
                self.columns.push(column(meta)?);
                return Ok(());
            }
            "short_names" => {
                self.short_names.extend(texts(meta)?);
                return Ok(());
            }
            "categories" => {
                self.categories.extend(texts(meta)?);
                return Ok(());
            }
            "derive" => {
                let content;
                parenthesized!(content in meta.input);
                self.derives.extend(Punctuated::<Path, Token![,]>::parse_terminated(&content)?);
                return Ok(());
            }
            _ => return Err(meta.error(format!("unknown attribute; there are: {KNOWN}"))),
        };
        if place.is_some() {
            return Err(meta.error(format!("`{name}` is set twice")));
        }
        *place = Some(meta.value()?.parse()?);
        Ok(())
    }

    fn checked(self, span: Span) -> Result<Attributes, Error> {
        let needed = |value: Option<LitStr>, name: &str| {
            value.ok_or_else(|| Error::new(span, format!("#[resource(…)] needs `{name} = \"…\"`")))
        };
        let (group, version) = (needed(self.group, "group")?, needed(self.version, "version")?);
        let (kind, plural) = (needed(self.kind, "kind")?, needed(self.plural, "plural")?);
        subdomain(&group)?;
        label(&version, "version")?;
        label(&plural, "plural")?;
        kind_name(&kind)?;
        for name in self.short_names.iter().chain(&self.categories).chain(&self.singular) {
            label(name, "name")?;
        }
        let namespaced = match self.scope {
            None => true,
            Some(scope) => match scope.value().as_str() {
                "Namespaced" => true,
                "Cluster" => false,
                _ => return Err(Error::new(scope.span(), "scope is \"Namespaced\" or \"Cluster\"")),
            },
        };
        let path = |text: Option<LitStr>| text.map(|t| t.parse::<Path>()).transpose();
        let values = |texts: Vec<LitStr>| texts.iter().map(LitStr::value).collect();
        Ok(Attributes {
            group: group.value(),
            version: version.value(),
            singular: self.singular.map_or_else(|| kind.value().to_lowercase(), |s| s.value()),
            plural: plural.value(),
            kind,
            namespaced,
            status: path(self.status)?,
            scale: self.scale,
            short_names: values(self.short_names),
            categories: values(self.categories),
            columns: self.columns,
            schema: path(self.schema)?,
            status_schema: path(self.status_schema)?,
            derives: self.derives,
            krate: path(self.krate)?,
        })
    }
}

/// `("a", "b")`
fn texts(meta: &ParseNestedMeta<'_>) -> Result<Vec<LitStr>, Error> {
    let content;
    parenthesized!(content in meta.input);
    Ok(Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}

/// A JSON path as the definition wants it: simple, and beginning with a dot.
fn json_path(text: &LitStr) -> Result<String, Error> {
    let value = text.value();
    if value.starts_with('.') && value.len() > 1 {
        return Ok(value);
    }
    Err(Error::new(text.span(), "a JSON path begins with a dot, such as \".spec.replicas\""))
}

fn scale(meta: &ParseNestedMeta<'_>) -> Result<Scale, Error> {
    let (mut spec, mut status, mut selector) = (None, None, None);
    meta.parse_nested_meta(|part| {
        let (place, root) = match part.path.get_ident().map(ToString::to_string).as_deref() {
            Some("spec") => (&mut spec, ".spec."),
            Some("status") => (&mut status, ".status."),
            // The selector may be in either.
            Some("selector") => (&mut selector, "."),
            _ => return Err(part.error("scale has `spec`, `status` and `selector`")),
        };
        let text: LitStr = part.value()?.parse()?;
        let path = json_path(&text)?;
        if !path.starts_with(root) {
            return Err(Error::new(text.span(), format!("this path of a scale begins with {root:?}")));
        }
        *place = Some(path);
        Ok(())
    })?;
    match (spec, status) {
        (Some(spec), Some(status)) => Ok(Scale { spec, status, selector }),
        _ => Err(meta.error("scale needs `spec = \".spec.…\"` and `status = \".status.…\"`")),
    }
}

/// Types of columns. (apiextensions `validatePrinterColumn…`)
const COLUMN_TYPES: [&str; 5] = ["integer", "number", "string", "boolean", "date"];

fn column(meta: &ParseNestedMeta<'_>) -> Result<Column, Error> {
    let (mut name, mut kind, mut path, mut priority) = (None, None, None, None);
    meta.parse_nested_meta(|part| {
        match part.path.get_ident().map(ToString::to_string).as_deref() {
            Some("name") => name = Some(part.value()?.parse::<LitStr>()?.value()),
            Some("path") => path = Some(json_path(&part.value()?.parse()?)?),
            Some("priority") => priority = Some(part.value()?.parse::<LitInt>()?.base10_parse()?),
            Some("type") => {
                let text: LitStr = part.value()?.parse()?;
                if !COLUMN_TYPES.contains(&text.value().as_str()) {
                    return Err(Error::new(text.span(), format!("a column is one of {}", COLUMN_TYPES.join(", "))));
                }
                kind = Some(text.value());
            }
            _ => return Err(part.error("column has `name`, `type`, `path` and `priority`")),
        }
        Ok(())
    })?;
    match (name, kind, path) {
        (Some(name), Some(kind), Some(path)) => Ok(Column { name, kind, path, priority }),
        _ => Err(meta.error("column needs `name`, `type` and `path`")),
    }
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = |b: Option<u8>| b.is_some_and(|b| b != b'-');
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && ends(text.bytes().next())
        && ends(text.bytes().next_back())
}

fn label(text: &LitStr, what: &str) -> Result<(), Error> {
    if is_label(&text.value()) {
        return Ok(());
    }
    Err(Error::new(text.span(), format!("{what} is lower case letters, digits and dashes: a DNS label")))
}

fn subdomain(text: &LitStr) -> Result<(), Error> {
    let value = text.value();
    if value.contains('.') && value.len() <= 253 && value.split('.').all(is_label) {
        return Ok(());
    }
    Err(Error::new(text.span(), "group is a DNS name of at least two labels, such as \"demo.io\""))
}

fn kind_name(text: &LitStr) -> Result<(), Error> {
    let value = text.value();
    if value.starts_with(|c: char| c.is_ascii_uppercase()) && value.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Error::new(text.span(), "kind is a name in CamelCase, such as \"Widget\""))
}

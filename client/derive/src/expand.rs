//! Writes the root object type and what makes it a resource.

use crate::attributes::{Attributes, Column, Scale};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error};

pub(crate) fn custom_resource(input: TokenStream) -> Result<TokenStream, Error> {
    let input: DeriveInput = syn::parse2(input)?;
    let attributes = Attributes::of(&input)?;
    if !matches!(input.data, Data::Struct(_)) {
        return Err(Error::new_spanned(&input.ident, "derive(CustomResource) is for the struct of a spec"));
    }
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "a custom resource has one shape: no generics"));
    }
    if input.ident == attributes.kind.value() {
        let message = "the kind is the name of the type that is made; call this struct otherwise, such as its Spec";
        return Err(Error::new_spanned(&input.ident, message));
    }
    let krate = attributes.krate.as_ref().map_or_else(|| quote!(::rehearsal_client), |path| quote!(#path));
    let parts = [root(&input, &attributes, &krate), wire(&attributes, &krate), resource(&attributes, &krate)];
    let definition = definition(&input, &attributes, &krate);
    Ok(quote!(#(#parts)* #definition))
}

/// The type and its constructor.
fn root(input: &DeriveInput, attributes: &Attributes, krate: &TokenStream) -> TokenStream {
    let (spec, vis) = (&input.ident, &input.vis);
    let root = root_name(attributes);
    let derives = &attributes.derives;
    let doc = format!("A {} of `{}/{}`.", attributes.kind.value(), attributes.group, attributes.version);
    let status = attributes.status.as_ref().map(|status| {
        quote! {
            /// Observed state; written by way of the status subresource.
            #vis status: ::core::option::Option<#status>,
        }
    });
    let no_status = attributes.status.as_ref().map(|_| quote!(status: ::core::option::Option::None,));
    quote! {
        #[doc = #doc]
        #[derive(Clone, Debug #(, #derives)*)]
        #vis struct #root {
            /// Object metadata.
            #vis metadata: #krate::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// Desired state.
            #vis spec: #spec,
            #status
        }

        #[allow(dead_code)]
        impl #root {
            /// An object of this name, yet to be created.
            #vis fn new(name: &str, spec: #spec) -> Self {
                let name = ::core::option::Option::Some(::std::string::String::from(name));
                Self {
                    metadata: #krate::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                        name,
                        ..::core::default::Default::default()
                    },
                    spec,
                    #no_status
                }
            }
        }
    }
}

fn root_name(attributes: &Attributes) -> syn::Ident {
    format_ident!("{}", attributes.kind.value(), span = attributes.kind.span())
}

/// Reading and writing, by way of the two structs the client has for it.
fn wire(attributes: &Attributes, krate: &TokenStream) -> TokenStream {
    let root = root_name(attributes);
    let serde = quote!(#krate::__private::serde);
    // Without a status the member is read as anything and dropped.
    let status = attributes.status.as_ref().map_or_else(|| quote!(#serde::de::IgnoredAny), |path| quote!(#path));
    let (read, written) = match attributes.status {
        Some(_) => (quote!(status: object.status,), quote!(self.status.as_ref())),
        None => (quote!(), quote!(::core::option::Option::None::<&()>)),
    };
    quote! {
        impl<'de> #serde::Deserialize<'de> for #root {
            fn deserialize<D: #serde::Deserializer<'de>>(deserializer: D) -> ::core::result::Result<Self, D::Error> {
                let object = <#krate::CustomObject<_, #status> as #serde::Deserialize>::deserialize(deserializer)?;
                let object = object.check::<D::Error>(
                    <Self as #krate::Resource>::API_VERSION,
                    <Self as #krate::Resource>::KIND,
                )?;
                ::core::result::Result::Ok(Self { metadata: object.metadata, spec: object.spec, #read })
            }
        }

        impl #serde::Serialize for #root {
            fn serialize<S: #serde::Serializer>(&self, serializer: S) -> ::core::result::Result<S::Ok, S::Error> {
                #serde::Serialize::serialize(
                    &#krate::CustomObjectRef {
                        api_version: <Self as #krate::Resource>::API_VERSION,
                        kind: <Self as #krate::Resource>::KIND,
                        metadata: &self.metadata,
                        spec: &self.spec,
                        status: #written,
                    },
                    serializer,
                )
            }
        }
    }
}

/// Its names and verbs.
fn resource(attributes: &Attributes, krate: &TokenStream) -> TokenStream {
    let root = root_name(attributes);
    let (group, version, plural) = (&attributes.group, &attributes.version, &attributes.plural);
    let kind = attributes.kind.value();
    let api_version = format!("{group}/{version}");
    let scope = if attributes.namespaced { quote!(NamespaceResourceScope) } else { quote!(ClusterResourceScope) };
    let meta = quote!(#krate::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta);
    let status = attributes.status.as_ref().map(|_| quote!(impl #krate::verbs::HasStatus for #root {}));
    let scale = attributes.scale.as_ref().map(|_| quote!(impl #krate::verbs::HasScale for #root {}));
    quote! {
        impl #krate::Resource for #root {
            const API_VERSION: &'static str = #api_version;
            const GROUP: &'static str = #group;
            const VERSION: &'static str = #version;
            const KIND: &'static str = #kind;
            const PLURAL: &'static str = #plural;
            type Scope = #krate::k8s_openapi::#scope;

            fn metadata(&self) -> &#meta {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut #meta {
                &mut self.metadata
            }
        }

        impl #krate::verbs::Create for #root {}
        impl #krate::verbs::Delete for #root {}
        impl #krate::verbs::DeleteCollection for #root {}
        impl #krate::verbs::Get for #root {}
        impl #krate::verbs::List for #root {}
        impl #krate::verbs::Patch for #root {}
        impl #krate::verbs::Update for #root {}
        impl #krate::verbs::Watch for #root {}
        #status
        #scale
    }
}

/// The manifest of the definition, and registration.
fn definition(input: &DeriveInput, attributes: &Attributes, krate: &TokenStream) -> TokenStream {
    let root = root_name(attributes);
    let json = quote!(#krate::__private::serde_json::json);
    let vis = &input.vis;
    let Attributes { group, version, plural, singular, short_names, categories, .. } = attributes;
    let kind = attributes.kind.value();
    let (name, list_kind) = (format!("{plural}.{group}"), format!("{kind}List"));
    let scope = if attributes.namespaced { "Namespaced" } else { "Cluster" };
    let anything = quote!(#json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let schema = attributes.schema.as_ref().map_or_else(|| anything.clone(), |f| quote!(#f()));
    let status_schema = attributes.status_schema.as_ref().map_or(anything, |f| quote!(#f()));
    let (has_status, has_scale) = (attributes.status.is_some(), attributes.scale.is_some());
    let status = has_status.then(|| {
        quote! {
            version["schema"]["openAPIV3Schema"]["properties"]["status"] = #status_schema;
            version["subresources"]["status"] = #json!({});
        }
    });
    let scale = attributes.scale.as_ref().map(|paths| scale_of(paths, &json));
    let columns = attributes.columns.iter().map(|column| column_of(column, &json));
    let columns = (!attributes.columns.is_empty())
        .then(|| quote!(version["additionalPrinterColumns"] = #json!([#(#columns),*]);));
    quote! {
        #[allow(dead_code)]
        impl #root {
            /// The manifest of its CustomResourceDefinition.
            #vis fn crd() -> #krate::__private::serde_json::Value {
                let mut version = #json!({
                    "name": #version, "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
                        "spec": #schema,
                    }}},
                });
                #status
                #scale
                #columns
                #json!({
                    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                    "metadata": {"name": #name},
                    "spec": {
                        "group": #group, "scope": #scope, "versions": [version],
                        "names": {
                            "kind": #kind, "listKind": #list_kind, "plural": #plural, "singular": #singular,
                            "shortNames": [#(#short_names),*], "categories": [#(#categories),*],
                        },
                    },
                })
            }

            /// Tells a scheme of this type.
            ///
            /// # Errors
            /// When another type has this kind.
            #vis fn register(scheme: &mut #krate::Scheme) -> ::core::result::Result<(), #krate::SchemeError> {
                scheme.insert::<Self>(#has_status, #has_scale)
            }
        }
    }
}

fn scale_of(paths: &Scale, json: &TokenStream) -> TokenStream {
    let (spec, status) = (&paths.spec, &paths.status);
    let selector = paths.selector.as_ref().map(|path| quote!("labelSelectorPath": #path,));
    quote! {
        version["subresources"]["scale"] =
            #json!({"specReplicasPath": #spec, "statusReplicasPath": #status, #selector});
    }
}

fn column_of(column: &Column, json: &TokenStream) -> TokenStream {
    let Column { name, kind, path, priority } = column;
    let priority = priority.map(|p| quote!("priority": #p,));
    quote!(#json!({"name": #name, "type": #kind, "jsonPath": #path, #priority}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(attributes: &str, item: &str) -> Result<String, String> {
        let text = format!("#[resource({attributes})] {item}");
        let tokens = text.parse::<TokenStream>().map_err(|e| e.to_string())?;
        custom_resource(tokens).map(|t| t.to_string()).map_err(|e| e.to_string())
    }

    const GOOD: &str = r#"group = "demo.io", version = "v1", kind = "Widget", plural = "widgets""#;

    fn fault(attributes: &str) -> String {
        expanded(attributes, "struct WidgetSpec {}").unwrap_err()
    }

    #[test]
    fn a_spec_makes_a_type_with_its_names() {
        let text = expanded(GOOD, "pub struct WidgetSpec { size: i32 }").unwrap();
        for part in [
            "pub struct Widget {",
            "pub spec : WidgetSpec",
            "\"demo.io/v1\"",
            "NamespaceResourceScope",
            "\"widgets.demo.io\"",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("HasStatus") && !text.contains("HasScale"));
    }

    #[test]
    fn what_is_optional_is_written_when_it_is_said() {
        let more = format!(
            "{GOOD}, scope = \"Cluster\", status = \"my::Status\", short_names(\"wd\"), categories(\"all\"), derive(PartialEq), \
             scale(spec = \".spec.replicas\", status = \".status.replicas\", selector = \".status.selector\"), \
             column(name = \"Size\", type = \"integer\", path = \".spec.size\", priority = 1), crate = \"other\""
        );
        let text = expanded(&more, "struct WidgetSpec;").unwrap();
        for part in [
            "Option < my :: Status >",
            "ClusterResourceScope",
            "HasStatus",
            "HasScale",
            "labelSelectorPath",
            "\"wd\"",
            "\"all\"",
            "Debug , PartialEq",
            "\"priority\" : 1i64",
            "other :: Resource",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("rehearsal_client"));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(fault("").contains("needs `group"));
        assert!(fault(r#"group = "demo.io", version = "v1", kind = "Widget""#).contains("needs `plural"));
        let none = custom_resource(quote!(
            struct A;
        ))
        .unwrap_err()
        .to_string();
        assert!(none.contains("needs #[resource(group"), "{none}");
    }

    #[test]
    fn what_the_server_would_refuse_is_refused() {
        let with = |part: &str| fault(&format!("{GOOD}, {part}"));
        assert!(fault(&GOOD.replace("demo.io", "demo")).contains("at least two labels"));
        assert!(fault(&GOOD.replace("widgets", "Widgets")).contains("plural is lower case"));
        assert!(fault(&GOOD.replace("\"Widget\"", "\"widget\"")).contains("CamelCase"));
        assert!(with(r#"scope = "namespaced""#).contains("\"Namespaced\" or \"Cluster\""));
        assert!(with(r#"scale(spec = ".spec.replicas")"#).contains("scale needs"));
        assert!(with(r#"scale(spec = "spec.replicas", status = ".status.r")"#).contains("begins with a dot"));
        assert!(with(r#"scale(spec = ".status.r", status = ".status.r")"#).contains("\".spec.\""));
        assert!(with(r#"column(name = "A", type = "text", path = ".a")"#).contains("integer, number, string"));
        assert!(with(r#"column(name = "A")"#).contains("column needs"));
        assert!(with(r#"short_names("W")"#).contains("lower case"));
        assert!(with(r#"version = "v1""#).contains("set twice"));
        assert!(with("colour = \"red\"").contains("there are: group, version"));
    }

    #[test]
    fn what_cannot_be_a_spec_is_refused() {
        assert!(expanded(GOOD, "enum WidgetSpec { A }").unwrap_err().contains("struct of a spec"));
        assert!(expanded(GOOD, "struct WidgetSpec<T> { t: T }").unwrap_err().contains("no generics"));
        assert!(expanded(GOOD, "struct Widget {}").unwrap_err().contains("call this struct otherwise"));
    }
}

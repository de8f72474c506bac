//! What attributes tell of the thing they stand at: whether it is there for tests only.

use syn::{Attribute, ImplItem, Item};

/// Whether they say that something is compiled for tests only.
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let name = attribute.path().segments.last().map(|segment| segment.ident.to_string());
        match (name.as_deref(), &attribute.meta) {
            (Some("test"), _) => true,
            (Some("cfg"), syn::Meta::List(list)) => {
                let condition: String = list.tokens.to_string().split_whitespace().collect();
                condition == "test" || condition.starts_with("all(test,")
            }
            _ => false,
        }
    })
}

/// Those of an item that can be for tests only.
pub fn of_item(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Those of a part of an `impl`.
pub fn of_impl_item(item: &ImplItem) -> &[Attribute] {
    match item {
        ImplItem::Const(item) => &item.attrs,
        ImplItem::Fn(item) => &item.attrs,
        ImplItem::Type(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_hold_in_tests_only_are_told() {
        let is_test = |text: &str| is_test(of_item(&syn::parse_str(text).unwrap()));
        for text in ["#[cfg(test)] mod a {}", "#[test] fn a() {}", "#[tokio::test] fn a() {}"] {
            assert!(is_test(text), "{text}");
        }
        assert!(is_test("#[doc = \"A\"] #[cfg(all(test, unix))] use a;"));
        for text in
            ["mod a {}", "#[cfg(not(test))] fn a() {}", "#[cfg(any(test, unix))] struct A;", "#[inline] fn a() {}"]
        {
            assert!(!is_test(text), "{text}");
        }
    }
}

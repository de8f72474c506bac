//! Paths in what `syn` leaves as it is: trees of `use`, and the tokens of macros and attributes.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{UseTree, ext::IdentExt as _};

/// Each path of a `use`, with the name that it is given: `*` for everything, `_` for none.
pub fn of_use(tree: &UseTree) -> Vec<(Vec<String>, String, Span)> {
    let mut found = Vec::new();
    walk_use(tree, &[], &mut found);
    found
}

fn walk_use(tree: &UseTree, before: &[String], found: &mut Vec<(Vec<String>, String, Span)>) {
    let followed_by = |ident: &syn::Ident| [before, &[ident.unraw().to_string()]].concat();
    match tree {
        UseTree::Path(path) => walk_use(&path.tree, &followed_by(&path.ident), found),
        UseTree::Group(group) => group.items.iter().for_each(|tree| walk_use(tree, before, found)),
        UseTree::Glob(glob) => found.push((before.to_vec(), "*".to_owned(), glob.star_token.spans[0])),
        UseTree::Name(name) => found.push(named(followed_by(&name.ident), None, name.ident.span())),
        UseTree::Rename(name) => {
            found.push(named(followed_by(&name.ident), Some(name.rename.to_string()), name.ident.span()));
        }
    }
}

/// `use a::b::{self}` is `use a::b`.
fn named(mut path: Vec<String>, rename: Option<String>, span: Span) -> (Vec<String>, String, Span) {
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = rename.or_else(|| path.last().cloned()).unwrap_or_default();
    (path, name, span)
}

/// Each path of two names and more that a stream of tokens has in it, however deep; also as a string.
pub fn of_tokens(tokens: TokenStream) -> Vec<(Vec<String>, Span)> {
    let mut found = Vec::new();
    walk_tokens(tokens, &mut found);
    found.retain(|(segments, _)| segments.len() > 1);
    found
}

fn walk_tokens(tokens: TokenStream, found: &mut Vec<(Vec<String>, Span)>) {
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                colons += 1;
                continue;
            }
            TokenTree::Ident(ident) => match found.last_mut() {
                Some((segments, _)) if colons == 2 => segments.push(ident.unraw().to_string()),
                _ => found.push((vec![ident.unraw().to_string()], ident.span())),
            },
            TokenTree::Group(group) => {
                walk_tokens(group.stream(), found);
                found.push((Vec::new(), group.span())); // what follows begins anew
            }
            TokenTree::Literal(literal) => found.push((of_literal(&literal.to_string()), literal.span())),
            TokenTree::Punct(punct) => found.push((Vec::new(), punct.span())),
        }
        colons = 0;
    }
}

/// The path in `"crate::text::duration"`; nothing for other text.
fn of_literal(literal: &str) -> Vec<String> {
    let text = literal.trim_matches('"');
    let is_path = ["crate::", "super::", "self::"].iter().any(|start| text.starts_with(start))
        && text.chars().all(|letter| letter.is_alphanumeric() || "_:".contains(letter));
    if is_path { text.split("::").map(str::to_owned).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_of_a_use_is_its_paths() {
        let item: syn::ItemUse = syn::parse_str("use crate::{a::{self, b as c, d::*}, e};").unwrap();
        let found = of_use(&item.tree).into_iter().map(|(path, name, _)| format!("{} as {name}", path.join("::")));
        let wanted = ["crate::a as a", "crate::a::b as c", "crate::a::d as *", "crate::e as e"];
        assert_eq!(found.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn paths_are_found_in_the_tokens_of_a_macro() {
        let text = r#"a, "{}", crate::b::c(super::d::E { f: g::h }), x: y, with = "crate::i::j", "crate::k is text""#;
        let found = of_tokens(text.parse().unwrap()).into_iter().map(|(path, _)| path.join("::"));
        assert_eq!(found.collect::<Vec<_>>(), ["crate::b::c", "super::d::E", "g::h", "crate::i::j"]);
    }
}

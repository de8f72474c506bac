//! What the rules ask of a file: its paths, types, functions and modules, each with its line.

use proc_macro2::Span;
use syn::{Attribute, ImplItem, Item, spanned::Spanned as _, visit::Visit};

use super::{attributes, paths};

/// What stands in a file, in its order.
#[derive(Debug, Default)]
pub struct Facts {
    pub paths: Vec<Mention>,
    pub types: Vec<Type>,
    pub functions: Vec<Function>,
    pub modules: Vec<Declared>,
}

/// A path: of a `use`, in code, or in the tokens of a macro.
#[derive(Clone, Debug, PartialEq)]
pub struct Mention {
    /// The modules between braces that it stands in, from the file's own on.
    pub inside: Vec<String>,
    pub segments: Vec<String>,
    /// What a `use` names it, `*` for everything in it. `None` for a path in code.
    pub imported: Option<String>,
    pub line: usize,
    /// Where the statement around it begins.
    pub statement: usize,
    pub test: bool,
}

/// A struct, enum, union, trait or alias.
#[derive(Debug)]
pub struct Type {
    pub name: String,
    /// Of a struct; 0 for the others.
    pub fields: usize,
    pub line: usize,
    pub test: bool,
}

/// A function with a body.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    /// Line of its signature.
    pub first: usize,
    /// Line of its closing brace.
    pub last: usize,
    pub test: bool,
}

/// A module that is declared: in a file of its own or between braces.
#[derive(Debug)]
pub struct Declared {
    /// From the file's own on.
    pub path: Vec<String>,
    pub test: bool,
}

impl Facts {
    /// Those of a whole file, which is one of tests or has tests in it.
    pub fn of(file: &syn::File, test: bool) -> Self {
        let mut walk = Walk { test: test || attributes::is_test(&file.attrs), ..Walk::default() };
        walk.visit_file(file);
        walk.facts
    }
}

#[derive(Default)]
struct Walk {
    facts: Facts,
    inside: Vec<String>,
    statement: Option<usize>,
    test: bool,
}

impl Walk {
    /// Walks through something that its attributes may mark as a test.
    fn within(&mut self, attributes: &[Attribute], walk: impl FnOnce(&mut Self)) {
        let outer = self.test;
        self.test |= attributes::is_test(attributes);
        walk(self);
        self.test = outer;
    }

    fn mention(&mut self, segments: Vec<String>, imported: Option<String>, line: usize) {
        let statement = self.statement.unwrap_or(line);
        let inside = self.inside.clone();
        self.facts.paths.push(Mention { inside, segments, imported, line, statement, test: self.test });
    }

    /// Notes an item that is a type.
    fn note_type(&mut self, item: &Item) {
        let (name, fields) = match item {
            Item::Struct(item) => (&item.ident, item.fields.len()),
            Item::Enum(item) => (&item.ident, 0),
            Item::Union(item) => (&item.ident, 0),
            Item::Trait(item) => (&item.ident, 0),
            Item::Type(item) => (&item.ident, 0),
            _ => return,
        };
        self.facts.types.push(Type { name: name.to_string(), fields, line: line(name.span()), test: self.test });
    }

    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let (first, last) = (line(signature.span()), line(body.brace_token.span.close()));
        self.facts.functions.push(Function { name: signature.ident.to_string(), first, last, test: self.test });
    }
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item(&mut self, item: &'ast Item) {
        self.within(attributes::of_item(item), |walk| {
            walk.note_type(item);
            syn::visit::visit_item(walk, item);
        });
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        self.within(attributes::of_impl_item(item), |walk| syn::visit::visit_impl_item(walk, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inside.push(item.ident.to_string());
        self.facts.modules.push(Declared { path: self.inside.clone(), test: self.test });
        syn::visit::visit_item_mod(self, item);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            for (segments, name, span) in paths::of_use(&item.tree) {
                self.mention(segments, Some(name), line(span));
            }
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig, body);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }

    fn visit_stmt(&mut self, statement: &'ast syn::Stmt) {
        let outer = self.statement.replace(line(statement.span()));
        syn::visit::visit_stmt(self, statement);
        self.statement = outer;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.mention(segments, None, line(path.span()));
        }
        syn::visit::visit_path(self, path);
    }

    /// The one method that reads a clock is noted as the function that it is.
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "elapsed" && call.args.is_empty() {
            self.mention(["Instant", "elapsed"].map(str::to_owned).to_vec(), None, line(call.method.span()));
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        for (segments, span) in paths::of_tokens(call.tokens.clone()) {
            self.mention(segments, None, line(span));
        }
        syn::visit::visit_macro(self, call);
    }

    /// `#[serde(with = "crate::text::duration")]` leads somewhere, too.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            for (segments, span) in paths::of_tokens(list.tokens.clone()) {
                self.mention(segments, None, line(span));
            }
        }
    }

    /// `pub(in crate::controller)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// Where something begins.
fn line(span: Span) -> usize {
    span.start().line
}

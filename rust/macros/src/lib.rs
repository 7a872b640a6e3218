//! The attribute that marks what Python calls in pybridge's Rust code.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

const ENTER: &str = "::pybridge_base::exit_parking::enter();";

/// Lets every function that it stands at, or that is in the `impl` block that it stands at, first prepare the calling
/// thread for the interpreter's end (`pybridge_base::exit_parking::enter`). At a class it does so for the destructor. The
/// crate that uses it depends on `pybridge-base`.
///
/// It stands above `#[pymethods]`, `#[pyfunction]` and `#[pyclass]`, and at the `Drop` of a class that has its own.
#[proc_macro_attribute]
pub fn python_entry(_: TokenStream, item: TokenStream) -> TokenStream {
    let words: Vec<String> = item.clone().into_iter().map(|token| token.to_string()).collect();
    let place = |word: &str| words.iter().position(|other| other == word);
    if let Some(place) = place("impl") {
        let at = place + words[place..].iter().position(|word| word.starts_with('{')).unwrap_or(0);
        item.into_iter()
            .enumerate()
            .map(|(i, token)| if i == at { inside(token, enter_functions) } else { token })
            .collect()
    } else if let Some(name) = place("struct").and_then(|place| words.get(place + 1)) {
        let destructor = format!("impl Drop for {name} {{ fn drop(&mut self) {{ {ENTER} }} }}");
        [item, parsed(&destructor)].into_iter().collect()
    } else {
        enter_functions(item)
    }
}

/// The same items; the braces that follow each `fn` begin with the call.
fn enter_functions(items: TokenStream) -> TokenStream {
    let mut in_signature = false;
    let each = |token: TokenTree| match &token {
        TokenTree::Ident(word) if word.to_string() == "fn" => {
            in_signature = true;
            token
        }
        TokenTree::Group(group) if in_signature && group.delimiter() == Delimiter::Brace => {
            in_signature = false;
            inside(token, |body| [parsed(ENTER), body].into_iter().collect())
        }
        _ => token,
    };
    items.into_iter().map(each).collect()
}

/// A group with its content changed; its place in the source stays.
fn inside(token: TokenTree, change: impl FnOnce(TokenStream) -> TokenStream) -> TokenTree {
    let TokenTree::Group(group) = token else { return token };
    let mut changed = Group::new(group.delimiter(), change(group.stream()));
    changed.set_span(group.span());
    TokenTree::Group(changed)
}

fn parsed(code: &str) -> TokenStream {
    code.parse().expect("the code is written above")
}

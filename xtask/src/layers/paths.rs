//! The paths that a file of Rust names, read as tokens.

use anyhow::Result;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What stands for `unsafe` in front of an attribute's arguments.
pub const UNSAFE_ATTRIBUTE: &str = "unsafe()";

/// The module that a file is.
pub fn module_of(file: &str) -> Vec<String> {
    let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// Every path that a file names.
pub fn names_of(file: &str, text: &str) -> Result<Vec<Name>> {
    let tokens: TokenStream = text.parse().map_err(|error| anyhow::anyhow!("{file}: cannot read as Rust: {error}"))?;
    let mut names = Names::default();
    names.scan(&flat(tokens), &module_of(file));
    Ok(names.0)
}

/// The path from the top of the crate, `None` if it does not start from a place in the crate.
pub fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut at = match path[0].as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        _ => return None,
    };
    for segment in path {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => drop(at.pop()),
            name => at.push(name.to_owned()),
        }
    }
    Some(at)
}

/// A path as written, where it stands and in which module.
pub struct Name {
    /// The module, from the top of the crate.
    pub module: Vec<String>,
    /// The path, of one name at least.
    pub path: Vec<String>,
    /// Its line in the file.
    pub line: usize,
    /// What the module calls it, if this is a `use` of one name.
    pub known_as: Option<String>,
}

/// Every path of a file; single identifiers too.
#[derive(Default)]
struct Names(Vec<Name>);

impl Names {
    fn scan(&mut self, tokens: &[TokenTree], module: &[String]) {
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.scan(&flat(group.stream()), module),
                TokenTree::Ident(ident) if *ident == "mod" => {
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                        (tokens.get(at + 1), tokens.get(at + 2))
                        && body.delimiter() == Delimiter::Brace
                    {
                        self.scan(&flat(body.stream()), &[module, &[name.to_string()]].concat());
                        at += 2;
                    }
                }
                TokenTree::Ident(ident) if *ident == "use" && tokens.get(at + 1).is_some_and(continues) => {
                    at = self.path(tokens, at + 1, Vec::new(), module, true) - 1;
                }
                TokenTree::Ident(ident) if *ident == "unsafe" && tokens.get(at + 1).is_some_and(is_arguments) => {
                    let line = ident.span().start().line;
                    self.0.push(Name {
                        module: module.to_vec(),
                        path: vec![UNSAFE_ATTRIBUTE.to_owned()],
                        line,
                        known_as: None,
                    });
                }
                TokenTree::Ident(_) => at = self.path(tokens, at, Vec::new(), module, false) - 1,
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads the path that begins at `at` below `prefix`, groups (`a::{b, c::d}`) included; returns where it ends. In a `use` that is behind
    /// the name that is given to it.
    fn path(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        prefix: Vec<String>,
        module: &[String],
        is_use: bool,
    ) -> usize {
        let mut path = prefix;
        let line = tokens[at].span().start().line;
        loop {
            match &tokens[at] {
                TokenTree::Ident(ident) => path.push(ident.to_string().trim_start_matches("r#").to_owned()),
                TokenTree::Punct(punct) if punct.as_char() == '*' => path.push("*".to_owned()),
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner = flat(group.stream());
                    for element in inner.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ',')) {
                        if !element.is_empty() {
                            self.path(element, 0, path.clone(), module, is_use);
                        }
                    }
                    return at + 1;
                }
                _ => break,
            }
            at += 1;
            let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
            let more = colon(at) && colon(at + 1) && tokens.get(at + 2).is_some_and(continues);
            if !more {
                break;
            }
            at += 2;
        }
        let mut known_as = path.iter().rfind(|name| *name != "self").filter(|name| is_use && *name != "*").cloned();
        if let (true, Some(TokenTree::Ident(word)), Some(TokenTree::Ident(name))) =
            (is_use, tokens.get(at), tokens.get(at + 1))
            && *word == "as"
        {
            known_as = Some(name.to_string());
            at += 2;
        }
        self.0.push(Name { module: module.to_vec(), path, line, known_as });
        at
    }
}

/// Whether a token after `::` goes on with the path (a generic argument list does not).
fn continues(token: &TokenTree) -> bool {
    match token {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(punct) => punct.as_char() == '*',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Literal(_) => false,
    }
}

/// Whether a token after `unsafe` makes it that of an attribute.
fn is_arguments(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
}

fn flat(tokens: TokenStream) -> Vec<TokenTree> {
    tokens.into_iter().collect()
}

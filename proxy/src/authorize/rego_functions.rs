//! Finds calls of functions that are not there, which regorus notices no earlier than it comes to one.

use regorus::Engine;

use super::rego_text::{Token, is_word, tokens};

/// A function that is called, and not there.
pub(super) struct MissingFunction {
    pub(super) module: String,
    pub(super) line: usize,
    pub(super) name: String,
}

/// Asks a copy of the engine for each function by a call of it, from a module of the same package and imports.
pub(super) fn missing(engine: &Engine, modules: &[(String, String)]) -> Option<MissingFunction> {
    for (module, text) in modules {
        let tokens = tokens(text);
        let header = header(text, &tokens);
        for (line, name) in calls(&tokens) {
            let mut engine = engine.clone();
            let probe = format!("{header}\n{PROBE} := {name}(0)\n");
            let Ok(package) = engine.add_policy("probe".to_owned(), probe) else {
                continue;
            };
            let result = engine.eval_rule(format!("{package}.{PROBE}"));
            if result.is_err_and(|error| error.to_string().contains(NOT_FOUND)) {
                return Some(MissingFunction {
                    module: module.clone(),
                    line,
                    name,
                });
            }
        }
    }
    None
}

/// The lines that say what names mean.
fn header(text: &str, tokens: &[Token<'_>]) -> String {
    let at = |word: &'static str| {
        tokens
            .iter()
            .filter(move |t| t.text == word)
            .map(|t| t.line)
    };
    let lines = at("package").take(1).chain(at("import"));
    let lines = lines.filter_map(|line| text.lines().nth(line.checked_sub(1)?));
    lines.collect::<Vec<_>>().join("\n")
}

/// Each function that is called or defined, once, with the first line of it.
fn calls(tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut calls: Vec<(usize, String)> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.text != "(" {
            continue;
        }
        // Backwards over `a.b.c`.
        let mut names = Vec::new();
        let mut before = tokens.get(..at).unwrap_or_default();
        while let [rest @ .., name] = before
            && is_word(name)
        {
            names.push(*name);
            match rest {
                [rest @ .., dot] if dot.text == "." => before = rest,
                _ => break,
            }
        }
        let Some(first) = names.last() else {
            continue;
        };
        if names.len() == 1 && KEYWORDS.contains(&first.text) {
            continue;
        }
        let name: Vec<_> = names.iter().rev().map(|name| name.text).collect();
        let name = name.join(".");
        if calls.iter().all(|(_, known)| *known != name) {
            calls.push((first.line, name));
        }
    }
    calls
}

/// Words that an expression in parentheses can follow; `set()` is the empty set.
const KEYWORDS: [&str; 10] = [
    "as", "else", "every", "if", "in", "not", "set", "some", "true", "with",
];
const PROBE: &str = "xks_proxy_probe_for_functions";
const NOT_FOUND: &str = "could not find function";

#[cfg(test)]
mod tests {
    use super::*;

    fn missing_in(modules: &[&str]) -> Option<(usize, String)> {
        let modules = modules.iter().enumerate();
        let modules: Vec<_> = modules
            .map(|(n, text)| (format!("{n}.rego"), (*text).to_owned()))
            .collect();
        let mut engine = Engine::new();
        for (name, text) in &modules {
            engine.add_policy(name.clone(), text.clone()).unwrap();
        }
        missing(&engine, &modules).map(|m| (m.line, m.name))
    }

    #[test]
    fn a_function_is_there_if_it_is_built_in_or_defined() {
        let lib = "package lib.arns\naccount(arn) := split(arn, \":\")[4]\n";
        let good = "package xks\nimport data.lib.arns\n\
                    two(a, b) if a == b\nempty := set()\n\
                    allow if { two(1, (1)); not (1 in [2]) ; data.lib.arns.account(\"a:b:c:d:e\") == \"e\" }\n\
                    allow if { two(\"\", \"nosuch(1)\") } # nosuch(2)\n\
                    allow if glob.match(\"*\", [], data.lib.arns.account(input.x))\n";
        assert_eq!(missing_in(&[lib, good]), None);
        for (bad, line, name) in [
            (
                "package xks\nallow if startwith(input.x, \"a\")",
                2,
                "startwith",
            ),
            (
                "package xks\nimport data.lib.arns\nallow if arns.acount(input.x)",
                3,
                "arns.acount",
            ),
            ("package xks\nallow if account(input.x)", 2, "account"),
            ("package xks\nallow if http.send({})", 2, "http.send"),
        ] {
            assert_eq!(
                missing_in(&[lib, bad]),
                Some((line, name.to_owned())),
                "{bad}"
            );
        }
    }
}

//! The languages of blocks, and what is done with each.

/// Whether a test of the page has to take a block of this language.
///
/// # Panics
/// If nobody says what is done with it.
pub(crate) fn needs_a_test_of_its_own(language: &str) -> bool {
    match language {
        // Commands, with what they print in `console`; programs; files of other programs.
        "sh" | "console" | "python" | "js" | "rust" | "hcl" | "yaml" | "ini" => true,
        // `settings.rs` reads every one.
        "toml" | "json" => false,
        // What is printed, and formulas: `coverage.rs` sees to it that no command is in it.
        "text" => false,
        other => panic!(
            "a block is of the language {other:?}, and pages/languages.rs does not say what is done with it"
        ),
    }
}

//! Pages of the documentation, as far as tests run them.

/// The code blocks of one language, in order.
pub fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    let blocks = text.split(&*fence).skip(1);
    blocks
        .map(|rest| rest.split_once("```").expect("the end of a block").0)
        .collect()
}

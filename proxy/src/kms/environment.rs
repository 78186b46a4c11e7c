//! Environment variables, read once; an empty one counts as unset, as it does for the AWS tools.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Variables that hold text. It has no `Debug`: some of them are secrets.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, Zeroizing<String>>);

impl Environment {
    /// The variables of this process that the AWS tools look at.
    pub fn of_process() -> Self {
        let ours = |name: &str| name.starts_with("AWS_") || OTHERS.contains(&name);
        let text = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::of(text.filter(|(name, _)| ours(name)))
    }

    /// These variables.
    pub fn of<N: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = variables.into_iter();
        Self(
            variables
                .map(|(name, value)| (name.into(), Zeroizing::new(value.into())))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.as_str();
        (!value.is_empty()).then_some(value)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The path that a variable holds, else one in the home folder.
    pub(super) fn path_or_home(&self, name: &str, in_home: &str) -> Option<PathBuf> {
        match self.get(name) {
            Some(path) => Some(self.expanded(path)),
            None => Some(Path::new(self.get("HOME")?).join(in_home)),
        }
    }

    /// A path in which `~/` stands for the home folder.
    pub(super) fn expanded(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.get("HOME")) {
            (Some(rest), Some(home)) => Path::new(home).join(rest),
            _ => path.into(),
        }
    }
}

const OTHERS: [&str; 6] = [
    "HOME",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];

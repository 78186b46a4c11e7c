//! The profiles of `~/.aws/config` and `~/.aws/credentials`, which the AWS tools share.
//!
//! Of a name that both files have, the credentials file's settings go first. Sections of single sign-on are left out.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::environment::Environment;

/// What both files say. It has no `Debug`: it holds secrets.
pub(super) struct Profiles {
    profiles: BTreeMap<String, Profile>,
    services: HashMap<String, Profile>,
    /// Where was looked, and what came of it.
    pub(super) files: Vec<(PathBuf, Found)>,
}

/// What became of a file.
#[derive(Debug)]
pub(super) enum Found {
    Read,
    Missing,
    Unreadable(io::Error),
}

/// The settings of one section; `outer.inner` for those that are indented below another.
#[derive(Clone, Default)]
pub(super) struct Profile(HashMap<String, Zeroizing<String>>);

impl Profile {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.as_str();
        (!value.is_empty()).then_some(value)
    }
}

impl Profiles {
    pub(super) fn load(environment: &Environment) -> Self {
        let mut all = Self {
            profiles: BTreeMap::new(),
            services: HashMap::new(),
            files: Vec::new(),
        };
        let files = [
            (
                "AWS_SHARED_CREDENTIALS_FILE",
                ".aws/credentials",
                Kind::Credentials,
            ),
            ("AWS_CONFIG_FILE", ".aws/config", Kind::Config),
        ];
        for (variable, in_home, kind) in files {
            let Some(path) = environment.path_or_home(variable, in_home) else {
                continue;
            };
            let found = match std::fs::read(&path).map(Zeroizing::new) {
                Ok(bytes) => match str::from_utf8(&bytes) {
                    Ok(text) => {
                        all.take_up(text, kind);
                        Found::Read
                    }
                    Err(error) => {
                        Found::Unreadable(io::Error::new(io::ErrorKind::InvalidData, error))
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
                Err(error) => Found::Unreadable(error),
            };
            all.files.push((path, found));
        }
        all
    }

    pub(super) fn get(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.profiles.keys().map(String::as_str).collect()
    }

    /// A section `[services NAME]`.
    pub(super) fn services(&self, name: &str) -> Option<&Profile> {
        self.services.get(name)
    }

    /// Reads one file; what is there already stays.
    fn take_up(&mut self, text: &str, kind: Kind) {
        let mut section = Section::Other;
        let mut outer = String::new();
        for line in text.lines() {
            let bare = without_comment(line);
            if bare.trim().is_empty() {
                continue;
            }
            if let Some(name) = bare
                .trim()
                .strip_prefix('[')
                .and_then(|l| l.strip_suffix(']'))
            {
                section = Section::of(name.trim(), kind);
                outer.clear();
                // A section without settings is there all the same.
                let _ = section.profile(self);
                continue;
            }
            let Some((name, value)) = bare.split_once('=') else {
                continue;
            };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            let name = match line.starts_with([' ', '\t']) && !outer.is_empty() {
                true => format!("{outer}.{name}"),
                false => {
                    outer.clone_from(&name);
                    name
                }
            };
            if let Some(profile) = section.profile(self) {
                let settings = profile.0.entry(name);
                settings.or_insert_with(|| Zeroizing::new(value.to_owned()));
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Credentials,
    Config,
}

/// Which section the lines belong to.
enum Section {
    Profile(String),
    Services(String),
    Other,
}

impl Section {
    fn of(name: &str, kind: Kind) -> Self {
        let quoted = |name: &str| name.trim().trim_matches(['"', '\'']).to_owned();
        match (kind, name.split_once(char::is_whitespace)) {
            (Kind::Credentials, _) => Self::Profile(quoted(name)),
            (Kind::Config, Some(("profile", name))) => Self::Profile(quoted(name)),
            (Kind::Config, Some(("services", name))) => Self::Services(quoted(name)),
            (Kind::Config, None) if name == "default" => Self::Profile(name.to_owned()),
            (Kind::Config, _) => Self::Other,
        }
    }

    fn profile<'p>(&self, all: &'p mut Profiles) -> Option<&'p mut Profile> {
        match self {
            Self::Profile(name) => Some(all.profiles.entry(name.clone()).or_default()),
            Self::Services(name) => Some(all.services.entry(name.clone()).or_default()),
            Self::Other => None,
        }
    }
}

/// A line without what follows a `#` or `;` at its start or after a space.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let end = [" #", " ;", "\t#", "\t;"]
        .iter()
        .filter_map(|mark| line.find(mark))
        .min();
    line.get(..end.unwrap_or(line.len())).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read_as_the_aws_tools_read_them() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(
            home.path().join(".aws/config"),
            "# comment\n[default]\nregion = eu-west-1 # here\n[profile \"two words\"]\nREGION=us-east-2\n\
             services = local\naws_secret_access_key = a#b\n[services local]\nkms =\n  endpoint_url = http://127.0.0.1:1\n\
             sts =\n\tendpoint_url = http://127.0.0.1:2\n[sso-session x]\nregion = nowhere\n[profile empty]\n",
        )
        .unwrap();
        std::fs::write(
            home.path().join(".aws/credentials"),
            "[default]\naws_access_key_id=AKID\nregion=us-west-2\n; no\n",
        )
        .unwrap();
        let environment = Environment::of([("HOME", home.path().to_str().unwrap())]);
        let profiles = Profiles::load(&environment);
        let default = profiles.get("default").unwrap();
        assert_eq!(default.get("aws_access_key_id"), Some("AKID"));
        assert_eq!(default.get("region"), Some("us-west-2"));
        let other = profiles.get("two words").unwrap();
        assert_eq!(other.get("region"), Some("us-east-2"));
        assert_eq!(other.get("aws_secret_access_key"), Some("a#b"));
        let local = profiles.services("local").unwrap();
        assert_eq!(local.get("kms.endpoint_url"), Some("http://127.0.0.1:1"));
        assert_eq!(local.get("sts.endpoint_url"), Some("http://127.0.0.1:2"));
        assert_eq!(profiles.names(), ["default", "empty", "two words"]);
        let environment = Environment::of([("AWS_CONFIG_FILE", "/nowhere/config")]);
        let profiles = Profiles::load(&environment);
        assert!(matches!(*profiles.files, [(_, Found::Missing)]));
    }
}

//! A report's file: tried before the run, and replaced as a whole after it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;

/// A file that a report can be written into; what it holds stays until then.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportFile {
    /// Behind symbolic links.
    path: PathBuf,
    way: Way,
}

/// How it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// Another file in the same folder takes its place.
    Replaced,
    /// It is written over: a terminal, a pipe, or a file in a folder that takes no other.
    InPlace,
}

impl ReportFile {
    /// Tries whether the file can be written, and changes nothing.
    ///
    /// # Errors
    /// It cannot.
    pub fn check(path: &Path) -> io::Result<Self> {
        let found = match fs::metadata(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let way = |folder: io::Result<()>| match folder {
            Ok(()) => Way::Replaced,
            Err(_) => Way::InPlace,
        };
        match found {
            Some(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Some(found) if found.is_file() => {
                let path = fs::canonicalize(path)?;
                OpenOptions::new().append(true).open(&path)?;
                let way = way(try_folder(&path));
                Ok(Self { path, way })
            }
            // A pipe has no other name.
            Some(_) => Ok(Self {
                path: path.to_owned(),
                way: Way::InPlace,
            }),
            None => {
                let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                let path = fs::canonicalize(folder(path))?.join(name);
                try_folder(&path)?;
                let way = Way::Replaced;
                Ok(Self { path, way })
            }
        }
    }

    /// Whether one of two reports would replace the other.
    pub fn collides(&self, other: &Self) -> bool {
        self == other && self.way == Way::Replaced
    }

    /// Writes the report; the file holds the old one or the new one, and never a part.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, report: &str) -> io::Result<()> {
        if self.way == Way::InPlace {
            return fs::write(&self.path, report);
        }
        let beside = beside(&self.path);
        let written = create(&beside).and_then(|mut file| {
            file.write_all(report.as_bytes())?;
            if let Ok(old) = fs::metadata(&self.path) {
                file.set_permissions(old.permissions())?;
            }
            fs::rename(&beside, &self.path)
        });
        if written.is_err() {
            // It may not be there.
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

/// Makes a file beside the report and takes it away again.
fn try_folder(path: &Path) -> io::Result<()> {
    let beside = beside(path);
    create(&beside)?;
    fs::remove_file(beside)
}

fn create(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Of this process alone.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder(path).join(format!(".{name}.{}.part", process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_old_report_stays_until_the_new_one_is_whole() {
        let folder = harness::temp_dir();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "before").unwrap();
        let (over, fresh) = (
            ReportFile::check(&old).unwrap(),
            ReportFile::check(&new).unwrap(),
        );
        assert_eq!(fs::read_to_string(&old).unwrap(), "before");
        assert_eq!(names(folder.path()), ["old"]);
        over.write("after").unwrap();
        fresh.write("first").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "after");
        assert_eq!(names(folder.path()), ["new", "old"]);
    }

    #[test]
    fn what_cannot_be_written_is_told_before_the_run() {
        let folder = harness::temp_dir();
        assert!(ReportFile::check(folder.path()).is_err());
        assert!(ReportFile::check(&folder.path().join("none/report")).is_err());
    }

    #[test]
    fn a_symbolic_link_stays_one_and_a_device_is_written_to() {
        let folder = harness::temp_dir();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "before").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let (straight, linked) = (
            ReportFile::check(&file).unwrap(),
            ReportFile::check(&link).unwrap(),
        );
        assert!(straight.collides(&linked));
        linked.write("after").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "after");
        assert!(link.is_symlink());
        let null = ReportFile::check(Path::new("/dev/null")).unwrap();
        assert!(!null.collides(&null.clone()));
        null.write("anything").unwrap();
    }
}

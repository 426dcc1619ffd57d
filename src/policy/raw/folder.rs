//! Finding and reading the files of a policy, and those of its tests. What stands in them is read elsewhere.

use std::fs;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::problem::Place;
use crate::problem::Problem;
use crate::problem::Problems;
use crate::yaml;

/// Folders within folders, as far as anyone nests them.
const MAX_DEPTH: usize = 8;

/// Files in all. A policy of 100,000 actions needs a few hundred.
const MAX_FILES: usize = 10_000;

/// Which files of a folder are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Kind {
    /// `NAME.yaml`, `NAME.yml`.
    Policies,
    /// `NAME.test.yaml`, `NAME.test.yml`.
    Tests,
}

impl Kind {
    fn fits(self, file_name: &str) -> bool {
        let stem = file_name
            .strip_suffix(".yaml")
            .or(file_name.strip_suffix(".yml"));
        stem.is_some_and(|stem| stem.ends_with(".test") == (self == Self::Tests))
    }
}

/// The files of a folder, or the one file, as names with contents in the order of the names.
pub(in crate::policy) fn read(
    path: &Path,
    kind: Kind,
    problems: &mut Problems,
) -> Vec<(String, Vec<u8>)> {
    let paths = paths((path, kind), problems);
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        match contents(&path) {
            Ok(bytes) => files.push((name(&path), bytes)),
            Err(problem) => problems.push(*problem),
        }
    }
    files
}

/// Where the files are that would be read, in the order of their names.
pub(in crate::policy) fn paths(
    (path, kind): (&Path, Kind),
    problems: &mut Problems,
) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut paths = Vec::new();
    find((path, kind), MAX_DEPTH, &mut paths, problems);
    paths.sort();
    paths
}

/// Adds the files below a folder. Hidden entries are left out: in a mounted ConfigMap they
/// hold every file a second time, and editors keep their drafts there.
fn find(
    (folder, kind): (&Path, Kind),
    depth: usize,
    found: &mut Vec<PathBuf>,
    problems: &mut Problems,
) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return problems.push(unreadable(folder, &error)),
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => return problems.push(unreadable(folder, &error)),
        };
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        if file_name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            descend((&path, kind), depth, found, problems);
        } else if kind.fits(&file_name) {
            found.push(path);
        }
        if found.len() > MAX_FILES {
            let message = format!("more than {MAX_FILES} policy files");
            return problems.push(Problem::error(&place(folder), message));
        }
    }
}

fn descend(
    (folder, kind): (&Path, Kind),
    depth: usize,
    found: &mut Vec<PathBuf>,
    problems: &mut Problems,
) {
    if depth == 0 {
        let problem = Problem::error(&place(folder), "folders are nested too deep");
        problems.push(problem.remedy("is a link leading back into the policies folder?"));
    } else {
        find((folder, kind), depth - 1, found, problems);
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, Box<Problem>> {
    let failed = |error: io::Error| Box::new(unreadable(path, &error));
    // Before it is opened: a pipe would be waited for until somebody writes to it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Box::new(no_file(path)));
    }
    let file = fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Box::new(no_file(path)));
    }
    if is_world_writable(&metadata) {
        let problem = Problem::error(&place(path), "everyone on this machine may write this file");
        return Err(Box::new(
            problem.remedy("take the right away: `chmod o-w FILE`"),
        ));
    }
    // The size is that of the moment: what is read is bounded by itself.
    let most = yaml::MAX_BYTES as u64 + 1;
    let mut bytes = Vec::with_capacity(metadata.len().min(most) as usize);
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The file alone, not its folder: the folder of a ConfigMap is world-writable by its mode, and
/// read-only all the same.
#[cfg(unix)]
fn is_world_writable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o002 != 0
}

#[cfg(not(unix))]
fn is_world_writable(_: &fs::Metadata) -> bool {
    false
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let problem = Problem::error(&place(path), format!("cannot be read: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound => problem.remedy("name a policy file or a folder of them"),
        _ => problem,
    }
}

fn no_file(path: &Path) -> Problem {
    let problem = Problem::error(&place(path), "this is no regular file");
    problem.remedy("write the policy to a file; a pipe or a device is not read")
}

fn place(path: &Path) -> Place {
    Place::of_file(&Arc::from(name(path)))
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

//! What the files of a policy are like, without reading them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::policy;

/// Which files there are, and in which state each is. Two that are equal are of the same contents, unless one was
/// written twice within a tick of the file system's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature(Vec<(PathBuf, Option<Stamp>)>);

/// The file behind a name, through links. The time of change is in it because the time of modification can be set.
type Stamp = ([u64; 3], [i64; 4]);

impl Signature {
    /// As they are now.
    pub fn of(path: &Path) -> Self {
        let stamped = |file: PathBuf| {
            let stamp = std::fs::metadata(&file).ok().as_ref().map(stamp);
            (file, stamp)
        };
        Self(policy::files(path).into_iter().map(stamped).collect())
    }
}

fn stamp(of: &Metadata) -> Stamp {
    (
        [of.dev(), of.ino(), of.size()],
        [of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()],
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn whatever_changes_what_would_be_read_changes_it_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (at, outside) = (
            |name: &str| folder.path().join("p").join(name),
            folder.path(),
        );
        fs::create_dir_all(at("below")).unwrap();
        fs::write(at("a.yaml"), "1").unwrap();
        fs::write(outside.join("elsewhere"), "1").unwrap();
        symlink("../../elsewhere", at("below/link.yaml")).unwrap();
        type Change<'a> = (&'a str, bool, Box<dyn Fn() + 'a>);
        let changes: [Change<'_>; 8] = [
            ("nothing", false, Box::new(|| ())),
            (
                "a draft",
                false,
                Box::new(|| fs::write(at(".a.yaml.swp"), "x").unwrap()),
            ),
            (
                "a test",
                false,
                Box::new(|| fs::write(at("a.test.yaml"), "x").unwrap()),
            ),
            (
                "another file",
                true,
                Box::new(|| fs::write(at("b.yml"), "1").unwrap()),
            ),
            (
                "its size",
                true,
                Box::new(|| fs::write(at("a.yaml"), "22").unwrap()),
            ),
            (
                "behind a link",
                true,
                Box::new(|| fs::write(outside.join("elsewhere"), "333").unwrap()),
            ),
            (
                "its name",
                true,
                Box::new(|| fs::rename(at("a.yaml"), at("c.yaml")).unwrap()),
            ),
            (
                "it is gone",
                true,
                Box::new(|| fs::remove_file(at("c.yaml")).unwrap()),
            ),
        ];
        for (what, changed, change) in changes {
            let before = Signature::of(&outside.join("p"));
            change();
            let after = Signature::of(&outside.join("p"));
            assert_eq!(before != after, changed, "{what}");
        }
        assert_eq!(Signature::of(&at("none")), Signature::of(&at("none")));
    }
}

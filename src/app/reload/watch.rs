//! Hearing of changes to the policy's files from the operating system.
//!
//! The folder is watched and not its files: editors write another file and rename it, and Kubernetes swaps a link next
//! to all of them. So is the folder around it, since a whole folder may be swapped as well. What is not heard here is
//! seen by a look at the files every few seconds.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// Watches until it is dropped.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    path: PathBuf,
    /// The folder that is watched, which may be another one under the same name by now.
    folder: Option<(u64, u64)>,
}

impl Watch {
    /// Calls `changed` with everything that may have changed the files of a folder, or the one file.
    pub(super) fn new(path: &Path, changed: impl Fn() + Send + 'static) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let of = path.clone();
        let heard = move |event: notify::Result<Event>| match event {
            Ok(event) if !concerns(&event, &of) => {}
            // Events may have been lost.
            Ok(_) | Err(_) => changed(),
        };
        // A link is not followed: it may lead anywhere, to the root of the file system too.
        let config = Config::default().with_follow_symlinks(false);
        let mut watch = Self {
            watcher: told(&path, RecommendedWatcher::new(heard, config)),
            path,
            folder: None,
        };
        if let (Some(watcher), Some(parent)) = (&mut watch.watcher, watch.path.parent()) {
            told(
                &watch.path,
                watcher.watch(parent, RecursiveMode::NonRecursive),
            );
        }
        watch.renew();
        watch
    }

    /// Watches the folder that has the name now.
    pub(super) fn renew(&mut self) {
        let folder = fs::metadata(&self.path).ok().filter(fs::Metadata::is_dir);
        let folder = folder.map(|it| (it.dev(), it.ino()));
        let Some(watcher) = self.watcher.as_mut().filter(|_| folder != self.folder) else {
            return;
        };
        if self.folder.is_some() {
            // What is gone is not watched any more, which is an error here.
            let _ = watcher.unwatch(&self.path);
        }
        self.folder = folder;
        if folder.is_some() {
            told(
                &self.path,
                watcher.watch(&self.path, RecursiveMode::Recursive),
            );
        }
    }
}

/// Whether an event may mean that other bytes would be read.
fn concerns(event: &Event, path: &Path) -> bool {
    let is_content = match event.kind {
        // exeat itself reads the files.
        EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => return false,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_)) => true,
        // What comes, goes or gets another name may be a folder or a link.
        _ => false,
    };
    let is_here = |it: &PathBuf| match it.strip_prefix(path) {
        Ok(_) if is_content && it != path && !is_policy(it) => false,
        Ok(below) => !below.components().any(|part| is_draft(part.as_os_str())),
        // Beside a single file, the link that Kubernetes swaps.
        Err(_) => it.parent() == path.parent() && is_swapped(it),
    };
    event.need_rescan() || event.paths.iter().any(is_here)
}

/// By its name. Where an audit file lies in the same folder, it is written to all the time.
fn is_policy(path: &Path) -> bool {
    let extension = path.extension();
    extension.is_some_and(|it| it == "yaml" || it == "yml")
}

/// Hidden, and not one of the names that Kubernetes gives: those begin with two dots.
fn is_draft(name: &std::ffi::OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && !name.starts_with(b"..")
}

fn is_swapped(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b"..")
}

fn told<T>(path: &Path, result: notify::Result<T>) -> Option<T> {
    let path = path.display();
    result
        .inspect_err(|error| {
            tracing::warn!(
                "{path} is not watched ({error}); a change is seen after {:?}, or at once with SIGHUP",
                super::LOOK
            );
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::mpsc;
    use std::time::Duration;

    use notify::event::{CreateKind, DataChange, Flag, RenameMode};

    use super::*;

    #[test]
    fn what_may_change_the_files_is_heard_and_reading_them_is_not() {
        let created = EventKind::Create(CreateKind::File);
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let read = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        for (kind, path, expected) in [
            (renamed, "/etc/exeat/policies/a.yaml", true),
            (renamed, "/etc/exeat/policies/..data", true),
            (written, "/etc/exeat/policies/below/a.yaml", true),
            (created, "/etc/exeat/policies/below", true),
            (renamed, "/etc/exeat/policies", true),
            (read, "/etc/exeat/policies/a.yaml", false),
            (created, "/etc/exeat/policies/.a.yaml.swp", false),
            (written, "/etc/exeat/policies/.git/index", false),
            (written, "/etc/exeat/audit.jsonl", false),
            (written, "/etc/exeat/policies/audit.jsonl", false),
            (data, "/etc/exeat/policies/audit.jsonl", false),
            (data, "/etc/exeat/policies/a.yml", true),
            (renamed, "/etc/exeat/..data", true),
        ] {
            let event = Event::new(kind).add_path(path.into());
            let heard = concerns(&event, Path::new("/etc/exeat/policies"));
            assert_eq!(heard, expected, "{event:?}");
        }
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(concerns(&lost, Path::new("/etc/exeat/policies")));
    }

    /// Without the looks of every few seconds.
    #[test]
    fn the_operating_system_tells_of_every_kind_of_change() {
        type Change = (&'static str, fn(&Path));
        let changes: [Change; 6] = [
            ("written", |at| {
                fs::write(at.join("policies/a.yaml"), "2").unwrap()
            }),
            ("another", |at| {
                fs::write(at.join("policies/b.yaml"), "1").unwrap()
            }),
            ("removed", |at| {
                fs::remove_file(at.join("policies/a.yaml")).unwrap()
            }),
            ("below", |at| {
                fs::write(at.join("policies/below/c.yaml"), "1").unwrap()
            }),
            ("a link", |at| {
                symlink("a.yaml", at.join("policies/..data")).unwrap()
            }),
            ("replaced", |at| {
                fs::rename(at.join("policies"), at.join("x")).unwrap()
            }),
        ];
        for (what, change) in changes {
            let around = tempfile::tempdir().unwrap();
            fs::create_dir_all(around.path().join("policies/below")).unwrap();
            fs::write(around.path().join("policies/a.yaml"), "1").unwrap();
            let (sender, heard) = mpsc::channel();
            let path = around.path().join("policies");
            let _watch = Watch::new(&path, move || sender.send(()).unwrap_or_default());
            change(around.path());
            let told = heard.recv_timeout(Duration::from_secs(20));
            assert!(told.is_ok(), "{what}");
        }
    }
}

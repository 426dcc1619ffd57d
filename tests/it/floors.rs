//! `src/lib.rs` declares the modules from the ground up, and a module uses only modules declared above it.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn modules_use_only_modules_declared_above_them() {
    let src = source();
    let order = declared();
    let floor = |module: &str| order.iter().position(|it| it == module);
    let mut upward = Vec::new();
    for user in &order {
        for file in files_of(&src, user) {
            for used in crate_paths(&fs::read_to_string(&file).unwrap()) {
                if floor(user) < floor(&used) {
                    let file = file.strip_prefix(&src).unwrap().display();
                    upward.push(format!("{file}: `{user}` reaches up to `{used}`"));
                }
            }
        }
    }
    assert!(upward.is_empty(), "\n{}\n", upward.join("\n"));
}

#[test]
fn every_file_of_the_library_belongs_to_a_declared_module() {
    let src = source();
    let order = declared();
    for entry in fs::read_dir(&src).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(
            ["main", "lib"].contains(&&*name) || order.contains(&name),
            "{name} is not in the map of src/lib.rs"
        );
    }
}

#[test]
fn the_map_names_every_module() {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    for module in declared() {
        assert!(
            lib.contains(&format!("[`{module}`]")),
            "{module} is not in the map"
        );
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The names of `pub mod x;`, in order.
fn declared() -> Vec<String> {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let names = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// `x.rs`, or every file under `x/`.
fn files_of(src: &Path, module: &str) -> Vec<PathBuf> {
    let single = src.join(module).with_extension("rs");
    if single.exists() {
        return vec![single];
    }
    let (mut found, mut folders) = (Vec::new(), vec![src.join(module)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// The first segment of every `crate::` path outside comments. Spellings that would hide one from this scan are
/// refused.
fn crate_paths(text: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    for hidden in ["crate::{", "super::super"] {
        let found = code.iter().find(|line| line.contains(hidden));
        assert_eq!(found, None, "write the path in full");
    }
    code.iter()
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            let name = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_');
            name.collect()
        })
        .collect()
}

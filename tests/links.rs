//! The documents' links lead somewhere, and the sources that they name are there.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why and stops")]

use std::fs;
use std::path::{Path, PathBuf};

/// Where docs.rs shows the files of the package.
const SOURCE: &str = "https://docs.rs/crate/sinew/latest/source/";

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = read(&document);
        for target in inline(&text).into_iter().chain(definitions(&text).map(|(_, target)| target)) {
            if target.contains("://") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let file =
                if path.is_empty() { document.clone() } else { document.with_file_name("").join(path) };
            let leads =
                file.exists() && (heading.is_empty() || headings(&read(&file)).any(|it| it == heading));
            if !leads {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The README is the crate's documentation, too, where no file lies beside it.
#[test]
fn links_of_the_readme_lead_somewhere_else_from_the_documentation() {
    let (readme, crate_doc) = (read(&root().join("README.md")), read(&root().join("src/lib.rs")));
    let crate_doc =
        crate_doc.lines().filter_map(|line| line.strip_prefix("//! ")).collect::<Vec<_>>().join("\n");
    assert_eq!(inline(&readme).iter().find(|target| !target.contains("://")), None, "not by a definition");
    for (name, target) in definitions(&readme) {
        let (_, there) = definitions(&crate_doc).find(|(defined, _)| *defined == name).expect(name);
        if let Some(path) = there.strip_prefix(SOURCE) {
            assert_eq!(path, target);
        }
    }
}

#[test]
fn headings_of_the_readme_that_the_sources_link_to_exist() {
    let headings: Vec<_> = headings(&read(&root().join("README.md"))).collect();
    let mut count = 0;
    for source in files(&root().join("src"), "rs") {
        let text = read(&source);
        for heading in text.split("(crate#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(headings.iter().any(|it| it == heading), "{}: {heading}", source.display());
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn sources_that_the_documents_name_exist() {
    let sources: Vec<_> = files(&root(), "rs").iter().map(|path| path.display().to_string()).collect();
    let mut missing = Vec::new();
    for document in documents() {
        let text = read(&document);
        let named = prose(&text).flat_map(|line| line.split('`').skip(1).step_by(2));
        for name in named.filter(|name| name.ends_with(".rs") && !name.contains(['{', '*', ' '])) {
            if !sources.iter().any(|source| source.ends_with(&format!("/{name}"))) {
                missing.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn documents() -> Vec<PathBuf> {
    let here =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    here.into_iter().chain(files(&root().join("docs"), "md")).collect()
}

/// All files of this extension that belong to the project.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    paths
        .filter(|path| !path.ends_with("target"))
        .flat_map(|path| if path.is_dir() { files(&path, extension) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The targets of `[text](target)`.
fn inline(text: &str) -> Vec<&str> {
    prose(text).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

/// Name and target of `[name]: target`.
fn definitions(text: &str) -> impl Iterator<Item = (&str, &str)> {
    prose(text).filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
}

/// The headings, as a link names them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles = prose(text)
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    titles.map(|title| {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    })
}

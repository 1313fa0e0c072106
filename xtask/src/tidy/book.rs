//! The book in `docs` and every other page: the summary names each page, links lead somewhere, and
//! the tests and variables that pages name exist. What pages say of commands and routes is checked
//! against the program itself, by its end-to-end tests.

mod markdown;

use std::collections::BTreeSet;

use super::Finding;
use super::sources::TextFile;
use markdown::Page;

/// The book's table of contents, which is no page itself.
const SUMMARY: &str = "docs/SUMMARY.md";
/// The page that names a test for each promise.
const GUARANTEES: &str = "docs/guarantees.md";
/// How our variables begin.
const VARIABLE: &str = "HOOKLATCH_";
/// A name of a test has so many words; a name of a field has fewer.
const TEST_WORDS_MIN: usize = 5;

/// What is wrong with the pages; `exists` answers for paths below the root.
pub fn check(files: &[TextFile], exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let pages = files.iter().filter(|file| file.path.ends_with(".md"));
    let pages: Vec<_> = pages
        .map(|file| Page::read(&file.path, &file.text))
        .collect();
    let mut findings = contents(&pages);
    for page in &pages {
        findings.extend(links(page, &pages, exists));
    }
    findings.extend(tests(&pages, files));
    findings.extend(variables(&pages, files));
    findings
}

/// Pages of the book that the summary does not name, or names twice.
fn contents(pages: &[Page]) -> Vec<Finding> {
    let Some(summary) = pages.iter().find(|page| page.path == SUMMARY) else {
        return vec![format!("{SUMMARY}: is not there")];
    };
    let targets = summary.links.iter().map(|link| link.target.as_str());
    let named: Vec<_> = targets.map(|target| resolved(SUMMARY, target)).collect();
    let of_book = |page: &&Page| page.path.starts_with("docs/") && page.path != SUMMARY;
    let book = pages.iter().filter(of_book);
    let times = book.map(|page| {
        let times = named.iter().filter(|name| **name == page.path).count();
        (page, times)
    });
    let wrong = times.filter(|(_, times)| *times != 1);
    wrong
        .map(|(page, times)| format!("{SUMMARY}: names {} {times} times, not once", page.path))
        .collect()
}

/// Links of a page that lead nowhere.
fn links(page: &Page, pages: &[Page], exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for link in &page.links {
        let target = &link.target;
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = if file.is_empty() {
            page.path.clone()
        } else {
            resolved(&page.path, file)
        };
        let place = format!("{}:{}", page.path, link.line);
        if !exists(&path) {
            findings.push(format!("{place}: leads to {path}, which is not there"));
            continue;
        }
        let known = pages.iter().find(|known| known.path == path);
        let misses = known.is_some_and(|known| !known.anchors.contains(anchor));
        if !anchor.is_empty() && misses {
            findings.push(format!("{place}: {path} has no heading #{anchor}"));
        }
    }
    findings
}

/// A path that stands in `page`, from the root.
fn resolved(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Tests that the guarantees name and that do not exist.
fn tests(pages: &[Page], files: &[TextFile]) -> Vec<Finding> {
    let Some(page) = pages.iter().find(|page| page.path == GUARANTEES) else {
        return Vec::new();
    };
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    let known: BTreeSet<&str> = sources.flat_map(|file| words(&file.text)).collect();
    let is_test = |span: &str| {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        span.split('_').count() >= TEST_WORDS_MIN && span.chars().all(is_name)
    };
    let named = page.spans.iter().filter(|span| is_test(&span.text));
    let missing = named.filter(|span| !known.contains(span.text.as_str()));
    missing
        .map(|span| format!("{GUARANTEES}:{}: there is no test {}", span.line, span.text))
        .collect()
}

/// Variables that pages name and nothing reads.
fn variables(pages: &[Page], files: &[TextFile]) -> Vec<Finding> {
    let others = files.iter().filter(|file| !file.path.ends_with(".md"));
    let known: BTreeSet<&str> = others.flat_map(|file| words(&file.text)).collect();
    let mut findings = Vec::new();
    for page in pages {
        let text = files.iter().find(|file| file.path == page.path);
        let named: BTreeSet<&str> = text.iter().flat_map(|file| words(&file.text)).collect();
        // What ends with an underscore stands for many.
        let ours = |name: &&str| name.starts_with(VARIABLE) && !name.ends_with('_');
        let unread = named.into_iter().filter(ours);
        let unread = unread.filter(|name| !known.contains(name));
        findings.extend(unread.map(|name| format!("{}: nothing reads {name}", page.path)));
    }
    findings
}

/// The names in a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        let (path, text) = (path.to_owned(), text.to_owned());
        TextFile { path, text }
    }

    fn found(files: &[TextFile]) -> Vec<Finding> {
        check(files, &|path| files.iter().any(|file| file.path == path))
    }

    #[test]
    fn a_page_is_named_once_by_the_summary() {
        let files = [
            file(SUMMARY, "# Summary\n- [A](a.md)\n- [A](a.md)\n"),
            file("docs/a.md", "# A\n"),
            file("docs/sub/b.md", "# B\n"),
            file("README.md", "# not of the book\n"),
        ];
        let expected = [
            "docs/SUMMARY.md: names docs/a.md 2 times, not once",
            "docs/SUMMARY.md: names docs/sub/b.md 0 times, not once",
        ];
        assert_eq!(found(&files), expected);
        assert_eq!(found(&[]), ["docs/SUMMARY.md: is not there"]);
    }

    #[test]
    fn a_link_leads_to_a_file_and_a_heading() {
        let text = "# A page\n[up](../README.md) [here](#a-page) [out](https://example.com/x)\n\
                    [gone](none.md)\n`[no](link.md)` [where](a.md#elsewhere)\n";
        let files = [
            file(SUMMARY, "- [A](a.md)\n"),
            file("docs/a.md", text),
            file("README.md", "# Read\n"),
        ];
        let expected = [
            "docs/a.md:3: leads to docs/none.md, which is not there",
            "docs/a.md:4: docs/a.md has no heading #elsewhere",
        ];
        assert_eq!(found(&files), expected);
    }

    #[test]
    fn tests_and_variables_that_pages_name_exist() {
        let text = "# G\n`c3_one_of_many_is_accepted` `c3_no_such_test_there_is`\n\
                    `on_failed_original` HOOKLATCH_KNOWN HOOKLATCH_… HOOKLATCH_GUESSED\n";
        let files = [
            file(SUMMARY, "- [G](guarantees.md)\n"),
            file(GUARANTEES, text),
            file(
                "crates/a.rs",
                "fn c3_one_of_many_is_accepted() { env(\"HOOKLATCH_KNOWN\") }",
            ),
        ];
        let expected = [
            "docs/guarantees.md:2: there is no test c3_no_such_test_there_is",
            "docs/guarantees.md: nothing reads HOOKLATCH_GUESSED",
        ];
        assert_eq!(found(&files), expected);
    }
}

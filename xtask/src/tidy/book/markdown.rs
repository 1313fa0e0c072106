//! As much of Markdown as the checks need: headings, links and code spans, outside of code blocks.

use std::collections::BTreeSet;

/// A page.
#[derive(Debug)]
pub struct Page {
    /// Its path below the root.
    pub path: String,
    /// Its links and pictures.
    pub links: Vec<Link>,
    /// Its code spans.
    pub spans: Vec<Span>,
    /// What its headings can be reached by.
    pub anchors: BTreeSet<String>,
}

/// A link.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it stands, from 1.
    pub line: usize,
    /// Where it leads.
    pub target: String,
}

/// A code span.
#[derive(Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it stands, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

impl Page {
    /// Reads a page.
    pub fn read(path: &str, text: &str) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            links: Vec::new(),
            spans: Vec::new(),
            anchors: BTreeSet::new(),
        };
        let mut in_block = false;
        for (line, number) in text.lines().zip(1..) {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
            } else if !in_block {
                page.read_line(line, number);
            }
        }
        page
    }

    fn read_line(&mut self, line: &str, number: usize) {
        let heading = line.trim_start_matches('#');
        if heading.len() < line.len() && heading.starts_with(' ') {
            let anchor = self.free_anchor(&slug(heading.trim()));
            self.anchors.insert(anchor);
        }
        // Every second part lies between backticks.
        for (part, index) in line.split('`').zip(0..) {
            if index % 2 == 1 {
                let text = part.to_owned();
                self.spans.push(Span { line: number, text });
            }
        }
        let targets = targets(&without_spans(line));
        self.links.extend(targets.into_iter().map(|target| Link {
            line: number,
            target,
        }));
    }

    /// A heading that comes again is reached by a number behind it.
    fn free_anchor(&self, slug: &str) -> String {
        let numbered = (1..).map(|number| format!("{slug}-{number}"));
        let mut anchors = std::iter::once(slug.to_owned()).chain(numbered);
        anchors
            .find(|anchor| !self.anchors.contains(anchor))
            .expect("numbers do not end")
    }
}

/// A line with its code spans blanked out; their backticks stay.
fn without_spans(line: &str) -> String {
    let parts = line.split('`').zip(0..);
    let kept = parts.map(|(part, index)| if index % 2 == 1 { "" } else { part });
    kept.collect::<Vec<_>>().join("`")
}

/// What stands in the parentheses behind brackets.
fn targets(line: &str) -> Vec<String> {
    let after = line.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split_once(')'));
    targets
        .map(|(target, _)| target.trim().to_owned())
        .collect()
}

/// What a forge makes of a heading: small letters, digits, hyphens, and underscores.
fn slug(heading: &str) -> String {
    let shown = heading.replace('`', "").to_lowercase();
    let kept = shown
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# The `serve` command, in short\n\
        See [one](a.md#x), ![two](b.svg) and `[three](c.md)`.\n\
        ```sh\n# no heading [no](link.md)\n```\n\
        ## Again\n## Again\n#no heading\n";

    #[test]
    fn headings_links_and_spans_are_found_outside_of_blocks() {
        let page = Page::read("docs/a.md", TEXT);
        let targets: Vec<_> = page.links.iter().map(|link| link.target.as_str()).collect();
        assert_eq!(targets, ["a.md#x", "b.svg"]);
        assert_eq!(page.links[0].line, 2);
        let spans: Vec<_> = page.spans.iter().map(|span| span.text.as_str()).collect();
        assert_eq!(spans, ["serve", "[three](c.md)"]);
        let anchors = ["again", "again-1", "the-serve-command-in-short"];
        assert!(page.anchors.iter().eq(anchors.iter()));
    }
}

//! The edges between the crates are those that ARCHITECTURE.md states: no more, or a layer has
//! leaked; no fewer, or the document tells of a house that is not this one.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;

const HEADER: [&str; 4] = ["crate", "one line", "never imports", "imports"];
const PREFIX: &str = "hooklatch-";

type Edges = BTreeMap<String, BTreeSet<String>>;

/// Compares what is imported with the table in `architecture`.
pub fn check(imports: &Edges, architecture: &str) -> Vec<Finding> {
    let Some(stated) = stated(architecture) else {
        let header = HEADER.join(" | ");
        return vec![format!("ARCHITECTURE.md: has no table \"{header}\"")];
    };
    let found: Edges = imports
        .iter()
        .map(|(name, imports)| {
            (
                short(name),
                imports.iter().map(|name| short(name)).collect(),
            )
        })
        .collect();
    let names: BTreeSet<&String> = stated.keys().chain(found.keys()).collect();
    let compared = names
        .into_iter()
        .flat_map(|name| match (stated.get(name), found.get(name)) {
            (None, _) => vec![format!(
                "ARCHITECTURE.md: the table has no row for the crate {name}"
            )],
            (_, None) => vec![format!(
                "ARCHITECTURE.md: the table's crate {name} does not exist"
            )],
            (Some(stated), Some(found)) => differences(name, stated, found),
        });
    compared.collect()
}

fn short(package: &str) -> String {
    package.strip_prefix(PREFIX).unwrap_or(package).to_owned()
}

fn differences(name: &str, stated: &BTreeSet<String>, found: &BTreeSet<String>) -> Vec<Finding> {
    let leaked = found.difference(stated).map(|other| {
        format!("{name} imports {other}, which its row in ARCHITECTURE.md does not say")
    });
    let missing = stated
        .difference(found)
        .map(|other| format!("ARCHITECTURE.md: {name} is said to import {other}, and does not"));
    leaked.chain(missing).collect()
}

/// The rows below the header: each crate with what stands in backticks in its last cell.
fn stated(architecture: &str) -> Option<Edges> {
    let mut lines = architecture.lines().map(cells);
    lines.find(|cells| cells.iter().map(String::as_str).eq(HEADER))?;
    let rows = lines
        .skip(1)
        .take_while(|cells| cells.len() == HEADER.len());
    let mut edges = Edges::new();
    for row in rows {
        let imports: BTreeSet<String> = in_backticks(&row[3]).collect();
        for name in in_backticks(&row[0]) {
            edges.insert(name, imports.clone());
        }
    }
    Some(edges)
}

/// The cells of a table's line; none where the line is not of a table.
fn cells(line: &str) -> Vec<String> {
    let inner = line
        .trim()
        .strip_prefix('|')
        .and_then(|line| line.strip_suffix('|'));
    let cells = inner.into_iter().flat_map(|inner| inner.split('|'));
    cells.map(|cell| cell.trim().to_owned()).collect()
}

fn in_backticks(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "
# The house
| other | table |
|---|---|

| crate | one line | never imports | imports |
|---|---|---|---|
| `core` | rules | a runtime | - |
| `store` | the contract | drivers | `core` |
| `hooklatch` | the binary | | `core`, `store` |

after it
";

    fn imports(edges: &[(&str, &[&str])]) -> Edges {
        let owned = |(name, imports): &(&str, &[&str])| {
            let imports = imports.iter().map(|&name| name.to_owned()).collect();
            ((*name).to_owned(), imports)
        };
        edges.iter().map(owned).collect()
    }

    const AGREED: [(&str, &[&str]); 3] = [
        ("hooklatch-core", &[]),
        ("hooklatch-store", &["hooklatch-core"]),
        ("hooklatch", &["hooklatch-core", "hooklatch-store"]),
    ];

    #[test]
    fn a_table_that_is_true_has_no_findings() {
        assert_eq!(check(&imports(&AGREED), TABLE), Vec::<Finding>::new());
    }

    #[test]
    fn an_edge_too_many_and_one_too_few_are_found() {
        let mut edges = AGREED;
        edges[0].1 = &["hooklatch-store"];
        edges[2].1 = &["hooklatch-core"];
        let expected = [
            "core imports store, which its row in ARCHITECTURE.md does not say",
            "ARCHITECTURE.md: hooklatch is said to import store, and does not",
        ];
        assert_eq!(check(&imports(&edges), TABLE), expected);
    }

    #[test]
    fn a_crate_too_many_and_one_too_few_are_found() {
        let mut edges = AGREED;
        edges[2] = ("hooklatch-extra", &[]);
        let expected = [
            "ARCHITECTURE.md: the table has no row for the crate extra",
            "ARCHITECTURE.md: the table's crate hooklatch does not exist",
        ];
        assert_eq!(check(&imports(&edges), TABLE), expected);
    }

    #[test]
    fn without_a_table_that_is_said() {
        let findings = check(&imports(&AGREED), "| crate | one line |");
        let expected =
            "ARCHITECTURE.md: has no table \"crate | one line | never imports | imports\"";
        assert_eq!(findings, [expected]);
    }
}

//! Finds the command lines of ours in a page: in blocks for a shell, and in code spans.

/// The name of the program.
const PROGRAM: &str = "hooklatch";
/// What starts it in a clone.
const CARGO: &str = "cargo run";
/// Blocks that are no shell's.
const OTHER_BLOCKS: [&str; 8] = [
    "json", "toml", "text", "rust", "js", "python", "sql", "yaml",
];

/// The words behind the program's name, for each command line.
pub fn command_lines(page: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    let mut unfinished = String::new();
    for line in page.lines() {
        let line = line.trim();
        if let Some(info) = line.strip_prefix("```") {
            block = match block {
                None => Some(
                    info.split_whitespace()
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                ),
                Some(_) => None,
            };
            unfinished.clear();
        } else if let Some(language) = &block {
            if OTHER_BLOCKS.contains(&language.as_str()) {
                continue;
            }
            unfinished.push_str(line.strip_prefix("$ ").unwrap_or(line));
            if unfinished.ends_with('\\') {
                unfinished.pop();
                continue;
            }
            found.extend(arguments(&unfinished));
            unfinished.clear();
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.filter_map(arguments));
        }
    }
    found
}

/// The words behind the program's name, if this is a command of ours.
fn arguments(command: &str) -> Option<Vec<String>> {
    let mut words = words(command).into_iter().peekable();
    while words.peek().is_some_and(|word| is_assignment(word)) {
        words.next();
    }
    let rest: Vec<String> = words.collect();
    let program = rest.first()?;
    let is_ours = program == PROGRAM || program.ends_with(&format!("/{PROGRAM}"));
    if is_ours && rest.len() > 1 {
        return Some(rest[1..].to_vec());
    }
    let by_cargo = command.starts_with(CARGO) && !rest.iter().any(|word| word == "-p");
    let dashes = rest.iter().position(|word| word == "--")?;
    by_cargo.then(|| rest[dashes + 1..].to_vec())
}

fn is_assignment(word: &str) -> bool {
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

/// The words of the first command of a line; what is quoted stays together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ' ') if word.is_empty() => {}
            (None, ' ') if ends_a_command(&word) => return words,
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (_, c) => word.push(c),
        }
    }
    words
}

fn ends_a_command(word: &str) -> bool {
    matches!(
        word,
        "|" | "&&" | "||" | ";" | "&" | "#" | ">" | "2>" | "<" | "-"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "Run `hooklatch serve --dev`, not `hooklatch` or `hooklatch.db`.\n\
        ```console\n$ HOOKLATCH_LISTEN=:1 target/release/hooklatch replay \\\n    --reason 'the --shop was down' | jq .\n\
        {\"id\": 1}\n```\n```json\nhooklatch nothing\n```\n   ```sh\n   cargo run --release -- demo --exit\n   ```\n";

    #[test]
    fn commands_of_ours_are_found_with_their_words() {
        let found: Vec<String> = command_lines(PAGE)
            .iter()
            .map(|words| words.join("|"))
            .collect();
        let expected = [
            "serve|--dev",
            "replay|--reason|the --shop was down",
            "demo|--exit",
        ];
        assert_eq!(found, expected);
    }
}

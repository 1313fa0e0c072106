//! Finds the commands of a tour, and what its page says that they print.

use std::net::SocketAddr;

/// A command and what it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The command, as a shell reads it.
    pub command: String,
    /// What the page shows below it.
    pub expected: String,
}

impl Step {
    /// The same, for where this gateway and this receiver are.
    pub fn directed_to(&self, gateway: SocketAddr, receiver: &str) -> Self {
        let direct = |text: &str| {
            let gateway = format!("http://{gateway}");
            let text = text.replace("http://localhost:8420", &gateway);
            let text = text.replace("http://127.0.0.1:8420", &gateway);
            text.replace("http://localhost:3000", receiver)
        };
        Self {
            command: direct(&self.command),
            expected: direct(&self.expected),
        }
    }

    /// Whether it changes nothing, and so may be repeated.
    pub fn is_look(&self) -> bool {
        let changes = ["-X", "--request", "-d", "--data", "--json", "--data-binary"];
        let mut words = self.command.split_whitespace();
        let asks = self.command.contains("http://") && !self.is_function();
        asks && !words.any(|word| changes.contains(&word))
    }

    /// Whether it defines a function, which the steps after it may call.
    pub fn is_function(&self) -> bool {
        self.command.contains("() {")
    }

    fn starts_a_gateway(&self) -> bool {
        let starts = ["hooklatch serve", "hooklatch demo", "cargo run"];
        starts.iter().any(|start| self.command.contains(start))
    }
}

/// The key that a page starts its gateway with.
pub fn api_key(page: &str) -> Option<&str> {
    let rest = page.split("HOOKLATCH_API_KEY=").nth(1)?;
    let rest = rest.trim_start_matches(['"', '\'']);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    rest.starts_with("hl_").then(|| &rest[..end])
}

/// Every step of the tour, in order.
pub fn steps(page: &str) -> Vec<Step> {
    let steps = blocks(page).into_iter().flat_map(|block| steps_of(&block));
    steps.filter(|step| !step.starts_a_gateway()).collect()
}

/// The lines of each block that belongs to the tour.
fn blocks(page: &str) -> Vec<Vec<&str>> {
    let mut blocks = Vec::new();
    let mut heading = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let block = lines.by_ref().take_while(|line| *line != "```").collect();
            let marked = info.split_whitespace().any(|word| word == "tour");
            if marked || (info == "console" && heading.contains("tour")) {
                blocks.push(block);
            }
        } else if line.starts_with('#') {
            heading = line.to_lowercase();
        }
    }
    blocks
}

fn steps_of(block: &[&str]) -> Vec<Step> {
    let has_prompts = block.iter().any(|line| line.starts_with("$ "));
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for line in block {
        let command = if has_prompts {
            line.strip_prefix("$ ")
        } else {
            Some(*line)
        };
        match (goes_on, command, steps.last_mut()) {
            (true, _, Some(step)) => {
                step.command.push('\n');
                step.command.push_str(line);
                goes_on = line.ends_with('\\');
            }
            (false, Some(command), _) => {
                goes_on = command.ends_with('\\');
                let command = command.to_owned();
                let expected = String::new();
                steps.push(Step { command, expected });
            }
            (false, None, Some(step)) => {
                step.expected.push_str(line);
                step.expected.push('\n');
            }
            (_, _, None) => {}
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = r#"# hooklatch
```console
$ cargo run
```
## A tour of five minutes
```console
$ HOOKLATCH_API_KEY=hl_tour_0123456789012345678901234567 hooklatch serve --dev
$ curl -s http://localhost:8420/v1/sources \
    -d '{"name": "shop"}'
{"id": "src_…",
 "name": "shop"}
$ ask() { curl -s "http://localhost:8420$1"; }
```
## Afterwards
```sh tour
curl http://localhost:8420/healthz
```
```console
$ rm -rf everything
```
"#;

    #[test]
    fn the_tour_is_found_and_nothing_else() {
        let steps = steps(README);
        let commands: Vec<_> = steps.iter().map(|step| step.command.as_str()).collect();
        let expected = [
            "curl -s http://localhost:8420/v1/sources \\\n    -d '{\"name\": \"shop\"}'",
            "ask() { curl -s \"http://localhost:8420$1\"; }",
            "curl http://localhost:8420/healthz",
        ];
        assert_eq!(commands, expected);
        assert_eq!(
            steps[0].expected,
            "{\"id\": \"src_…\",\n \"name\": \"shop\"}\n"
        );
        assert_eq!(steps[1].expected, "");
        let looks = [0, 1, 2].map(|step| steps[step].is_look());
        assert_eq!(looks, [false, false, true]);
        assert!(steps[1].is_function());
    }

    #[test]
    fn the_key_of_the_readme_is_found() {
        assert_eq!(
            api_key(README),
            Some("hl_tour_0123456789012345678901234567")
        );
        assert_eq!(api_key("HOOKLATCH_API_KEY=$KEY"), None);
    }

    #[test]
    fn a_step_is_directed_to_where_the_gateway_is() {
        let gateway = SocketAddr::from(([127, 0, 0, 1], 4711));
        let step = steps(README)[2].directed_to(gateway, "");
        assert_eq!(step.command, "curl http://127.0.0.1:4711/healthz");
    }
}

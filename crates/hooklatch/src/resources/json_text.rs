//! JSON as it was written, laid out anew: no digit of a number and no character of a text changes.

/// One line without white space between the tokens.
pub(crate) fn compact(json: &str) -> String {
    lay_out(json, None)
}

/// One member or item a line, set in by two spaces for each level, after `margin` more.
pub(crate) fn pretty(json: &str, margin: usize) -> String {
    lay_out(json, Some(margin))
}

fn lay_out(json: &str, margin: Option<usize>) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut level, mut in_text, mut escaped) = (0_usize, false, false);
    let mut rest = json.chars().peekable();
    let line = |text: &mut String, level: usize| {
        if let Some(margin) = margin {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', margin + 2 * level));
        }
    };
    while let Some(one) = rest.next() {
        if in_text {
            text.push(one);
            in_text = escaped || one != '"';
            escaped = !escaped && one == '\\';
            continue;
        }
        match one {
            ' ' | '\t' | '\r' | '\n' => continue,
            '}' | ']' => {
                level = level.saturating_sub(1);
                line(&mut text, level);
                text.push(one);
            }
            '{' | '[' => {
                text.push(one);
                while rest.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    level += 1;
                    line(&mut text, level);
                }
            }
            ',' => {
                text.push(one);
                line(&mut text, level);
            }
            ':' => text.push_str(if margin.is_some() { ": " } else { ":" }),
            other => {
                in_text = other == '"';
                text.push(other);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "{ \"a b\" : [1.0, 2e3 ,\t{}],\n\"q\\\" }\": \"x, y: [\", \"e\": [ ] }";

    #[test]
    fn nothing_but_white_space_between_tokens_goes() {
        let one_line = r#"{"a b":[1.0,2e3,{}],"q\" }":"x, y: [","e":[]}"#;
        assert_eq!(compact(WRITTEN), one_line);
        assert_eq!(compact(one_line), one_line);
        let values: [serde_json::Value; 2] =
            [WRITTEN, one_line].map(|text| serde_json::from_str(text).unwrap());
        assert_eq!(values[0], values[1]);
    }

    #[test]
    fn people_get_one_member_a_line() {
        let shown = pretty(r#"{"a":[1,{"b":"c"}],"d":{}}"#, 2);
        let expected = "{\n    \"a\": [\n      1,\n      {\n        \"b\": \"c\"\n      }\n    ],\
                        \n    \"d\": {}\n  }";
        assert_eq!(shown, expected);
    }
}

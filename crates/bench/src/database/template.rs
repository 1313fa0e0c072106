//! Rows like those that the gateway has just written, so that what is compared with it, and what fills
//! its tables, is of the same kind, whatever its tables look like.

use crate::Failure;
use crate::database::Session;

/// A row of a table, as SQL.
pub(crate) struct Template {
    columns: Vec<Column>,
}

struct Column {
    name: String,
    expression: String,
}

impl Template {
    /// Takes a row of a table in the gateway's schema; `like` is what it is selected from.
    pub(crate) fn take(session: &Session, table: &str, like: &str) -> Result<Self, Failure> {
        let sql = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
                   WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped \
                   ORDER BY attnum";
        let columns = session.rows(sql, &[&format!("hooklatch.{table}")])?;
        let columns: Vec<(String, String)> =
            columns.iter().map(|row| (row.get(0), row.get(1))).collect();
        let texts: Vec<String> = columns
            .iter()
            .map(|(name, _)| format!("(found.\"{name}\")::text"))
            .collect();
        let sql = format!(
            "SELECT ARRAY[{}] FROM {like} found LIMIT 1",
            texts.join(", ")
        );
        let found = session.rows(&sql, &[])?;
        let found = found
            .first()
            .ok_or_else(|| format!("there is no row in {table}"))?;
        let values: Vec<Option<String>> = found.try_get(0)?;
        let columns = columns.into_iter().zip(values);
        Ok(Self {
            columns: columns
                .map(|((name, kind), value)| Column {
                    name,
                    expression: literal(value.as_deref(), &kind),
                })
                .collect(),
        })
    }

    /// Gives a column another value, where there is such a column.
    pub(crate) fn with(mut self, name: &str, expression: &str) -> Self {
        for column in self.columns.iter_mut().filter(|column| column.name == name) {
            expression.clone_into(&mut column.expression);
        }
        self
    }

    /// The statement that inserts one for each row of `from`.
    pub(crate) fn insert(&self, into: &str, from: &str) -> String {
        let names = self
            .columns
            .iter()
            .map(|column| format!("\"{}\"", column.name));
        let names: Vec<String> = names.collect();
        let expressions = self.columns.iter().map(|column| column.expression.as_str());
        let expressions: Vec<&str> = expressions.collect();
        format!(
            "INSERT INTO {into} ({}) SELECT {} FROM {from}",
            names.join(", "),
            expressions.join(", ")
        )
    }
}

/// A value as a literal without colons and line ends, which pgbench would take for its own.
fn literal(value: Option<&str>, kind: &str) -> String {
    let Some(value) = value else {
        return format!("CAST(NULL AS {kind})");
    };
    let mut quoted = String::new();
    for character in value.chars() {
        match character {
            '\'' => quoted.push_str("''"),
            '\\' => quoted.push_str("\\\\"),
            ':' | '\0'..='\u{1f}' => quoted.push_str(&format!("\\{:04X}", u32::from(character))),
            other => quoted.push(other),
        }
    }
    format!("CAST(U&'{quoted}' AS {kind})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_holds_nothing_that_pgbench_would_take_for_a_variable() {
        let json = literal(Some("{\"it's\":true,\n\"x\":\"\\\\\"}"), "text");
        assert_eq!(
            json,
            "CAST(U&'{\"it''s\"\\003Atrue,\\000A\"x\"\\003A\"\\\\\\\\\"}' AS text)"
        );
        assert_eq!(literal(None, "bigint"), "CAST(NULL AS bigint)");
    }

    #[test]
    fn a_template_keeps_what_is_not_given_anew() {
        let column = |name: &str| Column {
            name: name.to_owned(),
            expression: "1".to_owned(),
        };
        let template = Template {
            columns: vec![column("id"), column("project")],
        };
        let statement = template
            .with("id", "one.number")
            .insert("floor.messages", "one");
        assert_eq!(
            statement,
            "INSERT INTO floor.messages (\"id\", \"project\") SELECT one.number, 1 FROM one"
        );
    }
}

//! What would have to be done, field by field. The gateway itself is asked what each document would
//! become, so that a spelling that means the same is no change.

use std::collections::BTreeMap;

use hooklatch_client::Client;
use serde_json::{Map, Value, json};

use super::file::{Declared, Document, Kind};
use crate::failure::Failure;
use crate::listed;

/// What the gateway sets by itself, and what is shown once.
const NOT_DECLARED: [&str; 15] = [
    "id",
    "project_id",
    "ingest_url",
    "created_at",
    "updated_at",
    "circuit",
    "health",
    "warnings",
    "secret",
    "former_rules",
    "unsigned_locations",
    "disabled",
    "paused",
    "former_ingest_urls_until",
    "secret_changes",
];

/// What is done with one resource.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// It is made.
    Create,
    /// Some of its fields change.
    Change {
        /// Each with its value before and after.
        fields: BTreeMap<String, (Value, Value)>,
        /// The fields whose secrets change, which are not shown.
        secrets: Vec<String>,
    },
    /// It is as declared.
    Keep,
    /// It is deleted.
    Delete {
        /// Its id.
        id: String,
    },
}

impl Action {
    /// Whether anything is different afterwards.
    pub(crate) fn changes(&self) -> bool {
        *self != Self::Keep
    }
}

/// One resource and what is done with it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub kind: Kind,
    pub name: String,
    pub action: Action,
    /// What the gateway warns of.
    pub warnings: Vec<String>,
    pub has_secrets: bool,
}

/// What the gateway has.
pub(crate) struct Known(BTreeMap<(Kind, String), Value>);

impl Known {
    /// Everything there is.
    pub(crate) async fn load(client: &Client) -> Result<Self, Failure> {
        let mut known = Self(BTreeMap::new());
        for kind in Kind::ALL {
            for resource in listed::all(client, kind.plural()).await? {
                known.add(kind, resource);
            }
        }
        Ok(known)
    }

    /// Takes over what was made or changed.
    pub(crate) fn add(&mut self, kind: Kind, resource: Value) {
        let name = resource["name"].as_str().unwrap_or_default().to_owned();
        self.0.insert((kind, name), resource);
    }

    fn get(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.0.get(&(kind, name.to_owned()))
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = (&str, &Value)> {
        let own = self.0.iter().filter(move |((it, _), _)| *it == kind);
        own.map(|((_, name), resource)| (name.as_str(), resource))
    }

    /// The document with ids in place of names; none where what it names is still to be made.
    pub(crate) fn resolved(
        &self,
        kind: Kind,
        document: &Document,
    ) -> Result<Option<Value>, Failure> {
        let mut fields = document.fields.clone();
        if kind != Kind::Connection {
            return Ok(Some(Value::Object(fields)));
        }
        for (member, id, of) in [
            ("source", "source_id", Kind::Source),
            ("endpoint", "endpoint_id", Kind::Endpoint),
        ] {
            let Some(named) = fields.remove(member) else {
                continue;
            };
            let Some(found) = named.as_str().and_then(|name| self.get(of, name)) else {
                return Ok(None);
            };
            fields.insert(id.to_owned(), found["id"].clone());
        }
        Ok(Some(Value::Object(fields)))
    }
}

/// Works out what is to be done.
pub(crate) async fn plan(
    client: &Client,
    declared: &Declared,
    known: &Known,
    prune: bool,
) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for kind in Kind::ALL {
        for document in declared.all(kind) {
            check_names(kind, document, declared, known)?;
            steps.push(step(client, kind, document, known).await?);
        }
    }
    if prune {
        for kind in Kind::ALL.into_iter().rev() {
            steps.extend(superfluous(kind, declared, known));
        }
    }
    Ok(steps)
}

fn superfluous(kind: Kind, declared: &Declared, known: &Known) -> Vec<Step> {
    let undeclared = known
        .of(kind)
        .filter(|(name, _)| !declared.all(kind).any(|document| document.name == *name));
    let delete = |(name, resource): (&str, &Value)| Step {
        kind,
        name: name.to_owned(),
        action: Action::Delete {
            id: resource["id"].as_str().unwrap_or_default().to_owned(),
        },
        warnings: Vec::new(),
        has_secrets: false,
    };
    undeclared.map(delete).collect()
}

/// What a connection names is there, or declared.
fn check_names(
    kind: Kind,
    document: &Document,
    declared: &Declared,
    known: &Known,
) -> Result<(), Failure> {
    if kind != Kind::Connection {
        return Ok(());
    }
    for (member, of) in [("source", Kind::Source), ("endpoint", Kind::Endpoint)] {
        let Some(named) = document.fields.get(member) else {
            continue;
        };
        let name = named.as_str().unwrap_or_default();
        let is_known = known.get(of, name).is_some();
        if !is_known && !declared.all(of).any(|other| other.name == name) {
            return Err(Failure::Usage(format!(
                "connection {:?}: no {member} is named {named}, neither in the file nor in the \
                 gateway",
                document.name
            )));
        }
    }
    Ok(())
}

async fn step(
    client: &Client,
    kind: Kind,
    document: &Document,
    known: &Known,
) -> Result<Step, Failure> {
    let before = known.get(kind, &document.name);
    let made = |action, warnings| Step {
        kind,
        name: document.name.clone(),
        action,
        warnings,
        has_secrets: document.has_secrets,
    };
    let Some(body) = known.resolved(kind, document)? else {
        // It leads to what is made in the same run, so that it is new there in any case.
        let action = match before {
            None => Action::Create,
            Some(before) => Action::Change {
                fields: led_elsewhere(before, document),
                secrets: Vec::new(),
            },
        };
        return Ok(made(action, Vec::new()));
    };
    let path = format!("/v1/{}?dry_run=true", kind.plural());
    let after = client.put(&path, &body).await.map_err(|error| {
        let what = format!("{} {:?}", kind.singular(), document.name);
        Failure::Failed(format!("{what}: {}", Failure::from(error)))
    })?;
    let warnings = after["warnings"].as_array().into_iter().flatten();
    let warnings = warnings.filter_map(Value::as_str).map(str::to_owned);
    let warnings = warnings.collect();
    let action = match before {
        None => Action::Create,
        Some(before) => match (differing(before, &after), secrets(&after)) {
            (fields, secrets) if fields.is_empty() && secrets.is_empty() => Action::Keep,
            (fields, secrets) => Action::Change { fields, secrets },
        },
    };
    Ok(made(action, warnings))
}

fn led_elsewhere(before: &Value, document: &Document) -> BTreeMap<String, (Value, Value)> {
    let mut fields = BTreeMap::new();
    for (member, id) in [("source", "source_id"), ("endpoint", "endpoint_id")] {
        if let Some(name) = document.fields.get(member) {
            fields.insert(member.to_owned(), (before[id].clone(), name.clone()));
        }
    }
    fields
}

/// The fields whose secrets would change, as the gateway says.
fn secrets(after: &Value) -> Vec<String> {
    let names = after["secret_changes"].as_array().into_iter().flatten();
    let names = names.filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

/// The declared fields that differ.
fn differing(before: &Value, after: &Value) -> BTreeMap<String, (Value, Value)> {
    let empty = Map::new();
    let (before, after) = (
        before.as_object().unwrap_or(&empty),
        after.as_object().unwrap_or(&empty),
    );
    let names = before.keys().chain(after.keys());
    let value = |of: &Map<String, Value>, name: &String| of.get(name).cloned().unwrap_or_default();
    names
        .filter(|name| !NOT_DECLARED.contains(&name.as_str()))
        .map(|name| (name.clone(), (value(before, name), value(after, name))))
        .filter(|(_, (before, after))| before != after)
        .collect()
}

impl Step {
    /// The step as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let mut differing: &[String] = &[];
        let (action, changes) = match &self.action {
            Action::Create => ("create", json!({})),
            Action::Keep => ("keep", json!({})),
            Action::Delete { .. } => ("delete", json!({})),
            Action::Change { fields, secrets } => {
                differing = secrets;
                let fields = fields.iter().map(|(name, (before, after))| {
                    (name.clone(), json!({"before": before, "after": after}))
                });
                ("change", Value::Object(fields.collect()))
            }
        };
        json!({
            "kind": self.kind.singular(), "name": self.name, "action": action,
            "changes": changes, "secret_changes": differing, "warnings": self.warnings,
        })
    }

    /// The step for people.
    pub(crate) fn in_words(&self) -> String {
        let mark = match &self.action {
            Action::Create => '+',
            Action::Change { .. } => '~',
            Action::Keep => '=',
            Action::Delete { .. } => '-',
        };
        let mut text = format!("{mark} {} {:?}\n", self.kind.singular(), self.name);
        if let Action::Change { fields, secrets } = &self.action {
            for (name, (before, after)) in fields {
                text.push_str(&format!("    {name}: {before} -> {after}\n"));
            }
            for name in secrets {
                text.push_str(&format!("    {name}: its secret changes\n"));
            }
        }
        for warning in &self.warnings {
            text.push_str(&format!("    warning: {warning}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_fields_make_a_change() {
        let before = json!({"id": "src_1", "name": "a", "window_seconds": 60, "created_at": "x"});
        let after = json!({"id": "src_0", "name": "a", "window_seconds": 90, "created_at": "y"});
        let fields = differing(&before, &after);
        assert_eq!(fields.len(), 1);
        assert_eq!(fields["window_seconds"], (json!(60), json!(90)));
        assert!(differing(&before, &before).is_empty());
    }

    #[test]
    fn a_step_is_said_with_its_values() {
        let fields = [("url".to_owned(), (json!("http://a"), json!("http://b")))];
        let step = Step {
            kind: Kind::Endpoint,
            name: "orders".to_owned(),
            action: Action::Change {
                fields: fields.into(),
                secrets: vec!["secret".to_owned()],
            },
            warnings: vec!["take care".to_owned()],
            has_secrets: false,
        };
        let text = "~ endpoint \"orders\"\n    url: \"http://a\" -> \"http://b\"\n    \
                    secret: its secret changes\n    warning: take care\n";
        assert_eq!(step.in_words(), text);
        assert_eq!(step.to_json()["changes"]["url"]["after"], "http://b");
    }
}

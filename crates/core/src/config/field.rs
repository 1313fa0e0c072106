//! Errors that name the field, and the reader that finds the field for them.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use crate::field::FieldError;

/// Reads an input from JSON, and names every field that does not fit, not only the first.
///
/// The reader of JSON says what is wrong but not where. As a field is understood alone, each is
/// tried by itself when the whole fails; this costs nothing while inputs are good.
pub fn read<T: DeserializeOwned>(value: Value) -> Result<T, Vec<FieldError>> {
    // An array would be read as well, as the fields in their order.
    let Value::Object(fields) = &value else {
        return Err(vec![FieldError::new("", "should be a JSON object")]);
    };
    let error = match T::deserialize(&value) {
        Ok(input) => return Ok(input),
        Err(error) => FieldError::new("", error.to_string()),
    };
    let mut errors = Vec::new();
    for (name, value) in fields {
        errors.extend(misfit::<T>(name, value));
    }
    errors.sort_by(|one, other| one.pointer.cmp(&other.pointer));
    if errors.is_empty() {
        Err(vec![error])
    } else {
        Err(errors)
    }
}

fn misfit<T: DeserializeOwned>(name: &str, value: &Value) -> Option<FieldError> {
    let pointer = format!("/{}", escaped(name));
    let error = alone::<T>(name, value.clone())?;
    let is_unknown = alone::<T>(name, Value::Null).is_some();
    let Some(members) = value.as_object().filter(|_| !is_unknown) else {
        return Some(FieldError::new(pointer, error));
    };
    for (member, inner) in members {
        let inner = Value::Object(Map::from_iter([(member.clone(), inner.clone())]));
        let error = alone::<T>(name, inner).filter(|error| !error.contains("missing field"));
        if let Some(error) = error {
            return Some(FieldError::new(
                format!("{pointer}/{}", escaped(member)),
                error,
            ));
        }
    }
    Some(FieldError::new(pointer, error))
}

/// What is wrong with a field when nothing else is there; that others are missing is not.
fn alone<T: DeserializeOwned>(name: &str, value: Value) -> Option<String> {
    let only = Value::Object(Map::from_iter([(name.to_owned(), value)]));
    T::deserialize(&only).err().map(|error| error.to_string())
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

//! The fields of forms, with what was wrong with them the last time beside them.

use maud::{Markup, html};

use super::form::Form;
use super::wire::Refusal;

/// A form as it is shown: what it says, and why it was refused.
pub(super) struct Filled<'a> {
    pub form: &'a Form,
    pub refusal: Option<&'a Refusal>,
}

/// A field.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    /// Its name in the form.
    pub name: &'a str,
    /// What people call it.
    pub label: &'a str,
    /// What one has to know.
    pub hint: &'a str,
    /// Where the API finds it: the beginning of the JSON pointers that concern it.
    pub pointer: &'a str,
}

impl Filled<'_> {
    /// What was wrong that no field of this form shows.
    pub fn wrong(&self) -> Markup {
        html! {
            @if let Some(refusal) = self.refusal {
                div.notice.bad role="alert" { p { (refusal.detail) } }
            }
        }
    }

    /// A line of text.
    pub fn line(&self, field: Field<'_>, kind: &str, placeholder: &str) -> Markup {
        let value = self.form.text(field.name).unwrap_or_default();
        self.framed(
            field,
            &html! {
                input id=(field.name) name=(field.name) type=(kind) value=(value)
                    placeholder=(placeholder) spellcheck="false" autocomplete="off"
                    aria-invalid=[self.error(field).map(|_| "true")]
                    aria-describedby=(described(field));
            },
        )
    }

    /// Several lines.
    pub fn lines(&self, field: Field<'_>, rows: u8, placeholder: &str) -> Markup {
        let value = self.form.text(field.name).unwrap_or_default();
        self.framed(
            field,
            &html! {
                textarea.mono id=(field.name) name=(field.name) rows=(rows)
                    placeholder=(placeholder) spellcheck="false"
                    aria-invalid=[self.error(field).map(|_| "true")]
                    aria-describedby=(described(field)) { (value) }
            },
        )
    }

    /// One of several; each is a value and what it says.
    pub fn choice(&self, field: Field<'_>, options: &[(String, String)]) -> Markup {
        let chosen = self.form.text(field.name).unwrap_or_default();
        self.framed(
            field,
            &html! {
                select id=(field.name) name=(field.name) aria-describedby=(described(field)) {
                    @for (value, label) in options {
                        option value=(value) selected[value == chosen] { (label) }
                    }
                }
            },
        )
    }

    /// A box to tick.
    pub fn tick(&self, field: Field<'_>) -> Markup {
        html! {
            div.field.tick {
                input id=(field.name) name=(field.name) type="checkbox" value="on"
                    checked[self.form.is_on(field.name)] aria-describedby=(described(field));
                label for=(field.name) { (field.label) }
                p.hint id=(described(field)) { (field.hint) }
            }
        }
    }

    fn framed(&self, field: Field<'_>, input: &Markup) -> Markup {
        html! {
            div.field {
                label for=(field.name) { (field.label) }
                (input)
                p.hint id=(described(field)) {
                    (field.hint)
                    @if let Some(error) = self.error(field) { " " span.wrong { (error) } }
                }
            }
        }
    }

    fn error(&self, field: Field<'_>) -> Option<&str> {
        let errors = &self.refusal?.errors;
        let concerns =
            |pointer: &str| !field.pointer.is_empty() && pointer.starts_with(field.pointer);
        let error = errors.iter().find(|error| concerns(&error.pointer))?;
        Some(&error.detail)
    }
}

fn described(field: Field<'_>) -> String {
    format!("{}_hint", field.name)
}

/// Options whose value is what they say.
pub(super) fn plain(values: &[&str]) -> Vec<(String, String)> {
    let pair = |value: &&str| ((*value).to_owned(), value.replace('_', " "));
    values.iter().map(pair).collect()
}

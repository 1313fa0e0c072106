//! The receiver's own word on what became of a delivery (O3).

use std::fmt;
use std::str::FromStr;

/// The value of a receiver's `Hooklatch-Receipt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Receipt {
    /// The effect happened now.
    Processed,
    /// The effect had happened before; nothing was done.
    Duplicate,
    /// Another attempt is being worked on; ask again later.
    InProgress,
    /// The receiver will never take this.
    Rejected,
}

/// The text is none of the four receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a receipt is \"processed\", \"duplicate\", \"in-progress\" or \"rejected\"")]
pub struct UnknownReceipt;

impl Receipt {
    /// The receipt as it is written on the wire and in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Duplicate => "duplicate",
            Self::InProgress => "in-progress",
            Self::Rejected => "rejected",
        }
    }

    /// Whether the receipt fits the status it came with. One that does not is recorded and
    /// counted, and the status alone decides.
    pub const fn agrees_with(self, status: u16) -> bool {
        match self {
            Self::Processed | Self::Duplicate => status >= 200 && status <= 299,
            Self::InProgress => status == 503,
            Self::Rejected => status >= 400 && status <= 499,
        }
    }
}

impl FromStr for Receipt {
    type Err = UnknownReceipt;

    fn from_str(header: &str) -> Result<Self, UnknownReceipt> {
        let all = [
            Self::Processed,
            Self::Duplicate,
            Self::InProgress,
            Self::Rejected,
        ];
        let text = header.trim();
        let found = all
            .into_iter()
            .find(|receipt| receipt.as_str().eq_ignore_ascii_case(text));
        found.ok_or(UnknownReceipt)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o3_a_receipt_counts_only_with_the_status_it_belongs_to() {
        for (text, fits, does_not) in [
            ("processed", [200, 299], [199, 503]),
            ("Duplicate", [200, 204], [300, 409]),
            (" in-progress ", [503, 503], [200, 500]),
            ("REJECTED", [400, 499], [200, 503]),
        ] {
            let receipt: Receipt = text.parse().unwrap();
            assert!(
                fits.iter().all(|status| receipt.agrees_with(*status)),
                "{text}"
            );
            assert!(
                does_not.iter().all(|status| !receipt.agrees_with(*status)),
                "{text}"
            );
            assert_eq!(receipt.to_string(), text.trim().to_ascii_lowercase());
        }
    }

    #[test]
    fn o3_what_is_no_receipt_is_not_guessed() {
        for text in ["", "done", "in_progress", "processed, duplicate"] {
            assert_eq!(text.parse::<Receipt>(), Err(UnknownReceipt), "{text}");
        }
    }
}

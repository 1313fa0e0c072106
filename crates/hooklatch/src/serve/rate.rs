//! How many calls of the API each key may make.

use hooklatch_server::api::Rate;

use super::settings::SettingsError;

/// The most calls a second that can be set; more is no limit.
const PER_SECOND_MAX: u32 = 1_000_000;
/// A burst is so many seconds' worth where nobody says otherwise.
const BURST_SECONDS: u32 = 10;

/// What flags and environment say of it.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct RateArgs {
    /// Calls of the API a second that each API key may make; ingest URLs are not counted [default:
    /// any number]
    #[arg(long, value_name = "CALLS", env = "HOOKLATCH_API_RATE_PER_SECOND")]
    pub api_rate_per_second: Option<u32>,
}

/// The limit, checked.
pub(super) fn rate(per_second: Option<u32>) -> Result<Option<Rate>, SettingsError> {
    let Some(per_second) = per_second else {
        return Ok(None);
    };
    if !(1..=PER_SECOND_MAX).contains(&per_second) {
        return Err(SettingsError::Value {
            name: "api_rate_per_second",
            value: per_second.to_string(),
            hint: "it is from 1 to 1000000; leave it out for any number",
        });
    }
    Ok(Some(Rate {
        per_second,
        burst: per_second.saturating_mul(BURST_SECONDS),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_nothing_is_refused_and_none_is_no_limit() {
        assert!(matches!(rate(None), Ok(None)));
        let found = rate(Some(5)).ok().flatten().map(|it| it.burst);
        assert_eq!(found, Some(50));
        assert!(rate(Some(0)).is_err());
        assert!(rate(Some(1_000_001)).is_err());
    }
}

//! Where a provider's own settings ask for the URL, and where they show the secret. A step stands
//! here only if somebody read it: a page that leads to the wrong menu is worse than none.

/// What to do in a provider's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// The preset's id.
    pub provider: &'static str,
    /// Where the URL goes, and where the secret is.
    pub steps: &'static str,
    /// What that was read in.
    pub checked_against: &'static str,
}

/// The steps of a provider, where they were checked.
pub fn of(provider: &str) -> Option<&'static Setup> {
    SETUPS.iter().find(|setup| setup.provider == provider)
}

/// What the verifier of a provider has to be told: who signs by certificate shares no secret.
pub fn verifier_field(provider: &str) -> &'static str {
    match provider {
        "aws_sns" => "topic_arn",
        "paypal" => "webhook_id",
        _ => "secret",
    }
}

/// Every provider whose settings were checked, by id.
pub const SETUPS: &[Setup] = &[
    Setup {
        provider: "clerk",
        steps: "in Clerk's webhook settings, add an endpoint with the URL and choose its events. \
                The endpoint then shows its signing secret, which begins with `whsec_`.",
        checked_against: "trigger.dev: webhook providers, Clerk",
    },
    Setup {
        provider: "github",
        steps: "in the repository, Settings > Webhooks > Add webhook; the URL is the Payload URL, \
                the content type `application/json`. The secret is one that you make up.",
        checked_against: "docs.github.com: creating webhooks",
    },
    Setup {
        provider: "gitlab",
        steps: "in the project or group, Settings > Webhooks, add a webhook with the URL.",
        checked_against: "trigger.dev: webhook providers, GitLab",
    },
    Setup {
        provider: "linear",
        steps: "Settings > API > New webhook. The webhook's page then shows the signing secret.",
        checked_against: "trigger.dev: webhook providers, Linear",
    },
    Setup {
        provider: "paddle",
        steps: "Developer tools > Notifications > New destination, with the URL and its events. \
                The destination then has a secret key of its own.",
        checked_against: "developer.paddle.com: notification destinations",
    },
    Setup {
        provider: "resend",
        steps: "in Resend's webhook settings, add an endpoint with the URL and choose its events. \
                The endpoint then shows its signing secret, which begins with `whsec_`.",
        checked_against: "trigger.dev: webhook providers, Resend",
    },
    Setup {
        provider: "slack",
        steps: "in the app's settings, Event Subscriptions, Request URL. The signing secret is \
                under Basic Information, App Credentials: the source needs it before the URL is \
                saved, because Slack asks at once.",
        checked_against: "trigger.dev: webhook providers, Slack",
    },
    Setup {
        provider: "stripe",
        steps: "in Workbench, the tab Webhooks, create a destination of the kind webhook endpoint \
                with the URL, and choose its events. The destination's page then reveals the \
                signing secret; live and test mode have one each.",
        checked_against: "docs.stripe.com: Workbench, webhooks; trigger.dev: webhook providers, Stripe",
    },
    Setup {
        provider: "zendesk",
        steps: "Admin Center > Apps and integrations > Webhooks, create a webhook with the URL. \
                Its details then reveal the signing secret.",
        checked_against: "trigger.dev: webhook providers, Zendesk; support.zendesk.com: creating webhooks",
    },
];

#[cfg(test)]
mod tests {
    use hooklatch_core::provider::preset;

    use super::*;

    #[test]
    fn every_setup_belongs_to_a_preset() {
        for setup in SETUPS {
            assert!(preset(setup.provider).is_some(), "{}", setup.provider);
        }
        assert!(of("stripe").is_some());
        assert!(of("nobody").is_none());
    }
}

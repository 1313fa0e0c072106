//! One page of the browser, as a person uses it: go there, look, type, press keys.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::chromium::{Chromium, Link};
use crate::support::eventually_ok;

/// A page.
pub struct Page {
    link: Link,
    session: String,
    base: String,
}

impl Page {
    /// A new page for the gateway at `address`, with cookies of its own.
    pub async fn open(browser: &Chromium, address: SocketAddr) -> Self {
        let link = browser.link();
        let context = link
            .call(None, "Target.createBrowserContext", json!({}))
            .await;
        let context = &context["result"]["browserContextId"];
        let target = json!({"url": "about:blank", "browserContextId": context});
        let target = link.call(None, "Target.createTarget", target).await;
        let target = json!({"targetId": target["result"]["targetId"], "flatten": true});
        let attached = link.call(None, "Target.attachToTarget", target).await;
        let session = attached["result"]["sessionId"].as_str();
        let page = Self {
            session: session
                .unwrap_or_else(|| panic!("no session: {attached}"))
                .to_owned(),
            link,
            base: format!("http://{address}"),
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.call(
            "Emulation.setTimezoneOverride",
            json!({"timezoneId": "Europe/Berlin"}),
        )
        .await;
        page.size(1280, 800).await;
        page
    }

    async fn call(&self, method: &str, parameters: Value) -> Value {
        let answer = self
            .link
            .call(Some(&self.session), method, parameters)
            .await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The window's size in pixels.
    pub async fn size(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .await;
    }

    /// Light or dark, as the system says it.
    pub async fn scheme(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// Goes to a path, and waits until its script has run.
    pub async fn go(&self, path: &str) {
        self.mark().await;
        let url = format!("{}{path}", self.base);
        self.call("Page.navigate", json!({"url": url})).await;
        self.arrived().await;
    }

    /// What leads to another page: does it, and waits until that page is there.
    pub async fn leads_on(&self, script: &str) {
        self.mark().await;
        if let Err(wrong) = self.attempt(script).await {
            // The next page may come before the answer.
            assert!(wrong.contains("navigated"), "{script}: {wrong}");
        }
        self.arrived().await;
    }

    /// Marks this page, so that the next is told apart from it.
    pub async fn mark(&self) {
        self.eval("window.left = true").await;
    }

    /// Waits for a page that is not marked.
    pub async fn arrived(&self) {
        self.until(
            "another page",
            "!window.left && document.documentElement.dataset.ready !== undefined",
        )
        .await;
    }

    /// What an expression is. One that throws is a failure of the test.
    pub async fn eval(&self, script: &str) -> Value {
        match self.attempt(script).await {
            Ok(value) => value,
            Err(wrong) => panic!("{script}: {wrong}"),
        }
    }

    async fn attempt(&self, script: &str) -> Result<Value, String> {
        let parameters = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let answer = self
            .link
            .call(Some(&self.session), "Runtime.evaluate", parameters)
            .await;
        match answer["result"].get("exceptionDetails") {
            Some(details) => Err(details.to_string()),
            None if answer.get("error").is_some() => Err(answer.to_string()),
            None => Ok(answer["result"]["result"]["value"].clone()),
        }
    }

    /// Waits until an expression is true.
    pub async fn until(&self, what: &str, script: &str) {
        eventually_ok(what, || async {
            match self.attempt(script).await? {
                Value::Bool(true) => Ok(()),
                other => {
                    let text = self
                        .attempt("document.body.innerText")
                        .await
                        .unwrap_or_default();
                    Err(format!("{script} is {other} on {text}"))
                }
            }
        })
        .await;
    }

    /// Waits until a text can be read on the page.
    pub async fn reads(&self, text: &str) {
        let script = format!("document.body.innerText.includes({})", json!(text));
        self.until(text, &script).await;
    }

    /// Fills a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        let script = format!(
            "{{ const field = document.querySelector({}); field.focus(); field.value = {}; \
             field.dispatchEvent(new Event('input', {{bubbles: true}})); }}",
            json!(selector),
            json!(text)
        );
        self.eval(&script).await;
    }

    /// Clicks something that leads to another page.
    pub async fn follow(&self, selector: &str) {
        self.leads_on(&format!(
            "document.querySelector({}).click()",
            json!(selector)
        ))
        .await;
    }

    /// Clicks the button or the link with this text, which leads to another page.
    pub async fn press_button(&self, text: &str) {
        let script = format!(
            "[...document.querySelectorAll('button, a')].find((one) => one.textContent.trim() === {}).click()",
            json!(text)
        );
        self.leads_on(&script).await;
    }

    /// Presses a key, as a keyboard does.
    pub async fn key(&self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            "Tab" | "Escape" => "",
            other => other,
        };
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            other => other
                .to_ascii_uppercase()
                .bytes()
                .next()
                .map_or(0, i32::from),
        };
        let down = if text.is_empty() {
            "rawKeyDown"
        } else {
            "keyDown"
        };
        let press = |kind: &str| json!({"type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", press(down)).await;
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}),
        )
        .await;
    }

    /// Types a text where the focus is.
    pub async fn type_text(&self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Signs in with a key.
    pub async fn sign_in(&self, key: &str) {
        self.go("/sign-in").await;
        self.fill("#api_key", key).await;
        self.press_button("Sign in").await;
    }

    /// Where the page is: path and query.
    pub async fn place(&self) -> String {
        let place = self.eval("location.pathname + location.search").await;
        place.as_str().unwrap_or_default().to_owned()
    }

    /// What went wrong in the page: exceptions, and what its policy has stopped.
    pub fn complaints(&self) -> Vec<String> {
        let thrown = self.link.events("Runtime.exceptionThrown");
        let logged = self.link.events("Log.entryAdded");
        let grave = |entry: &&Value| {
            entry["entry"]["source"] == "security" || entry["entry"]["source"] == "violation"
        };
        let logged = logged
            .iter()
            .filter(grave)
            .map(|entry| entry["entry"]["text"].to_string());
        thrown.iter().map(Value::to_string).chain(logged).collect()
    }

    /// The addresses that were asked for since [`Page::forget`], of this host and others.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.link.events("Network.requestWillBeSent");
        let url = |event: &Value| {
            event["request"]["url"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let asked = requests.iter().map(url);
        // A browser draws parts of its own controls from data that it brings along.
        asked.filter(|url| !url.starts_with("data:")).collect()
    }

    /// Bytes that came over the wire since [`Page::forget`].
    pub fn weight(&self) -> u64 {
        let loaded = self.link.events("Network.loadingFinished");
        loaded
            .iter()
            .filter_map(|event| event["encodedDataLength"].as_f64())
            .sum::<f64>() as u64
    }

    /// Forgets what happened so far, and what is cached.
    pub async fn forget(&self) {
        self.call("Network.clearBrowserCache", json!({})).await;
        self.link.forget();
    }

    /// The page as a picture, into a file; as high as it is, up to `most`.
    pub async fn screenshot(&self, path: &Path, width: u32, most: u32) {
        let height = self.eval("document.documentElement.scrollHeight").await;
        let height = height.as_u64().unwrap_or(800).clamp(480, most.into());
        self.size(width, u32::try_from(height).unwrap_or(most))
            .await;
        let shot = self
            .call(
                "Page.captureScreenshot",
                json!({"format": "png", "optimizeForSpeed": false}),
            )
            .await;
        let bytes = STANDARD.decode(shot["data"].as_str().unwrap_or_default());
        std::fs::write(path, bytes.expect("a picture is base64")).expect("the picture is written");
    }
}

//! The whole story, end to end: the built binary, a killed gateway, and the demo's own account.

use std::process::Command;

#[test]
fn c2_the_demo_loses_nothing_and_does_nothing_twice() {
    let output = Command::new(env!("CARGO_BIN_EXE_hooklatch"))
        .args(["demo", "--exit"])
        .output()
        .expect("the binary starts");
    let story = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{story}\n{complaints}");
    assert!(story.contains("kill -9"), "{story}");
    let verdict = story.trim_end().lines().next_back();
    // 200 payments, 20 pushes, 20 orders.
    let clean = "240 business events: lost 0, twice 0";
    assert_eq!(verdict, Some(clean), "{story}\n{complaints}");
    assert!(story.contains("concurrent"), "{story}");
    assert!(story.contains("provider_resend"), "{story}");
    assert!(story.contains("producer_retry"), "{story}");
}

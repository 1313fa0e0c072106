//! Completions, manual pages, and the page about the configuration.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use super::{command, end};

/// Whether a program of the system is there.
async fn is_there(program: &str) -> bool {
    let asked = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status();
    asked.await.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn every_shell_gets_a_script_and_bash_can_read_its_own() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = end(command(&["completions", shell])).await.done().out;
        for word in ["sources", "tail", "backup"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(
            !script.contains("hl_end_to_end"),
            "no secret of the environment"
        );
    }
    let dir = TempDir::new().expect("a temporary directory");
    let path = dir.path().join("hooklatch.bash");
    let script = end(command(&["completions", "bash"])).await.done().out;
    std::fs::write(&path, script).expect("the directory is ours");
    // A completion as bash would ask for it.
    let asked = "source \"$1\"; COMP_WORDS=(hooklatch sources pau); COMP_CWORD=2; \
                 _hooklatch hooklatch pau sources; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", asked, "bash"]).arg(&path);
    let said = end(bash).await.done();
    assert_eq!(said.out.trim(), "pause", "{said:?}");
    let unknown = end(command(&["completions", "cmd"])).await;
    assert_eq!(unknown.code, 2, "{unknown:?}");
}

#[tokio::test]
async fn every_command_has_a_manual_page() {
    let dir = TempDir::new().expect("a temporary directory");
    let to = dir.path().join("man1").display().to_string();
    end(command(&["man", "--to", &to])).await.done();
    for name in [
        "hooklatch",
        "hooklatch-serve",
        "hooklatch-sources-create",
        "hooklatch-replay-list",
    ] {
        let path = format!("{to}/{name}.1");
        let page = std::fs::read_to_string(&path).unwrap_or_else(|it| panic!("{path}: {it}"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
        assert!(page.contains("Example:"), "{name}: {page}");
    }
    let page = std::fs::read_to_string(format!("{to}/hooklatch-sources-create.1"));
    let page = page.expect("it was read before");
    assert!(page.contains("hooklatch sources create"), "{page}");
    let hidden = std::fs::exists(format!("{to}/hooklatch-transform-worker.1"));
    assert!(!hidden.expect("the directory is ours"));
    if is_there("mandoc").await {
        let mut lint = Command::new("mandoc");
        lint.args([
            "-T",
            "lint",
            "-W",
            "error",
            &format!("{to}/hooklatch-serve.1"),
        ]);
        end(lint).await.done();
    }
    if is_there("man").await {
        let mut shown = Command::new("man");
        shown.args(["-l", &format!("{to}/hooklatch-tail.1")]);
        let shown = end(shown).await.done();
        assert!(shown.out.contains("hooklatch"), "{shown:?}");
    }
}

#[tokio::test]
async fn the_configuration_is_shown_as_a_page() {
    let page = end(command(&["configuration"])).await.done().out;
    assert!(page.starts_with("# Configuration\n"), "{page}");
    assert!(
        page.contains("| `--listen` | `HOOKLATCH_LISTEN` | `listen` | 127.0.0.1:8420 |"),
        "{page}"
    );
    assert!(page.contains("`HOOKLATCH_API_KEY_FILE`"), "{page}");
}
